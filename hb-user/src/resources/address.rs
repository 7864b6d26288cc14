//! Local addresses, moved without a script: `IPaddr::192.0.2.10`, `IPv6addr::2001:db8::10/64/eth0`.
//!
//! A thread of its own does it, of a real-time class, so that a busy host does not keep an address from moving: `hb-hands`.
//! It sends messages that were made ready when the configuration was read (or, where the interface was not there then, has
//! another Ethernet address or was made anew since, before the order is given), and tells the neighbours.

mod book;
mod ears;
mod frame;
mod interface;
mod kept;
mod message;
mod netlink;
mod order;
mod plan;
mod thread;
mod tidy;
mod upkeep;
mod worker;

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

pub use book::{Findings, Held, Probe, Quiet, Standing, Twin};
pub use plan::Plan;

use self::book::Book;
use self::interface::Interface;
use self::message::Prepared;
use self::netlink::Refusal;
use self::order::{Answer, Task};
use self::thread::{Thread, Unanswered};
use super::scripts::{Finished, Operation, Outcome};
use crate::clock;
use crate::config::{Address, Addresses, Cluster, ConflictPolicy};
use crate::realtime::{Granted, Wanted};

/// So many addresses are looked after.
const MOST: usize = 256;
/// How much longer than its limit an order's answer is waited for: the thread itself says that it has come too late.
const GRACE: Duration = Duration::from_millis(100);

/// Moves addresses, and looks after those that are here. Clones share the thread.
#[derive(Clone, Debug)]
pub struct Hands(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    thread: Thread,
    shared: Arc<Shared>,
    checks: Mutex<Option<AbortHandle>>,
}

/// What is shared with those who hear of others that use an address.
#[derive(Debug, Default)]
struct Shared {
    book: Mutex<Book>,
    /// Something was heard.
    heard: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Debug)]
struct Ready {
    plan: Plan,
    interface: Interface,
    prepared: Prepared,
}

/// The thread cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the thread that moves addresses (it needs CAP_NET_ADMIN and CAP_NET_RAW)")]
pub struct HandsError(#[from] io::Error);

/// Why an address has no place on this host now.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It says nothing of an interface, and no network of this host contains it.
    #[error(
        "no interface of this host is in a network that contains {0}: name one in haresources ({0}/BITS/INTERFACE)"
    )]
    NoNetwork(IpAddr),
    /// The interface does not exist.
    #[error("this host has no interface {0}: create it, or name another one in haresources")]
    NoInterface(String),
    /// The interface is switched off.
    #[error("the interface {0} is down: `ip link set {0} up`")]
    Down(String),
    /// The kernel would not tell.
    #[error("cannot read {what}")]
    Unreadable {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl PlaceError {
    /// Whether an address that has no place for this reason cannot be here.
    fn means_absent(&self) -> bool {
        match self {
            Self::NoNetwork(_) | Self::NoInterface(_) => true,
            Self::Down(_) | Self::Unreadable { .. } => false,
        }
    }
}

impl Hands {
    /// Starts the thread. Needs the runtime.
    pub fn start(wanted: Wanted, settings: &Addresses) -> Result<Self, HandsError> {
        let shared = Arc::new(Shared::default());
        let listener = shared.clone();
        let hands = Self(Arc::new(Inner {
            thread: Thread::start(wanted, move |news| upkeep::told(&listener, news))?,
            shared,
            checks: Mutex::default(),
        }));
        hands.set(settings);
        Ok(hands)
    }

    /// What the kernel granted the thread.
    #[must_use]
    pub fn granted(&self) -> &Granted {
        &self.0.thread.granted
    }

    /// Goes on with these settings and these addresses: makes everything ready, beside what else is done, and warns of those
    /// that have no place now. They are tried again when they are needed.
    pub fn configure(&self, settings: &Addresses, addresses: Vec<Address>) {
        if addresses.len() > MOST {
            tracing::warn!(
                count = addresses.len(),
                "more than {MOST} addresses: the others are moved, and not looked after"
            );
        }
        let has_changed = self.lock().settings != *settings;
        if has_changed {
            self.set(settings);
        }
        {
            let mut book = self.lock();
            book.retain(&addresses);
            for address in &addresses {
                book.entry(address);
            }
        }
        let hands = self.clone();
        // A routing table may be long.
        tokio::task::spawn_blocking(move || {
            for address in addresses {
                hands.make_ready(&address);
            }
            if has_changed {
                hands.keep_all();
            }
        });
    }

    /// What a former process of this daemon has added is here, and is looked after from now on.
    pub fn adopt(&self, held: Vec<Held>) {
        for Held { address, plan } in held {
            self.lock().entry(&address).used = Some(plan);
        }
        let hands = self.clone();
        tokio::task::spawn_blocking(move || hands.keep_all());
    }

    /// What was added, and where.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.lock().used()
    }

    /// Whether nothing is to be touched: what is missing is not put back then.
    pub fn rest(&self, is_resting: bool) {
        self.lock().is_resting = is_resting;
    }

    /// How all addresses stand.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.lock().standings(clock::now())
    }

    /// Adds, removes or looks for an address, in the way of a script that is called. Where nobody can have it (`is_certain`)
    /// nobody is asked for it.
    ///
    /// Dropping the future does not take the order back: a later one is carried out after it.
    pub async fn call(&self, address: &Address, operation: Operation, limit: Duration, is_certain: bool) -> Finished {
        let begun = clock::now();
        let result = self.carry_out(address, operation, limit, is_certain).await;
        let (started, ended) = match &result {
            Ok(Some(answer)) => (answer.started, answer.ended),
            Ok(None) | Err(_) => (begun, clock::now()),
        };
        let (outcome, was_here) = match result {
            Ok(Some(answer)) => (Outcome::Done, answer.was_here.unwrap_or_default()),
            Ok(None) => (Outcome::Done, false),
            Err(reason) => (Outcome::Failed(reason), false),
        };
        let is_absent = operation == Operation::Status && outcome == Outcome::Done && !was_here;
        Finished {
            outcome,
            started,
            ended,
            says_running: was_here,
            output_tail: if is_absent {
                "the address is not here".to_owned()
            } else {
                String::new()
            },
        }
    }

    /// `None` where there was nothing to be done.
    async fn carry_out(
        &self,
        address: &Address,
        operation: Operation,
        limit: Duration,
        is_certain: bool,
    ) -> Result<Option<Answer>, String> {
        let strays = if operation == Operation::Stop {
            self.leave_renamed(address, limit).await?
        } else {
            None
        };
        let ready = match self.ready(address).await {
            Ok(ready) => ready,
            Err(error) if operation != Operation::Start && error.means_absent() => {
                if operation == Operation::Stop {
                    self.mark(address, None);
                }
                return Ok(strays);
            }
            Err(error) => return Err(crate::causes::causes(&error)),
        };
        let answer = match operation {
            Operation::Start => self.add(address, &ready, limit, is_certain).await?,
            Operation::Stop => self.order(address, Task::Remove, &ready, limit).await?,
            Operation::Status => self.order(address, Task::Look, &ready, limit).await?,
        };
        let plan = &ready.plan;
        self.note_announced(address, plan, &answer);
        if let Some(errno) = answer.unheard {
            upkeep::tell_deaf(address, errno);
        }
        match answer.was_here {
            Ok(was_here) => {
                if operation == Operation::Stop {
                    self.mark(address, None);
                }
                tracing::debug!(address = %plan.ip, interface = plan.interface, %operation, was_here, "done");
                Ok(Some(answer))
            }
            Err(refusal) if refusal.errno == Errno::ETIMEDOUT => Err(late(limit)),
            Err(refusal) => Err(explain(plan, &refusal)),
        }
    }

    /// Removes it from the interface to which it was added, if that has another name by now: its number tells. What was
    /// done, if it was anything.
    async fn leave_renamed(&self, address: &Address, limit: Duration) -> Result<Option<Answer>, String> {
        let added = {
            let mut book = self.lock();
            let entry = book.entry(address);
            let ready = entry.ready.clone();
            ready.filter(|ready| entry.used.as_ref() == Some(&ready.plan))
        };
        let Some(added) = added else { return Ok(None) };
        let name = &added.plan.interface;
        match look(name) {
            Ok(interface) if interface.index == added.interface.index => return Ok(None),
            Err(PlaceError::NoInterface(_)) | Ok(_) => {}
            Err(_) => return Ok(None),
        }
        let answer = self.order(address, Task::Remove, &added, limit).await?;
        match answer.was_here {
            Ok(was_here) => {
                tracing::info!(address = %address.ip, interface = name, was_here, "its interface has another name, or is gone");
                Ok(Some(answer))
            }
            Err(refusal) => Err(explain(&added.plan, &refusal)),
        }
    }

    async fn add(&self, address: &Address, ready: &Ready, limit: Duration, is_certain: bool) -> Result<Answer, String> {
        if !ready.interface.is_up {
            return Err(PlaceError::Down(ready.plan.interface.clone()).to_string());
        }
        let policy = self.conflict_policy();
        let is_asked = !is_certain && policy != ConflictPolicy::Ignore && ready.interface.mac.is_some();
        let is_asked_first = is_asked && policy == ConflictPolicy::Refuse;
        if is_asked_first && !self.is_here(address, ready, limit).await? {
            self.ask_around(address, ready).await?;
        }
        let begun = clock::now();
        let before = begun.saturating_add(hb_ebpf::Nanos(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)));
        // From here on it may come, and is to be removed from there.
        self.mark(address, Some(ready.plan.clone()));
        self.lock().entry(address).seen = Some(ready.interface);
        let probes = is_asked && !is_asked_first;
        let answer = self.order(address, Task::Add { before, probes }, ready, limit).await?;
        self.lock().entry(address).came = answer.ended;
        if answer.was_here.is_ok() && probes {
            self.await_verdict(address, begun, upkeep::unasked(ready, &answer));
        } else if is_certain {
            self.lock().ask_nobody(address);
        }
        Ok(answer)
    }

    async fn is_here(&self, address: &Address, ready: &Ready, limit: Duration) -> Result<bool, String> {
        let answer = self.order(address, Task::Look, ready, limit).await?;
        answer.was_here.map_err(|refusal| explain(&ready.plan, &refusal))
    }

    async fn order(&self, address: &Address, task: Task, ready: &Ready, limit: Duration) -> Result<Answer, String> {
        let answer = self.begin(address, task, ready).map_err(|error| error.to_string())?;
        match timeout(limit.saturating_add(GRACE), answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Unanswered::Ended.to_string()),
            Err(_) => Err(late(limit)),
        }
    }

    fn begin(&self, address: &Address, task: Task, ready: &Ready) -> Result<oneshot::Receiver<Answer>, Unanswered> {
        self.begin_with(&mut self.lock(), address, task, ready)
    }

    /// With the book locked, so that it says which of two orders was given last.
    fn begin_with(
        &self,
        book: &mut Book,
        address: &Address,
        task: Task,
        ready: &Ready,
    ) -> Result<oneshot::Receiver<Answer>, Unanswered> {
        let upkeep = book.upkeep();
        let entry = book.entry(address);
        let answer = self.0.thread.begin(task, entry.key, &ready.prepared, upkeep)?;
        match task {
            Task::Add { .. } => entry.is_going = false,
            Task::Remove => entry.is_going = true,
            Task::Look | Task::Keep | Task::Listen | Task::Probe { .. } | Task::Check { .. } => {}
        }
        Ok(answer)
    }

    /// What is ready, if it still is; else it is made.
    async fn ready(&self, address: &Address) -> Result<Ready, PlaceError> {
        let (kept, used) = {
            let mut book = self.lock();
            let entry = book.entry(address);
            (entry.ready.clone(), entry.used.clone())
        };
        if let Some(mut ready) = kept {
            match look(&ready.plan.interface) {
                Ok(interface) if interface == ready.interface => return Ok(ready),
                Ok(interface) => {
                    ready.prepared = Prepared::new(&ready.plan, &interface);
                    ready.interface = interface;
                    self.keep(address, ready.clone());
                    return Ok(ready);
                }
                // By now another one may be in its network.
                Err(PlaceError::NoInterface(_)) if address.interface.is_none() => {}
                Err(error) => return Err(error),
            }
        }
        // Where it was added it is looked for first.
        if let Some(ready) = used.and_then(|plan| ready_for(plan).ok()) {
            self.keep(address, ready.clone());
            return Ok(ready);
        }
        let ready = if let Some(plan) = Plan::complete(address) {
            ready_for(plan)?
        } else {
            let address = address.clone();
            let made = tokio::task::spawn_blocking(move || make_ready(&address)).await;
            made.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?
        };
        self.keep(address, ready.clone());
        Ok(ready)
    }

    /// Makes one ready. What is here stays where it is.
    fn make_ready(&self, address: &Address) {
        if self.lock().entry(address).used.is_some() {
            return;
        }
        match make_ready(address) {
            Ok(ready) => {
                let mut book = self.lock();
                let entry = book.entry(address);
                if entry.used.is_none() {
                    entry.ready = Some(ready);
                }
            }
            Err(error) => {
                let error = crate::causes::causes(&error);
                tracing::warn!(address = %address.ip, %error, "this address could not be taken over now");
            }
        }
    }

    /// Has all that is here looked after, as the settings say.
    fn keep_all(&self) {
        for Held { address, plan } in self.held() {
            let ready = match ready_for(plan) {
                Ok(ready) => ready,
                Err(error) => {
                    // The check sees to it.
                    tracing::warn!(address = %address.ip, error = %crate::causes::causes(&error), "is not here");
                    continue;
                }
            };
            let mut book = self.lock();
            let upkeep = book.upkeep();
            let entry = book.entry(&address);
            // It may have been removed meanwhile, or an order to do so be on its way, and one after that must not say that
            // it is here.
            if entry.used.is_none() || entry.is_going {
                continue;
            }
            // Nobody waits for the answer; without one the check says what is wrong.
            let _ = self.0.thread.begin(Task::Keep, entry.key, &ready.prepared, upkeep);
            entry.ready = Some(ready);
        }
    }

    fn set(&self, settings: &Addresses) {
        self.lock().settings = settings.clone();
        let checks = upkeep::begin(&self.0, settings.check);
        let mut kept = self.0.checks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(former) = std::mem::replace(&mut *kept, checks) {
            former.abort();
        }
    }

    fn keep(&self, address: &Address, ready: Ready) {
        self.lock().entry(address).ready = Some(ready);
    }

    /// Where it is from now on, if it is here.
    fn mark(&self, address: &Address, place: Option<Plan>) {
        let mut book = self.lock();
        let entry = book.entry(address);
        if place.is_none() {
            entry.findings.missing = None;
            entry.twin = None;
        }
        entry.used = place;
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.shared.lock()
    }
}

fn late(limit: Duration) -> String {
    format!("the kernel has not answered within {} s", limit.as_secs_f32())
}

/// The addresses of a configuration that are moved without a script.
#[must_use]
pub fn of(cluster: &Cluster) -> Vec<Address> {
    let resources = cluster.groups.iter().flat_map(|group| &group.resources);
    resources.filter_map(|resource| resource.address.clone()).collect()
}

/// Where an address goes on this host, as it is now, or why it cannot.
pub fn place(address: &Address) -> Result<Plan, PlaceError> {
    let ready = make_ready(address)?;
    if ready.interface.is_up {
        Ok(ready.plan)
    } else {
        Err(PlaceError::Down(ready.plan.interface))
    }
}

fn make_ready(address: &Address) -> Result<Ready, PlaceError> {
    if let Some(plan) = Plan::complete(address) {
        return ready_for(plan);
    }
    let unreadable = |source| PlaceError::Unreadable {
        what: "the routing table",
        source,
    };
    let networks = plan::networks(address.ip).map_err(unreadable)?;
    let (network, bits) = Plan::find(address, &networks).ok_or(PlaceError::NoNetwork(address.ip))?;
    let name = nix::net::if_::if_indextoname(network.interface).map_err(|errno| unreadable(errno.into()))?;
    ready_for(Plan::with(address, bits, name.to_string_lossy().into_owned()))
}

fn ready_for(plan: Plan) -> Result<Ready, PlaceError> {
    let interface = look(&plan.interface)?;
    Ok(Ready {
        prepared: Prepared::new(&plan, &interface),
        plan,
        interface,
    })
}

fn look(name: &str) -> Result<Interface, PlaceError> {
    Interface::look(name).map_err(|errno| {
        if errno == Errno::ENODEV {
            PlaceError::NoInterface(name.to_owned())
        } else {
            PlaceError::Unreadable {
                what: "an interface's state",
                source: errno.into(),
            }
        }
    })
}

/// A refusal in words: what was refused, why, and what helps.
fn explain(plan: &Plan, refusal: &Refusal) -> String {
    let Plan {
        ip, bits, interface, ..
    } = plan;
    let helps = match (refusal.errno, ip) {
        (Errno::EPERM, _) => "hb needs CAP_NET_ADMIN, run it as root",
        (Errno::EACCES, IpAddr::V6(_)) => "IPv6 is switched off there (sysctl net.ipv6.conf.INTERFACE.disable_ipv6)",
        (Errno::ENODEV, _) => "the interface is gone",
        (Errno::EBUSY, _) => "it is there again each time it is removed: something else adds it",
        (Errno::ENOBUFS, _) => "the interface takes no more addresses, or its MTU is too small",
        _ => "",
    };
    let mut text = format!(
        "the kernel refuses {ip}/{bits} on {interface}: {}",
        refusal.errno.desc()
    );
    for more in [refusal.words(), helps] {
        if !more.is_empty() {
            text.push_str(": ");
            text.push_str(more);
        }
    }
    text
}

#[cfg(test)]
mod tests;
