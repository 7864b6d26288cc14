//! Where it happens: the arena, with a client beside the nodes, and a hand on the owner's cable.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use nix::sys::signal::Signal;

use super::{
    client::{Answer, Client, answers},
    outcome::{Outcome, Seen},
};
use crate::{
    bench::{
        arena::{Arena, NODES},
        contender::{ADDRESS, Contender, Heartbeat, RESOURCE},
        ladder::{Step, Stress},
        trigger::Shot,
    },
    clock::{Moment, pause, poll},
    nodes::lan::{Lan, Station, address},
    stamp::{self, Stamp, What},
};

/// Calm before an event, beside what the contender needs to settle.
const CALM: Duration = Duration::from_millis(150);
/// How long nobody looks after an event, beside a deadtime. Looking costs.
const UNSEEN: Duration = Duration::from_millis(120);
/// For how long is looked on after the other has the resource.
const AFTER: Duration = Duration::from_millis(250);
/// Longest that a takeover may take, while something else goes on and once that has ended.
const UNDER_STRESS: Duration = Duration::from_secs(6);
const LIMIT: Duration = Duration::from_mins(1);
/// Longest that the address may come later than the resource.
const ADDRESS_LIMIT: Duration = Duration::from_secs(10);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);
/// How long a cut lasts at least, beside two deadtimes.
const CUT: Duration = Duration::from_millis(500);
/// An owner is stable when no script was called for so long.
const STABLE: Duration = Duration::from_secs(1);
/// With Heartbeat: nothing that it waits for, with an owner, is longer.
const STABLE_HEARTBEAT: Duration = Duration::from_secs(10);
/// Longest that a stopped daemon may take to be gone.
const STOPPING: Duration = Duration::from_mins(1);
/// Under stress the moment of a crash lies so far ahead, so that it does not depend on when the harness gets to run.
const AHEAD: Duration = Duration::from_millis(700);

/// The arena and what is beside it.
#[derive(Debug)]
pub(super) struct Stage {
    client: Client,
    cables: [Arc<Cable>; NODES],
    arena: Arena,
}

impl Stage {
    /// Starts the contender, and the client.
    pub(super) fn start(contender: Arc<dyn Contender>) -> Result<Self> {
        let arena = Arena::start(contender)?;
        let cable = |node| Cable::of(arena.lan(), node).map(Arc::new);
        Ok(Self {
            client: Client::start(&arena.lan().gateway, ADDRESS)?,
            cables: [cable(0)?, cable(1)?],
            arena,
        })
    }

    /// Who is measured.
    pub(super) fn contender(&self) -> &dyn Contender {
        self.arena.contender()
    }

    /// The owner crashes while something else goes on. `None` where the other had taken it for dead before.
    pub(super) fn crash(&self, run: usize, step: Step) -> Result<Option<Outcome>> {
        let owner = self.calm(run)?;
        let targets = self.arena.pids(owner)?;
        let zero = Stress::during(step, |stress| {
            let ahead = if stress.is_some() { AHEAD } else { Duration::ZERO };
            let shot = Shot {
                at: Moment::now() + ahead,
                signal: Signal::SIGKILL,
                targets,
            };
            let cable = Arc::clone(&self.cables[owner]);
            let fired = self.arena.trigger().fire_and(vec![shot], move || cable.pull())?;
            let zero = *fired.first().context("the trigger did not fire")?;
            if let Some(stress) = stress {
                self.look_until_taken(owner, zero, UNDER_STRESS)?;
                stress.ensure_running()?;
            }
            Ok(zero)
        })?;
        let seen = self.taken(owner, zero)?.of_a_death();
        self.arena.wait_gone(owner, STOPPING)?;
        self.cables[owner].plug(self.arena.lan())?;
        self.arena.revive(owner)?;
        Ok(seen.outcome())
    }

    /// The owner is asked to stop.
    pub(super) fn stop(&self, run: usize) -> Result<Option<Outcome>> {
        let owner = self.calm(run)?;
        let zero = self.arena.stop(owner)?;
        let seen = self.taken(owner, zero)?;
        self.arena.wait_gone(owner, STOPPING)?;
        self.arena.start_daemon(owner)?;
        Ok(seen.outcome())
    }

    /// The owner is cut off from everybody, and later it is not. The client is on the other side.
    pub(super) fn cut_and_heal(&self, run: usize) -> Result<Option<(Outcome, Outcome)>> {
        self.client.ask_nodes(true);
        let told = self.cut_off(run);
        self.client.ask_nodes(false);
        told
    }

    fn cut_off(&self, run: usize) -> Result<Option<(Outcome, Outcome)>> {
        let owner = self.calm(run)?;
        let others = [Station::Node(1 - owner), Station::Gateway];
        let before = Moment::now();
        self.arena.lan().cut(&[Station::Node(owner)], &others)?;
        if !self.look_until_taken(owner, before, LIMIT)? {
            return Err(self.nobody_took_over());
        }
        // A node answers at its own address for as long as the network is whole.
        let last = self.answers_of(owner, address(owner), before)?.next_back();
        let cut = last.map_or(before, |answer| answer.at);
        let told = self.seen(owner, cut)?.outcome();

        pause(CUT + self.contender().timers().deadtime * 2);
        let before = Moment::now();
        self.arena.lan().heal()?;
        let after = Moment::now();
        self.look_until_stable(after)?;
        let first = self.answers_of(owner, address(owner), before)?.next();
        let healed = first.map_or(after, |answer| answer.at);
        let heal = self.seen(owner, healed)?.told();
        Ok(told.map(|cut| (cut, heal)))
    }

    /// A node's answers at an address since then.
    fn answers_of(
        &self,
        node: usize,
        address: Ipv4Addr,
        since: Moment,
    ) -> Result<impl DoubleEndedIterator<Item = Answer>> {
        let answers = answers(&self.arena.observer().since(since)?, address);
        Ok(answers.into_iter().filter(move |answer| answer.node == node))
    }

    /// Begins again: the network is whole, and both daemons are new.
    pub(super) fn begin_again(&self) -> Result<()> {
        self.arena.lan().heal()?;
        self.cables.iter().try_for_each(|cable| cable.plug(self.arena.lan()))?;
        self.arena.restart_all().map(|_| ())
    }

    /// Waits until the other has the resource, and gives what was seen of that.
    fn taken(&self, owner: usize, zero: Moment) -> Result<Seen> {
        if self.look_until_taken(owner, zero, LIMIT)? {
            return self.seen(owner, zero);
        }
        Err(self.nobody_took_over())
    }

    fn nobody_took_over(&self) -> anyhow::Error {
        self.arena.explained(&anyhow!("nobody took over within {LIMIT:?}"))
    }

    /// Waits until nothing moves, and a moment longer, which is not the same moment of an interval in each run. Gives the
    /// owner.
    fn calm(&self, run: usize) -> Result<usize> {
        let owner = self.arena.settle()?;
        let phase = self.contender().timers().interval * u32::try_from(run % 7)? / 7;
        pause(CALM + phase);
        // What was before is of no more interest, and there are thousands of packets.
        self.arena.observer().forget_before(Moment::now());
        pause(CALM);
        Ok(owner)
    }

    /// Looks until the other has the resource and answers the client, within a limit, and for a moment longer. Whether it
    /// has the resource.
    fn look_until_taken(&self, owner: usize, since: Moment, limit: Duration) -> Result<bool> {
        let other = 1 - owner;
        pause(self.contender().timers().deadtime + UNSEEN);
        let began = Moment::now();
        // Without a thread inside the host, which might be starved.
        let resource = stamp::seen_from_outside(self.arena.host(other), RESOURCE);
        let taken = poll(limit, || {
            if resource.try_exists()?
                && (self.answers_of(other, ADDRESS, since)?.next().is_some() || began.elapsed() > ADDRESS_LIMIT)
            {
                return Ok(Some(()));
            }
            pause(LOOK);
            Ok(None)
        })?;
        pause(AFTER);
        Ok(taken.is_some())
    }

    /// Looks until one node alone owns the resource, and no script was called for long.
    fn look_until_stable(&self, since: Moment) -> Result<()> {
        let stable = if self.contender().name() == Heartbeat::NAME {
            STABLE_HEARTBEAT
        } else {
            STABLE
        };
        let found = poll(LIMIT, || {
            pause(stable / 8);
            let last = last_call(&self.arena.stamps()?).map_or(since, |last| last.max(since));
            Ok((last.elapsed() >= stable && self.arena.owner()?.is_some()).then_some(()))
        });
        let found = found.and_then(|found| found.with_context(|| format!("no stable owner within {LIMIT:?}")));
        found.map_err(|error| self.arena.explained(&error))
    }

    fn seen(&self, owner: usize, zero: Moment) -> Result<Seen> {
        let before = zero.since_zero().saturating_sub(CALM);
        let sightings = self.arena.observer().since(Moment::from_clock(before))?;
        Ok(Seen {
            stamps: self.arena.stamps()?,
            answers: answers(&sightings, ADDRESS),
            announced: self.arena.announced(1 - owner, zero)?,
            owner,
            zero,
            end: Moment::now(),
        })
    }
}

/// When a `start` or `stop` last began or ended.
fn last_call(stamps: &[Stamp]) -> Option<Moment> {
    let of_a_call = |stamp: &&Stamp| match stamp.what {
        What::StartBegin | What::StartEnd { .. } | What::StopBegin | What::StopEnd { .. } => true,
        What::Status | What::Lost => false,
    };
    stamps.iter().rfind(of_a_call).map(|stamp| stamp.at)
}

/// The cable between a node and the switch, held at the switch's end: one write pulls it, from any thread.
#[derive(Debug)]
struct Cable {
    node: usize,
    flags: File,
    up: u32,
}

impl Cable {
    fn of(lan: &Lan, node: usize) -> Result<Self> {
        let path = format!("/sys/class/net/{}/flags", Station::Node(node).port());
        let open = || -> std::io::Result<(File, String)> {
            let mut flags = File::options().read(true).write(true).open(&path)?;
            let mut text = String::new();
            flags.read_to_string(&mut text)?;
            Ok((flags, text))
        };
        let (flags, text) = lan
            .switch()
            .enter(open)?
            .with_context(|| format!("the switch: cannot open {path}"))?;
        let up = text.trim().strip_prefix("0x").map(|hex| u32::from_str_radix(hex, 16));
        let up = up.with_context(|| format!("{path}: expected a number in hexadecimal, not {text}"))??;
        Ok(Self { node, flags, up })
    }

    /// From now on no frame passes.
    fn pull(&self) -> Result<()> {
        /// linux/if.h.
        const IFF_UP: u32 = 1;
        self.write(self.up & !IFF_UP)
    }

    /// Undoes it, and waits until the switch forwards.
    fn plug(&self, lan: &Lan) -> Result<()> {
        self.write(self.up)?;
        lan.wait_until_connected(Station::Node(self.node))
    }

    fn write(&self, flags: u32) -> Result<()> {
        let written = (&self.flags).write_all(format!("{flags:#x}").as_bytes());
        written.with_context(|| format!("the cable of node {} does not obey", self.node))
    }
}
