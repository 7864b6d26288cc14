//! Floating IPs while nothing moves: whose each is, and whether it could be taken over. Asked beside everything else, so that
//! nobody waits for a provider.

use std::collections::HashMap;
use std::time::Duration;

use hb_ebpf::Nanos;
use serde::{Deserialize, Serialize};
use tokio::task::{AbortHandle, JoinSet};

use super::settings::nanos;
use crate::clock;
use crate::config::{CloudAddress, CloudKind, Cluster, InstanceId};
use crate::core::Taker;
use crate::resources::cloud::{Clouds, FloatingIp, Owner, Readiness};
use crate::resources::group::Claims;

/// An owner that is not us is asked for once more after this, before it is told: an API may show the old one for a moment.
const CONFIRM: Nanos = Nanos::from_millis(1_000);
/// A group that was started so short a time ago is not looked at: the API may still show who had its address before.
const SETTLED: Nanos = Nanos::from_millis(10_000);
/// Where an API is about to refuse us, it is left alone for so many times as long.
const SPARING: u64 = 10;
/// The first question may come at once, others only so long after the last.
const LEAST: Nanos = Nanos::from_millis(1_000);
/// However long an API wants to be left alone, it is asked again after this: limits of requests are by the hour at the longest.
const LONGEST: Duration = Duration::from_hours(1);
/// How long the provider, as a witness, has for an answer.
const WITNESS: Duration = Duration::from_secs(3);
/// The pause between two questions to it.
const AGAIN: Duration = Duration::from_millis(250);

/// What was learnt, for the core or for whoever asks how it stands.
#[derive(Debug)]
pub(super) enum Seen {
    /// How one stands.
    Ready {
        address: CloudAddress,
        readiness: Box<Readiness>,
    },
    /// The witness has answered what it was asked, or has not.
    Witness { asked: Nanos, answers: bool },
}

/// Who has a group, as far as that tells something about its addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Holder {
    /// We, since then.
    Us { since: Nanos },
    /// A node that is heard.
    Peer(usize),
    /// Nobody, or nobody that is known.
    Nobody,
}

/// What one process tells the next of them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Past {
    kept: Vec<PastIp>,
    /// By provider and node: which instance it is.
    instances: Vec<(String, usize, String)>,
}

/// And of each.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct PastIp {
    address: String,
    /// Whether it was ever read when all was well, and whose it was then.
    is_known: bool,
    owner: Option<String>,
    moved_away: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    kept: Vec<Kept>,
    tasks: JoinSet<Seen>,
    /// Which instance a node is for a provider, as it was seen.
    instances: HashMap<(CloudKind, usize), InstanceId>,
    /// A question to the witness is under way.
    witness: Option<AbortHandle>,
    /// It was answered, or given up.
    witness_due: Option<Nanos>,
}

#[derive(Debug)]
struct Kept {
    ip: FloatingIp,
    group: usize,
    holder: Holder,
    due: Nanos,
    asked: Option<Nanos>,
    asking: Option<AbortHandle>,
    readiness: Option<Box<Readiness>>,
    /// Whose it was when all was well: who may have it taken from him.
    settled: Option<Owner>,
    /// It was somebody else's, once.
    is_suspect: bool,
    moved_away: u64,
}

/// How a floating IP stands.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    pub(super) address: &'a CloudAddress,
    pub(super) group: usize,
    pub(super) readiness: Option<&'a Readiness>,
    /// The group is here, and the address is somebody else's.
    pub(super) is_away: bool,
    pub(super) moved_away: u64,
}

impl Keeper {
    /// Goes on with these floating IPs. What is known of those that stay, stays.
    pub(super) fn keep(&mut self, cluster: &Cluster, clouds: Option<&Clouds>, now: Nanos) {
        let mut former = std::mem::take(&mut self.kept);
        for (group, settings) in cluster.groups.iter().enumerate() {
            let addresses = settings.resources.iter().filter_map(|resource| resource.cloud.as_ref());
            for ip in addresses.filter_map(|address| clouds?.get(address)) {
                let known = former.iter().position(|kept| kept.ip.address() == ip.address());
                let known = known.map(|index| former.swap_remove(index));
                let mut kept = known.unwrap_or_else(|| Kept::new(ip.clone(), group, now));
                kept.ip = ip.clone();
                kept.group = group;
                self.kept.push(kept);
            }
        }
        for gone in former {
            gone.asking.iter().for_each(AbortHandle::abort);
        }
    }

    /// What the next process is to know.
    pub(super) fn past(&self) -> Past {
        let text = |id: &InstanceId| id.as_str().to_owned();
        let kept = self.kept.iter().map(|kept| PastIp {
            address: kept.ip.address().to_string(),
            is_known: kept.settled.is_some(),
            owner: kept
                .settled
                .as_ref()
                .and_then(|owner| owner.instance.as_ref().map(text)),
            moved_away: kept.moved_away,
        });
        let instances = self.instances.iter();
        Past {
            kept: kept.collect(),
            instances: instances
                .map(|((kind, node), id)| (kind.name().to_owned(), *node, text(id)))
                .collect(),
        }
    }

    /// Goes on from what a former process knew. What is no id of anything is forgotten.
    pub(super) fn remember(&mut self, past: &Past) {
        for former in &past.kept {
            let is_it = |kept: &&mut Kept| kept.ip.address().to_string() == former.address;
            if let Some(kept) = self.kept.iter_mut().find(is_it) {
                kept.moved_away = former.moved_away;
                kept.settled = former.is_known.then(|| Owner {
                    instance: former.owner.as_deref().and_then(InstanceId::new),
                    is_changing: false,
                });
            }
        }
        let known = past
            .instances
            .iter()
            .filter_map(|(kind, node, id)| Some(((CloudKind::of(kind)?, *node), InstanceId::new(id)?)));
        self.instances.extend(known);
    }

    /// Breaks off all questions. They are asked again when they are due.
    pub(super) async fn rest(&mut self) {
        self.tasks.shutdown().await;
        self.witness = None;
        for kept in &mut self.kept {
            kept.asking = None;
        }
    }

    /// The nodes have other numbers now: which instance each is has to be seen again.
    pub(super) fn renumber(&mut self) {
        self.instances.clear();
    }

    /// When [`Keeper::ask`] is due.
    pub(super) fn deadline(&self) -> Option<Nanos> {
        let idle = self.kept.iter().filter(|kept| kept.asking.is_none());
        let witness = self.witness_due.filter(|_| self.witness.is_none());
        idle.map(|kept| kept.due).chain(witness).min()
    }

    /// Asks what is due. Who has a group now is for `holder` to say; when that changes it is asked at once.
    pub(super) fn ask(&mut self, now: Nanos, holder: impl Fn(usize) -> Holder) {
        for kept in &mut self.kept {
            let holder = holder(kept.group);
            if std::mem::replace(&mut kept.holder, holder) != holder {
                let soonest = kept.asked.map_or(now, |asked| asked.saturating_add(LEAST));
                let spared = kept.readiness.as_ref().map(|it| it.answered.saturating_add(spared(it)));
                let soonest = spared.map_or(soonest, |until| soonest.max(until));
                kept.due = kept.due.min(soonest);
            }
            if kept.asking.is_some() || kept.due > now {
                continue;
            }
            kept.asked = Some(now);
            let (ip, address) = (kept.ip.clone(), kept.ip.address().clone());
            kept.asking = Some(self.tasks.spawn(async move {
                let readiness = Box::new(ip.readiness().await);
                Seen::Ready { address, readiness }
            }));
        }
    }

    /// A node is silent, or none is: the witness is asked until it has answered, or for nothing any more.
    pub(super) fn witness(&mut self, is_needed: bool, answers: bool, now: Nanos) {
        if !is_needed || answers {
            self.witness_due = None;
            if let Some(asking) = self.witness.take().filter(|_| !is_needed) {
                asking.abort();
            }
            return;
        }
        if self.witness.is_some() || self.witness_due.is_some_and(|due| due > now) {
            return;
        }
        let witnesses = self.kept.iter().map(|kept| &kept.ip).filter(|ip| ip.settings().witness);
        let ips: Vec<FloatingIp> = witnesses.cloned().collect();
        self.witness = Some(self.tasks.spawn(question(ips)));
    }

    /// The next answer; never, while nothing was asked.
    pub(super) async fn next(&mut self) -> Seen {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(seen)) => return seen,
                // Nobody wants to know any more.
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                None => std::future::pending().await,
            }
        }
    }

    /// The witness was told of: it is asked again after a while, if it has not answered.
    pub(super) fn witnessed(&mut self, now: Nanos) {
        self.witness = None;
        self.witness_due = Some(now.saturating_add(nanos(AGAIN)));
    }

    /// Takes in what was learnt of one. If it is somebody else's although its group is here, and was so before: whose.
    pub(super) fn learn(
        &mut self,
        address: &CloudAddress,
        readiness: Box<Readiness>,
        nodes: impl Iterator<Item = usize>,
        is_whole: bool,
        now: Nanos,
    ) -> Option<(usize, Taker)> {
        let kept = self.kept.iter_mut().find(|kept| kept.ip.address() == address)?;
        kept.asking = None;
        kept.due = now.saturating_add(kept.pause(&readiness));
        let is_known = readiness.identity.is_ok();
        let owner = readiness.owner.as_ref().ok().filter(|_| is_known).cloned();
        let is_ours = readiness.is_ours();
        let spared = spared(&readiness);
        kept.readiness = Some(readiness);
        // What is unknown is never taken for "not ours", and what is being moved is nobody's yet.
        let Some(Owner {
            instance,
            is_changing: false,
        }) = owner
        else {
            return None;
        };
        let is_elsewhere = is_ours == Some(false);
        match kept.holder {
            Holder::Peer(node) if is_elsewhere => {
                if let Some(instance) = &instance {
                    self.instances.insert((address.kind, node), instance.clone());
                }
            }
            Holder::Us { since } if is_elsewhere && now.since(since) >= SETTLED => {
                if !std::mem::replace(&mut kept.is_suspect, true) {
                    kept.due = now.saturating_add(CONFIRM.max(spared));
                    return None;
                }
                kept.moved_away += 1;
                tracing::warn!(%address, owner = ?instance.as_ref().map(InstanceId::as_str), "belongs to another instance");
                return Some((kept.group, self.taker(address, instance.as_ref(), nodes)));
            }
            Holder::Us { .. } | Holder::Peer(_) | Holder::Nobody => {}
        }
        kept.is_suspect = false;
        if is_whole {
            kept.settled = Some(Owner {
                instance,
                is_changing: false,
            });
        }
        None
    }

    /// From whom each floating IP of a group may be taken: from who had it when all was well, or whom the dead node is known
    /// to be. Nothing is said of one of which nothing is known.
    pub(super) fn claims(&self, group: usize, dead: usize) -> Claims {
        let of_group = self
            .kept
            .iter()
            .filter(|kept| kept.group == group && kept.ip.settings().witness);
        let claims = of_group.filter_map(|kept| {
            let address = kept.ip.address();
            let known = self.instances.get(&(address.kind, dead));
            let settled = kept.settled.clone().map(|owner| owner.instance);
            let all: Vec<_> = settled.into_iter().chain(known.cloned().map(Some)).collect();
            (!all.is_empty()).then(|| (address.clone(), all))
        });
        claims.collect()
    }

    /// Whether one could be taken over, as of the last answer.
    pub(super) fn is_ready(&self, address: &CloudAddress) -> Option<bool> {
        let kept = self.kept.iter().find(|kept| kept.ip.address() == address)?;
        Some(kept.readiness.as_ref()?.is_ready())
    }

    pub(super) fn standings(&self) -> impl Iterator<Item = Standing<'_>> {
        self.kept.iter().map(|kept| Standing {
            address: kept.ip.address(),
            group: kept.group,
            readiness: kept.readiness.as_deref(),
            is_away: kept.is_suspect,
            moved_away: kept.moved_away,
        })
    }

    fn taker(&self, address: &CloudAddress, owner: Option<&InstanceId>, nodes: impl Iterator<Item = usize>) -> Taker {
        let Some(owner) = owner else {
            // It was taken away and given to nobody.
            return Taker::Other;
        };
        let mut are_all_known = true;
        for node in nodes {
            match self.instances.get(&(address.kind, node)) {
                Some(instance) if instance == owner => return Taker::Node(node),
                Some(_) => {}
                None => are_all_known = false,
            }
        }
        if are_all_known { Taker::Other } else { Taker::Unknown }
    }
}

impl Kept {
    fn new(ip: FloatingIp, group: usize, now: Nanos) -> Self {
        Self {
            ip,
            group,
            holder: Holder::Nobody,
            due: now,
            asked: None,
            asking: None,
            readiness: None,
            settled: None,
            is_suspect: false,
            moved_away: 0,
        }
    }

    /// How long it is left alone, so that the limit of requests is for those who need it.
    fn pause(&self, readiness: &Readiness) -> Nanos {
        let usual = nanos(self.ip.settings().verify_interval).max(LEAST);
        let is_scarce = readiness
            .rate_limit
            .is_some_and(|rate| rate.remaining < rate.limit / SPARING);
        let pause = if is_scarce {
            Nanos(usual.0.saturating_mul(SPARING))
        } else {
            usual
        };
        pause.max(spared(readiness))
    }
}

/// How long the API wants to be left alone.
fn spared(readiness: &Readiness) -> Nanos {
    readiness
        .retry_after()
        .map_or(Nanos(0), |wait| nanos(wait.min(LONGEST)))
}

/// Asks the witnesses whose the addresses are, until one answers or the time is over. A refusal is an answer: it was reached.
async fn question(ips: Vec<FloatingIp>) -> Seen {
    let begun = clock::now();
    let until = begun.saturating_add(nanos(WITNESS));
    let mut asked = begun;
    while !ips.is_empty() && clock::now() < until {
        asked = clock::now();
        for ip in &ips {
            let left = Duration::from_nanos(until.since(clock::now()).0);
            let has_answered = match tokio::time::timeout(left, ip.owner()).await {
                Ok(Ok(_)) => true,
                Ok(Err(failure)) => failure.without_effect(),
                Err(_) => false,
            };
            if has_answered {
                return Seen::Witness { asked, answers: true };
            }
        }
        clock::sleep(AGAIN).await;
    }
    Seen::Witness { asked, answers: false }
}

#[cfg(test)]
mod tests;
