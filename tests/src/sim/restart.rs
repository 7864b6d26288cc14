//! Restarts in place: what hb-user/src/daemon/restart.rs does.

use hb_ebpf::Nanos;

use super::pulse::Order;
use super::world::{Happening, Step, World};
use super::{DEADTIME, INTERVAL, PROMISE, ms};

/// A process becomes another within this, in milliseconds; now and then it takes much longer, or never comes.
const SOON: u64 = 300;
/// The longest that it may take, in milliseconds: longer than promised.
const LATEST: u64 = 1500;

impl World {
    /// An operator orders it.
    pub(super) fn order_restart(&mut self, host: usize) -> Step {
        if !self.is_ready(host) || !self.may_restart(host) {
            self.judge.count("restarts refused");
            return Ok(());
        }
        self.read(host)?;
        self.order(host, Order::Promise);
        Ok(())
    }

    /// The pulse tells whether all have confirmed.
    pub(super) fn is_promised(&mut self, host: usize, is_confirmed: bool, lease: Nanos) -> Step {
        let clock = self.hosts[host].clock(self.now);
        let Some(life) = &self.hosts[host].life else {
            return Ok(());
        };
        let node = &life.control.node;
        let needed = PROMISE.since(DEADTIME.saturating_add(INTERVAL));
        let has_time = !node.advert().holds() || !node.settings().is_leased() || lease >= clock.saturating_add(needed);
        if !is_confirmed || !has_time || !self.may_restart(host) {
            self.judge.count("restarts refused");
            self.order(host, Order::Resume);
            return Ok(());
        }
        self.go_away(host)
    }

    /// Scripts at work cannot go on in another process.
    fn may_restart(&self, host: usize) -> bool {
        let host = &self.hosts[host];
        let is_ready = |life: &super::host::Life| life.control.node.unready().is_none();
        host.jobs.iter().all(Option::is_none) && host.life.as_ref().is_some_and(is_ready)
    }

    fn go_away(&mut self, index: usize) -> Step {
        let clock = self.hosts[index].clock(self.now);
        let Some(life) = &mut self.hosts[index].life else {
            return Ok(());
        };
        // What the thread was ordered and has not seen is in what the next process begins with.
        life.orders.clear();
        let mut out = Vec::new();
        let digest = self.plan.configs[life.control.config].digest;
        life.pulse.advertise(digest, life.control.node.advert());
        life.pulse.suspend(clock, &mut out);
        life.ticket += 1;
        let number = life.number;
        let waiting: Vec<usize> = life.pulse.who_waits().collect();
        for output in &out {
            self.put_out(index, number, *output)?;
        }
        // What it has told before it stopped is heard first, and may be a reason to stay after all: not in this model.
        self.hosts[index].is_away = true;
        self.judge.goes_away(self.now, index, &waiting, &self.hosts);
        let dice = &mut self.restarts;
        let (longest, never) = match dice.below(10) {
            0..7 => (SOON, false),
            7..9 => (LATEST, false),
            _ => (SOON, true),
        };
        let at = self.now.saturating_add(dice.span(20, longest));
        let is_pinned = dice.percent(70);
        let what = if never {
            Happening::Off {
                host: index,
                life: number,
            }
        } else {
            Happening::Return {
                host: index,
                life: number,
                is_pinned,
            }
        };
        self.schedule(at, what);
        Ok(())
    }

    /// The other process goes on.
    pub(super) fn come_back(&mut self, index: usize, is_pinned: bool) -> Step {
        let now = self.now;
        if self.hosts[index].freezes > 0 {
            let Some(life) = self.hosts[index].number() else {
                return Ok(());
            };
            let what = Happening::Return {
                host: index,
                life,
                is_pinned,
            };
            self.schedule(now.saturating_add(ms(1)), what);
            return Ok(());
        }
        let host = &mut self.hosts[index];
        host.is_away = false;
        let clock = host.clock(now);
        let deferred = std::mem::take(&mut host.deferred);
        let Some(life) = &mut host.life else { return Ok(()) };
        let is_late = life.go_on(is_pinned, clock);
        self.judge.comes_back(now, index, is_late, is_pinned);
        self.last_fault = self.last_fault.max(now);
        for what in deferred {
            let at = now.saturating_add(Nanos(self.restarts.below(ms(2).0)));
            self.schedule(at, what);
        }
        self.round(index)
    }
}
