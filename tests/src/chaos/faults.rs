//! What went wrong when, and what that excuses.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Result, ensure};

use super::{DEADTIME, Kind, ROOM, SLOW_STOP};
use crate::{
    clock::Moment,
    nodes::lan::{Station, name},
    ownership::{Ownership, Span},
    stamp::{Stamp, What as Stamped},
};

/// Longest that two may own after heal or waking: a deadtime, the stop, and what a busy machine takes to get to it.
const AFTER: Duration = DEADTIME
    .saturating_add(SLOW_STOP)
    .saturating_add(Duration::from_secs(1));

/// What may lead to two owners, where nothing else could be done about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// The node was frozen: it cannot stop what its lease no longer covers.
    Frozen(usize),
    /// The node's daemon was killed, and left what it had.
    Killed(usize),
    /// The two nodes were apart, and nothing could decide who is right.
    Apart,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    what: What,
    from: Moment,
    to: Option<Moment>,
}

impl Window {
    fn concerns(&self, span: &Span) -> bool {
        match self.what {
            What::Frozen(node) | What::Killed(node) => span.owners.contains(&name(node)),
            What::Apart => true,
        }
    }

    fn end(&self, now: Moment) -> Moment {
        self.to.unwrap_or(now) + AFTER
    }
}

/// The faults of a run.
#[derive(Debug)]
pub struct Faults {
    kind: Kind,
    begun: Moment,
    windows: Vec<Window>,
    deeds: Vec<(Moment, String)>,
    ordered: bool,
}

impl Faults {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            begun: Moment::now(),
            windows: Vec::new(),
            deeds: Vec::new(),
            ordered: false,
        }
    }

    /// Notes what is about to be done.
    pub(super) fn note(&mut self, deed: impl Into<String>) {
        self.deeds.push((Moment::now(), deed.into()));
    }

    /// How much was done.
    pub(super) fn deeds(&self) -> usize {
        self.deeds.len()
    }

    /// From now on this is so, until it is [`over`](Self::over).
    pub(super) fn begin(&mut self, what: What) {
        if !self.lasts(what) {
            self.windows.push(Window {
                what,
                from: Moment::now(),
                to: None,
            });
        }
    }

    pub(super) fn lasts(&self, what: What) -> bool {
        self.windows
            .iter()
            .any(|window| window.what == what && window.to.is_none())
    }

    pub(super) fn over(&mut self, what: What) {
        let now = Moment::now();
        for window in &mut self.windows {
            if window.what == what && window.to.is_none() {
                window.to = Some(now);
            }
        }
    }

    /// Notes that an operator moved groups.
    pub(super) fn order(&mut self) {
        self.ordered = true;
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Whether a cut leaves two nodes in the dark about each other.
    pub(super) fn is_undecidable(&self, left: &[Station], right: &[Station]) -> bool {
        let between = |one: Station, other: Station| {
            left.contains(&one) && right.contains(&other) || left.contains(&other) && right.contains(&one)
        };
        let nodes = [Station::Node(0), Station::Node(1)];
        let apart = between(nodes[0], nodes[1]);
        match self.kind {
            Kind::Majority => false,
            Kind::Pings => apart && !nodes.iter().any(|node| between(*node, Station::Gateway)),
            Kind::Nothing => apart,
        }
    }

    /// Insists that what the stamps tell is what may be. Gives the time of two owners that is excused.
    pub(super) fn judge(&self, stamps: &[Stamp], ownership: &Ownership, groups: &[&str]) -> Result<Duration> {
        let now = Moment::now();
        for clash in ownership.clashes() {
            // Killing a daemon leaves the script that it had called, and nobody knows of it.
            let is_excused = self.windows.iter().any(|window| {
                let here = (0..self.kind.nodes()).find(|node| name(*node) == clash.host);
                here.is_some_and(|node| window.what == What::Killed(node))
                    && (window.from..window.end(now)).contains(&clash.at)
            });
            ensure!(is_excused, "two calls at once: {clash:?}, {}", self.at(clash.at));
        }
        let mut excused = Duration::ZERO;
        for group in groups {
            for span in ownership.overlaps(group, self.begun, now) {
                let unexcused = self.unexcused(&span, now);
                let excess = self.excess(group, &span, stamps);
                ensure!(
                    unexcused <= excess,
                    "two owners of {group}: {} from {} to {}, of which nothing excuses {unexcused:?}; a stop took {excess:?} \
                     longer than there is room",
                    span.owners.join(", "),
                    self.at(span.from),
                    self.at(span.to)
                );
                excused += span.to - span.from;
            }
        }
        Ok(excused)
    }

    /// How much of a span no window covers.
    fn unexcused(&self, span: &Span, now: Moment) -> Duration {
        let mut covers: Vec<_> = self
            .windows
            .iter()
            .filter(|window| window.concerns(span))
            .map(|window| (window.from, window.end(now)))
            .collect();
        covers.sort();
        let (mut uncovered, mut reached) = (Duration::ZERO, span.from);
        for (from, to) in covers {
            uncovered += from.min(span.to) - reached;
            reached = reached.max(to);
        }
        uncovered + (span.to - reached)
    }

    /// By how much a stop during this span took longer than there is room. Without leases there is none.
    fn excess(&self, group: &str, span: &Span, stamps: &[Stamp]) -> Duration {
        if self.kind == Kind::Nothing {
            return Duration::ZERO;
        }
        let of_it = |stamp: &&Stamp| stamp.resource == group && span.owners.contains(&stamp.host);
        let begins = stamps
            .iter()
            .filter(of_it)
            .filter(|stamp| stamp.what == Stamped::StopBegin);
        let lengths = begins.filter_map(|begin| {
            let is_end = |end: &&Stamp| {
                let is_stop_end = match end.what {
                    Stamped::StopEnd { .. } => true,
                    Stamped::StartBegin
                    | Stamped::StartEnd { .. }
                    | Stamped::StopBegin
                    | Stamped::Status
                    | Stamped::Lost => false,
                };
                is_stop_end && end.host == begin.host && end.pid == begin.pid && end.at >= begin.at
            };
            let end = stamps.iter().filter(of_it).find(is_end)?;
            (begin.at < span.to && end.at >= span.from).then(|| end.at - begin.at)
        });
        lengths.max().unwrap_or_default().saturating_sub(ROOM)
    }

    /// Who did what when.
    #[must_use]
    pub fn story(&self, ownership: &Ownership) -> String {
        let mut lines = self.deeds.clone();
        for interval in ownership.intervals() {
            let (group, host) = (&interval.resource, &interval.host);
            lines.push((interval.from, format!("    {host} has {group}")));
            if let Some(to) = interval.to {
                lines.push((to, format!("    {host} has {group} no more")));
            }
        }
        lines.sort();
        let mut story = String::new();
        for (at, what) in lines {
            // Writing to a string does not fail.
            let _ = writeln!(story, "{} {what}", self.at(at));
        }
        story
    }

    fn at(&self, moment: Moment) -> String {
        let millis = moment.micros_since(self.begun) / 1000;
        format!("{:>7}.{:03}", millis / 1000, millis.rem_euclid(1000))
    }
}

#[cfg(test)]
mod tests;
