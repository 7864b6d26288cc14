//! What was sent when: what an echo of one of our sequences tells.

use hb_ebpf::Nanos;

/// How many beats are remembered. An echo of an older one tells nothing.
const REMEMBERED: usize = 1024;

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    sequence: u32,
    edition: u32,
    at: Nanos,
}

/// The last beats that this node sent, by the low 32 bits of their sequences.
#[derive(Clone, Debug)]
pub struct Outbox {
    beats: Vec<Sent>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            beats: vec![Sent::default(); REMEMBERED],
        }
    }
}

impl Outbox {
    /// Beat `sequence` is about to leave, with this edition of the advert. Does not allocate.
    pub fn send(&mut self, sequence: u32, edition: u32, at: Nanos) {
        self.beats[place(sequence)] = Sent { sequence, edition, at };
    }

    /// When a beat was sent; `None` if that is long ago, or never was.
    #[must_use]
    pub fn sent_at(&self, sequence: u32) -> Option<Nanos> {
        self.find(sequence).map(|sent| sent.at)
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
