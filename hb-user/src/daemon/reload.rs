//! A change of the configuration while running: SIGHUP, `hb reload`.
//!
//! Everything that can fail is done before anything changes. A bad file, an interface that does not exist, a port that is
//! taken: the error is returned, and all stays as it was.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::work::Movers;
use super::{Daemon, parts, settings, start, work};
use crate::clock;
use crate::config::{Cluster, Host, Loaded};
use crate::control::Reply;
use crate::core::{Action, Carry, Command, Event, Reconfiguration};
use crate::datapath::SLOTS;
use crate::process;
use crate::pulse;
use crate::resources::cloud::Clouds;

/// What of a configuration lives on in the next.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Change {
    /// For each node its old index, if it had one.
    pub(super) nodes: Vec<Option<usize>>,
    /// For each group what it was.
    pub(super) groups: Vec<Carry>,
}

impl Change {
    /// Nodes are known by their names, groups by their first resources.
    pub(super) fn between(old: &Cluster, new: &Cluster) -> Self {
        let node = |name: &String| old.nodes.iter().position(|other| other == name);
        let group = |group: &crate::config::Group| {
            let name = group.name();
            let Some(from) = old.groups.iter().position(|other| other.name() == name) else {
                return Carry::New;
            };
            if old.groups[from].resources == group.resources {
                Carry::Kept(from)
            } else {
                Carry::Changed(from)
            }
        };
        Self {
            nodes: new.nodes.iter().map(node).collect(),
            groups: new.groups.iter().map(group).collect(),
        }
    }
}

/// What changes that which a reload cannot.
const STOP: &str = "stop it and start it again, which moves its groups";
const RESTART: &str = "order `hb restart`, which moves nothing";

/// Why the configuration stays as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    #[error("cannot read this host's name and addresses")]
    Host(#[source] std::io::Error),
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    #[error("{what} cannot be changed while hb runs: {remedy}")]
    Fixed { what: &'static str, remedy: &'static str },
    #[error(
        "too many links have come and gone since hb was started: stop it and start it again, which moves its groups"
    )]
    Slots,
    #[error(transparent)]
    Start(#[from] start::StartError),
    #[error("this would stop a group, and in maintenance nothing is touched: `hb maintenance off` first")]
    Maintenance,
    #[error("a group that the last reload removed is still being stopped: try again when it is done")]
    Dropping,
    #[error("hb is leaving")]
    Leaving,
}

/// The files as they are now, and what they lead to that takes its time to be opened: tokens, certificates.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) loaded: Loaded,
    pub(super) clouds: Option<Clouds>,
}

/// What was read, and who wants to know what becomes of it.
pub(super) type Read = (Result<Opened, ReloadError>, Vec<oneshot::Sender<Reply>>);

/// What is to be read, and what runs of it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) clouds: Option<Clouds>,
}

/// Files being read, once at a time: names in them may have to be resolved, which takes as long as it takes.
#[derive(Debug, Default)]
pub(super) struct Reading {
    task: JoinSet<Read>,
    /// Who has asked since: what is being read may be older than that.
    again: Option<(Place, Vec<oneshot::Sender<Reply>>)>,
}

impl Reading {
    /// Begins to read the files, now or after what is being read.
    pub(super) fn begin(&mut self, place: Place, reply: Option<oneshot::Sender<Reply>>) {
        if self.task.is_empty() {
            self.spawn(place, reply.into_iter().collect());
        } else {
            let (_, replies) = self.again.get_or_insert_with(|| (place, Vec::new()));
            replies.extend(reply);
        }
    }

    /// Whether files are being read.
    pub(super) fn is_reading(&self) -> bool {
        !self.task.is_empty()
    }

    /// The next that have been read; never, while none are.
    pub(super) async fn next(&mut self) -> Read {
        let read = match self.task.join_next().await {
            Some(Ok(read)) => read,
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => std::future::pending().await,
        };
        if let Some((place, replies)) = self.again.take() {
            self.spawn(place, replies);
        }
        read
    }

    fn spawn(&mut self, place: Place, replies: Vec<oneshot::Sender<Reply>>) {
        self.task.spawn_blocking(move || (read(&place), replies));
    }
}

/// Reads all that there is to be read. It waits for disks and name servers, so that the controller must not do it.
pub(super) fn read(place: &Place) -> Result<Opened, ReloadError> {
    let host = Host::this().map_err(|error| ReloadError::Host(std::io::Error::other(error)))?;
    let loaded = Cluster::load(&place.dir, &host)?;
    let clouds = work::clouds(&loaded.cluster, place.clouds.as_ref()).map_err(start::StartError::from)?;
    Ok(Opened { loaded, clouds })
}

impl Daemon {
    /// What a reload reads.
    pub(super) fn place(&self) -> Place {
        Place {
            dir: self.cluster.dir.clone(),
            clouds: self.works.clouds().cloned(),
        }
    }

    /// Goes on with what was read, and says what became of it.
    pub(super) fn take_over(&mut self, (opened, replies): Read) {
        let result = opened
            .and_then(|opened| self.reload(opened))
            .map_err(|error| crate::causes::causes(&error));
        if let Err(error) = &result {
            tracing::error!(error, "nothing has changed");
        }
        for reply in replies {
            let answer = match result.clone() {
                Ok(message) => Reply::Done { message },
                Err(message) => Reply::Refused { message },
            };
            // Who asked may have gone.
            let _ = reply.send(answer);
        }
    }

    /// Goes on with another configuration. The answer says what has changed.
    pub(super) fn reload(&mut self, opened: Opened) -> Result<String, ReloadError> {
        self.refuse_at_a_bad_time()?;
        let Opened { loaded, clouds } = opened;
        let new = loaded.cluster;
        if new == self.cluster {
            return Ok(self.renew_accounts(clouds));
        }
        self.refuse_what_is_fixed(&new)?;
        let change = Change::between(&self.cluster, &new);
        let reconfiguration = Reconfiguration {
            settings: settings::ownership(&new),
            nodes: change.nodes.clone(),
            groups: change.groups.clone(),
        };
        if self.node.plan_reconfigure(&reconfiguration).is_err() {
            return Err(ReloadError::Maintenance);
        }

        let slots = self.slots(&new)?;
        let slot = |link: &crate::config::Link| {
            let found = slots.iter().find(|(address, _)| *address == (link.node, link.peer));
            found.map_or(0, |(_, slot)| *slot)
        };
        let peers = settings::peers(&new, slot);
        let links = new.links.iter().map(|link| (link.interface.as_str(), link.peer));
        let sockets = self
            .sockets
            .adapted(links)
            .map_err(|error| parts::no_interface(error, &new))?;
        let prober = if new.pings == self.cluster.pings && new.timers.keepalive == self.cluster.timers.keepalive {
            None
        } else {
            Some(parts::prober(&new)?)
        };
        let pings = match &prober {
            Some(prober) => parts::pings(&new, prober.as_ref()),
            None => parts::pings(&new, self.prober.as_ref()),
        };
        let mut plan = pulse::Reconfiguration::new(
            parts::pulse_settings(&new, self.incarnation, peers.clone(), &settings::ownership(&new), pings),
            sockets.clone(),
            clock::now(),
        )
        .map_err(start::StartError::Io)?;
        let hands = work::hands(&new, self.works.hands()).map_err(start::StartError::from)?;
        let movers = Movers { hands, clouds };
        let added = self.attach_new(&new)?;
        let (old_tables, tables) = (
            settings::tables(&self.cluster, self.incarnation, &self.peers),
            settings::tables(&new, self.incarnation, &peers),
        );
        if let Err(error) = self.program.update(&old_tables, &tables) {
            // Back to what was valid before; should that fail, too, the error is the same.
            let _ = self.program.update(&tables, &old_tables);
            return Err(start::StartError::from(error).into());
        }

        if self.watches.is_ok()
            && let Err(error) = self.program.watch(&settings::watches(&new, &peers, clock::now()))
        {
            tracing::warn!(%error, "the kernel's timers keep their former deadlines; the pulse thread has the new ones");
        }

        // From here on nothing fails.
        work::look_after(movers.hands.as_ref(), &new, Vec::new());
        for warning in &loaded.warnings {
            tracing::warn!(origin = %warning.origin, "{}", warning.message);
        }
        self.attached.extend(added);
        let old = std::mem::replace(&mut self.cluster, new);
        self.slots = slots;
        self.peers = peers;
        self.sockets = sockets;
        if let Some(prober) = prober {
            self.prober = prober;
        }
        self.attached.retain(|attached| {
            self.cluster
                .links
                .iter()
                .any(|link| link.interface == attached.interface)
        });
        if let Some(recorder) = &mut self.recorder {
            recorder.rename(parts::names(&self.cluster));
        }
        let event = Event::Reconfigure(Box::new(reconfiguration));
        let now = clock::now();
        let actions = self.decide(&event, now);
        plan.advert = self.node.advert();
        self.pulse.reconfigure(plan);

        let dropped = dropped(&actions);
        let alone = self.is_alone();
        self.works.reconfigure(&self.cluster, &change, &dropped, alone, movers);
        self.outside.reconfigure(&self.cluster);
        process::change(self.cluster.scripts.programs);
        self.remap(&change);
        if self.orders.break_off() {
            self.feed(&Event::Command(Command::Withdraw));
        }
        self.differences.clear();
        self.perform(actions, now);
        self.tell_outlooks();
        let said = differences(&old, &self.cluster);
        tracing::info!(digest = format_args!("{:08x}", self.cluster.digest()), changed = %said, "reloaded");
        Ok(format!("reloaded: {said}"))
    }

    fn refuse_at_a_bad_time(&self) -> Result<(), ReloadError> {
        if self.node.advert().status == hb_ebpf::beat::Status::Leaving {
            return Err(ReloadError::Leaving);
        }
        if self.works.is_dropping() {
            return Err(ReloadError::Dropping);
        }
        Ok(())
    }

    fn refuse_what_is_fixed(&self, new: &Cluster) -> Result<(), ReloadError> {
        let old = &self.cluster;
        let fixed = [
            ("udpport", STOP, new.udp_port != old.udp_port),
            ("this node's name", STOP, new.nodes[new.me] != old.nodes[old.me]),
            ("logfile, logfacility or debug", RESTART, new.logging != old.logging),
            ("watchdog", STOP, new.watchdog != old.watchdog),
            ("realtime, rtprio or [realtime]", RESTART, new.realtime != old.realtime),
            ("[recorder]", RESTART, new.recorder != old.recorder),
        ];
        match fixed.into_iter().find(|(_, _, differs)| *differs) {
            Some((what, remedy, _)) => Err(ReloadError::Fixed { what, remedy }),
            None => Ok(()),
        }
    }

    /// The files are the same; what they point to may not be.
    fn renew_accounts(&mut self, clouds: Option<Clouds>) -> String {
        let answer = match clouds {
            Some(_) => "nothing has changed, and the tokens were read again",
            None => "nothing has changed",
        };
        self.works.renew(&self.cluster, clouds);
        self.keeper.keep(&self.cluster, self.works.clouds(), clock::now());
        answer.to_owned()
    }

    /// Each link's place in the liveness map: the old one, or one that no link had before.
    fn slots(&mut self, new: &Cluster) -> Result<super::Slots, ReloadError> {
        let change = Change::between(&self.cluster, new);
        let mut slots = super::Slots::new();
        for link in &new.links {
            let from = change.nodes.get(link.node).copied().flatten();
            let kept = self
                .slots
                .iter()
                .find(|((node, address), _)| Some(*node) == from && *address == link.peer);
            let slot = kept.map_or(self.next_slot, |(_, slot)| *slot);
            self.next_slot += u32::from(kept.is_none());
            if slot >= SLOTS {
                return Err(ReloadError::Slots);
            }
            slots.push(((link.node, link.peer), slot));
        }
        Ok(slots)
    }

    /// The program on interfaces that had none.
    fn attach_new(&mut self, new: &Cluster) -> Result<Vec<crate::datapath::Attached>, ReloadError> {
        let interfaces: BTreeSet<&str> = new.links.iter().map(|link| link.interface.as_str()).collect();
        let is_new = |interface: &&str| self.attached.iter().all(|attached| attached.interface != *interface);
        let missing: Vec<&str> = interfaces.into_iter().filter(is_new).collect();
        let pins = self.pins.as_ref();
        Ok(parts::attach(&mut self.program, &missing, pins, None).map_err(start::StartError::from)?)
    }

    /// What is remembered of nodes and groups goes with them.
    fn remap(&mut self, change: &Change) {
        self.keeper.keep(&self.cluster, self.works.clouds(), clock::now());
        if !change
            .nodes
            .iter()
            .enumerate()
            .all(|(node, former)| *former == Some(node))
        {
            self.keeper.renumber();
        }
        let group = |carry: &Carry| match carry {
            Carry::New => None,
            Carry::Kept(from) | Carry::Changed(from) => Some(*from),
        };
        let groups: Vec<Option<usize>> = change.groups.iter().map(group).collect();
        self.records = carried(&self.records, &groups);
        self.owners = carried(&self.owners, &groups);
        self.problems = carried(&self.problems, &groups);
        self.silences = carried(&self.silences, &change.nodes);
        self.last_takeover = self
            .last_takeover
            .and_then(|last| groups.iter().position(|from| *from == Some(last)));
    }
}

/// The old indices of the groups that are no more.
fn dropped(actions: &[Action]) -> Vec<usize> {
    let drop = |action: &Action| match action {
        Action::Drop { group } => Some(*group),
        Action::Advertise(_)
        | Action::Acquire { .. }
        | Action::Release { .. }
        | Action::Fence { .. }
        | Action::Reboot { .. }
        | Action::Left => None,
    };
    actions.iter().filter_map(drop).collect()
}

fn carried<T: Clone>(old: &[Option<T>], from: &[Option<usize>]) -> Vec<Option<T>> {
    from.iter()
        .map(|from| from.and_then(|from| old.get(from).cloned().flatten()))
        .collect()
}

/// In words, what differs.
fn differences(old: &Cluster, new: &Cluster) -> String {
    // Without any their timer, which follows deadtime, is nothing to tell of.
    let pings = !(old.pings.targets.is_empty() && new.pings.targets.is_empty());
    let all = [
        ("nodes", old.nodes != new.nodes),
        ("links", old.links != new.links),
        ("timers", old.timers != new.timers),
        ("auto_failback", old.auto_failback != new.auto_failback),
        ("keys", old.keys != new.keys),
        ("groups", old.groups != new.groups),
        ("ping nodes", old.pings != new.pings && pings),
        ("stonith", old.stonith != new.stonith || old.fencing != new.fencing),
        ("scripts", old.scripts != new.scripts),
        ("policy", old.policy != new.policy),
        ("restart", old.restart != new.restart),
    ];
    let changed: Vec<&str> = all
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(what, _)| what)
        .collect();
    if changed.is_empty() {
        // Lines have moved, or what scripts find in their environment.
        "nothing that matters here".to_owned()
    } else {
        format!("{} changed", changed.join(", "))
    }
}

#[cfg(test)]
mod tests;
