//! The patience of a takeover.

use std::time::Duration;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacing {
    /// Between two looks at an action: the first pause, doubled up to the last.
    pub(super) poll: [Duration; 2],
    /// Between two attempts at a call that failed for a passing reason, likewise.
    pub(super) retry: [Duration; 2],
    /// How long the API may go on showing the old owner after a move has completed, and the metadata service afterwards.
    pub(super) settle: Duration,
    /// How long a metadata service that does not answer is asked: the API has spoken, and the group waits.
    pub(super) unheard: Duration,
    /// How many actions may end in an error before it is given up.
    pub(super) errors: u32,
}

impl Pacing {
    /// At one look a second the limits of a token are far: 250 requests a minute are the fewest.
    pub(super) const USUAL: Self = Self {
        poll: [Duration::from_millis(100), Duration::from_secs(1)],
        retry: [Duration::from_millis(200), Duration::from_secs(2)],
        settle: Duration::from_secs(20),
        unheard: Duration::from_secs(3),
        errors: 3,
    };
}

/// Pauses that double up to a longest, each shortened at random by up to a half: two hosts that were refused at once do not
/// come back at once.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    pub(super) fn new([next, longest]: [Duration; 2]) -> Self {
        Self { next, longest }
    }

    pub(super) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        let half = pause / 2;
        // Without randomness it goes on without.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_longest_and_differ() {
        let [first, longest] = [Duration::from_millis(200), Duration::from_secs(2)];
        let mut pauses = Pauses::new([first, longest]);
        let mut full = first;
        let mut all = Vec::new();
        for _ in 0..40 {
            let pause = pauses.next();
            assert!(pause >= full / 2 && pause <= full, "{pause:?} of {full:?}");
            all.push(pause);
            full = (full * 2).min(longest);
        }
        all.sort();
        all.dedup();
        // Two of 2^32 may be equal; half of them never are.
        assert!(all.len() > 20, "{all:?}");
    }
}
