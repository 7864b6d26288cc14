//! Scripts at work: one task a group at most, groups side by side.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::inquiry::Inquiry;
use super::reload::Change;
use crate::config::{AutoFailback, Cluster, Facility};
use crate::core::{Carry, Outcome};
use crate::process::{Abort, Aborter, abortable};
use crate::realtime;
use crate::resources::address::{self, Hands, HandsError, Held};
use crate::resources::cloud::{CloudError, Clouds};
use crate::resources::environment::{self, Facts};
use crate::resources::group::{self, Claims, Context, GroupReport, GroupResult, GroupScripts};
use crate::resources::scripts::ScriptDirs;

/// Where init scripts are.
const INIT_D: &str = "/etc/init.d";

/// What is done with a group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Task {
    Acquire {
        reassert: bool,
    },
    Release,
    /// The group is in the configuration no more.
    Drop,
}

impl Task {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Acquire { reassert: false } => "acquiring",
            Self::Acquire { reassert: true } => "asserting again",
            Self::Release => "releasing",
            Self::Drop => "dropping",
        }
    }
}

/// What is known, when a task begins, of others that may have something of the group.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// No other node has anything of it: the one that had it was fenced.
    pub(super) is_certain: bool,
    /// From whom floating IPs are taken.
    pub(super) claims: Claims,
}

/// A task that has ended.
#[derive(Debug)]
pub(super) struct Finished {
    /// The group's name.
    pub(super) group: String,
    /// The core's number of it; of a dropped group it has none.
    pub(super) work: Option<u32>,
    pub(super) task: Task,
    pub(super) report: GroupReport,
}

/// A task under way: how to break it off, and what tells its end.
#[derive(Debug)]
struct UnderWay {
    aborter: Aborter,
    ended: oneshot::Receiver<()>,
}

#[derive(Debug)]
struct Slot {
    scripts: Arc<GroupScripts>,
    /// What still may run, when the configuration has changed.
    former: Option<Arc<GroupScripts>>,
    under_way: Option<UnderWay>,
    /// What the group's first script says, while the group may have to be started here next.
    inquiry: Option<Inquiry>,
}

impl Slot {
    fn name(&self) -> String {
        self.scripts
            .resources
            .first()
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

/// The tasks under way.
#[derive(Debug)]
pub(super) struct Works {
    slots: Vec<Slot>,
    alone: Arc<Context>,
    together: Arc<Context>,
    tasks: JoinSet<Finished>,
    /// How many groups are being dropped. They may share resources with one that is new.
    dropping: watch::Sender<usize>,
    movers: Movers,
}

/// What moves what is moved without a script.
#[derive(Clone, Debug, Default)]
pub(super) struct Movers {
    /// Addresses, since there were any.
    pub(super) hands: Option<Hands>,
    /// Floating IPs, where there are any.
    pub(super) clouds: Option<Clouds>,
}

impl Works {
    pub(super) fn new(cluster: &Cluster, movers: Movers) -> Self {
        let slots = cluster.groups.iter().map(|group| Slot {
            scripts: scripts(group),
            former: None,
            under_way: None,
            inquiry: None,
        });
        Self {
            slots: slots.collect(),
            alone: Arc::new(context(cluster, true, &movers)),
            together: Arc::new(context(cluster, false, &movers)),
            tasks: JoinSet::new(),
            dropping: watch::Sender::new(0),
            movers,
        }
    }

    /// What moves addresses, if a configuration had any.
    pub(super) fn hands(&self) -> Option<&Hands> {
        self.movers.hands.as_ref()
    }

    /// What moves floating IPs, where there are any.
    pub(super) fn clouds(&self) -> Option<&Clouds> {
        self.movers.clouds.as_ref()
    }

    /// The scripts of a group.
    pub(super) fn scripts(&self, group: usize) -> Option<Arc<GroupScripts>> {
        self.slots.get(group).map(|slot| slot.scripts.clone())
    }

    /// How scripts are called now.
    pub(super) fn context(&self, alone: bool) -> Arc<Context> {
        if alone {
            self.alone.clone()
        } else {
            self.together.clone()
        }
    }

    /// Begins a task. What is known of others that may have the group is for who begins it to say. One of the same group that is under way is broken off, and known dead before this one begins.
    pub(super) fn begin(&mut self, group: usize, work: Option<u32>, task: Task, alone: bool, known: Known) {
        let context = match self.context(alone) {
            context if known.is_certain || !known.claims.is_empty() => Arc::new(Context {
                is_certain: known.is_certain,
                claims: known.claims,
                ..(*context).clone()
            }),
            context => context,
        };
        let Some(slot) = self.slots.get_mut(group) else { return };
        let name = slot.name();
        let scripts = match task {
            Task::Acquire { .. } => {
                slot.former = None;
                slot.scripts.clone()
            }
            Task::Release | Task::Drop => slot.former.clone().unwrap_or_else(|| slot.scripts.clone()),
        };
        let inquiry = slot.inquiry.take();
        self.dropping
            .send_modify(|count| *count += usize::from(task == Task::Drop));
        let mut dropping = self.dropping.subscribe();
        let before = slot.under_way.take();
        let (aborter, abort) = abortable();
        let (end, ended) = oneshot::channel();
        slot.under_way = Some(UnderWay { aborter, ended });
        self.tasks.spawn(async move {
            if let Some(before) = before {
                before.aborter.abort();
                // It fails when the sender is dropped, which is what tells the end.
                let _ = before.ended.await;
            }
            if let Task::Acquire { .. } = task {
                tokio::select! {
                    // The sender lives as long as the daemon.
                    _ = dropping.wait_for(|count| *count == 0) => {}
                    () = abort.given() => {}
                }
            }
            let report = run(task, &scripts, &context, inquiry, &abort).await;
            drop(end);
            Finished {
                group: name,
                work,
                task,
                report,
            }
        });
    }

    /// Asks a group's first script when it may have to be started here next, so that its start need not.
    pub(super) fn inquire(&mut self, group: usize, is_coming: bool, alone: bool) {
        // What is being dropped may be the same resource: its answer would be about what is about to end.
        let is_coming = is_coming && !self.is_dropping();
        let context = self.context(alone);
        let Some(slot) = self.slots.get_mut(group) else { return };
        match &slot.inquiry {
            Some(inquiry) if !is_coming => {
                inquiry.give_up();
                // While its script is dying, what comes next has to wait for it.
                slot.inquiry.take_if(|inquiry| !inquiry.is_under_way());
            }
            None if is_coming => slot.inquiry = Some(Inquiry::begin(slot.scripts.clone(), context)),
            Some(_) | None => {}
        }
    }

    /// Another node has a group that has not run here in this life: of what is moved without a script nothing may be left here.
    pub(super) fn tidy(&self, group: usize) {
        let (Some(hands), Some(slot)) = (&self.movers.hands, self.slots.get(group)) else {
            return;
        };
        let addresses = slot
            .scripts
            .resources
            .iter()
            .filter_map(|resource| resource.address.clone());
        let (hands, addresses): (_, Vec<_>) = (hands.clone(), addresses.collect());
        let limit = self.alone.limit;
        tokio::spawn(async move {
            for address in addresses {
                hands.tidy(&address, limit).await;
            }
        });
    }

    /// Whether a script is asked that may have to be started next.
    pub(super) fn are_asking(&self) -> bool {
        let inquiries = self.slots.iter().filter_map(|slot| slot.inquiry.as_ref());
        { inquiries }.any(Inquiry::is_under_way)
    }

    /// Whether scripts are at work.
    pub(super) fn are_at_work(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Whether a group that was dropped is still being stopped: it must not come back before.
    pub(super) fn is_dropping(&self) -> bool {
        *self.dropping.borrow() > 0
    }

    /// The next task to end; never, while there is none.
    pub(super) async fn next(&mut self) -> Finished {
        match self.tasks.join_next().await {
            Some(Ok(finished)) => {
                self.dropping
                    .send_modify(|count| *count -= usize::from(finished.task == Task::Drop));
                finished
            }
            // Tasks are not cancelled, and one that panics ends the daemon: it is better dead than wrong.
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => std::future::pending().await,
        }
    }

    /// Drops these groups, and goes on with the configuration as it is now. Tasks under way go on.
    pub(super) fn reconfigure(
        &mut self,
        cluster: &Cluster,
        change: &Change,
        dropped: &[usize],
        alone: bool,
        movers: Movers,
    ) {
        for group in dropped {
            self.begin(*group, None, Task::Drop, alone, Known::default());
        }
        let mut before: Vec<Option<Slot>> = std::mem::take(&mut self.slots).into_iter().map(Some).collect();
        let mut take = |from: usize| before.get_mut(from).and_then(Option::take);
        for (group, carry) in cluster.groups.iter().zip(&change.groups) {
            let (old, has_changed) = match carry {
                Carry::New => (None, false),
                Carry::Kept(from) => (take(*from), false),
                Carry::Changed(from) => (take(*from), true),
            };
            let (former, under_way, inquiry) = old.map_or((None, None, None), |old| {
                if let Some(inquiry) = &old.inquiry {
                    inquiry.give_up();
                }
                let former = old.former.or(Some(old.scripts).filter(|_| has_changed));
                (former, old.under_way, old.inquiry)
            });
            self.slots.push(Slot {
                scripts: scripts(group),
                former,
                under_way,
                inquiry,
            });
        }
        self.alone = Arc::new(context(cluster, true, &movers));
        self.together = Arc::new(context(cluster, false, &movers));
        self.movers = movers;
    }

    /// Goes on with floating IPs whose tokens were read again.
    pub(super) fn renew(&mut self, cluster: &Cluster, clouds: Option<Clouds>) {
        self.movers.clouds = clouds;
        self.alone = Arc::new(context(cluster, true, &self.movers));
        self.together = Arc::new(context(cluster, false, &self.movers));
    }
}

/// What moves the addresses of a configuration, if it has any: the thread that there is, which nothing happens to yet, or
/// a new one.
pub(super) fn hands(cluster: &Cluster, running: Option<&Hands>) -> Result<Option<Hands>, HandsError> {
    match running {
        Some(hands) => Ok(Some(hands.clone())),
        None if address::of(cluster).is_empty() => Ok(None),
        None => Hands::start(realtime::hands(&cluster.realtime), &cluster.addresses).map(Some),
    }
}

/// Goes on as a configuration says, with everything made ready. What a former process has added is here.
pub(super) fn look_after(hands: Option<&Hands>, cluster: &Cluster, held: Vec<Held>) {
    let Some(hands) = hands else { return };
    hands.fear_freezes(cluster.timers.deadtime);
    hands.adopt(held);
    hands.configure(&cluster.addresses, address::of(cluster));
}

/// What moves the floating IPs of a configuration, if it has any. Accounts are opened anew, since a token may have changed;
/// the thread is the one that there is.
pub(super) fn clouds(cluster: &Cluster, running: Option<&Clouds>) -> Result<Option<Clouds>, CloudError> {
    Clouds::open(cluster, realtime::cloud(&cluster.realtime), running)
}

async fn run(
    task: Task,
    scripts: &GroupScripts,
    context: &Context,
    inquiry: Option<Inquiry>,
    abort: &Abort,
) -> GroupReport {
    match task {
        Task::Acquire { reassert } => {
            let asked = match inquiry {
                Some(inquiry) if !reassert => inquiry.answer(abort).await,
                Some(inquiry) => {
                    inquiry.end().await;
                    None
                }
                None => None,
            };
            group::acquire(scripts, context, reassert, asked, abort).await
        }
        Task::Release | Task::Drop => {
            if let Some(inquiry) = inquiry {
                inquiry.end().await;
            }
            group::release(scripts, context).await
        }
    }
}

fn scripts(group: &crate::config::Group) -> Arc<GroupScripts> {
    Arc::new(GroupScripts {
        resources: group.resources.clone(),
    })
}

fn context(cluster: &Cluster, alone: bool, movers: &Movers) -> Context {
    let logfile = cluster.logging.logfile.as_ref().map(|path| path.display().to_string());
    let env = environment::variables(&Facts {
        me: &cluster.nodes[cluster.me],
        dir: &cluster.dir,
        logfile: logfile.as_deref(),
        debugfile: None,
        logfacility: cluster.logging.facility.map(Facility::name),
        legacy_failback: cluster.auto_failback == AutoFailback::Legacy,
        alone,
        directives: &cluster.directives,
    });
    let dirs = ScriptDirs {
        resource_d: cluster.dir.join("resource.d"),
        init_d: INIT_D.into(),
    };
    Context {
        passed: cluster.scripts.pass_env.clone(),
        stop_retries: cluster.scripts.stop_retries,
        stop_pause: cluster.scripts.stop_pause,
        hands: movers.hands.clone(),
        clouds: movers.clouds.clone(),
        ..Context::new(dirs, env, cluster.scripts.timeout)
    }
}

/// What the core and the status make of a result. Of a task that was broken off the core wants to know nothing.
pub(super) fn outcome(result: &GroupResult) -> Option<(Outcome, Option<String>)> {
    match result {
        GroupResult::Done => Some((Outcome::Done, None)),
        GroupResult::Failed { resource, reason } => Some((Outcome::Failed, Some(format!("{resource}: {reason}")))),
        GroupResult::Stuck { resource, reason } => Some((Outcome::Stuck, Some(format!("{resource}: {reason}")))),
        GroupResult::Aborted => None,
    }
}
