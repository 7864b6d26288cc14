//! What was sent when: what an echo of one of our sequences tells.

use hb_ebpf::Nanos;
use serde::{Deserialize, Serialize};

/// How many beats are remembered. An echo of an older one tells nothing.
const REMEMBERED: usize = 1024;

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Sent {
    sequence: u32,
    edition: u32,
    at: Nanos,
    /// From when on a lease that rests on it counts: later than `at` by what it promised beyond a deadtime.
    holds: Nanos,
}

/// The last beats that this node sent, by the low 32 bits of their sequences.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Outbox {
    beats: Vec<Sent>,
    /// What the last beat promised beyond a deadtime.
    stretch: Nanos,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            beats: vec![Sent::default(); REMEMBERED],
            stretch: Nanos(0),
        }
    }
}

impl Outbox {
    /// Beat `sequence` is about to leave, with this edition of the advert. `stretch`: by how much longer than a deadtime
    /// its promise makes peers patient. Does not allocate.
    ///
    /// True if it promises less than the beat before: who hears it is not as patient any more with what came before it.
    pub fn send(&mut self, sequence: u32, edition: u32, at: Nanos, stretch: Nanos) -> bool {
        let holds = at.saturating_add(stretch);
        let is_less = stretch < std::mem::replace(&mut self.stretch, stretch);
        if is_less {
            for sent in &mut self.beats {
                sent.holds = sent.holds.min(holds);
            }
        }
        self.beats[place(sequence)] = Sent {
            sequence,
            edition,
            at,
            holds,
        };
        is_less
    }

    /// All of it is older than our clock says: that stood still for so long.
    pub fn age(&mut self, span: Nanos) {
        for sent in &mut self.beats {
            sent.at = Nanos(sent.at.0.saturating_sub(span.0));
            sent.holds = Nanos(sent.holds.0.saturating_sub(span.0));
        }
    }

    /// When a beat was sent; `None` if that is long ago, or never was.
    #[must_use]
    pub fn sent_at(&self, sequence: u32) -> Option<Nanos> {
        self.find(sequence).map(|sent| sent.at)
    }

    /// From when on a lease counts that rests on a peer's having heard this beat: since it was sent, and later by what it
    /// promised, or by `stretch`, what the peer promised in turn when it echoed it.
    #[must_use]
    pub fn holds(&self, sequence: u32, stretch: Nanos) -> Option<Nanos> {
        self.find(sequence)
            .map(|sent| sent.holds.max(sent.at.saturating_add(stretch)))
    }

    /// Whether what was read from a file can be one: the rest counts on it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.beats.len() == REMEMBERED
    }

    /// Which edition of the advert a beat carried; 0 if that is not known any more.
    #[must_use]
    pub fn edition(&self, sequence: u32) -> u32 {
        self.find(sequence).map_or(0, |sent| sent.edition)
    }

    fn find(&self, sequence: u32) -> Option<&Sent> {
        // No beat has the sequence 0, so an empty place is found by nobody.
        let sent = &self.beats[place(sequence)];
        (sequence != 0 && sent.sequence == sequence).then_some(sent)
    }
}

fn place(sequence: u32) -> usize {
    sequence as usize % REMEMBERED
}

#[cfg(test)]
mod tests;
