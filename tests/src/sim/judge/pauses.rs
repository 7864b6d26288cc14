//! Who was stopped, or let itself be replaced, and for how long.

use hb_ebpf::Nanos;
use hb_user::core::hush;

use super::Judge;
use crate::sim::host::Host;
use crate::sim::network::Network;
use crate::sim::trace::name;
use crate::sim::{DEADTIME, INTERVAL, PROMISE, ms};

impl Judge {
    pub(in crate::sim) fn freezes(&mut self, now: Nanos, host: usize) {
        self.stopped[host] = now;
    }

    pub(in crate::sim) fn thaws(&mut self, now: Nanos, host: &Host, frozen: Nanos) {
        let index = host.index;
        self.trace
            .say(|| format!("{} runs again, after {} ms", name(index), frozen.0 / ms(1).0));
        self.thawed[index] = now;
        let Some(life) = &host.life else { return };
        let is_long = frozen > DEADTIME.saturating_add(ms(1));
        if is_long && life.began <= host.frozen_since {
            self.listens(now, index);
        }
    }

    fn listens(&mut self, now: Nanos, host: usize) {
        if !self.has_left[host] {
            self.hushed[host] = now.saturating_add(hush(DEADTIME, INTERVAL));
        }
        self.doubts[host] = now.saturating_add(DEADTIME);
    }

    /// All machines are stopped.
    pub(in crate::sim) fn is_paused(&mut self, now: Nanos) {
        self.count("pauses");
        self.paused = (now, Nanos::MAX);
    }

    /// All machines run on.
    pub(in crate::sim) fn runs_on(&mut self, now: Nanos) {
        self.paused.1 = now;
    }

    /// A daemon restarts, and these others have confirmed that they wait.
    pub(in crate::sim) fn goes_away(&mut self, now: Nanos, host: usize, waiting: &[usize], hosts: &[Host]) {
        self.count("restarts");
        self.trace.say(|| format!("{} restarts", name(host)));
        for other in waiting {
            // What they have confirmed was sent a deadline ago at the most.
            let until = now.saturating_add(PROMISE.since(DEADTIME));
            self.waits[*other][host] = hosts[*other].number().map(|life| (life, until));
        }
    }

    /// It goes on; whoever is late counts as one that was frozen.
    pub(in crate::sim) fn comes_back(&mut self, now: Nanos, host: usize, is_late: bool, is_pinned: bool) {
        self.trace.say(|| format!("{} goes on", name(host)));
        self.thawed[host] = now;
        self.last_upheaval = now;
        self.has_forgotten[host] |= !is_pinned;
        for waits in &mut self.waits {
            waits[host] = None;
        }
        if is_late {
            self.count("restarts that were late");
            self.listens(now, host);
        }
    }

    /// Whether nothing but a pause of all machines is the reason of a silence that began after this beat.
    pub(super) fn were_stopped_together(&self, host: usize, other: usize, heard: Nanos, network: &Network) -> bool {
        let (begun, ended) = self.paused;
        let calm = begun.since(Nanos(2 * INTERVAL.0));
        // Beats of one that is gone may come as late as those of one that is stopped.
        self.is_there[other]
            && heard >= calm
            && heard <= ended
            && self.thawed[host] == ended
            && self.thawed[other] == ended
            && self.stopped[other] < ended
            && self.last_upheaval < calm
            && network.last_trouble(other, host, ended) < calm
    }
}
