//! Local addresses, moved without a script: `IPaddr::192.0.2.10`, `IPv6addr::2001:db8::10/64/eth0`.
//!
//! A thread of its own does it, of a real-time class, so that a busy host does not keep an address from moving: `hb-hands`.
//! It sends messages that were made ready when the configuration was read (or, where the interface was not there then, has
//! another Ethernet address or was made anew since, before the order is given), and tells the neighbours.

mod burst;
mod frame;
mod interface;
mod message;
mod netlink;
mod plan;
mod thread;
mod worker;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use tokio::time::timeout;

pub use plan::Plan;

use self::interface::Interface;
use self::message::Prepared;
use self::netlink::Refusal;
use self::thread::{Thread, Unanswered};
use self::worker::Answer;
use super::scripts::{Finished, Operation, Outcome};
use crate::clock;
use crate::config::{Address, Cluster};
use crate::realtime::{Granted, Wanted};

/// Moves addresses. Clones share the thread.
#[derive(Clone, Debug)]
pub struct Hands(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    thread: Thread,
    /// What is ready for each address of the configuration.
    ready: Mutex<HashMap<Address, Ready>>,
}

#[derive(Clone, Debug)]
struct Ready {
    plan: Plan,
    interface: Interface,
    prepared: Prepared,
    /// Whether the address was added with this, so that it is to be removed with this and no other.
    is_used: bool,
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
    pub fn start(wanted: Wanted) -> Result<Self, HandsError> {
        Ok(Self(Arc::new(Inner {
            thread: Thread::start(wanted)?,
            ready: Mutex::default(),
        })))
    }

    /// What the kernel granted the thread.
    #[must_use]
    pub fn granted(&self) -> &Granted {
        &self.0.thread.granted
    }

    /// Makes everything ready, beside what else is done, and warns of addresses that have no place now. They are tried again
    /// when they are needed.
    pub fn make_ready(&self, addresses: Vec<Address>) {
        let hands = self.clone();
        // A routing table may be long.
        tokio::task::spawn_blocking(move || {
            for address in addresses {
                match make_ready(&address) {
                    Ok(ready) => {
                        let mut all = hands.lock();
                        if !all.get(&address).is_some_and(|kept| kept.is_used) {
                            all.insert(address, ready);
                        }
                    }
                    Err(error) => {
                        let error = crate::cli::causes(&error);
                        tracing::warn!(address = %address.ip, %error, "this address could not be taken over now");
                    }
                }
            }
        });
    }

    /// Adds, removes or looks for an address, in the way of a script that is called.
    ///
    /// Dropping the future does not take the order back: a later one is carried out after it.
    pub async fn call(&self, address: &Address, operation: Operation, limit: Duration) -> Finished {
        let begun = clock::now();
        let result = self.carry_out(address, operation, limit).await;
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
    ) -> Result<Option<Answer>, String> {
        let ready = match self.ready(address).await {
            Ok(ready) => ready,
            Err(error) if operation != Operation::Start && error.means_absent() => return Ok(None),
            Err(error) => return Err(crate::cli::causes(&error)),
        };
        let Ready {
            plan,
            interface,
            prepared,
            ..
        } = ready;
        if operation == Operation::Start {
            if !interface.is_up {
                return Err(PlaceError::Down(plan.interface).to_string());
            }
            self.mark(address, true);
        }
        let answer = match timeout(limit, self.0.thread.order(operation, &prepared)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(unanswered @ (Unanswered::Ended | Unanswered::Full))) => return Err(unanswered.to_string()),
            Err(_) => return Err(format!("the kernel has not answered within {} s", limit.as_secs_f32())),
        };
        if let Some(error) = answer.unannounced {
            let (address, interface) = (plan.ip, &plan.interface);
            tracing::warn!(%address, interface, %error, "the neighbours could not be told");
        }
        match answer.was_here {
            Ok(was_here) => {
                if operation == Operation::Stop {
                    self.mark(address, false);
                }
                tracing::debug!(address = %plan.ip, interface = plan.interface, %operation, was_here, "done");
                Ok(Some(answer))
            }
            Err(refusal) => Err(explain(&plan, &refusal)),
        }
    }

    /// What is ready, if it still is; else it is made.
    async fn ready(&self, address: &Address) -> Result<Ready, PlaceError> {
        let kept = self.lock().get(address).cloned();
        if let Some(mut ready) = kept {
            match look(&ready.plan.interface) {
                Ok(interface) if interface == ready.interface => return Ok(ready),
                Ok(interface) => {
                    ready.prepared = Prepared::new(&ready.plan, &interface);
                    ready.interface = interface;
                    self.keep(address.clone(), ready.clone());
                    return Ok(ready);
                }
                // By now another one may be in its network.
                Err(PlaceError::NoInterface(_)) if address.interface.is_none() => {}
                Err(error) => return Err(error),
            }
        }
        let ready = if let Some(plan) = Plan::complete(address) {
            ready_for(plan)?
        } else {
            let address = address.clone();
            let made = tokio::task::spawn_blocking(move || make_ready(&address)).await;
            made.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?
        };
        self.keep(address.clone(), ready.clone());
        Ok(ready)
    }

    fn keep(&self, address: Address, ready: Ready) {
        self.lock().insert(address, ready);
    }

    fn mark(&self, address: &Address, is_used: bool) {
        if let Some(ready) = self.lock().get_mut(address) {
            ready.is_used = is_used;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Address, Ready>> {
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        is_used: false,
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
