//! The gaps between a node's beats.

use std::time::Duration;

use crate::clock::Moment;

/// What was found about one node's beats in a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gaps {
    /// The longest time without one.
    pub longest: Duration,
    /// How many gaps were longer than what counts as late.
    pub late: u64,
}

impl Gaps {
    /// Of beats in the order of their times, between two moments, both of which bound a gap: who falls silent for good
    /// has a gap until the end.
    #[must_use]
    pub fn of(beats: &[Moment], from: Moment, to: Moment, late: Duration) -> Self {
        let inside = beats.iter().copied().filter(|at| (from..to).contains(at));
        let bounds: Vec<_> = [from].into_iter().chain(inside).chain([to]).collect();
        let gaps = || bounds.windows(2).map(|pair| pair[1] - pair[0]);
        Self {
            longest: gaps().max().unwrap_or_default(),
            late: gaps().filter(|gap| *gap > late).count() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_clock(Duration::from_millis(millis))
    }

    #[test]
    fn a_silence_counts_wherever_it_is() {
        let late = Duration::from_millis(15);
        let gaps = |beats: &[u64]| {
            let beats: Vec<_> = beats.iter().map(|millis| at(*millis)).collect();
            let Gaps { longest, late } = Gaps::of(&beats, at(100), at(200), late);
            (longest.as_millis(), late)
        };
        assert_eq!(gaps(&[90, 110, 120, 150, 160, 170, 180, 190, 300]), (30, 1));
        assert_eq!(gaps(&[110, 120]), (80, 1));
        assert_eq!(gaps(&[180, 190]), (80, 1));
        assert_eq!(gaps(&[]), (100, 1));
    }
}
