//! Whether we hold our lease, and what the controller knows of it.

use hb_ebpf::Nanos;
use serde::{Deserialize, Serialize};

/// A lease as it is looked at. The controller learns of each end, even of one that began again at once.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Tenure {
    held: bool,
    told: bool,
    lapsed: bool,
}

impl Tenure {
    /// Whether it was held at the last look.
    pub(super) fn is_held(self) -> bool {
        self.held
    }

    /// To be asked before anything new is heard: that cannot undo that the lease was over.
    pub(super) fn end(&mut self, until: Nanos, now: Nanos) {
        if self.held && until <= now {
            self.held = false;
            self.lapsed = true;
        }
    }

    /// Passes on what the controller does not know, if `tell` has room for it.
    pub(super) fn tell(&mut self, until: Nanos, now: Nanos, mut tell: impl FnMut(bool) -> bool) {
        self.held = until > now;
        if self.lapsed && tell(false) {
            self.lapsed = false;
            self.told = false;
        }
        if !self.lapsed && self.told != self.held && tell(self.held) {
            self.told = self.held;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tenure: &mut Tenure, until: u64, now: u64) -> Vec<bool> {
        let mut told = Vec::new();
        tenure.tell(Nanos(until), Nanos(now), |held| {
            told.push(held);
            true
        });
        told
    }

    #[test]
    fn each_end_is_told_even_of_a_lease_that_began_again_at_once() {
        let mut tenure = Tenure::default();
        assert!(told(&mut tenure, 0, 5).is_empty());
        assert_eq!(told(&mut tenure, 10, 5), [true]);
        assert!(told(&mut tenure, 12, 6).is_empty());
        tenure.end(Nanos(12), Nanos(12));
        assert!(!tenure.is_held());
        assert_eq!(told(&mut tenure, 20, 12), [false, true]);
    }

    #[test]
    fn what_finds_no_room_is_told_later() {
        let mut tenure = Tenure::default();
        told(&mut tenure, 10, 5);
        tenure.end(Nanos(10), Nanos(11));
        tenure.tell(Nanos(20), Nanos(11), |_| false);
        assert_eq!(told(&mut tenure, 20, 12), [false, true]);
    }
}
