//! The patience of a takeover.

use std::time::Duration;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacing {
    /// Between two looks at a move that is under way: the first pause, longer by a quarter each time up to the last. So the end
    /// of a move is noticed late by a part of its own time.
    pub(super) poll: [Duration; 2],
    /// Between two attempts at a call that failed for a passing reason: the first pause, doubled up to the last.
    pub(super) retry: [Duration; 2],
    /// How long the API may go on showing the old owner after a move has completed, and the metadata service afterwards.
    pub(super) settle: Duration,
    /// How long a metadata service that does not answer is asked: the API has spoken, and the group waits.
    pub(super) unheard: Duration,
    /// How many actions may end in an error before it is given up.
    pub(super) errors: u32,
}

impl Pacing {
    /// That is at most 160 looks a minute. The narrowest limit of a token's is 250 requests a minute.
    pub(super) const USUAL: Self = Self {
        poll: [Duration::from_millis(50), Duration::from_millis(500)],
        retry: [Duration::from_millis(200), Duration::from_secs(2)],
        settle: Duration::from_secs(20),
        unheard: Duration::from_secs(3),
        errors: 3,
    };
}

/// Pauses that grow up to a longest, each shortened at random by up to a half: two hosts that were refused at once do not
/// come back at once.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    longest: Duration,
    growth: f64,
}

impl Pauses {
    /// After each failure twice as long.
    pub(super) fn of_retries([next, longest]: [Duration; 2]) -> Self {
        Self {
            next,
            longest,
            growth: 2.0,
        }
    }

    /// After each look longer by a quarter.
    pub(super) fn of_looks([next, longest]: [Duration; 2]) -> Self {
        Self {
            next,
            longest,
            growth: 1.25,
        }
    }

    pub(super) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.mul_f64(self.growth).min(self.longest);
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
    fn pauses_of_retries_double_up_to_a_longest_and_differ() {
        let [first, longest] = [Duration::from_millis(200), Duration::from_secs(2)];
        let mut pauses = Pauses::of_retries([first, longest]);
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

    #[test]
    fn the_end_of_a_move_is_noticed_late_by_a_part_of_its_time_and_within_the_limits_of_a_token() {
        let [first, longest] = Pacing::USUAL.poll;
        let mut pauses = Pauses::of_looks([first, longest]);
        let (mut elapsed, mut looks) = (Duration::ZERO, 0);
        while elapsed < Duration::from_mins(1) {
            let pause = pauses.next();
            assert!(pause <= (first + elapsed).min(longest), "{pause:?} after {elapsed:?}");
            elapsed += pause;
            looks += 1;
        }
        // Of 250, with room for whatever else is asked.
        assert!((120..200).contains(&looks), "{looks}");
    }
}
