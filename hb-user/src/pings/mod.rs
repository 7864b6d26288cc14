//! Pings: ICMP echo to nodes that are no members of the cluster, and tell a cut link from a dead peer.
//!
//! What counts is when a request was *sent* that was answered: then at the latest the target was reached from here. A reply
//! that comes late tells of that time, and no more.

mod packet;
mod prober;
mod reach;
mod socket;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hb_ebpf::Nanos;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

pub use reach::Reach;

use packet::Family;
use prober::{Member, Sockets, Work};
use socket::Socket;

/// Faster than this no network needs to be asked.
const SHORTEST: Duration = Duration::from_millis(1);

/// The running pings; dropping it stops them.
#[derive(Debug)]
pub struct Prober {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

/// Why nothing can be pinged.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PingError {
    #[error("there are {count} ping targets: expected 255 at most")]
    TooMany { count: usize },
    #[error("cannot open a socket for {protocol} echoes: run hb as root, or with CAP_NET_RAW")]
    Open { protocol: &'static str, source: io::Error },
    #[error("cannot start the ping thread")]
    Thread(#[source] io::Error),
}

impl Prober {
    /// Sends a request to each address of each target now and every `interval`, which is 1 ms at least.
    ///
    /// The sockets are of the network namespace of the calling thread. IPv6 addresses that need an interface beside them
    /// (link-local ones) cannot be reached. A target without addresses never answers.
    pub fn start(targets: Vec<Vec<IpAddr>>, interval: Duration) -> Result<(Self, Arc<Reach>), PingError> {
        if targets.len() > usize::from(u8::MAX) {
            return Err(PingError::TooMany { count: targets.len() });
        }
        let reach = Arc::new(Reach::new(targets.len()));
        let mut members = Vec::new();
        for (target, addresses) in targets.into_iter().enumerate() {
            for address in addresses {
                let mut first = [0; 2];
                getrandom::fill(&mut first).map_err(|error| PingError::Thread(io::Error::other(error)))?;
                members.push((target, address, u16::from_be_bytes(first)));
            }
        }
        let needs = |v6: bool| members.iter().any(|(_, address, _)| address.is_ipv6() == v6);
        let sockets = Sockets {
            v4: needs(false).then(|| open(Family::V4)).transpose()?,
            v6: needs(true).then(|| open(Family::V6)).transpose()?,
        };
        let interval = u64::try_from(interval.max(SHORTEST).as_nanos()).map_or(Nanos::MAX, Nanos);
        let work = Work {
            members: members
                .into_iter()
                .map(|(target, address, first)| Member::new(target, address, first))
                .collect(),
            sockets,
            interval,
            reach: reach.clone(),
        };
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let stop = EventFd::from_value_and_flags(0, flags).map_err(|errno| PingError::Thread(errno.into()))?;
        let stop = Arc::new(stop);
        let bell = stop.clone();
        let thread = std::thread::Builder::new()
            .name("hb-ping".into())
            .spawn(move || work.run(&bell))
            .map_err(PingError::Thread)?;
        Ok((
            Self {
                stop,
                thread: Some(thread),
            },
            reach,
        ))
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        // It fails only when the count is about to overflow, and then the bell is ringing.
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            // It only fails if the thread panicked, and then it has said so.
            let _ = thread.join();
        }
    }
}

fn open(family: Family) -> Result<Socket, PingError> {
    Socket::open(family).map_err(|errno: Errno| PingError::Open {
        protocol: match family {
            Family::V4 => "ICMP",
            Family::V6 => "ICMPv6",
        },
        source: errno.into(),
    })
}

#[cfg(test)]
mod tests;
