//! What is known of the targets, readable by every thread without waiting.

use std::sync::atomic::{AtomicU64, Ordering};

use hb_ebpf::Nanos;

/// When the newest request was sent that each target has answered, and what else was counted.
///
/// A target of several addresses, a ping group, has answered as soon as one of them has.
#[derive(Debug)]
pub struct Reach {
    /// 0: never.
    answered: Box<[AtomicU64]>,
    replies: AtomicU64,
    ignored: AtomicU64,
    errors: AtomicU64,
}

impl Reach {
    pub(super) fn new(targets: usize) -> Self {
        Self {
            answered: (0..targets).map(|_| AtomicU64::new(0)).collect(),
            replies: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }

    /// When the newest request was sent that the target has answered; `None` if there is none, or no such target.
    #[must_use]
    pub fn answered(&self, target: usize) -> Option<Nanos> {
        match self.answered.get(target)?.load(Ordering::Relaxed) {
            0 => None,
            sent => Some(Nanos(sent)),
        }
    }

    /// How many targets have answered a request that was sent at most `deadping` before `now`.
    #[must_use]
    pub fn reached(&self, now: Nanos, deadping: Nanos) -> u8 {
        let fresh = self.all().filter(|sent| now.since(*sent) <= deadping);
        u8::try_from(fresh.count()).unwrap_or(u8::MAX)
    }

    /// The time since when `count` targets are known to be reached: the `count`-th newest of the times when they were
    /// sent what they answered. `None` if fewer have ever answered; for 0, too, since that asks for nothing.
    #[must_use]
    pub fn newest(&self, count: usize) -> Option<Nanos> {
        // No sorted copy: whoever asks may be unable to allocate. There are a few targets, 255 at most.
        self.all()
            .filter(|sent| self.all().filter(|other| other >= sent).count() >= count)
            .max()
            .filter(|_| count > 0)
    }

    /// Replies that were taken.
    #[must_use]
    pub fn replies(&self) -> u64 {
        self.replies.load(Ordering::Relaxed)
    }

    /// Other packets that came: replies that nobody of ours asked for, or that came far too late.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    /// Requests that could not be sent, and errors at receiving.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// For each target, when the newest request was sent that it has answered.
    #[must_use]
    pub fn all_answered(&self) -> Vec<Option<Nanos>> {
        (0..self.answered.len()).map(|target| self.answered(target)).collect()
    }

    /// Takes over what a former process has heard.
    pub fn remember(&self, answered: &[Option<Nanos>]) {
        for (place, sent) in self.answered.iter().zip(answered) {
            place.fetch_max(sent.map_or(0, |sent| sent.0), Ordering::Relaxed);
        }
    }

    fn all(&self) -> impl Iterator<Item = Nanos> {
        (0..self.answered.len()).filter_map(|target| self.answered(target))
    }

    /// An older answer that comes after a newer one changes nothing.
    pub(super) fn note_answer(&self, target: usize, sent: Nanos) {
        if let Some(answered) = self.answered.get(target) {
            answered.fetch_max(sent.0, Ordering::Relaxed);
        }
        self.replies.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_ignored(&self) {
        self.ignored.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_when_their_requests_were_sent() {
        let reach = Reach::new(4);
        assert_eq!((reach.newest(1), reach.reached(Nanos(0), Nanos::MAX)), (None, 0));
        for (target, sent) in [(0, 50), (1, 70), (3, 60), (1, 40), (9, 99)] {
            reach.note_answer(target, Nanos(sent));
        }
        let answered: Vec<_> = (0..5).map(|target| reach.answered(target).map(|sent| sent.0)).collect();
        assert_eq!(answered, [Some(50), Some(70), None, Some(60), None]);

        let newest = [0, 1, 2, 3, 4].map(|count| reach.newest(count).map(|sent| sent.0));
        assert_eq!(newest, [None, Some(70), Some(60), Some(50), None]);

        for (deadping, expected) in [(9, 0), (10, 1), (19, 1), (20, 2), (30, 3), (1000, 3)] {
            assert_eq!(reach.reached(Nanos(80), Nanos(deadping)), expected, "{deadping}");
        }
        // A request that was sent after the caller read the clock.
        assert_eq!(reach.reached(Nanos(65), Nanos(0)), 1);
    }

    #[test]
    fn equal_times_count_each() {
        let reach = Reach::new(3);
        for target in [0, 1] {
            reach.note_answer(target, Nanos(5));
        }
        assert_eq!(
            [1, 2, 3].map(|count| reach.newest(count)),
            [Some(Nanos(5)), Some(Nanos(5)), None]
        );
    }
}
