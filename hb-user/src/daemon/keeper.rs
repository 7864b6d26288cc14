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
use crate::core::{Deed, Finding, Holder, Lost, Outlook, Patience, Reading, Taker, taker};
use crate::resources::cloud::{Clouds, FloatingIp, Owner, Readiness};
use crate::resources::group::Claims;

/// How long what an API says is given to become true.
const PATIENCE: Patience = Patience {
    confirm: Nanos::from_millis(1_000),
    settle: Nanos::from_millis(10_000),
    detach: Nanos::from_millis(10_000),
};
/// Where an API is about to refuse us, it is left alone for so many times as long.
const SPARING: u64 = 10;
/// What fails for a reason that passes is asked again after this, at the latest: an alarm hangs on it, and perhaps a failback.
const SOON: Nanos = Nanos::from_millis(5_000);
/// The first question may come at once, others only so long after the last.
const LEAST: Nanos = Nanos::from_millis(1_000);
/// However long an API wants to be left alone, it is asked again after this: limits of requests are by the hour at the longest.
const LONGEST: Duration = Duration::from_hours(1);
/// How long the provider, as a witness, has for an answer.
const WITNESS: Duration = Duration::from_secs(3);
/// While it says nothing it is asked anew so often: a connection that is dead takes longer to be known for it than all the time
/// there is.
const ANEW: Duration = Duration::from_secs(1);
/// And so long after a question that came to nothing.
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
    /// Whose it was when provider and cluster last agreed.
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
    /// When the next one is due.
    witness_due: Option<Nanos>,
    /// Until when there is none, since the last one was answered, or given up.
    witness_rests: Nanos,
}

#[derive(Debug)]
struct Kept {
    ip: FloatingIp,
    group: usize,
    /// How often it is asked for.
    interval: Nanos,
    /// How often it may be.
    least: Nanos,
    deed: Deed<InstanceId>,
    due: Nanos,
    asked: Option<Nanos>,
    asking: Option<AbortHandle>,
    readiness: Option<Box<Readiness>>,
    moved_away: u64,
    /// That it has moved away is in the number.
    is_counted: bool,
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
    /// Goes on with these floating IPs. What is known of those that stay, stays. Their accounts are new, and the connections cold:
    /// each is asked about at once.
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
                kept.interval = nanos(cluster.verify_interval(ip.settings())).max(LEAST);
                kept.least = nanos(cluster.least_verify_interval(ip.address().kind));
                kept.asking.take().inspect(AbortHandle::abort);
                kept.due = kept.spared().max(now);
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
            owner: kept.deed.agreed().map(text),
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
    pub(super) fn remember(&mut self, past: &Past, now: Nanos) {
        for former in &past.kept {
            let is_it = |kept: &&mut Kept| kept.ip.address().to_string() == former.address;
            if let Some(kept) = self.kept.iter_mut().find(is_it) {
                kept.moved_away = former.moved_away;
                kept.deed = Deed::known(former.owner.as_deref().and_then(InstanceId::new), PATIENCE, now);
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
            if kept
                .deed
                .held_by(holder(kept.group), kept.ip.known_identity().as_ref(), now)
            {
                let soonest = kept.asked.map_or(now, |asked| asked.saturating_add(LEAST));
                kept.due = kept.due.min(soonest.max(kept.spared()));
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

    /// The witness is asked when that is due; where it never is, what is under way is for nothing.
    pub(super) fn witness(&mut self, due: Option<Nanos>, now: Nanos) {
        self.witness_due = due.map(|due| due.max(self.witness_rests));
        let Some(due) = self.witness_due else {
            self.witness.take().inspect(AbortHandle::abort);
            return;
        };
        if self.witness.is_some() || due > now {
            return;
        }
        // One of each provider's: to be answered for one is to be answered.
        let mut witnesses: HashMap<CloudKind, FloatingIp> = HashMap::new();
        for ip in self.kept.iter().map(|kept| &kept.ip).filter(|ip| ip.settings().witness) {
            witnesses.entry(ip.address().kind).or_insert_with(|| ip.clone());
        }
        self.witness = Some(self.tasks.spawn(question(witnesses.into_values().collect())));
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

    /// The witness was told of: it is asked again after a while, if that is due.
    pub(super) fn witnessed(&mut self, now: Nanos) {
        self.witness = None;
        self.witness_rests = now.saturating_add(nanos(AGAIN));
    }

    /// Takes in what was learnt of one. If it is somebody else's although its group is here, and was so before: whose.
    /// `nodes`: the others, and whether each is lost.
    pub(super) fn learn(
        &mut self,
        address: &CloudAddress,
        readiness: Box<Readiness>,
        nodes: &[(usize, bool)],
        now: Nanos,
    ) -> Option<(usize, Taker)> {
        let kept = self.kept.iter_mut().find(|kept| kept.ip.address() == address)?;
        kept.asking = None;
        kept.due = now.saturating_add(kept.pause(&readiness));
        let spared = spared(&readiness);
        let readiness = kept.readiness.insert(readiness);
        // What is unknown is never taken for "not ours", and what is being moved is nobody's yet. Nor is it known whose it is while the
        // API shows nobody and the metadata service says that it is active here: the token may not be good for seeing us.
        let (
            Some(me),
            Ok(Owner {
                instance,
                is_changing: false,
            }),
        ) = (&readiness.me, &readiness.owner)
        else {
            return None;
        };
        let owner = instance.as_ref();
        if owner.is_none() && readiness.is_active == Some(true) {
            return None;
        }
        let reading = Reading {
            asked: readiness.asked,
            me,
            owner,
        };
        let is_any_lost = nodes.iter().any(|(_, is_lost)| *is_lost);
        let finding = kept.deed.read(&reading, is_any_lost, now);
        if let Some((node, instance)) = kept.deed.shown() {
            self.instances.insert((address.kind, node), instance.clone());
        }
        kept.is_counted &= kept.deed.is_away();
        match finding {
            Finding::Fine => None,
            Finding::Suspect => {
                kept.due = now.saturating_add(PATIENCE.confirm.max(spared));
                None
            }
            Finding::Moved => {
                if !kept.is_counted {
                    kept.is_counted = true;
                    kept.moved_away += 1;
                    tracing::warn!(%address, owner = ?owner.map(InstanceId::as_str), "belongs to another instance");
                }
                let instances = nodes
                    .iter()
                    .map(|(node, _)| (*node, self.instances.get(&(address.kind, *node))));
                Some((kept.group, taker(owner, instances)))
            }
        }
    }

    /// From whom each floating IP of a group may be taken, as nodes are lost: those, and whether each had the group by its
    /// last word. Nothing is said of one of which too little is known.
    pub(super) fn claims(&self, group: usize, lost: &[(usize, bool)], is_taken_back: bool) -> Claims {
        let of_group = self
            .kept
            .iter()
            .filter(|kept| kept.group == group && kept.ip.settings().witness);
        let claims = of_group.filter_map(|kept| {
            let address = kept.ip.address();
            let lost = lost.iter().map(|(node, held)| Lost {
                instance: self.instances.get(&(address.kind, *node)),
                held: *held,
            });
            let all = kept.deed.claims(lost, is_taken_back)?;
            Some((address.clone(), all.into_iter().map(Some).collect()))
        });
        claims.collect()
    }

    /// Whether one could be taken over, as of the last answer.
    pub(super) fn is_ready(&self, address: &CloudAddress) -> Option<bool> {
        let kept = self.kept.iter().find(|kept| kept.ip.address() == address)?;
        Some(kept.readiness.as_ref()?.is_ready())
    }

    /// Whether a group's floating IPs could all be taken over, as of the last answers.
    pub(super) fn outlook(&self, group: usize) -> Outlook {
        let of_group = self.kept.iter().filter(|kept| kept.group == group);
        of_group.fold(Outlook::Ready, |all, kept| {
            match (all, kept.readiness.as_ref().map(|it| it.is_ready())) {
                (Outlook::Unready, _) | (_, Some(false)) => Outlook::Unready,
                (Outlook::Unknown, _) | (_, None) => Outlook::Unknown,
                (Outlook::Ready, Some(true)) => Outlook::Ready,
            }
        })
    }

    pub(super) fn standings(&self) -> impl Iterator<Item = Standing<'_>> {
        self.kept.iter().map(|kept| Standing {
            address: kept.ip.address(),
            group: kept.group,
            readiness: kept.readiness.as_deref(),
            is_away: kept.deed.is_away(),
            moved_away: kept.moved_away,
        })
    }
}

impl Kept {
    fn new(ip: FloatingIp, group: usize, now: Nanos) -> Self {
        Self {
            interval: nanos(ip.settings().verify_interval).max(LEAST),
            least: Nanos(0),
            ip,
            group,
            deed: Deed::new(PATIENCE, now),
            due: now,
            asked: None,
            asking: None,
            readiness: None,
            moved_away: 0,
            is_counted: false,
        }
    }

    /// Until when the API wants to be left alone.
    fn spared(&self) -> Nanos {
        let readiness = self.readiness.as_ref();
        readiness.map_or(Nanos(0), |it| it.answered.saturating_add(spared(it)))
    }

    /// How long it is left alone, so that the limit of requests is for those who need it.
    fn pause(&self, readiness: &Readiness) -> Nanos {
        let usual = self.interval;
        let is_scarce = readiness
            .rate_limit
            .is_some_and(|rate| rate.remaining < rate.limit / SPARING);
        let pause = if is_scarce {
            Nanos(usual.0.saturating_mul(SPARING))
        } else if readiness.may_pass() {
            usual.min(SOON.max(self.least))
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

/// Asks the witnesses, all at once, again and again, until one answers or the time is over. A question that hangs holds up none
/// after it: where the connection that is kept is dead and busy, the next one is asked by another (as HTTP/1.1 has it).
async fn question(ips: Vec<FloatingIp>) -> Seen {
    let begun = clock::now();
    let silent = Seen::Witness {
        asked: begun,
        answers: false,
    };
    if ips.is_empty() {
        return silent;
    }
    let answer = async {
        let mut pending = JoinSet::new();
        loop {
            let asked = clock::now();
            for ip in &ips {
                let ip = ip.clone();
                pending.spawn(async move { ip.answers().await.then_some(asked) });
            }
            match tokio::time::timeout(ANEW, first(&mut pending)).await {
                Ok(Some(asked)) => return asked,
                // An API that fails at once is not asked more often than one that says nothing.
                Ok(None) => clock::sleep_until(Some(asked.saturating_add(nanos(ANEW)))).await,
                Err(_none_yet) => {}
            }
        }
    };
    tokio::time::timeout(WITNESS, answer)
        .await
        .map_or(silent, |asked| Seen::Witness { asked, answers: true })
}

/// When the first question that is answered was asked; `None` when all have failed.
async fn first(pending: &mut JoinSet<Option<Nanos>>) -> Option<Nanos> {
    while let Some(ended) = pending.join_next().await {
        if let Ok(Some(asked)) = ended {
            return Some(asked);
        }
    }
    None
}

#[cfg(test)]
mod tests;
