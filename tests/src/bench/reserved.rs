//! Processor time that no hog takes away: `SCHED_DEADLINE`, by util-linux's chrt.

use std::{process::Command, thread};

use anyhow::{Context, Result};
use nix::unistd::{Pid, gettid};

/// What the harness reserves while it stands on a step of the ladder: so many microseconds of every so many.
const RUNTIME_US: u32 = 3_000;
const PERIOD_US: u32 = 10_000;

/// Reserves time for a thread, so many microseconds of every so many, and nothing for what it starts: gives why the
/// kernel refused it, if it did.
pub(super) fn reserve(thread: Pid, runtime_us: u32, period_us: u32) -> Result<Option<String>> {
    let nanos = |micros: u32| (u64::from(micros) * 1000).to_string();
    let (runtime, period) = (nanos(runtime_us), nanos(period_us));
    let deadline = [
        "--reset-on-fork",
        "--deadline",
        "--sched-runtime",
        &runtime,
        "--sched-deadline",
        &period,
    ];
    let mut command = Command::new("chrt");
    command
        .args(deadline)
        .args(["--sched-period", &period, "--pid", "0", &thread.to_string()]);
    let output = command.output().context("cannot run chrt (util-linux)")?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok((!output.status.success()).then_some(said))
}

/// Does something on a thread that has reserved time. A harness that waits with everybody else for its turn, for twenty
/// seconds at worst, would measure the same and take hours. Where the kernel refuses it nothing is different.
///
/// The thread ends with it and does not go back to being one like others: the kernel counts as reserved for good what a
/// sleeping thread gives back that way.
pub(super) fn with_reserved_time<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let inside = || {
        reserve(gettid(), RUNTIME_US, PERIOD_US)?;
        work()
    };
    let done = thread::scope(|scope| scope.spawn(inside).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `policy` of /proc/PID/sched, by number as in linux/sched.h.
    fn policy() -> Result<String> {
        let text = std::fs::read_to_string(format!("/proc/self/task/{}/sched", gettid()))?;
        let line = text.lines().find(|line| line.starts_with("policy"));
        let value = line.and_then(|line| line.rsplit(' ').next()).context("no policy")?;
        Ok(value.to_owned())
    }

    #[test]
    fn time_is_reserved_for_as_long_as_it_takes() -> Result<()> {
        const DEADLINE: &str = "6";
        let before = policy()?;
        let inside = with_reserved_time(|| {
            // Where it is refused once it is again.
            let refused = reserve(gettid(), RUNTIME_US, PERIOD_US)?;
            Ok((policy()?, refused))
        })?;
        assert!(inside.0 == DEADLINE || inside.1.is_some(), "{inside:?}");
        assert_eq!(policy()?, before);
        Ok(())
    }
}
