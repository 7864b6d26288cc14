//! The harness itself: what is left when its process is killed.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hb_tests::clock::poll;

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
    let namespaces = hosts
        .iter()
        .map(|pid| Ok(fs::read_link(format!("/proc/{pid}/ns/net"))?));
    let namespaces = namespaces.collect::<Result<Vec<_>>>()?;
    let users = || -> Result<usize> {
        let processes = fs::read_dir("/proc")?.flatten();
        Ok(processes.filter(|entry| is_in(&entry.path(), &namespaces)).count())
    };
    ensure!(users()? >= 8);

    holder.kill()?;
    holder.wait()?;
    drop(lines);
    let gone = poll(Duration::from_secs(5), || Ok((users()? == 0).then_some(())))?;
    gone.with_context(|| format!("{:?} processes are left", users()))
}

fn is_in(process: &Path, namespaces: &[std::path::PathBuf]) -> bool {
    fs::read_link(process.join("ns/net")).is_ok_and(|link| namespaces.contains(&link))
}
