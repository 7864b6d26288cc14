//! The clock, and everything that happens.

mod act;
mod disasters;
mod happening;
mod settle;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hb_ebpf::{Heard, Nanos};
use hb_user::core::Event;

pub(super) use happening::Happening;

use self::happening::Entry;
use super::cloud::Cloud;
use super::dice::Dice;
use super::host::Host;
use super::judge::{Judge, Violation};
use super::network::Network;
use super::plan::Plan;
use super::pulse::{News, Output};
use super::tally::Tally;
use super::trace::name;
use super::{DISASTERS, QUIET, RETURNED, SETTLED, ms};

pub(super) struct World {
    pub(super) now: Nanos,
    pub(super) plan: Plan,
    pub(super) dice: Dice,
    /// Of restarts, apart: so seeds without any are what they were before there were some.
    pub(super) restarts: Dice,
    pub(super) hosts: Vec<Host>,
    pub(super) network: Network,
    pub(super) cloud: Option<Cloud>,
    pub(super) judge: Judge,
    /// Of a hundred fencings so many fail.
    pub(super) fence_fails: u8,
    ahead: BinaryHeap<Reverse<Entry>>,
    scheduled: u64,
    /// Beats under way, and free places.
    beats: Vec<Heard>,
    free: Vec<u32>,
    out: Vec<Output>,
    tickets: u64,
    /// The newest version of the configuration that nodes were told to read.
    pub(super) read_config: usize,
    /// When the last fault ended, or what it led to.
    pub(super) last_fault: Nanos,
}

/// Makes other dice of the same seed.
const RESTARTS: u64 = 0x005e_ed0f_7e57;
const PAUSES: u64 = 0x005e_ed0f_9a05;
const CLOUDS: u64 = 0x005e_ed0f_c10d;
const LEASES: u64 = 0x005e_ed0f_1ea5;

/// A thread that is later than this was stopped, as in hb-user/src/pulse/mod.rs.
const OVERDUE: Nanos = ms(5);

pub(super) type Step = Result<(), Violation>;

impl World {
    pub(super) fn new(seed: u64, is_traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let mut plan = Plan::new(&mut dice);
        let mut restarts = Dice::new(seed ^ RESTARTS);
        plan.add_restarts(&mut restarts);
        plan.add_pauses(&mut Dice::new(seed ^ PAUSES));
        let mut clouds = Dice::new(seed ^ CLOUDS);
        plan.add_cloud(&mut clouds);
        plan.add_lease(&mut Dice::new(seed ^ LEASES));
        let hosts = (0..plan.nodes).map(|host| Host::new(host, 1 + dice.span(0, 1_000_000).0));
        let mut world = Self {
            now: Nanos(0),
            hosts: hosts.collect(),
            network: Network::new(plan.links),
            cloud: plan.cloud.map(|cloud| Cloud::new(cloud, clouds)),
            judge: Judge::new(&plan, is_traced),
            fence_fails: 0,
            ahead: BinaryHeap::with_capacity(256),
            scheduled: 0,
            beats: Vec::with_capacity(256),
            free: Vec::with_capacity(256),
            out: Vec::with_capacity(64),
            tickets: 0,
            read_config: 0,
            last_fault: ms(DISASTERS),
            dice,
            restarts,
            plan,
        };
        world.judge.trace.say(|| {
            let plan = &world.plan;
            let groups: Vec<_> = plan.configs[0].groups.iter().map(|group| name(group.preferred)).collect();
            format!(
                "{} nodes, {} links, {:?}, {} ping nodes, fencing {}, takeover_delay {:?}, start_retry {:?}, {:?}, {:?}, groups prefer {}, {:?}",
                plan.nodes,
                plan.links,
                plan.quorum,
                plan.pings,
                plan.fencing,
                plan.takeover_delay,
                plan.start_retry,
                plan.stuck,
                plan.configs[0].failback,
                groups.join(", "),
                plan.cloud
            )
        });
        for host in 0..world.hosts.len() {
            let longest = if world.dice.percent(80) { 100 } else { 1500 };
            let at = world.dice.span(0, longest);
            world.schedule(at, Happening::Boot { host });
        }
        for disaster in 0..world.plan.disasters.len() {
            let planned = world.plan.disasters[disaster];
            world.schedule(planned.begins, Happening::Begins { disaster });
            world.schedule(planned.ends, Happening::Ends { disaster });
        }
        world.schedule(ms(DISASTERS), Happening::Repair);
        world
    }

    /// From the first boot until all is settled and quiet.
    pub(super) fn live(&mut self) -> Step {
        self.run(ms(DISASTERS))?;
        for _ in 0..4 {
            let settled = self.settled_at();
            self.run_until_settled(settled)?;
            if self.settled_at() == settled {
                break;
            }
        }
        self.check_settled()?;
        self.judge.is_settled = true;
        let quiet = self.now.saturating_add(QUIET);
        self.run(quiet)
    }

    fn settled_at(&self) -> Nanos {
        let returned = if self.cloud.is_some() { RETURNED } else { Nanos(0) };
        self.last_fault.saturating_add(SETTLED).saturating_add(returned)
    }

    pub(super) fn into_tally(self) -> Tally {
        self.judge.tally
    }

    pub(super) fn into_trace(self) -> Vec<String> {
        self.judge.trace.lines
    }

    fn run(&mut self, until: Nanos) -> Step {
        while self.ahead.peek().is_some_and(|Reverse(next)| next.at <= until) {
            self.step()?;
        }
        self.now = until;
        Ok(())
    }

    pub(super) fn step(&mut self) -> Step {
        let Some(Reverse(next)) = self.ahead.pop() else {
            return Ok(());
        };
        self.now = next.at;
        self.judge.trace.now = next.at;
        self.happen(next.what)?;
        self.judge.watch(self.now, &self.hosts, &self.network)?;
        self.watch_witness()
    }

    pub(super) fn schedule(&mut self, at: Nanos, what: Happening) {
        self.scheduled += 1;
        let order = self.scheduled;
        self.ahead.push(Reverse(Entry {
            at: at.max(self.now),
            order,
            what,
        }));
    }

    pub(super) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn lives(&self, host: usize, life: u64) -> bool {
        self.hosts[host].number() == Some(life)
    }

    /// Whether what happens to a daemon is held up: it is frozen, or the controller sees that the thread is late, so that
    /// what it knows may be old.
    fn holds_up(&mut self, index: usize, what: Happening) -> bool {
        let host = &mut self.hosts[index];
        if host.is_frozen() {
            host.deferred.push(what);
            return true;
        }
        let is_overdue = self.is_overdue(index);
        if is_overdue {
            self.judge.count("waits for the pulse");
            let later = self.now.saturating_add(ms(1));
            self.schedule(later, what);
        }
        is_overdue
    }

    /// Whether the thread of a host should have woken a while ago.
    pub(super) fn is_overdue(&self, host: usize) -> bool {
        let host = &self.hosts[host];
        let clock = host.clock(self.now);
        let life = host.life.as_ref();
        life.is_some_and(|life| !life.pulse.is_over && clock > life.pulse.planned.saturating_add(OVERDUE))
    }

    #[expect(clippy::too_many_lines, reason = "one match")]
    fn happen(&mut self, what: Happening) -> Step {
        match what {
            Happening::Boot { host } => self.boot(host),
            Happening::Alarm { host, life, ticket } => {
                let is_due =
                    self.lives(host, life) && self.hosts[host].life.as_ref().is_some_and(|life| life.ticket == ticket);
                if !is_due || self.hosts[host].is_frozen() {
                    return Ok(());
                }
                self.round(host)
            }
            Happening::Bell { host, life } => {
                if !self.lives(host, life) || self.hosts[host].is_frozen() {
                    return Ok(());
                }
                self.round(host)
            }
            Happening::Read { host, life } => {
                if !self.lives(host, life) || self.holds_up(host, what) {
                    return Ok(());
                }
                self.read(host)
            }
            Happening::Tick { host, life } => {
                if !self.lives(host, life) || self.holds_up(host, what) {
                    return Ok(());
                }
                self.read(host)?;
                self.tick(host)
            }
            Happening::Arrival { to, from, link, beat } => {
                let heard = self.beats[beat as usize];
                self.free.push(beat);
                self.arrive(to.into(), from.into(), link.into(), heard)
            }
            Happening::Pong { host, life, ping, sent } => {
                if self.lives(host, life) && self.hosts[host].machine_freezes == 0 {
                    let clock = self.hosts[host].clock(self.now);
                    if let Some(life) = &mut self.hosts[host].life {
                        life.pulse.answered(ping, sent, clock);
                    }
                }
                Ok(())
            }
            Happening::Ended { host, id, ticket } => {
                self.script_ends(host, id, ticket);
                Ok(())
            }
            Happening::Finished {
                host,
                life,
                id,
                work,
                outcome,
            } => {
                if !self.lives(host, life) || self.holds_up(host, what) {
                    return Ok(());
                }
                // Who is alive comes first.
                self.read(host)?;
                self.judge.is_heard_of(self.now, host, id);
                self.feed(host, &Event::Finished { work, outcome })
            }
            Happening::Off { host, life } => {
                if self.lives(host, life) {
                    self.power_off(host);
                    let at = self.now.saturating_add(self.dice.span(100, 500));
                    self.schedule(at, Happening::Boot { host });
                }
                Ok(())
            }
            Happening::Fenced { host, life, node, done } => {
                if done && self.hosts[node].life.is_some() {
                    self.power_off(node);
                    let at = self.now.saturating_add(self.dice.span(100, 800));
                    self.schedule(at, Happening::Boot { host: node });
                }
                if !done {
                    self.last_fault = self.last_fault.max(self.now);
                }
                self.happen(Happening::FenceReported { host, life, node, done })
            }
            Happening::FenceReported { host, life, node, done } => {
                if !self.lives(host, life) || self.holds_up(host, what) {
                    return Ok(());
                }
                self.read(host)?;
                self.feed(host, &Event::Fenced { node, done })
            }
            Happening::Begins { disaster } => self.begin(disaster),
            Happening::Ends { disaster } => self.end(disaster),
            Happening::Reload { host, config } => {
                if self.holds_up(host, what) {
                    return Ok(());
                }
                self.read(host)?;
                self.reload(host, config)
            }
            Happening::Repair => self.repair(),
            Happening::Look { host, life, id } => {
                if self.lives(host, life) && !self.holds_up(host, what) {
                    self.look(host, id);
                }
                Ok(())
            }
            Happening::Seen {
                host,
                life,
                id,
                asked,
                reply,
            } => {
                if !self.lives(host, life) || self.holds_up(host, what) {
                    return Ok(());
                }
                self.seen(host, id, asked, reply)
            }
            Happening::Question { host, life, begun } => {
                if self.lives(host, life) && !self.holds_up(host, what) {
                    self.question(host, life, begun);
                }
                Ok(())
            }
            Happening::Witnessed {
                host,
                life,
                asked,
                answers,
            } => {
                if !self.lives(host, life) || self.holds_up(host, what) {
                    return Ok(());
                }
                self.witnessed(host, asked, answers)
            }
            Happening::Assign { host, id, ticket } => {
                if self.hosts[host].is_frozen() {
                    self.hosts[host].deferred.push(what);
                    return Ok(());
                }
                self.assign(host, id, ticket)
            }
            Happening::Attach { host, id, ticket } => {
                if self.hosts[host].is_frozen() {
                    self.hosts[host].deferred.push(what);
                } else {
                    self.attach(host, id, ticket);
                }
                Ok(())
            }
            Happening::Lands { host, id } => {
                self.lands(host, id);
                Ok(())
            }
            Happening::Return { host, life, is_pinned } => {
                if self.lives(host, life) {
                    self.come_back(host, is_pinned)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// A beat reaches a kernel.
    fn arrive(&mut self, to: usize, from: usize, link: usize, beat: Heard) -> Step {
        let host = &mut self.hosts[to];
        let clock = host.clock(self.now);
        let is_frozen = host.is_frozen();
        if host.machine_freezes > 0 {
            return Ok(());
        }
        let Some(life) = &mut host.life else { return Ok(()) };
        let Some(admission) = life.admit(from, link, &beat, clock) else {
            self.judge.count("refused as old");
            return Ok(());
        };
        if admission.is_newest && beat.echo.incarnation == life.incarnation.low() {
            self.judge.heard[to][from] = self.now;
        }
        if admission.wakes && !is_frozen {
            return self.round(to);
        }
        Ok(())
    }

    pub(super) fn send(&mut self, from: usize, to: usize, beat: Heard) {
        for link in 0..self.plan.links {
            for delay in self.network.send(from, to, link, &mut self.dice).into_iter().flatten() {
                let place = self.free.pop().unwrap_or_else(|| {
                    self.beats.push(beat);
                    u32::try_from(self.beats.len() - 1).unwrap_or(0)
                });
                self.beats[place as usize] = beat;
                let small = |number: usize| u8::try_from(number).unwrap_or(0);
                self.schedule(
                    self.now.saturating_add(delay),
                    Happening::Arrival {
                        to: small(to),
                        from: small(from),
                        link: small(link),
                        beat: place,
                    },
                );
            }
        }
    }

    /// The thread runs one round.
    pub(super) fn round(&mut self, index: usize) -> Step {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let host = &mut self.hosts[index];
        let clock = host.clock(self.now);
        let Some(life) = &mut host.life else { return Ok(()) };
        if life.pulse.is_over {
            return Ok(());
        }
        life.round(self.now, clock, &mut out);
        let (number, ticket, planned) = (life.number, life.ticket, life.pulse.planned);
        let at = self.hosts[index].world(planned);
        self.schedule(
            at,
            Happening::Alarm {
                host: index,
                life: number,
                ticket,
            },
        );
        let outcome = out.iter().try_for_each(|output| self.put_out(index, number, *output));
        self.out = out;
        outcome
    }

    pub(super) fn put_out(&mut self, host: usize, life: u64, output: Output) -> Step {
        match output {
            Output::Beat { to, beat } => {
                self.judge.sends(self.now, host)?;
                self.send(host, to, beat);
            }
            Output::Ping { ping, sent } => {
                if let Some(delay) = self.network.ping(host, ping, &mut self.dice) {
                    let at = self.now.saturating_add(delay);
                    self.schedule(at, Happening::Pong { host, life, ping, sent });
                }
            }
            Output::Graced => self.judge.count("graced"),
            Output::News(news) => {
                self.judge.hears(self.now, &self.hosts[host], news, &self.network)?;
                if !matches!(news, News::Up { .. }) {
                    self.judge.trace.say(|| format!("{} pulse: {news:?}", name(host)));
                }
                self.tell(host, news);
            }
        }
        Ok(())
    }

    fn tell(&mut self, index: usize, news: News) {
        let delay = self.controller_delay(index);
        let Some(life) = &mut self.hosts[index].life else {
            return;
        };
        life.news.push_back(news);
        if !life.is_rung {
            life.is_rung = true;
            let number = life.number;
            let at = self.now.saturating_add(delay);
            self.schedule(
                at,
                Happening::Read {
                    host: index,
                    life: number,
                },
            );
        }
    }

    pub(super) fn controller_delay(&mut self, host: usize) -> Nanos {
        if self.hosts[host].slow > 0 {
            self.dice.span(0, super::SLOW)
        } else if self.dice.percent(80) {
            Nanos(20_000 + self.dice.below(200_000))
        } else {
            self.dice.span(0, 2)
        }
    }
}
