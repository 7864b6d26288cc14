//! What controllers do.

use hb_ebpf::Nanos;
use hb_user::core::{Action, Command, Event, Outcome};

use super::{Happening, Step, World};
use crate::sim::control::Control;
use crate::sim::pulse::{News, Order};
use crate::sim::scripts::{Job, Task, fate};
use crate::sim::trace::{name, words};
use crate::sim::{FENCE, REBOOT, ms};

/// From whom a start may take an address.
#[derive(Clone, Copy, Default)]
struct Taking {
    claims: Option<u8>,
    is_handed_over: bool,
    is_reasserted: bool,
}

impl World {
    /// The controller reads all news that there are.
    ///
    /// That we were frozen comes first: what was told before the freeze and not read is no reason to act now.
    pub(in crate::sim) fn read(&mut self, host: usize) -> Step {
        let news = self.hosts[host].life.as_ref().map(|life| &life.news);
        if news.is_some_and(|news| news.iter().any(|news| matches!(news, News::Woke))) {
            self.feed(host, &Event::Woke)?;
        }
        loop {
            let Some(life) = &mut self.hosts[host].life else {
                return Ok(());
            };
            life.is_rung = false;
            let Some(news) = life.news.pop_front() else {
                return Ok(());
            };
            match news {
                News::Up {
                    node,
                    heard,
                    had,
                    echoed,
                } => {
                    let event = life.control.meeting(node, &heard, had, echoed);
                    self.judge.meets(host, node);
                    self.feed(host, &event)?;
                    self.order(
                        host,
                        Order::TakenIn {
                            node,
                            sequence: heard.sequence,
                        },
                    );
                }
                News::Dead { node } => {
                    life.control.lose(node);
                    self.feed(host, &Event::Silent { node })?;
                }
                News::Lease { held } => self.feed(host, &Event::Lease { held })?,
                News::Pings { reached } => self.feed(host, &Event::Pings { reached })?,
                // It was the first.
                News::Woke => {}
                News::Promised { is_confirmed, lease } => self.is_promised(host, is_confirmed, lease)?,
                News::Gone => self.depart(host),
            }
        }
    }

    pub(super) fn tick(&mut self, host: usize) -> Step {
        let clock = self.hosts[host].clock(self.now);
        let Some(life) = &mut self.hosts[host].life else {
            return Ok(());
        };
        if life.control.tick.is_none_or(|tick| tick > clock) {
            return Ok(());
        }
        life.control.tick = None;
        self.feed(host, &Event::Tick)
    }

    /// What a person asks for, as the control socket has it: planned first.
    pub(super) fn command(&mut self, host: usize, command: Command) -> Step {
        self.read(host)?;
        let Some(life) = &self.hosts[host].life else {
            return Ok(());
        };
        match life.control.node.plan(command) {
            Ok(groups) => {
                let ids = &self.plan.configs[life.control.config].ids;
                let ids: Vec<usize> = groups.iter().filter_map(|group| ids.get(*group).copied()).collect();
                self.judge.is_commanded(self.now, host, command, &ids);
                self.feed(host, &Event::Command(command))
            }
            Err(refusal) => {
                self.judge.count("refused commands");
                self.judge
                    .trace
                    .say(|| format!("{} refuses {command:?}: {refusal:?}", name(host)));
                Ok(())
            }
        }
    }

    pub(in crate::sim) fn feed(&mut self, host: usize, event: &Event) -> Step {
        let clock = self.hosts[host].clock(self.now);
        let Some(life) = &mut self.hosts[host].life else {
            return Ok(());
        };
        let actions = life.control.node.handle(event, clock);
        let config = life.control.config;
        let number = life.number;
        let due = life.control.node.deadline();
        if due != life.control.tick {
            life.control.tick = due;
            if let Some(due) = due {
                let at = self.hosts[host].world(due).saturating_add(self.controller_delay(host));
                self.schedule(at, Happening::Tick { host, life: number });
            }
        }
        for action in &actions {
            let ids = &self.plan.configs[config].ids;
            self.judge
                .trace
                .say(|| format!("{} {}", name(host), words(action, ids)));
            if let Some(order) = Control::order(action) {
                self.order(host, order);
            }
            self.act(host, number, config, action)?;
        }
        self.tell_outlooks(host)?;
        self.keep(host);
        Ok(())
    }

    fn act(&mut self, host: usize, life: u64, config: usize, action: &Action) -> Step {
        let ids = |group: usize| self.plan.configs[config].ids.get(group).copied();
        match *action {
            Action::Advertise(_) => {}
            Action::Acquire {
                group,
                work,
                cause,
                reassert,
            } => {
                let Some(id) = ids(group) else { return Ok(()) };
                self.judge
                    .acquires(self.now, host, (group, id), cause, reassert, &self.hosts, &self.network)?;
                let taking = Taking {
                    claims: self.claims(host, (group, id), cause),
                    is_handed_over: cause.is_handed_over(),
                    is_reasserted: reassert,
                };
                self.work(host, id, Task::Start, Some(work), taking);
            }
            Action::Release { group, work, cause } => {
                let Some(id) = ids(group) else { return Ok(()) };
                self.judge.releases(self.now, host, (group, id), cause, &self.hosts)?;
                self.work(host, id, Task::Stop, Some(work), Taking::default());
            }
            Action::Drop { group } => {
                // By the configuration that was in force before.
                let old = self.judge.config_before(host);
                let Some(id) = self.plan.configs[old].ids.get(group).copied() else {
                    return Ok(());
                };
                self.judge.drops(self.now, host, id, &self.hosts)?;
                self.work(host, id, Task::Stop, None, Taking::default());
            }
            Action::Fence { node } => {
                let fails = self.dice.percent(self.fence_fails.into());
                let longest = if self.dice.percent(60) { 100 } else { FENCE };
                let at = self.now.saturating_add(self.dice.span(5, longest));
                self.judge.count(if fails { "failed fencings" } else { "fencings" });
                self.schedule(
                    at,
                    Happening::Fenced {
                        host,
                        life,
                        node,
                        done: !fails,
                    },
                );
            }
            Action::Reboot { .. } => {
                self.judge.count("reboots");
                let at = self.now.saturating_add(self.dice.span(1, REBOOT));
                self.schedule(at, Happening::Off { host, life });
            }
            Action::Left => self.judge.leaves(self.now, &self.hosts[host]),
        }
        Ok(())
    }

    /// Scripts begin; how long they take and how they end is known at once.
    fn work(&mut self, host: usize, id: usize, task: Task, work: Option<u32>, taking: Taking) {
        let under_way = self.hosts[host].jobs[id];
        let aborts = under_way.is_some_and(|job| job.task == Task::Start);
        let is_bad = self.hosts[host].bad_scripts > 0;
        let (span, outcome) = fate(task, aborts, is_bad, &mut self.dice);
        // The stop of a group that was dropped is waited for, although nobody asked.
        let begins = under_way
            .filter(|job| job.work.is_none())
            .map_or(self.now, |job| job.ends);
        let ticket = self.ticket();
        let ends = begins.saturating_add(span);
        self.hosts[host].jobs[id] = Some(Job {
            task,
            ticket,
            work,
            outcome,
            ends,
            claims: taking.claims,
            is_handed_over: taking.is_handed_over,
            is_reasserted: taking.is_reasserted,
        });
        if aborts {
            self.judge.count("aborted starts");
            self.haunt(host, id);
        }
        if task == Task::Start && self.cloud.is_some() {
            let at = Nanos(begins.0 + span.0 / 2);
            self.schedule(at, Happening::Assign { host, id, ticket });
        }
        self.judge.longest_work(ends.since(self.now));
        self.schedule(ends, Happening::Ended { host, id, ticket });
    }

    pub(super) fn script_ends(&mut self, index: usize, id: usize, ticket: u64) {
        let host = &mut self.hosts[index];
        let Some(job) = host.jobs[id].filter(|job| job.ticket == ticket) else {
            return;
        };
        if host.machine_freezes > 0 {
            host.deferred.push(Happening::Ended {
                host: index,
                id,
                ticket,
            });
            return;
        }
        host.jobs[id] = None;
        let life = host.number();
        self.judge.ended(self.now, index, id, job);
        if job.outcome != Outcome::Done {
            self.last_fault = self.last_fault.max(self.now);
        }
        let (Some(life), Some(work)) = (life, job.work) else {
            return;
        };
        let at = self.now.saturating_add(self.controller_delay(index));
        self.schedule(
            at,
            Happening::Finished {
                host: index,
                life,
                id,
                work,
                outcome: job.outcome,
            },
        );
    }

    /// An order to the pulse, which sees it a moment later.
    pub(in crate::sim) fn order(&mut self, index: usize, order: Order) {
        let is_apart = self.dice.percent(5);
        let gap = Nanos(10_000 + self.dice.below(if is_apart { 1_000_000 } else { 90_000 }));
        let now = self.now;
        let Some(life) = &mut self.hosts[index].life else {
            return;
        };
        let last = life.orders.back().map_or(Nanos(0), |(at, _)| *at);
        // What is sent in one go is mostly seen in one go.
        let at = if !is_apart && last > now {
            last
        } else {
            last.max(now.saturating_add(gap))
        };
        life.orders.push_back((at, order));
        let number = life.number;
        if at != last {
            self.schedule(
                at,
                Happening::Bell {
                    host: index,
                    life: number,
                },
            );
        }
    }

    /// The daemon has ended.
    pub(super) fn depart(&mut self, index: usize) {
        self.judge.is_gone(self.now, &self.hosts[index]);
        let host = &mut self.hosts[index];
        host.life = None;
        if std::mem::take(&mut host.boots_when_off) {
            self.schedule(self.now, Happening::Boot { host: index });
        }
    }

    /// Reads a new configuration, if it is newer.
    pub(super) fn reload(&mut self, index: usize, config: usize) -> Step {
        let host = &mut self.hosts[index];
        if host.config >= config {
            return Ok(());
        }
        if host.jobs.iter().flatten().any(|job| job.work.is_none()) {
            // What was dropped still stops, and nobody would know it if it came back.
            let again = self.now.saturating_add(ms(100));
            self.schedule(again, Happening::Reload { host: index, config });
            return Ok(());
        }
        host.config = config;
        let Some(life) = &mut host.life else { return Ok(()) };
        let (old, new) = (life.control.config, config);
        let settings = self.plan.settings(index, new);
        let configs = &self.plan.configs;
        let Ok(events) = life.control.reconfigure(new, &configs[old], &configs[new], settings) else {
            // The operator tries again.
            host.config = old;
            self.judge.count("refused reloads");
            let again = self.now.saturating_add(ms(100));
            self.schedule(again, Happening::Reload { host: index, config });
            return Ok(());
        };
        self.last_fault = self.last_fault.max(self.now);
        self.judge.reloads(self.now, index, old, new);
        let digest = configs[new].digest;
        for (count, event) in events.iter().enumerate() {
            if count == 1 {
                self.configure(index, digest);
            }
            self.feed(index, event)?;
        }
        if events.len() == 1 {
            self.configure(index, digest);
        }
        Ok(())
    }

    /// The advert that speaks of the new groups and the new digest go out together: the orders that the event led to are
    /// replaced.
    fn configure(&mut self, index: usize, digest: u32) {
        let now = self.now;
        let Some(life) = &mut self.hosts[index].life else {
            return;
        };
        let advert = life.control.node.advert();
        let is_stale = |order: &Order| matches!(order, Order::Advertise(_));
        life.orders.retain(|(at, order)| !(*at > now && is_stale(order)));
        self.order(index, Order::Configure { digest, advert });
    }
}
