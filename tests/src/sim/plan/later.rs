//! What came later, and happens in some seeds only. By dice of its own each: all else about a seed stays as it was.

use hb_ebpf::Nanos;

use super::{CloudPlan, Disaster, Plan, Planned};
use crate::sim::dice::Dice;
use crate::sim::{DISASTERS, ms};

/// Long enough for a question to come to nothing, and for another.
const WITNESS_LEASE: Nanos = ms(1000);

impl Plan {
    /// Daemons are restarted in place, in some seeds.
    pub(in crate::sim) fn add_restarts(&mut self, dice: &mut Dice) {
        if !dice.percent(30) {
            return;
        }
        for _ in 0..=dice.index(4) {
            let begins = dice.span(0, DISASTERS - 1500);
            let host = dice.index(self.nodes);
            self.put(begins, begins, Disaster::Restart { host });
        }
    }

    /// Everything is stopped at once, in some seeds.
    pub(in crate::sim) fn add_pauses(&mut self, dice: &mut Dice) {
        if !dice.percent(20) {
            return;
        }
        for _ in 0..=dice.index(3) {
            let begins = dice.span(0, DISASTERS - 1500);
            let longest = if dice.percent(60) { 700 } else { 1500 };
            let ends = Nanos(begins.0 + dice.span(1, longest).0);
            self.put(begins, ends, Disaster::Pause);
        }
    }

    /// Addresses are moved by a provider, in some seeds.
    pub(in crate::sim) fn add_cloud(&mut self, dice: &mut Dice) {
        if !dice.percent(if self.nodes == 2 { 40 } else { 15 }) {
            return;
        }
        self.cloud = Some(CloudPlan {
            witness: dice.percent(70),
            detaches: dice.percent(30),
            lease: None,
        });
        for _ in 0..dice.index(4) {
            let begins = dice.span(0, DISASTERS - 1500);
            let longest = if dice.percent(60) { 700 } else { 2500 };
            let ends = Nanos(begins.0 + dice.span(1, longest).0).min(ms(DISASTERS));
            let hosts = if dice.percent(30) {
                self.all()
            } else {
                dice.mask(self.nodes, 50)
            };
            self.put(begins, ends, Disaster::Gone { hosts });
        }
        // Often a cut is one from the provider, too.
        for index in 0..self.disasters.len() {
            let Planned { begins, ends, disaster } = self.disasters[index];
            if let Disaster::Cut(cut) = disaster
                && dice.percent(50)
            {
                let hosts = (0..self.nodes).filter(|host| cut.hears[*host] != 0);
                let hosts = hosts.fold(0, |mask, host| mask | 1 << host) & dice.mask(self.nodes, 60);
                self.put(begins, ends, Disaster::Gone { hosts });
            }
        }
        for _ in 0..dice.index(3) {
            let at = dice.span(0, DISASTERS);
            let id = dice.index(self.configs[0].groups.len());
            self.put(at, at, Disaster::Stolen { id });
        }
    }

    /// Answers of the witness end, in some of these.
    pub(in crate::sim) fn add_lease(&mut self, dice: &mut Dice) {
        if let Some(cloud) = self.cloud.as_mut().filter(|cloud| cloud.witness) {
            cloud.lease = dice.percent(60).then_some(WITNESS_LEASE);
        }
    }
}
