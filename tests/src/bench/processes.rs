//! The processes of a host, as they are seen from outside: by their names, and by what they have used.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::host::Host;

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id, outside.
    pub pid: Pid,
    /// Its parent's.
    pub parent: Pid,
    /// Its name, of at most 15 bytes.
    pub name: String,
    /// How long its threads ran.
    pub ran: Duration,
}

/// All processes of a host but its first one and what keeps that alive, and but those that have ended.
pub fn of_host(host: &Host) -> Result<Vec<Process>> {
    let init = host.pid();
    let namespace = fs::read_link(format!("/proc/{init}/ns/pid"))?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse::<i32>().ok()) else {
            continue;
        };
        if u32::try_from(pid) == Ok(init) || fs::read_link(path.join("ns/pid")).ok().as_ref() != Some(&namespace) {
            continue;
        }
        // It may end at any time.
        if let Some(process) = of_directory(&path, pid)
            && process.name != "cat"
        {
            found.push(process);
        }
    }
    Ok(found)
}

/// Those of a host's processes that have one of these names.
pub fn named(host: &Host, names: &[&str]) -> Result<Vec<Process>> {
    let mut all = of_host(host)?;
    all.retain(|process| names.contains(&process.name.as_str()));
    Ok(all)
}

/// Sends SIGTERM to that one of the processes of these names that started the others. Where there is none nothing is sent.
pub fn terminate(host: &Host, names: &[&str]) -> Result<()> {
    let all = named(host, names)?;
    let is_first = |process: &&Process| all.iter().all(|other| other.pid != process.parent);
    for first in all.iter().filter(is_first) {
        kill(first.pid, Signal::SIGTERM)?;
    }
    Ok(())
}

fn of_directory(path: &Path, pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(path.join("stat")).ok()?;
    // The name may contain anything, blanks and parentheses included.
    let (name, fields) = stat.split_once('(')?.1.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    if matches!(state, "Z" | "X") {
        return None;
    }
    Some(Process {
        pid: Pid::from_raw(pid),
        parent: Pid::from_raw(parent),
        name: name.to_owned(),
        ran: ran(path).ok()?,
    })
}

/// How long a process's threads ran. The process's own schedstat is that of its first thread.
fn ran(path: &Path) -> io::Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(path.join("task"))? {
        let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
        // `runtime waiting timeslices` (Documentation/scheduler/sched-stats.rst).
        let nanos = schedstat.split_whitespace().next().and_then(|word| word.parse().ok());
        sum += Duration::from_nanos(nanos.unwrap_or(0));
    }
    Ok(sum)
}

/// What processes have in memory, in bytes, what they share with others counted in parts.
pub fn proportional_memory(processes: &[Process]) -> Result<u64> {
    let each = processes.iter().map(|process| {
        let path = PathBuf::from(format!("/proc/{}/smaps_rollup", process.pid));
        let rollup = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        parse_kilobytes(&rollup, "Pss:").with_context(|| format!("{} has no Pss", path.display()))
    });
    Ok(each.sum::<Result<u64>>()? * 1024)
}

/// A line of smaps.
fn parse_kilobytes(smaps: &str, name: &str) -> Option<u64> {
    let line = smaps.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_read() {
        assert_eq!(
            parse_kilobytes("Rss: 2 kB\nPss:      125000 kB\n", "Pss:"),
            Some(125_000)
        );
        assert_eq!(parse_kilobytes("Rss: 1 kB\n", "Pss:"), None);
    }

    #[test]
    fn a_hosts_processes_are_seen_by_name() -> Result<()> {
        let host = Host::create("n1")?;
        // What laid out the host may still be ending.
        assert!(named(&host, &["sleep"])?.is_empty());
        let sleeper = host.spawn(host.command("sleep").arg("100"))?;
        let found = named(&host, &["sleep"])?;
        assert_eq!(found.len(), 1);
        assert_eq!(u32::try_from(found[0].pid.as_raw())?, sleeper.pid());
        assert!(proportional_memory(&found)? > 0);
        sleeper.kill9()?;
        assert!(named(&host, &["sleep"])?.is_empty());
        Ok(())
    }
}
