//! The machine on which is measured, and what else it does meanwhile.

use std::{fmt, fs, thread};

use anyhow::{Context, Result};
use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// The machine.
#[derive(Debug, Deserialize, Serialize)]
pub struct Machine {
    kernel: String,
    cpus: usize,
    cpu: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        Ok(Self {
            kernel: uname()?.release().to_string_lossy().into_owned(),
            cpus: thread::available_parallelism()?.get(),
            cpu: model
                .map_or("unknown", |model| model.trim_matches([' ', '\t', ':']))
                .to_owned(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, cpus, cpu } = self;
        write!(f, "Linux {kernel}, {cpus} x {cpu}")
    }
}

/// What all CPUs together did for some time.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Load {
    seconds: f64,
    /// The part that the hypervisor gave to others while somebody here wanted to run.
    steal_percent: f64,
    /// The part in which somebody ran.
    busy_percent: f64,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the machine in these {:.0} s: {:.1} % busy, {:.1} % stolen by the hypervisor",
            self.seconds, self.busy_percent, self.steal_percent
        )
    }
}

impl Load {
    /// How busy all CPUs were, and how much of them was stolen, in percent.
    #[must_use]
    pub fn percentages(&self) -> (f64, f64) {
        (self.busy_percent, self.steal_percent)
    }

    /// Of several times together.
    #[must_use]
    pub fn of_all(loads: &[Self]) -> Self {
        let seconds: f64 = loads.iter().map(|load| load.seconds).sum();
        let percent = |part: fn(&Self) -> f64| {
            let sum: f64 = loads.iter().map(|load| part(load) * load.seconds).sum();
            sum / seconds.max(f64::MIN_POSITIVE)
        };
        Self {
            seconds,
            steal_percent: percent(|load| load.steal_percent),
            busy_percent: percent(|load| load.busy_percent),
        }
    }
}

/// Watches the load.
#[derive(Debug)]
pub struct Watch {
    started: Moment,
    times: CpuTimes,
}

impl Watch {
    /// From now on.
    pub fn start() -> Result<Self> {
        Ok(Self {
            started: Moment::now(),
            times: CpuTimes::now()?,
        })
    }

    /// Until now.
    pub fn stop(&self) -> Result<Load> {
        let now = CpuTimes::now()?;
        let all = (now.all - self.times.all).max(1.0);
        let percent = |part: f64| part * 100.0 / all;
        Ok(Load {
            seconds: self.started.elapsed().as_secs_f64(),
            steal_percent: percent(now.steal - self.times.steal),
            busy_percent: percent(now.busy - self.times.busy),
        })
    }
}

/// Ticks of all CPUs since boot.
#[derive(Debug)]
struct CpuTimes {
    all: f64,
    busy: f64,
    steal: f64,
}

impl CpuTimes {
    fn now() -> Result<Self> {
        Self::parse(&fs::read_to_string("/proc/stat")?).context("/proc/stat is not as proc(5) says")
    }

    /// Reads the line `cpu user nice system idle iowait irq softirq steal guest guest_nice`. Guests' time is part of
    /// the user's.
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<f64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let [user, nice, system, idle, iowait, irq, softirq, steal] = *ticks.first_chunk()?;
        let busy = user + nice + system + irq + softirq;
        Some(Self {
            all: busy + idle + iowait + steal,
            busy,
            steal,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_read() -> Result<()> {
        let times = CpuTimes::parse("cpu  10 1 20 400 5 2 3 59 7 0\ncpu0 5 0 10\n").context("not read")?;
        let found = [times.all, times.busy, times.steal].map(f64::to_bits);
        assert_eq!(found, [500.0, 36.0, 59.0].map(f64::to_bits));
        assert!(CpuTimes::parse("intr 1 2 3").is_none());
        Ok(())
    }
}
