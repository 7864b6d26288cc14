//! The answer to `hb status`.

use std::collections::{BTreeMap, BTreeSet};

use hb_ebpf::beat::Status as Life;
use hb_ebpf::liveness::{BUCKETS, FIRST_BUCKET_LOG2, Liveness};
use hb_ebpf::{Heard, Nanos, Verdict};

use super::{Daemon, alarms, keeper};
use crate::config::Group;
use crate::control::{
    AddressStatus, DatapathStatus, DetectionStatus, DiffersStatus, FloatingIpStatus, GroupStatus, LatenessStatus,
    LinkStatus, PeerStatus, PulseStatus, RealtimeStatus, RestartStatus, Status, Takeover,
};
use crate::core::{Contact, Differs, PeerView, TAKE_BACKS};
use crate::datapath::{Mode, Watches};
use crate::pulse::{Lateness, Link};
use crate::resources::address::{Hands, Standing, Twin};
use crate::resources::cloud::{Failure, Readiness};

impl Daemon {
    pub(super) fn report(&self, now: Nanos) -> Status {
        let standings = self.works.hands().map(Hands::standings).unwrap_or_default();
        let cluster = &self.cluster;
        let words = self.words();
        let refused = self.refused_realtime();
        let troubles = self
            .troubles
            .iter()
            .map(|(about, trouble)| format!("{about}: {trouble}"));
        Status {
            alarms: words
                .alarms(&refused)
                .into_iter()
                .chain((0..self.peers.len()).filter_map(|peer| self.unsigned(peer)))
                .chain(alarms::deaf(self.interfaces(&standings)))
                .chain(standings.iter().filter_map(alarm))
                .chain(self.keeper.standings().flat_map(|ip| self.alarms_of(&ip, now)))
                .chain(troubles)
                .collect(),
            maintenance: self.node.in_maintenance(),
            maintenance_by: self.node.maintainers().map(|node| words.name(node)).collect(),
            quorum: self.node.settings().quorum.name().into(),
            lease_held: self.node.has_lease(),
            lease_needed: self.node.settings().supporters(),
            pings_reached: self.node.advert().pings,
            pings_named: cluster.pings.targets.len(),
            version: env!("CARGO_PKG_VERSION").into(),
            node: cluster.nodes[cluster.me].clone(),
            status: life(self.node.advert().status).into(),
            incarnation: format!("{:016x}", self.incarnation.0),
            config_digest: format!("{:08x}", cluster.digest()),
            uptime_ms: millis(now.since(self.started)),
            interval_us: u64::try_from(cluster.timers.keepalive.as_micros()).unwrap_or(u64::MAX),
            deadtime_us: u64::try_from(cluster.timers.deadtime.as_micros()).unwrap_or(u64::MAX),
            realtime: self.report_realtime(),
            pulse: self.report_pulse(now),
            detection: self.report_detection(),
            datapath: self.attached.iter().map(report_datapath).collect(),
            verdicts: self.rejected(None),
            peers: (0..self.peers.len()).map(|peer| self.report_peer(peer, now)).collect(),
            groups: (0..cluster.groups.len())
                .filter_map(|group| self.report_group(group, now))
                .collect(),
            floating_ips: self
                .keeper
                .standings()
                .map(|ip| self.report_floating_ip(&ip, now))
                .collect(),
            witness: self.node.needs_witness().then(|| self.node.witness_answers()),
            addresses: standings.iter().map(|standing| report_address(standing, now)).collect(),
            last_takeover: self.report_takeover(),
            restart: RestartStatus {
                count: self.restart.past.count,
                silence_us: self.restart.past.silence.map(Nanos::as_micros),
                promise_ms: millis(super::settings::promise(cluster)),
                pins_refused: self.restart.past.pins_refused.clone(),
            },
        }
    }

    /// Those that beats go by, and those with addresses that are here, each once.
    fn interfaces<'a>(&'a self, standings: &'a [Standing]) -> BTreeSet<&'a str> {
        let beating = self.cluster.links.iter().map(|link| link.interface.as_str());
        let held = standings.iter().filter(|standing| standing.is_held);
        beating.chain(held.filter_map(|it| it.interface.as_deref())).collect()
    }

    fn report_floating_ip(&self, ip: &keeper::Standing<'_>, now: Nanos) -> FloatingIpStatus {
        let group = self.node.group(ip.group);
        let readiness = ip.readiness;
        let identity = readiness.and_then(|it| it.me.as_ref());
        let owner = readiness.and_then(|it| it.owner.as_ref().ok()?.instance.as_ref());
        let rate = readiness.and_then(|it| it.rate_limit);
        FloatingIpStatus {
            address: ip.address.to_string(),
            group: self.cluster.groups.get(ip.group).map(Group::name).unwrap_or_default(),
            identity: identity.map(ToString::to_string),
            owner: owner.map(ToString::to_string),
            ours: readiness.and_then(Readiness::is_ours),
            active: readiness.and_then(|it| it.is_active),
            ready: readiness.map(Readiness::is_ready),
            problems: readiness.map(Readiness::problems).unwrap_or_default(),
            checked_ms: readiness.map(|it| millis(now.since(it.asked))),
            answer_us: readiness.and_then(answer),
            requests_left: rate.map(|rate| rate.remaining),
            requests_limit: rate.map(|rate| rate.limit),
            moved_away: ip.moved_away,
            taken_back: group.map_or(0, |group| group.taken_back),
            held_off_ms: group
                .and_then(|group| group.held_off)
                .map(|until| millis(until.since(now))),
        }
    }

    /// What somebody has to see to about a floating IP.
    fn alarms_of(&self, ip: &keeper::Standing<'_>, now: Nanos) -> Vec<String> {
        let address = ip.address;
        let mut alarms = Vec::new();
        let group = self.node.group(ip.group);
        let owner = ip.readiness.and_then(|it| it.owner.as_ref().ok());
        let whose = owner.map_or_else(|| "somebody else".to_owned(), ToString::to_string);
        if let Some(until) = group.and_then(|group| group.held_off).filter(|_| ip.is_away) {
            alarms.push(format!(
                "address contested: {address} was taken away {TAKE_BACKS} times and more, and is not taken back for {} s; \
                 it belongs to {whose}; `hb cleanup` ends that",
                until.since(now).0 / 1_000_000_000
            ));
        } else if ip.is_away && group.is_some_and(|group| group.state.runs()) {
            alarms.push(format!(
                "address moved: {address} belongs to {whose}, though its group runs here"
            ));
        }
        if group.is_some_and(|group| group.gave_way) {
            alarms.push(format!(
                "gave way: {address} belongs to {whose}, and a node that this one does not hear may have taken it; if none \
                 has, or that is dead, `hb takeover` takes it back"
            ));
        }
        if let Some(problems) = ip
            .readiness
            .map(Readiness::problems)
            .filter(|problems| !problems.is_empty())
        {
            alarms.push(format!(
                "not ready: {address} could not be taken over: {}",
                problems.join("; ")
            ));
        }
        alarms
    }

    /// The last takeover, also of a former process.
    pub(super) fn report_takeover(&self) -> Option<Takeover> {
        let ours = self.last_takeover.and_then(|group| {
            let record = self.records.get(group)?.as_ref()?;
            Some(record.report(self.cluster.groups.get(group)?.name()))
        });
        ours.or_else(|| self.former_takeover.clone())
    }

    fn report_realtime(&self) -> RealtimeStatus {
        let pulse = self.pulse.granted();
        RealtimeStatus {
            pulse: pulse.policy.to_string(),
            controller: self.granted.policy.to_string(),
            hands: self.works.hands().map(|hands| hands.granted().policy.to_string()),
            second_best: pulse.second_best(),
            scheduling_refused: pulse.refused(),
            affinity_refused: pulse.affinity_refused.clone(),
            locking_refused: self.locking_refused.clone(),
        }
    }

    fn report_pulse(&self, now: Nanos) -> PulseStatus {
        let stats = self.pulse.stats();
        let lateness = stats.lateness();
        PulseStatus {
            sent: stats.sent(),
            send_errors: stats.send_errors(),
            last_send_error: stats.last_send_error().map(|error| error.to_string()),
            wakes: stats.wakes(),
            worst_lateness_us: lateness.worst.as_micros(),
            lateness: report_lateness(&lateness, now),
        }
    }

    fn report_detection(&self) -> DetectionStatus {
        let awake = self.watches.as_ref().ok().map(Watches::awake);
        DetectionStatus {
            by: if self.watches.is_ok() { "kernel" } else { "thread" }.into(),
            reason: self.watches.as_ref().err().cloned(),
            graces: self.pulse.stats().graces(),
            machine_gaps: awake.map(|awake| awake.gaps),
            machine_latest_us: awake.map(|awake| awake.latest.as_micros()),
        }
    }

    fn report_peer(&self, peer: usize, now: Nanos) -> PeerStatus {
        let links = &self.peers[peer].links;
        let node = self.peers[peer].index;
        let view = self.node.peer(node);
        let heard = |link: &Link| self.liveness.get(link.slot)?.heard();
        let newest = links
            .iter()
            .filter_map(heard)
            .max_by_key(|heard| (heard.incarnation, heard.sequence));
        PeerStatus {
            name: self.cluster.nodes[node].clone(),
            state: contact(&view).into(),
            hears_us: view.sight.hears_us,
            config_matches: newest.as_ref().map(|heard| heard.digest == self.cluster.digest()),
            differs: newest.map_or_else(DiffersStatus::default, |heard| {
                let differs = Differs::between(self.cluster.digest(), heard.digest);
                DiffersStatus {
                    groups: differs.groups,
                    nodes: differs.nodes,
                    settings: differs.settings,
                }
            }),
            fencing: view.fencing.name().into(),
            pings: view.sight.pings,
            links: links.iter().filter_map(|link| self.report_link(link, now)).collect(),
        }
    }

    /// A peer of which nothing was ever accepted, since our keys do not sign what comes from it.
    fn unsigned(&self, index: usize) -> Option<String> {
        let peer = &self.peers[index];
        let refused = |link: &&Link| {
            let accepted = self.liveness.get(link.slot).map(Liveness::accepted);
            accepted == Some(0)
                && self
                    .counters
                    .read(Some(link.slot), Verdict::Tag)
                    .is_ok_and(|count| count > 0)
        };
        let link = peer.links.iter().find(refused)?;
        let name = &self.cluster.nodes[peer.index];
        Some(format!(
            "other keys: beats that name {name} come from {}, and no key of ours signs them: is authkeys the same on both nodes?",
            link.address
        ))
    }

    fn report_link(&self, link: &Link, now: Nanos) -> Option<LinkStatus> {
        let liveness = self.liveness.get(link.slot)?;
        let heard = liveness.heard();
        let silence = heard.as_ref().map(|heard: &Heard| now.since(heard.seen));
        let is_up = silence.is_some_and(|silence| u128::from(silence.0) < self.cluster.timers.deadtime.as_nanos());
        Some(LinkStatus {
            interface: link.interface.clone(),
            address: link.address.to_string(),
            state: if is_up { "up" } else { "down" }.into(),
            last_seen_ms: silence.map(millis),
            incarnation: heard.map(|heard| format!("{:016x}", heard.incarnation.0)),
            sequence: heard.map(|heard| heard.sequence.0),
            accepted: liveness.accepted(),
            lost: liveness.lost,
            duplicates: liveness.duplicates,
            gap_p50_us: percentile(&liveness.gaps, liveness.longest_gap, 50),
            gap_p99_us: percentile(&liveness.gaps, liveness.longest_gap, 99),
            gap_max_us: Some(liveness.longest_gap.as_micros()).filter(|gap| *gap > 0),
            rejected: self.rejected(Some(link.slot)),
        })
    }

    /// The verdicts that were counted at all. A counter that cannot be read is left out.
    fn rejected(&self, slot: Option<u32>) -> BTreeMap<String, u64> {
        let count = |verdict: Verdict| Some((verdict.name().to_owned(), self.counters.read(slot, verdict).ok()?));
        Verdict::ALL
            .into_iter()
            .filter_map(count)
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn report_group(&self, index: usize, now: Nanos) -> Option<GroupStatus> {
        let nodes = &self.cluster.nodes;
        let settings = self.cluster.groups.get(index)?;
        let group = self.node.group(index)?;
        Some(GroupStatus {
            name: settings.name(),
            preferred: nodes.get(settings.preferred)?.clone(),
            owner: group.owner.and_then(|node| nodes.get(node).cloned()),
            state: group.state.name().into(),
            since_ms: millis(now.since(group.since)),
            problem: self.problems.get(index).cloned().flatten(),
            waiting: group.waiting.map(|waiting| waiting.name().into()),
            waiting_for: group.waiting.and_then(|waiting| nodes.get(waiting.peer()?).cloned()),
            retry_ms: group.retry.map(|retry| millis(retry.since(now))),
        })
    }
}

fn report_lateness(lateness: &Lateness, now: Nanos) -> LatenessStatus {
    let is_any = lateness.worst > Nanos(0);
    LatenessStatus {
        counted: lateness.histogram.iter().sum(),
        since_ms: millis(now.since(lateness.since)),
        p50_us: percentile(&lateness.histogram, lateness.worst, 50),
        p99_us: percentile(&lateness.histogram, lateness.worst, 99),
        max_us: is_any.then(|| lateness.worst.as_micros()),
        max_ago_ms: is_any.then(|| millis(now.since(lateness.worst_at))),
    }
}

/// How long the API's answers took, if there were any.
fn answer(readiness: &Readiness) -> Option<u64> {
    let has_answered = match &readiness.owner {
        Ok(_)
        | Err(
            Failure::Pending { .. }
            | Failure::Throttled { .. }
            | Failure::Unauthorised { .. }
            | Failure::Refused { .. },
        ) => true,
        Err(Failure::Passing { .. } | Failure::Setting { .. }) => false,
    };
    has_answered.then(|| readiness.answered.since(readiness.asked).as_micros())
}

/// What somebody has to see to about an address that this node has.
fn alarm(standing: &Standing) -> Option<String> {
    let ip = standing.address.ip;
    if !standing.is_held {
        return None;
    }
    if let Some(why) = &standing.findings.missing {
        return Some(format!("address missing: {ip} should be here: {why}"));
    }
    if standing.quiet.is_some_and(|quiet| quiet.is_long) && standing.twin.is_none() {
        return Some(format!(
            "address quiet: {ip} is not announced, nor put back: this host is frozen again and again"
        ));
    }
    standing.twin.map(|twin| {
        format!(
            "address twice: {ip} is here, and another machine uses it, too: {}",
            twin.shown()
        )
    })
}

fn report_address(standing: &Standing, now: Nanos) -> AddressStatus {
    let findings = &standing.findings;
    AddressStatus {
        address: standing.address.ip.to_string(),
        interface: standing.interface.clone(),
        held: standing.is_held,
        probe: findings.probe.name().into(),
        repairs: findings.repairs,
        last_repair_ms: findings.repaired.map(|at| millis(now.since(at))),
        missing: findings.missing.clone(),
        conflicts: findings.conflicts,
        conflict_mac: standing.twin.as_ref().map(Twin::shown),
        conflict_ago_ms: standing.twin.map(|twin| millis(now.since(twin.at))),
        announce_errors: findings.unsent,
        announce_error: findings.unsent_why.map(str::to_owned),
        quiet_ms: standing.quiet.map(|quiet| millis(now.since(quiet.since))),
    }
}

fn report_datapath(attached: &crate::datapath::Attached) -> DatapathStatus {
    let (mode, reason) = match &attached.mode {
        Mode::Native => ("native", None),
        Mode::Generic { reason } => ("generic", Some(reason.clone())),
    };
    DatapathStatus {
        interface: attached.interface.clone(),
        mode: mode.into(),
        reason,
        pinned: attached.is_pinned(),
    }
}

/// A peer that is about to leave still counts as up, and to people that would look as if nothing had happened.
fn contact(peer: &PeerView) -> &'static str {
    match (peer.contact, peer.sight.status) {
        (Contact::Up, Life::Leaving) => life(Life::Leaving),
        (Contact::Up, Life::Init | Life::Up) | (Contact::Unknown | Contact::Left | Contact::Dead, _) => {
            peer.contact.name()
        }
    }
}

fn life(status: Life) -> &'static str {
    match status {
        Life::Init => "init",
        Life::Up => "up",
        Life::Leaving => "leaving",
    }
}

fn millis(span: Nanos) -> u64 {
    span.0 / 1_000_000
}

/// The time that `percent` of 100 gaps are shorter than, in microseconds, by linear interpolation within its bucket:
/// the histogram knows powers of two only.
fn percentile(gaps: &[u64; BUCKETS], longest: Nanos, percent: u64) -> Option<u64> {
    let total: u64 = gaps.iter().sum();
    let rank = (total * percent).div_ceil(100);
    let mut below = 0;
    for (bucket, count) in gaps.iter().enumerate() {
        if *count > 0 && below + count >= rank {
            let log2 = FIRST_BUCKET_LOG2 + u32::try_from(bucket).ok()?;
            let start = if bucket == 0 { 0 } else { 1_u64 << log2 };
            let width = (1_u64 << (log2 + 1)) - start;
            let within = u128::from(width) * u128::from(rank - below) / u128::from(*count);
            let nanos = start + u64::try_from(within).ok()?;
            return Some(nanos.min(longest.0) / 1_000);
        }
        below += count;
    }
    None
}

#[cfg(test)]
mod tests;
