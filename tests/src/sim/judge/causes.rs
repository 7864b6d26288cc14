//! Rule 4: what is given as the cause has happened.

use hb_ebpf::Nanos;
use hb_user::core::{Cause, Contact, Failback, Node, Quorum};

use super::{Judge, Rule, Violation};
use crate::sim::host::Host;
use crate::sim::trace::name;
use crate::sim::{DEADTIME, ms};

impl Judge {
    pub(super) fn check_cause_of_start(
        &mut self,
        now: Nanos,
        host: usize,
        (index, id): (usize, usize),
        cause: Cause,
        hosts: &[Host],
    ) -> Result<(), Violation> {
        let Some(life) = &hosts[host].life else { return Ok(()) };
        let node = &life.control.node;
        let fact = self.facts[host][id];
        let is_true = match cause {
            Cause::Start => self.others(host).all(|peer| node.peer(peer).contact == Contact::Up),
            Cause::PeerDied(peer) => self.died[host][peer] && node.peer(peer).contact == Contact::Dead,
            Cause::PeerLeft(peer) => self.was_told_to_leave[peer],
            Cause::PeerFailed(peer) => self.facts[peer][id].has_failed || self.facts[peer][id].was_sick,
            Cause::PeerDeclined(peer) => self.has_gone_wrong(peer, id),
            // It asked when it was so.
            Cause::FailBack(peer) => peer == host && (returns_to(node, index, host) || self.is_reloading(now)),
            Cause::Takeover(peer) => peer == host && self.was_told[host].takeover,
            Cause::Conflict(peer) => self.has_met_owner(now, host, peer, id),
            Cause::Sick => fact.was_sick,
            Cause::Retry => self.has_gone_wrong(host, id),
            Cause::Moved => self.addresses.is_missed(host, id),
            Cause::Standby | Cause::Lease | Cause::Cleanup | Cause::Reload | Cause::Leave => false,
        };
        Self::verdict(now, host, id, "starts", cause, is_true)
    }

    pub(super) fn check_cause_of_stop(
        &mut self,
        now: Nanos,
        host: usize,
        (index, id): (usize, usize),
        cause: Cause,
        hosts: &[Host],
    ) -> Result<(), Violation> {
        let Some(life) = &hosts[host].life else { return Ok(()) };
        let node = &life.control.node;
        let fact = self.facts[host][id];
        let is_true = match cause {
            Cause::FailBack(peer) => returns_to(node, index, peer),
            // While nodes read a new configuration, they do not agree on what is preferred and whether it returns.
            Cause::Takeover(peer) => self.was_told[peer].takeover || self.is_reloading(now),
            Cause::Standby => self.was_told[host].standby,
            Cause::Conflict(peer) => self.facts[peer][id].runs || self.has_met_owner(now, host, peer, id),
            Cause::Lease => {
                let has_lapsed = self.quorum != Quorum::None && self.lapsed[host].saturating_add(ms(100)) >= fact.since;
                let is_over = self.addresses.answered[host] > Nanos(0) && now >= self.answer_ends(host);
                if is_over {
                    self.tally.count("answers that ended");
                }
                has_lapsed || self.addresses.is_unanswered(host) || is_over
            }
            Cause::Moved => self.addresses.is_missed(host, id),
            Cause::Sick => fact.was_sick,
            Cause::Cleanup => self.was_told[host].cleanup,
            Cause::Reload => self.was_told[host].reload,
            Cause::Leave => self.was_told_to_leave[host],
            Cause::Start
            | Cause::PeerDied(_)
            | Cause::PeerLeft(_)
            | Cause::PeerFailed(_)
            | Cause::PeerDeclined(_)
            | Cause::Retry => false,
        };
        if matches!(cause, Cause::Standby | Cause::Takeover(_)) {
            self.facts[host][id].was_declined = true;
        }
        Self::verdict(now, host, id, "stops", cause, is_true)
    }

    fn verdict(now: Nanos, host: usize, id: usize, does: &str, cause: Cause, is_true: bool) -> Result<(), Violation> {
        if is_true {
            return Ok(());
        }
        let what = format!("{} {does} g{id} because of {cause:?}, and that is not so", name(host));
        Self::broken(Rule::Cause, now, what)
    }

    fn others(&self, host: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.nodes).filter(move |node| *node != host)
    }

    /// Whether another had a group, too. It may say so for a while after it has not: for as long as it does not know, and
    /// as its last words are under way. Who meets it again knows what it had since it was lost.
    fn has_met_owner(&self, now: Nanos, host: usize, peer: usize, id: usize) -> bool {
        let (last_ran, lost) = (self.facts[peer][id].last_ran, self.addresses.last_lost(host, peer));
        let lately = Nanos(2 * DEADTIME.0);
        let had_since = lost > Nanos(0) && last_ran.saturating_add(lately) > lost;
        self.shared[id][host][peer] || now.since(last_ran) < lately || had_since
    }

    /// Whether a group failed on a host, or was moved away from it.
    fn has_gone_wrong(&self, host: usize, id: usize) -> bool {
        let fact = self.facts[host][id];
        fact.has_failed || fact.was_sick || fact.was_declined
    }

    fn is_reloading(&self, now: Nanos) -> bool {
        self.last_reload.is_some_and(|last| now.since(last) < ms(1500))
    }
}

fn returns_to(node: &Node, index: usize, host: usize) -> bool {
    let settings = node.settings();
    let preferred = settings.groups.get(index).map(|group| group.preferred);
    settings.failback == Failback::Return && preferred == Some(host)
}
