//! A restart in place: `hb restart`. This process becomes another, perhaps of a newer version, and the same life goes on.
//!
//! Everything that can fail is tried before anything is given up: the configuration is read, the new program reads our state
//! and loads its XDP program, and all peers confirm that they wait. Then the pulse stops, and exec(2) follows.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use hb_ebpf::{Nanos, NodeId};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::handover::{self, Armed, Handover, Slot};
use super::reload::{self, Opened, ReloadError};
use super::{Daemon, Signals, parts, settings};
use crate::clock;
use crate::control::Reply;
use crate::core::Unready;
use crate::pulse::{Snapshot, keep};
use crate::resources::address::Hands;

/// What tells the new process where its state is: a descriptor.
pub const HANDOVER: &str = "--handover=";
/// What tells a new program to try whether it could go on from the state at its input.
pub const CHECK: &str = "--check-handover";
/// How long that may take.
const CHECKING: Duration = Duration::from_secs(10);
/// How long children that were killed may take to be gone.
const REAPING: Duration = Duration::from_millis(100);
/// The time that the writers of the log get.
const LOGGING: Duration = Duration::from_millis(5);

/// How this process was started, to be started again.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The program.
    pub program: PathBuf,
    /// Its name for itself, and all arguments.
    pub arguments: Vec<OsString>,
}

impl Invocation {
    /// Of this process, which may be an earlier invocation's restart.
    ///
    /// The path is the one that was called, if that is this program: it may be a link that a newer version will be behind.
    pub fn this() -> io::Result<Self> {
        let all: Vec<OsString> = std::env::args_os().collect();
        let own = std::env::current_exe()?;
        let is_this = |path: &PathBuf| {
            let id = |path: &PathBuf| std::fs::canonicalize(path).ok();
            path.is_absolute() && id(path).is_some_and(|path| Some(path) == id(&own))
        };
        let called = all.first().and_then(|name| called(name)).filter(is_this);
        Ok(Self {
            program: called.unwrap_or(own),
            arguments: all
                .into_iter()
                .filter(|argument| !argument.as_bytes().starts_with(HANDOVER.as_bytes()))
                .collect(),
        })
    }
}

/// The path behind a name that a program was called by.
fn called(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return std::path::absolute(name).ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

/// What is known when all peers have confirmed, or have not.
#[derive(Debug)]
struct Answer {
    lacking: Option<NodeId>,
    lease: Nanos,
}

/// A step that was waited for.
#[derive(Debug)]
pub(super) enum Step {
    Read(Box<Result<Opened, ReloadError>>),
    Checked(Result<(), String>),
}

/// The restart under way, and what is known of those before.
#[derive(Debug, Default)]
pub(super) struct Restart {
    is_under_way: bool,
    reply: Option<oneshot::Sender<Reply>>,
    task: JoinSet<Step>,
    answer: Option<Answer>,
    pub(super) past: Past,
}

/// What is known of the restarts of this life so far.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// How many there were.
    pub(super) count: u32,
    /// For how long no beat left, the last time.
    pub(super) silence: Option<Nanos>,
    /// Why nothing is pinned although it should be.
    pub(super) pins_refused: Option<String>,
}

impl Restart {
    pub(super) fn new(past: Past) -> Self {
        Self {
            past,
            ..Self::default()
        }
    }

    /// The next step to be done; never, while no restart is under way.
    pub(super) async fn next(&mut self) -> Step {
        match self.task.join_next().await {
            Some(Ok(step)) => step,
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => std::future::pending().await,
        }
    }

    /// What the pulse tells.
    pub(super) fn is_promised(&mut self, lacking: Option<NodeId>, lease: Nanos) {
        self.answer = Some(Answer { lacking, lease });
    }

    pub(super) fn has_answer(&self) -> bool {
        self.answer.is_some()
    }

    fn reply(&mut self, answer: Reply) {
        if let Some(reply) = self.reply.take() {
            // Who asked may have gone.
            let _ = reply.send(answer);
        }
    }
}

impl Daemon {
    /// Begins, or says why not. Who does not wait is answered at once.
    pub(super) fn begin_restart(&mut self, wait: bool, reply: oneshot::Sender<Reply>) {
        if let Some(why) = self.why_not_now() {
            // Who asked may have gone.
            let _ = reply.send(Reply::Refused { message: why });
            return;
        }
        tracing::info!("an operator orders a restart");
        self.restart.is_under_way = true;
        self.restart.reply = Some(reply);
        if !wait {
            let message = "the restart has begun: see `hb status`".to_owned();
            self.restart.reply(Reply::Done { message });
        }
        let place = self.place();
        let read = move || Step::Read(Box::new(reload::read(&place)));
        self.restart.task.spawn_blocking(read);
    }

    /// Does what follows from a step.
    pub(super) fn proceed(&mut self, step: Step) {
        let next = match step {
            Step::Read(loaded) => self.prepare(*loaded),
            Step::Checked(Ok(())) => self.announce(),
            Step::Checked(Err(why)) => Err(format!("the new program cannot go on from here: {why}")),
        };
        if let Err(why) = next {
            self.refuse_restart(&why);
        }
    }

    /// A restart under way is over, and nothing has happened.
    fn refuse_restart(&mut self, why: &str) {
        tracing::warn!(why, "no restart");
        self.restart.is_under_way = false;
        self.restart.reply(Reply::Refused {
            message: format!("no restart, hb goes on as before: {why}"),
        });
    }

    /// What has to be done first takes the way of a reload; what only a restart can change, the new process reads.
    fn prepare(&mut self, opened: Result<Opened, ReloadError>) -> Result<(), String> {
        let mut opened = opened.map_err(|error| crate::causes::causes(&error))?;
        let (new, old) = (&mut opened.loaded.cluster, &self.cluster);
        new.logging.clone_from(&old.logging);
        new.recorder.clone_from(&old.recorder);
        new.realtime.clone_from(&old.realtime);
        if opened.loaded.cluster != self.cluster {
            self.reload(opened).map_err(|error| crate::causes::causes(&error))?;
        }
        self.ensure_idle()?;
        let snapshot = self.pulse.snapshot(false).ok_or("the pulse thread does not answer")?;
        let state = self.state(snapshot).map_err(|error| error.to_string())?;
        let state = handover::sealed(&state).map_err(|error| format!("the state cannot be written: {error}"))?;
        let mut command = Command::new(&self.places.again.program);
        command
            .args(self.places.again.arguments.iter().skip(1))
            .arg(CHECK)
            .stdin(state)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let program = self.places.again.program.display().to_string();
        self.restart.task.spawn(async move {
            let checked = match timeout(CHECKING, command.output()).await {
                Ok(Ok(output)) if output.status.success() => Ok(()),
                Ok(Ok(output)) => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    let last = said.trim().lines().last().unwrap_or("it says nothing");
                    Err(format!("{program} {CHECK}: {}: {last}", output.status))
                }
                Ok(Err(error)) => Err(format!("{program}: {error}")),
                Err(_) => Err(format!("{program} {CHECK}: not done within {} s", CHECKING.as_secs())),
            };
            Step::Checked(checked)
        });
        Ok(())
    }

    fn announce(&mut self) -> Result<(), String> {
        self.ensure_idle()?;
        self.restart.answer = None;
        self.pulse.promise(settings::promise(&self.cluster));
        Ok(())
    }

    /// The peers have answered: becomes another process, or goes on as before.
    pub(super) async fn restart(&mut self, signals: &mut Signals) -> io::Result<()> {
        let Some(answer) = self.restart.answer.take() else {
            return Ok(());
        };
        if !self.restart.is_under_way {
            self.pulse.resume();
            return Ok(());
        }
        let done = self.hand_over(&answer, signals).await;
        release_signals()?;
        let Err(why) = done?;
        self.pulse.resume();
        self.refuse_restart(&why);
        Ok(())
    }

    /// Returns only if it goes on as before, and why.
    async fn hand_over(&mut self, answer: &Answer, signals: &mut Signals) -> io::Result<Result<Infallible, String>> {
        if let Err(why) = self.ensure_promised(answer).and_then(|()| self.ensure_idle()) {
            return Ok(Err(why));
        }
        tracing::info!(program = %self.places.again.program.display(), "restarting");
        // A signal that comes from here on waits until the new process listens, or this one does again.
        hold_signals()?;
        self.outside.rest().await;
        self.keeper.rest().await;
        reap().await;
        clock::sleep(LOGGING).await;
        if signals.have_come().await {
            return Ok(Err("a signal came".to_owned()));
        }
        let Some(snapshot) = self.pulse.snapshot(true) else {
            return Ok(Err("the pulse thread does not answer".to_owned()));
        };
        // What it has told before it stopped.
        self.hear()?;
        if let Err(why) = self.ensure_idle() {
            return Ok(Err(why));
        }
        let had_recorder = self.recorder.take().is_some();
        let result = self.become_another(snapshot);
        if had_recorder {
            self.recorder = parts::recorder(&self.cluster).unwrap_or_default();
        }
        Ok(result)
    }

    fn become_another(&mut self, snapshot: Snapshot) -> Result<Infallible, String> {
        let text = self.state(snapshot).map_err(|error| error.to_string())?;
        let state = handover::sealed(&text).map_err(|error| format!("the state cannot be written: {error}"))?;
        let again = &self.places.again;
        let bytes = |text: OsString| CString::new(text.into_vec()).map_err(|error| error.to_string());
        let program = bytes(again.program.clone().into_os_string())?;
        let mut arguments = again
            .arguments
            .iter()
            .cloned()
            .map(bytes)
            .collect::<Result<Vec<_>, _>>()?;
        arguments.push(bytes(format!("{HANDOVER}{}", state.as_raw_fd()).into())?);

        let kept = |is_kept| keep(&state, is_kept).and_then(|()| keep(self.lock.file(), is_kept));
        kept(true).map_err(|error| format!("the descriptors cannot be kept: {error}"))?;
        let Err(errno) = nix::unistd::execv(&program, &arguments);
        // Nothing depends on whether this succeeds: it undoes what was done a moment ago.
        let _ = kept(false);
        Err(format!("{}: {errno}", again.program.display()))
    }

    fn state(&self, pulse: Snapshot) -> serde_json::Result<String> {
        let handover = Handover {
            incarnation: self.incarnation,
            started: self.started,
            restarts: self.restart.past.count.saturating_add(1),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.node.clone(),
            nodes: self.cluster.nodes.clone(),
            groups: handover::groups(&self.cluster),
            built_in: Some(handover::built_in(&self.cluster)),
            slots: self.slots.iter().map(slot).collect(),
            next_slot: self.next_slot,
            attached: self
                .attached
                .iter()
                .map(|attached| (attached.interface.clone(), attached.mode.clone()))
                .collect(),
            last_takeover: self.report_takeover(),
            keeper: self.keeper.past(),
            addresses: self.works.hands().map(Hands::held).unwrap_or_default(),
            problems: self.problems.clone(),
            silences: self.silences.clone(),
            troubles: self.troubles.clone(),
            lock: self.lock.file().as_raw_fd(),
            watchdog: pulse
                .watchdog()
                .zip(self.cluster.watchdog.clone())
                .map(|(descriptor, device)| Armed { device, descriptor }),
            pulse,
        };
        handover.write(std::process::id(), &self.boot, clock::now())
    }

    /// Why this is no moment for a restart.
    fn why_not_now(&self) -> Option<String> {
        if self.restart.is_under_way {
            return Some("a restart is under way already".to_owned());
        }
        if self.orders.are_waited_for() {
            return Some("another order is being carried out: wait until that is done".to_owned());
        }
        self.ensure_idle().err()
    }

    /// What is under way could not go on in another process.
    fn ensure_idle(&self) -> Result<(), String> {
        match self.node.unready() {
            None => {}
            Some(Unready::Starting) => {
                return Err(
                    "hb has not settled with its peers yet: wait until `hb status` says that it has".to_owned(),
                );
            }
            Some(Unready::Leaving) => return Err("hb is leaving".to_owned()),
            Some(Unready::Doubt) => {
                return Err("this node was frozen, and listens first: wait a second".to_owned());
            }
            Some(Unready::Unheard(node)) => {
                let name = &self.cluster.nodes[node];
                return Err(format!("{name} does not say that it hears this node: wait a moment"));
            }
        }
        if self.works.are_at_work() {
            let is_moved = |index: &usize| self.node.group(*index).is_some_and(|group| group.state.is_moved());
            let group = (0..self.cluster.groups.len()).find(is_moved);
            let name = group.map_or_else(
                || "a former group".to_owned(),
                |index| self.cluster.groups[index].name(),
            );
            return Err(format!("{name} is being started or stopped: wait until that is done"));
        }
        if self.works.are_asking() {
            return Err(
                "a script is asked for its status before it may have to be started: wait until that is done".to_owned(),
            );
        }
        if let Some(what) = self.outside.at_work() {
            return Err(format!("{what}: wait until that is done"));
        }
        if self.reading.is_reading() {
            return Err("the configuration is being read".to_owned());
        }
        Ok(())
    }

    fn ensure_promised(&self, answer: &Answer) -> Result<(), String> {
        if let Some(peer) = answer.lacking {
            return Err(format!(
                "{} has not confirmed within deadtime that it will wait",
                self.name(peer)
            ));
        }
        let node = self.node.settings();
        let needed = settings::promise(&self.cluster).since(node.deadtime.saturating_add(node.interval));
        let holds = self.node.advert().holds();
        if holds && node.is_leased() && answer.lease < clock::now().saturating_add(needed) {
            return Err(
                "no peer is up to wait for this node, and what ping nodes answer lasts less than deadtime".to_owned(),
            );
        }
        Ok(())
    }
}

fn slot((link, slot): &((usize, std::net::IpAddr), u32)) -> Slot {
    Slot {
        node: link.0,
        address: link.1,
        place: *slot,
    }
}

/// Those that the daemon listens for.
fn signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect()
}

/// Lets the daemon's signals wait, as far as this thread and those that it starts are concerned.
pub fn hold_signals() -> io::Result<()> {
    Ok(signals().thread_block()?)
}

/// Lets this thread have them, those that have waited first.
pub(super) fn release_signals() -> io::Result<()> {
    Ok(signals().thread_unblock()?)
}

/// Collects children that have ended: in another process nobody would know them.
async fn reap() {
    let until = clock::now().saturating_add(settings::nanos(REAPING));
    while clock::now() < until {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return,
            Ok(WaitStatus::StillAlive) => clock::sleep(LOGGING).await,
            Ok(_) | Err(_) => {}
        }
    }
}
