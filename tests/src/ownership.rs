//! Who owned a resource when, by what its scripts stamped, and never by what a daemon says.
//!
//! A node owns a resource from its first `start` on, whatever becomes of that, until a `stop` has succeeded or the node
//! lost its power. That is the longest time in which it may have done harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use crate::{
    clock::Moment,
    stamp::{Stamp, What},
};

/// One node's ownership of a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interval {
    /// The node.
    pub host: String,
    /// The resource.
    pub resource: String,
    /// When its first `start` began.
    pub from: Moment,
    /// When its last `stop` ended; `None` while it owns it.
    pub to: Option<Moment>,
}

/// A time during which a resource had the same owners.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Span {
    /// From when.
    pub from: Moment,
    /// Until when.
    pub to: Moment,
    /// The nodes that owned it, by name.
    pub owners: Vec<String>,
}

/// A `start` or `stop` that began before another one of the same resource on the same node had ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Clash {
    /// The node.
    pub host: String,
    /// The resource.
    pub resource: String,
    /// When the later one began.
    pub at: Moment,
}

/// Who owned what when.
#[derive(Clone, Debug, Default)]
pub struct Ownership {
    intervals: Vec<Interval>,
    clashes: Vec<Clash>,
    unended: usize,
}

impl Ownership {
    /// From stamps in the order of their times.
    #[must_use]
    pub fn of(stamps: &[Stamp]) -> Self {
        let mut each: BTreeMap<(&str, &str), Vec<&Stamp>> = BTreeMap::new();
        for stamp in stamps {
            each.entry((&stamp.resource, &stamp.host)).or_default().push(stamp);
        }
        let mut ownership = Self::default();
        for stamps in each.values() {
            ownership.intervals.extend(intervals(stamps));
            ownership.check_calls(stamps);
        }
        ownership
    }

    /// Every interval, by resource, then by node, then by time.
    #[must_use]
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// Every resource that was ever owned.
    #[must_use]
    pub fn resources(&self) -> BTreeSet<&str> {
        self.intervals
            .iter()
            .map(|interval| interval.resource.as_str())
            .collect()
    }

    /// The calls that overlapped.
    #[must_use]
    pub fn clashes(&self) -> &[Clash] {
        &self.clashes
    }

    /// How many calls did not end: they still run, or were killed.
    #[must_use]
    pub fn unended(&self) -> usize {
        self.unended
    }

    /// A resource's time line between two moments, without holes: whenever its owners change, a new span begins.
    #[must_use]
    pub fn spans(&self, resource: &str, from: Moment, to: Moment) -> Vec<Span> {
        let of_it = || self.intervals.iter().filter(|interval| interval.resource == resource);
        let changes = of_it()
            .flat_map(|interval| [Some(interval.from), interval.to])
            .flatten();
        let bounds: BTreeSet<_> = changes.filter(|at| (from..to).contains(at)).chain([from, to]).collect();
        let bounds: Vec<_> = bounds.into_iter().collect();
        let mut spans: Vec<Span> = Vec::new();
        for pair in bounds.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let owns = |interval: &&Interval| interval.from <= from && interval.to.is_none_or(|end| end > from);
            let owners: BTreeSet<_> = of_it().filter(owns).map(|interval| interval.host.clone()).collect();
            let owners = Vec::from_iter(owners);
            match spans.last_mut() {
                Some(last) if last.owners == owners => last.to = to,
                Some(_) | None => spans.push(Span { from, to, owners }),
            }
        }
        spans
    }

    /// When a resource had two owners or more between two moments.
    #[must_use]
    pub fn overlaps(&self, resource: &str, from: Moment, to: Moment) -> Vec<Span> {
        let mut spans = self.spans(resource, from, to);
        spans.retain(|span| span.owners.len() > 1);
        spans
    }

    /// When a resource had no owner between two moments.
    #[must_use]
    pub fn gaps(&self, resource: &str, from: Moment, to: Moment) -> Vec<Span> {
        let mut spans = self.spans(resource, from, to);
        spans.retain(|span| span.owners.is_empty());
        spans
    }

    /// Looks for calls of one resource on one node that overlap. One that was killed has no known end: it counts as
    /// unended, and clashes with nothing.
    fn check_calls(&mut self, stamps: &[&Stamp]) {
        let is_begin = |stamp: &Stamp| matches!(stamp.what, What::StartBegin | What::StopBegin);
        let is_end = |stamp: &Stamp| matches!(stamp.what, What::StartEnd { .. } | What::StopEnd { .. });
        let mut busy_until = None;
        for (index, begin) in stamps.iter().enumerate().filter(|(_, stamp)| is_begin(stamp)) {
            // The host may give a process id again, after its last owner's end.
            let mut later = stamps[index + 1..].iter().filter(|stamp| stamp.pid == begin.pid);
            let end = later
                .find(|stamp| is_begin(stamp) || is_end(stamp))
                .filter(|stamp| is_end(stamp));
            if busy_until.is_some_and(|end| begin.at < end) {
                self.clashes.push(Clash {
                    host: begin.host.clone(),
                    resource: begin.resource.clone(),
                    at: begin.at,
                });
            }
            match end {
                Some(end) => busy_until = busy_until.max(Some(end.at)),
                None => self.unended += 1,
            }
        }
    }
}

/// How long spans last, together.
#[must_use]
pub fn total(spans: &[Span]) -> Duration {
    spans.iter().map(|span| span.to - span.from).sum()
}

/// One node's intervals of one resource.
fn intervals(stamps: &[&Stamp]) -> Vec<Interval> {
    let mut intervals: Vec<Interval> = Vec::new();
    for stamp in stamps {
        let open = intervals.last_mut().filter(|last| last.to.is_none());
        match (stamp.what, open) {
            (What::StartBegin, None) => intervals.push(Interval {
                host: stamp.host.clone(),
                resource: stamp.resource.clone(),
                from: stamp.at,
                to: None,
            }),
            (What::StopEnd { ok: true } | What::Lost, Some(open)) => open.to = Some(stamp.at),
            (
                What::StartBegin
                | What::StartEnd { .. }
                | What::StopBegin
                | What::StopEnd { .. }
                | What::Status
                | What::Lost,
                _,
            ) => {}
        }
    }
    intervals
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            resource,
            from,
            to,
        } = self;
        match to {
            Some(to) => write!(f, "{resource} on {host} from {from} to {to}"),
            None => write!(f, "{resource} on {host} from {from}"),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owners = if self.owners.is_empty() {
            "nobody".to_owned()
        } else {
            self.owners.join(", ")
        };
        write!(
            f,
            "{owners} from {} to {} ({:?})",
            self.from,
            self.to,
            self.to - self.from
        )
    }
}

#[cfg(test)]
mod tests;
