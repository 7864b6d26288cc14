//! What an event led to, by what the scripts stamped and what the observer saw. Pure: no host, no clock.

use super::client::Answer;
use crate::{
    bench::contender::RESOURCE,
    clock::Moment,
    nodes::lan::name,
    ownership::{Ownership, total},
    stamp::{Stamp, What},
};

/// What was seen of an event and of what followed.
#[derive(Debug)]
pub(super) struct Seen {
    /// All stamps, those from before the event included, in the order of their times.
    pub(super) stamps: Vec<Stamp>,
    /// The answers to the client, in the order of their times.
    pub(super) answers: Vec<Answer>,
    /// When the node that did not own the resource first announced the address.
    pub(super) announced: Option<Moment>,
    /// The node that owned the resource.
    pub(super) owner: usize,
    /// When the event was.
    pub(super) zero: Moment,
    /// When nothing more was waited for.
    pub(super) end: Moment,
}

/// What an event led to, in milliseconds after it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// Until the other's script was called with `start`.
    pub(super) start: Option<f64>,
    /// Until the other announced the address.
    pub(super) announced: Option<f64>,
    /// Until the other answered the client.
    pub(super) answered: Option<f64>,
    /// The longest time for which nobody answered the client.
    pub(super) silent: f64,
    /// How long nobody owned the resource.
    pub(super) no_owner: f64,
    /// How long both did.
    pub(super) two_owners: f64,
    /// From the owner's call with `stop` to the other's with `start`; less than zero when that was earlier.
    pub(super) handover: Option<f64>,
    /// How long the owner's `stop` took.
    pub(super) stopping: Option<f64>,
    /// Until the last `start` or `stop` ended.
    pub(super) settled: Option<f64>,
}

impl Seen {
    /// The same, where the owner died in the event: it owns nothing from then on.
    pub(super) fn of_a_death(mut self) -> Self {
        let dead = name(self.owner);
        let lost = Stamp {
            at: self.zero,
            host: dead,
            resource: RESOURCE.to_owned(),
            pid: 0,
            what: What::Lost,
        };
        let after = self.stamps.partition_point(|stamp| stamp.at <= lost.at);
        self.stamps.insert(after, lost);
        self
    }

    /// What it led to; `None` where the other owned the resource before.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let other = name(1 - self.owner);
        let ownership = Ownership::of(&self.stamps);
        let mut of_other = ownership.intervals().iter().filter(|interval| interval.host == other);
        let owned = of_other.any(|interval| interval.from < self.zero && interval.to.is_none_or(|to| to > self.zero));
        (!owned).then(|| self.told())
    }

    /// What it led to, whoever owned the resource before.
    pub(super) fn told(&self) -> Outcome {
        let (owner, other) = (name(self.owner), name(1 - self.owner));
        let first = |host: &str, what: fn(What) -> bool| {
            let mut of_it = self
                .stamps
                .iter()
                .filter(|stamp| stamp.host == host && stamp.at >= self.zero);
            of_it.find(|stamp| what(stamp.what)).map(|stamp| stamp.at)
        };
        let start = first(&other, |what| what == What::StartBegin);
        let stop = first(&owner, |what| what == What::StopBegin);
        let stopped = first(&owner, |what| matches!(what, What::StopEnd { .. }));
        let is_end = |stamp: &&Stamp| matches!(stamp.what, What::StartEnd { .. } | What::StopEnd { .. });
        let last = self.stamps.iter().rfind(is_end).map(|stamp| stamp.at);
        let by_other = |answer: &&Answer| answer.node != self.owner && answer.at >= self.zero;
        let ownership = Ownership::of(&self.stamps);
        let (zero, end) = (self.zero, self.end);
        let since = |moment: Moment| millis(moment, zero);
        Outcome {
            start: start.map(since),
            announced: self.announced.filter(|at| *at >= zero).map(since),
            answered: self.answers.iter().find(by_other).map(|answer| since(answer.at)),
            silent: self.longest_silence(),
            no_owner: total(&ownership.gaps(RESOURCE, zero, end)).as_secs_f64() * 1e3,
            two_owners: total(&ownership.overlaps(RESOURCE, zero, end)).as_secs_f64() * 1e3,
            handover: stop.zip(start).map(|(stop, start)| millis(start, stop)),
            stopping: stop.zip(stopped).map(|(begin, end)| millis(end, begin)),
            settled: last.filter(|at| *at > zero).map(since),
        }
    }

    /// The longest time without an answer that ends after the event, and not before it: from the last answer before the
    /// event, or from one after it, to the next one, or to the end.
    fn longest_silence(&self) -> f64 {
        let before = self.answers.iter().rfind(|answer| answer.at <= self.zero);
        let after = self
            .answers
            .iter()
            .filter(|answer| answer.at > self.zero && answer.at < self.end);
        let begin = before.map_or(self.zero, |answer| answer.at);
        let moments = [begin]
            .into_iter()
            .chain(after.map(|answer| answer.at))
            .chain([self.end]);
        let moments: Vec<_> = moments.collect();
        let gaps = moments.windows(2).map(|pair| millis(pair[1], pair[0]));
        gaps.fold(0.0, f64::max)
    }
}

/// Milliseconds from `earlier` to `later`, less than zero the other way round.
#[expect(clippy::cast_precision_loss, reason = "some seconds, in microseconds")]
fn millis(later: Moment, earlier: Moment) -> f64 {
    later.micros_since(earlier) as f64 / 1e3
}

#[cfg(test)]
mod tests;
