//! What a takeover through a provider's API took, by what the daemon recorded and what the API saw. Pure: no host, no clock.

use crate::{
    clock::Moment,
    cloud::{Call, Endpoint},
};

/// What was seen of a takeover.
#[derive(Debug)]
pub(super) struct Seen {
    /// When it was decided.
    pub(super) decided: Moment,
    /// When who asked had the API's word that it will be done.
    pub(super) accepted: Moment,
    /// When the address had been read back; for who does not, when it was asked for.
    pub(super) done: Moment,
    /// The calls that the API and the metadata service got since the peer was lost.
    pub(super) calls: Vec<Call>,
    /// From when to when the API was at it, where it says so and is waited for: once, or first taking it away.
    pub(super) actions: Vec<(Moment, Moment)>,
    /// How many connections to the API had been made before.
    pub(super) connections: u64,
}

/// What it took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    /// From the decision until the API got a call.
    pub(super) first_call: f64,
    /// From the decision until the answer that the API has accepted was there.
    pub(super) accepted: f64,
    /// From the decision until all was done.
    pub(super) done: f64,
    /// Of that, the time in which the API was at work: it handled a call, or moved the address.
    pub(super) api: f64,
    /// The rest.
    pub(super) beyond: f64,
    /// Of the rest, from the end of the actions until the API was asked what became of them.
    pub(super) late: Option<f64>,
    /// So many calls the API got.
    pub(super) calls: f64,
    /// And so many the metadata service.
    pub(super) metadata: f64,
    /// Whether the first call came over a connection that had been there.
    pub(super) was_connected: bool,
}

impl Seen {
    /// What it took; `None` where the API got no call.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let within = |call: &&Call| call.arrived >= self.decided && call.arrived <= self.done;
        let (metadata, api): (Vec<_>, Vec<_>) = self
            .calls
            .iter()
            .filter(within)
            .partition(|call| is_metadata(call.endpoint));
        let first = api.first()?;
        let handled = api.iter().chain(&metadata).map(|call| {
            let answered = call.answered.map_or(call.arrived, |(at, _)| at);
            (call.arrived, answered)
        });
        let busy = total(
            handled
                .chain(self.actions.iter().copied())
                .map(|span| self.clip(span))
                .collect(),
        );
        let done = millis(self.decided, self.done);
        let looks = self.actions.iter().map(|(_, end)| {
            let look = api.iter().find(|call| call.arrived >= *end && self.is_look(call));
            look.map(|look| millis(*end, look.arrived))
        });
        let late = looks.collect::<Option<Vec<_>>>().filter(|looks| !looks.is_empty());
        Some(Outcome {
            first_call: millis(self.decided, first.arrived),
            accepted: millis(self.decided, self.accepted),
            done,
            api: busy,
            beyond: done - busy,
            late: late.map(|looks| looks.iter().sum()),
            calls: count(api.len()),
            metadata: count(metadata.len()),
            was_connected: first.connection <= self.connections,
        })
    }

    /// Whether a call may tell the end of an action: where there are calls for that, one of those.
    fn is_look(&self, call: &Call) -> bool {
        let has_own = self.calls.iter().any(|call| call.endpoint == Endpoint::Action);
        !has_own || call.endpoint == Endpoint::Action
    }

    fn clip(&self, (begin, end): (Moment, Moment)) -> (Moment, Moment) {
        (begin.max(self.decided), end.min(self.done))
    }
}

/// Whether a call is one of the metadata service's, which is next door.
fn is_metadata(endpoint: Endpoint) -> bool {
    match endpoint {
        Endpoint::Metadata | Endpoint::Credentials | Endpoint::Active => true,
        Endpoint::Find
        | Endpoint::Read
        | Endpoint::Verify
        | Endpoint::Pending
        | Endpoint::Detach
        | Endpoint::Assign
        | Endpoint::Action
        | Endpoint::Unknown => false,
    }
}

/// The time that is in at least one of these, in milliseconds: calls during the action do not count twice.
fn total(mut spans: Vec<(Moment, Moment)>) -> f64 {
    spans.sort_unstable();
    let (mut sum, mut reached) = (0.0, None::<Moment>);
    for (begin, end) in spans {
        let begin = reached.map_or(begin, |reached| reached.max(begin));
        if end > begin {
            sum += millis(begin, end);
            reached = Some(end);
        }
    }
    sum
}

fn millis(from: Moment, to: Moment) -> f64 {
    super::super::detect::micros(to.micros_since(from)) / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "these are the calls of one takeover")]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
