//! A cluster of two to five nodes on a virtual clock, through seeded disasters.
//!
//! The nodes run the real core: [`Node`](hb_user::core::Node), [`Detector`](hb_user::core::Detector),
//! [`Lease`](hb_user::core::Lease) and [`Outbox`](hb_user::core::Outbox). What surrounds the core on a machine is modelled:
//! the kernel's slots, the pulse thread, the controller that hears of it with a delay, and the
//! scripts. The plan says what goes wrong, the network what that does to packets, and the judge sees what really
//! runs where, and knows what must not be. The same seed gives the same run, on every machine.

mod cloud;
mod control;
mod dice;
mod host;
mod judge;
mod network;
mod plan;
mod pulse;
mod restart;
mod scripts;
mod tally;
mod trace;
mod world;

use hb_ebpf::Nanos;

pub use judge::{Rule, Violation};
pub use tally::Tally;
use world::World;

/// The span `millis`, in milliseconds.
const fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

/// The time between two beats.
pub const INTERVAL: Nanos = ms(100);
/// The silence after which a node is dead.
pub const DEADTIME: Nanos = ms(500);
/// The silence that is worth a warning.
const WARNTIME: Nanos = ms(250);
/// The silence after its own start after which a node takes a peer that it never met for dead.
pub const INITDEAD: Nanos = ms(1000);

/// The longest that a script takes which does not hang, in milliseconds.
const SCRIPT: u64 = 400;
/// After this a script that hangs is killed, in milliseconds.
const TIMEOUT: u64 = 800;
/// The longest that it takes to break off a start, in milliseconds.
const ABORT: u64 = 30;
/// A controller that is slow takes this long to read its news, in milliseconds.
const SLOW: u64 = 50;
/// For how long a daemon that restarts in place asks the others to wait.
const PROMISE: Nanos = ms(1000);
/// A reboot that a node asks for comes within this, in milliseconds.
const REBOOT: u64 = 60;
/// The longest that fencing takes, in milliseconds.
const FENCE: u64 = 700;
/// The last disaster ends before this, in milliseconds.
const DISASTERS: u64 = 5000;

/// How long after the end of its lease (or of the freeze in which it ended) the first `stop` of a node begins at the
/// latest: until its controller has heard of it.
pub const REACTION: Nanos = ms(SLOW + 5);
/// How long work takes that is under way: a start that hangs, and the stop of what it had started.
pub const WORK: Nanos = ms(TIMEOUT + SCRIPT);
/// How long after a cut or a freeze two nodes without any arbiter may still run one group: until both have heard each
/// other for a deadline, have ended the work that they were at, and the loser has stopped.
pub const CALM: Nanos = Nanos(DEADTIME.0 * 2 + INTERVAL.0 * 2 + WORK.0 + ms(SCRIPT + 2 * SLOW).0);
/// How long after the last fault each group may still be on its way to where it belongs.
///
/// A node that starts waits `initdead` for peers that are not there; a death takes a deadline and `takeover_delay`, a
/// node that was frozen listens for a deadline, a lease that had ended needs another; a start that failed is tried again
/// after `start_retry`, a fencing after `fence_retry`; and the group may have to be broken off, stopped, started elsewhere
/// and given back, each of which is work.
pub const SETTLED: Nanos =
    Nanos(INITDEAD.0 + 4 * DEADTIME.0 + plan::START_RETRY.0 + plan::FENCE_RETRY.0 + 2 * WORK.0 + ms(2 * FENCE).0);
/// How much longer that is where addresses are moved by a provider: until one that is missed is taken back, or given way with.
pub const RETURNED: Nanos = ms(2500);
/// How long after it lost its peer, or the provider if that was later, a node may still run anything: until the witness has
/// been asked in vain, and the controller has heard of it.
pub const WITNESSED: Nanos = Nanos(cloud::WITNESS.0 + REACTION.0 + ms(2 * SLOW + 100).0);
/// Then nothing moves any more.
const QUIET: Nanos = ms(600);

/// A run that broke a rule.
#[derive(Debug)]
pub struct Failure {
    /// Which, and how.
    pub violation: Violation,
    /// What had happened, if that was asked for.
    pub trace: Vec<String>,
}

/// Lives through the disasters of a seed.
pub fn run(seed: u64, is_traced: bool) -> Result<Tally, Box<Failure>> {
    let mut world = World::new(seed, is_traced);
    match world.live() {
        Ok(()) => Ok(world.into_tally()),
        Err(violation) => Err(Box::new(Failure {
            violation,
            trace: world.into_trace(),
        })),
    }
}
