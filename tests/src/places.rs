//! How many clusters may stand at a time.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::clock::lock;

/// More of them than this, on a small machine, and their beats come late because of each other.
const CLUSTERS: usize = 3;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// One cluster's place, until it is dropped. Tests run in threads of one process, one test program after the other.
#[derive(Debug)]
pub(crate) struct Place(());

impl Place {
    /// Waits for a free place.
    pub(crate) fn take() -> Self {
        let taken = lock(&TAKEN);
        let full = |taken: &mut usize| *taken >= CLUSTERS;
        let mut taken = FREED.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&TAKEN) -= 1;
        FREED.notify_one();
    }
}
