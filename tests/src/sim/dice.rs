//! Numbers that only look random.

use hb_ebpf::Nanos;

use super::ms;
use crate::random::Random;

/// What the seed decides.
#[derive(Clone, Debug)]
pub(super) struct Dice(Random);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0.number()
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.number() % end
    }

    /// A number below `end`, as an index.
    pub(super) fn index(&mut self, end: usize) -> usize {
        self.0.below(end)
    }

    /// True that often in a hundred.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A span in `[from, to)` milliseconds, to the nanosecond.
    pub(super) fn span(&mut self, from: u64, to: u64) -> Nanos {
        Nanos(ms(from).0 + self.below(ms(to - from).0))
    }

    /// Each of so many bits is set that often in a hundred.
    pub(super) fn mask(&mut self, bits: usize, percent: u64) -> u8 {
        (0..bits).fold(0, |mask, bit| mask | u8::from(self.percent(percent)) << bit)
    }
}
