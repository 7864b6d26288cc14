//! Shows the tutorial's cluster at work, on hosts made of namespaces: what its reader sees, and how long each step took.

mod report;
mod scenario;

use std::{fs::File, io::Write, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use hb_tests::{
    clock::Moment,
    cluster::{Cluster, Options},
    network::{Network, Server},
};

/// Shows the tutorial's cluster failing over, and how long each step takes.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The hb to show [default: the one beside this program]
    #[arg(long, value_name = "PATH", env = "HB_BIN")]
    hb: Option<PathBuf>,
    /// Write the timelines to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show the crash and the return only
    #[arg(long)]
    quick: bool,
    /// How long the cloud takes to move the floating IP
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    api_ms: u64,
    /// Only make the hosts and their network, print the ids of their first processes, and keep them until this ends
    #[arg(long)]
    hold: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.hold {
        hold()
    } else {
        demonstrate(&arguments)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hb-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate(arguments: &Arguments) -> Result<()> {
    let began = Moment::now();
    let mut cluster = Cluster::start(&Options {
        hb: arguments.hb.clone(),
        action_time: Duration::from_millis(arguments.api_ms),
        ..Options::default()
    })?;
    println!(
        "primary and secondary are up, with the tutorial's files; pages by {}.",
        cluster.served_by()
    );
    println!(
        "The cloud takes {} ms to move the floating IP. A client asks every 5 ms.\n",
        arguments.api_ms
    );

    scenario::bring_up(&mut cluster)?;
    let mut timelines = Vec::new();
    let shown = if arguments.quick { 2 } else { scenario::ALL.len() };
    for scenario in &scenario::ALL[..shown] {
        let timeline = scenario.play(&mut cluster)?;
        println!("{timeline}");
        timelines.push(timeline);
    }
    let summary = report::Summary::new(arguments.api_ms, cluster.served_by(), timelines);
    println!("{summary}\nTook {:.1} s.", began.elapsed().as_secs_f64());
    if let Some(path) = &arguments.json {
        let write = || -> Result<()> {
            let mut file = File::create(path)?;
            serde_json::to_writer_pretty(&mut file, &summary)?;
            Ok(writeln!(file)?)
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn hold() -> Result<()> {
    let network = Network::create()?;
    for server in Server::ALL {
        println!("{} {}", server.name(), network.server(server).pid());
    }
    println!("nsenter --target PID --all goes there. Ctrl-C ends it.");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
