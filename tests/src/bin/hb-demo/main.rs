//! Shows the tutorial's cluster at work, on hosts made of namespaces: what its reader sees, and how long each step took.

mod report;
mod scenario;

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use hb_tests::{
    clock::Moment,
    cluster::{Cluster, Options},
    network::{Network, Server},
};

use crate::{
    report::{Played, Summary},
    scenario::{ACTS, Act},
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
    /// Show the crash and the return only, with a script and without
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
    let mut acts = Vec::new();
    let mut served_by = "nothing";
    println!(
        "The cloud takes {} ms to move the floating IP. A client asks for the page every 5 ms.",
        arguments.api_ms
    );
    for act in &ACTS {
        let mut cluster = Cluster::start(&Options {
            hb: arguments.hb.clone(),
            files: (act.files)(),
            action_time: Duration::from_millis(arguments.api_ms),
            ..Options::default()
        })?;
        acts.push(play(&mut cluster, act, arguments.quick)?);
        served_by = cluster.served_by();
    }
    let summary = Summary::new(arguments.api_ms, served_by, acts);
    println!("{summary}\nTook {:.1} s.", began.elapsed().as_secs_f64());
    let Some(path) = &arguments.json else {
        return Ok(());
    };
    write(path, &summary).with_context(|| format!("cannot write {}", path.display()))
}

fn play(cluster: &mut Cluster, act: &Act, quick: bool) -> Result<Played> {
    let haresources = cluster.network.primary.read_file("/etc/ha.d/haresources")?;
    println!("\n{}\n\n    {}", act.story, haresources.trim_end());
    println!("\nprimary and secondary are up, pages by {}.", cluster.served_by());
    scenario::bring_up(cluster)?;
    let shown = if quick { 2 } else { act.scenarios.len() };
    let mut scenarios = Vec::new();
    for scenario in act.scenarios.iter().take(shown) {
        let timeline = scenario.play(cluster)?;
        println!("{timeline}");
        scenarios.push(timeline);
    }
    Ok(Played {
        moved_by: act.moved_by,
        scenarios,
    })
}

fn write(path: &Path, summary: &Summary) -> Result<()> {
    let mut file = File::create(path)?;
    serde_json::to_writer_pretty(&mut file, summary)?;
    Ok(writeln!(file)?)
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
