//! The harness itself: what is left when its process is killed.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hb_tests::{census::Census, clock::poll};

#[test]
fn a_killed_harness_leaves_no_host() -> Result<()> {
    let mut holder = Command::new(env!("CARGO_BIN_EXE_hb-demo"))
        .arg("--hold")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // Read to its end only when the holder is gone: it may still be writing.
    let mut lines = BufReader::new(holder.stdout.take().context("no output")?).lines();
    let mut hosts = Vec::new();
    for line in lines.by_ref().take(2) {
        hosts.push(line?.rsplit(' ').next().unwrap_or_default().to_owned());
    }
    ensure!(hosts.len() == 2, "the holder made no hosts");
    // Something of its own in each host: the host must not need anybody to end it.
    for pid in &hosts {
        let inside = [
            "--target",
            pid,
            "--all",
            "setsid",
            "sh",
            "-c",
            "sleep 4711 & sleep 4711 &",
        ];
        ensure!(Command::new("nsenter").args(inside).status()?.success());
    }
    let inside = hosts.iter().map(|pid| Census::of(pid.parse()?));
    let inside = inside.collect::<Result<Vec<_>>>()?;
    let users = || inside.iter().map(Census::count).sum::<Result<usize>>();
    ensure!(users()? >= 8);

    holder.kill()?;
    holder.wait()?;
    drop(lines);
    let gone = poll(Duration::from_secs(5), || Ok((users()? == 0).then_some(())))?;
    gone.with_context(|| format!("{:?} processes are left", users()))
}
