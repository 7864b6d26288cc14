//! How often the controller is asked: at most so often, whoever asks.

use hb_ebpf::Nanos;
use tokio::sync::Mutex;

use crate::clock;

/// In the long run the controller is asked this often: a hundred times a second. A report takes it a fraction of a
/// millisecond.
const EVERY: Nanos = Nanos::from_millis(10);
/// And this many times at once: so many reports on many nodes fit into what the controller's class reserves for it.
const BURST: u64 = 3;

/// Turns, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Due>);

impl Pace {
    /// Waits for the next turn, and takes it.
    pub(super) async fn turn(&self) {
        let mut due = self.0.lock().await;
        if let Some(earliest) = due.wait(clock::now()) {
            // Whoever gives up here has taken nothing.
            clock::sleep_until(Some(earliest)).await;
        }
        due.take(clock::now());
    }
}

/// When the next turn would be due at an even pace: a generic cell rate algorithm (ITU-T I.371).
#[derive(Clone, Copy, Debug, Default)]
struct Due(Nanos);

impl Due {
    /// Until when the next turn has to wait, if it has to.
    fn wait(self, now: Nanos) -> Option<Nanos> {
        let earliest = Nanos(self.0.0.saturating_sub((BURST - 1) * EVERY.0));
        (earliest > now).then_some(earliest)
    }

    fn take(&mut self, now: Nanos) {
        self.0 = Nanos(self.0.0.max(now.0) + EVERY.0);
    }
}

#[cfg(test)]
mod tests;
