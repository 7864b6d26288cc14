//! Who is measured: hb and its rivals, each as its host sees it, and as its packets show it.

mod bfdd;
mod files;
mod hb;
mod heartbeat;
mod keepalived;

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};

use super::{arena::View, observer::packet::Packet, plan::Plan};
use crate::{clock::Moment, host::Host, stamp};

pub use bfdd::Bfdd;
pub use hb::Hb;
pub use heartbeat::Heartbeat;
pub use keepalived::Keepalived;

/// The resource that moves. Its script is [`stamp`], whoever calls it.
pub const RESOURCE: &str = "web";

/// The address that moves, where a contender moves one.
pub const ADDRESS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(198, 51, 100, 100);

/// Longest that it may take until a daemon is on its own.
const STARTING: Duration = Duration::from_secs(10);

/// How often one beats, and how long one waits for a beat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timers {
    /// Between two beats.
    pub interval: Duration,
    /// From the last beat to the deadline.
    pub deadtime: Duration,
}

impl Timers {
    /// From milliseconds.
    #[must_use]
    pub const fn millis(interval: u64, deadtime: u64) -> Self {
        Self {
            interval: Duration::from_millis(interval),
            deadtime: Duration::from_millis(deadtime),
        }
    }
}

impl fmt::Display for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ms", self.interval.as_millis(), self.deadtime.as_millis())
    }
}

/// Tells whether a node has noticed.
pub type Noticing = Box<dyn Fn() -> bool + Send>;

/// Whether somebody declared a peer dead, as far as that can be known yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The node that did.
    pub by: usize,
    /// When.
    pub at: Moment,
}

/// Somebody who notices that a peer is dead. Nodes count from 0; there are two.
pub trait Contender: fmt::Debug + Send + Sync {
    /// Its name, as in `--contender`.
    fn name(&self) -> &'static str;

    /// Its timers.
    fn timers(&self) -> Timers;

    /// What else is to be known about how it is set up; empty if nothing.
    fn setup(&self) -> &'static str {
        ""
    }

    /// The names of its processes, as the kernel knows them: all of them are killed when it is to die.
    fn processes(&self) -> &'static [&'static str];

    /// Whether a death leads to an action: `stamp web start` on the survivor.
    fn acts(&self) -> bool {
        true
    }

    /// Whether a takeover moves [`ADDRESS`] too, and announces it.
    fn moves_address(&self) -> bool {
        false
    }

    /// Something that tells, whenever it is asked, whether a node has noticed and acted, as far as it acts. It takes no
    /// process, no thread and no daemon's answer, all of which may be starved.
    fn noticing(&self, host: &Host) -> Result<Noticing> {
        let resource = stamp::seen_from_outside(host, RESOURCE);
        Ok(Box::new(move || resource.exists()))
    }

    /// Puts its configuration on a host, once.
    fn install(&self, host: &Host, node: usize) -> Result<()>;

    /// Starts its daemon on a host, whose processes of a former life are gone.
    fn start(&self, host: &Host, node: usize) -> Result<()>;

    /// Asks its daemon to stop in good order, and does not wait.
    fn stop(&self, host: &Host) -> Result<()>;

    /// Whether this packet is one of those by whose absence a death is noticed.
    fn is_beat(&self, packet: &Packet) -> bool;

    /// Whether both daemons run undisturbed, nobody being counted as dead and nothing moving; the arena looks after the
    /// resource's owner itself.
    fn is_settled(&self, view: &View<'_>) -> Result<bool>;

    /// All verdicts since then, by either node on the other, in the order of their times: as packets tell, which are the
    /// observer's, where they do.
    fn verdicts(&self, view: &View<'_>, since: Moment) -> Result<Vec<Verdict>>;

    /// When a node came to its first verdict since then. It may know better than its packets tell.
    fn detected(&self, view: &View<'_>, by: usize, since: Moment) -> Result<Option<Moment>> {
        let verdicts = self.verdicts(view, since)?;
        Ok(verdicts
            .iter()
            .find(|verdict| verdict.by == by)
            .map(|verdict| verdict.at))
    }

    /// How often a node declared its peer dead: since then or, where only its log can tell, ever. What it was before has
    /// to be subtracted.
    fn deaths(&self, view: &View<'_>, by: usize, since: Moment) -> Result<u64> {
        let verdicts = self.verdicts(view, since)?;
        Ok(verdicts.iter().filter(|verdict| verdict.by == by).count() as u64)
    }
}

/// Who is to be measured, and who cannot be, with the reason.
#[derive(Debug, Default)]
pub struct Field {
    /// Those who can.
    pub contenders: Vec<Arc<dyn Contender>>,
    /// The others: a name and why not.
    pub skipped: Vec<(&'static str, anyhow::Error)>,
}

impl Field {
    /// The rivals that a plan wants, each with its fastest stable settings. An error if it names somebody unknown.
    pub fn rivals(plan: &Plan) -> Result<Self> {
        const NAMES: [&str; 4] = [Hb::NAME, Heartbeat::NAME, Keepalived::NAME, Bfdd::NAME];
        if let Some(unknown) = plan.contenders.iter().find(|name| !NAMES.contains(&name.as_str())) {
            bail!("no contender {unknown}: expected some of {}", NAMES.join(", "));
        }
        let mut field = Self::default();
        let mut add = |name, found: fn() -> Result<Arc<dyn Contender>>| {
            if plan.wants_contender(name) {
                match found() {
                    Ok(contender) => field.contenders.push(contender),
                    Err(reason) => field.skipped.push((name, reason)),
                }
            }
        };
        add(Heartbeat::NAME, || Ok(Arc::new(Heartbeat::find(Heartbeat::FASTEST)?)));
        add(Keepalived::NAME, || Ok(Arc::new(Keepalived::find()?)));
        add(Bfdd::NAME, || Ok(Arc::new(Bfdd::find()?)));
        Ok(field)
    }
}

/// Starts a daemon on a host, in a session of its own as services are; what it writes goes to the host's log.
fn launch(host: &Host, words: &[&str]) -> Result<()> {
    let mut command = host.command("setsid");
    let starter = host.spawn(command.arg("--fork").args(words))?;
    let status = starter.wait_exit(STARTING)?;
    ensure!(status.success(), "{}: {words:?}: {status}", host.name());
    Ok(())
}
