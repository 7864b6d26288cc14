//! The four timers of ha.cf: their defaults, which follow from one another, and the checks between them.

use std::time::Duration;

use super::error::Fault;
use super::ha_cf::Given;
use super::{Setting, Warning};

#[cfg(test)]
mod tests;

/// How often a beat is sent, and how long a silence means what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timers {
    /// The interval between beats.
    pub keepalive: Duration,
    /// The silence after which a node is dead.
    pub deadtime: Duration,
    /// The silence after which a warning is logged.
    pub warntime: Duration,
    /// The silence after our own start after which a node never heard is dead.
    pub initdead: Duration,
}

pub(super) const DEFAULT_KEEPALIVE: Duration = Duration::from_millis(100);
pub(super) const DEFAULT_DEADTIME: Duration = Duration::from_millis(500);
/// Beats to a deadtime, where only one of the two is set.
pub(super) const BEATS_PER_DEADTIME: u32 = 5;
/// Heartbeat's keepalive, which a keepalive derived from a long deadtime does not exceed.
pub(super) const MAX_DERIVED_KEEPALIVE: Duration = Duration::from_secs(1);
/// Where Heartbeat begins to trust deadtime to cover a boot.
pub(super) const LONG_DEADTIME: Duration = Duration::from_secs(10);
/// The least initdead: a switch port and a route after boot need about this much. Heartbeat waits 12 s.
pub(super) const MIN_DERIVED_INITDEAD: Duration = Duration::from_secs(2);

/// The timers as ha.cf gives them.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) keepalive: Option<Given<Duration>>,
    pub(super) deadtime: Option<Given<Duration>>,
    pub(super) warntime: Option<Given<Duration>>,
    pub(super) initdead: Option<Given<Duration>>,
}

impl Draft {
    /// Fills in what is not given, and refuses what cannot work together.
    pub(super) fn finish(&self, warnings: &mut Vec<Warning>) -> Result<Timers, Fault> {
        let timers = self.with_defaults();
        self.check(&timers)?;
        self.warn(&timers, warnings);
        Ok(timers)
    }

    pub(super) fn settings(&self, timers: &Timers) -> [Setting; 4] {
        let setting = |name: &str, given: &Option<Given<Duration>>, value: Duration| Setting {
            name: name.to_owned(),
            value: format!("{value:?}"),
            origin: Given::origin(given.as_ref()),
        };
        [
            setting("keepalive", &self.keepalive, timers.keepalive),
            setting("deadtime", &self.deadtime, timers.deadtime),
            setting("warntime", &self.warntime, timers.warntime),
            setting("initdead", &self.initdead, timers.initdead),
        ]
    }

    fn with_defaults(&self) -> Timers {
        let (keepalive, deadtime) = match (&self.keepalive, &self.deadtime) {
            (None, None) => (DEFAULT_KEEPALIVE, DEFAULT_DEADTIME),
            // A short keepalive alone asks for finer beats, not for a hair trigger: deadtime stays at its default.
            (Some(keepalive), None) => (
                keepalive.value,
                (keepalive.value * BEATS_PER_DEADTIME).max(DEFAULT_DEADTIME),
            ),
            (None, Some(deadtime)) => (derived_keepalive(deadtime.value), deadtime.value),
            (Some(keepalive), Some(deadtime)) => (keepalive.value, deadtime.value),
        };
        let warntime = self.warntime.as_ref().map_or(deadtime / 2, |given| given.value);
        let initdead = self
            .initdead
            .as_ref()
            .map_or_else(|| derived_initdead(deadtime), |given| given.value);
        Timers {
            keepalive,
            deadtime,
            warntime,
            initdead,
        }
    }

    fn check(&self, timers: &Timers) -> Result<(), Fault> {
        if let Some(deadtime) = &self.deadtime
            && timers.deadtime <= timers.keepalive * 2
        {
            let expected = format!("expected more than twice keepalive, which is {:?}", timers.keepalive);
            return Err(Fault::value(deadtime.line, "deadtime", &deadtime.text, expected));
        }
        if let Some(initdead) = &self.initdead
            && timers.initdead < timers.deadtime
        {
            let expected = format!("expected at least deadtime, which is {:?}", timers.deadtime);
            return Err(Fault::value(initdead.line, "initdead", &initdead.text, expected));
        }
        Ok(())
    }

    fn warn(&self, timers: &Timers, warnings: &mut Vec<Warning>) {
        if let Some(warntime) = &self.warntime {
            if timers.warntime > timers.deadtime {
                warnings.push(warntime.warning(format!(
                    "warntime {:?} is longer than deadtime {:?}: no late beat will be reported",
                    timers.warntime, timers.deadtime
                )));
            }
            if timers.warntime <= timers.keepalive {
                warnings.push(warntime.warning(format!(
                    "warntime {:?} is not longer than keepalive {:?}: every beat will be reported as late",
                    timers.warntime, timers.keepalive
                )));
            }
        }
        if let Some(initdead) = &self.initdead
            && timers.initdead < MIN_DERIVED_INITDEAD
        {
            warnings.push(initdead.warning(format!(
                "initdead {:?} may be too short for a network that is still coming up",
                timers.initdead
            )));
        }
    }
}

fn derived_keepalive(deadtime: Duration) -> Duration {
    let millis = u64::try_from((deadtime / BEATS_PER_DEADTIME).as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis.max(1)).min(MAX_DERIVED_KEEPALIVE)
}

/// Heartbeat's rule with its floor of 12 s, which would make a lone start slow, lowered to 2 s.
fn derived_initdead(deadtime: Duration) -> Duration {
    if deadtime > LONG_DEADTIME {
        return deadtime;
    }
    (deadtime * 2).max(MIN_DERIVED_INITDEAD)
}
