//! What goes between the two hosts, seen by the switch between them, with the kernel's time stamp of each packet.
//!
//! The kernel stamps a packet when it arrives at the switch's port, which on these hosts is while its sender sends it.
//! Who reads the stamp, and when, makes no difference to it.

pub mod packet;

use std::{
    io::IoSliceMut,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    cmsg_space,
    errno::Errno,
    ifaddrs::getifaddrs,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvmsg,
            setsockopt, socket, sockopt,
        },
        time::TimeSpec,
    },
    unistd::gettid,
};
use socket2::{SockFilter, SockRef};

use super::reserved::reserve;
use crate::{
    clock::{DayClock, Moment, lock},
    host::Host,
};
use packet::Packet;

/// Room for what arrives while nobody reads: 15 s of hogs that hold every core, at a thousand beats a second from each.
const BACKLOG: usize = 128 << 20;

/// As much of a packet as is looked at.
const SNAP: u32 = 1600;

/// How soon the reader notices that it is over.
const LISTEN: u16 = 50;

/// A packet that was seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sighting {
    /// When it came to the switch.
    pub at: Moment,
    /// The node that sent it.
    pub sender: usize,
    /// What it was.
    pub packet: Packet,
}

/// Sees all that the nodes send while this exists.
#[derive(Debug)]
pub struct Observer {
    seen: Arc<Seen>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    sightings: Mutex<Vec<Sighting>>,
    /// How many packets the kernel had no room for.
    dropped: AtomicU64,
    /// Set when somebody wants it to end.
    over: AtomicBool,
    /// Set when it ended by itself.
    failed: Mutex<Option<String>>,
}

/// Where one node's packets come in.
struct Port {
    sender: usize,
    socket: OwnedFd,
    /// What the kernel counted last.
    dropped: u32,
}

impl Observer {
    /// Looks at these ports of a switch: behind the first is node 0, and so on. The clock must be in use for as long as
    /// this is.
    pub fn start(switch: &Host, ports: &[String], clock: DayClock) -> Result<Self> {
        let open = || ports.iter().map(|port| listen_on(port)).collect::<Result<Vec<_>>>();
        let sockets = switch.enter(open)?.context("the observer cannot listen")?;
        let ports: Vec<_> = sockets
            .into_iter()
            .enumerate()
            .map(|(sender, socket)| Port {
                sender,
                socket,
                dropped: 0,
            })
            .collect();
        let seen = Arc::new(Seen::default());
        let reader = {
            let seen = Arc::clone(&seen);
            std::thread::Builder::new()
                .name("observer".to_owned())
                .spawn(move || read(ports, &seen, clock))?
        };
        Ok(Self {
            seen,
            reader: Some(reader),
        })
    }

    /// What was seen since then, in the order of its times.
    pub fn since(&self, since: Moment) -> Result<Vec<Sighting>> {
        self.ensure_alive()?;
        let mut sightings: Vec<_> = {
            let all = lock(&self.seen.sightings);
            // Each port's are in order, and the ports are read in turn: what is newer is not far from the end.
            all.iter().filter(|sighting| sighting.at >= since).cloned().collect()
        };
        sightings.sort_by_key(|sighting| sighting.at);
        Ok(sightings)
    }

    /// The newest packet of a node that `wanted` picks, looking back from the newest of all.
    pub fn newest(&self, sender: usize, wanted: impl Fn(&Packet) -> bool) -> Result<Option<Sighting>> {
        self.ensure_alive()?;
        let all = lock(&self.seen.sightings);
        let mut back = all.iter().rev();
        Ok(back.find(|seen| seen.sender == sender && wanted(&seen.packet)).cloned())
    }

    /// Forgets what was seen before then.
    pub fn forget_before(&self, moment: Moment) {
        lock(&self.seen.sightings).retain(|sighting| sighting.at >= moment);
    }

    /// How many packets were lost to this observer, as far as the kernel said with later ones.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.seen.dropped.load(Ordering::Relaxed)
    }

    fn ensure_alive(&self) -> Result<()> {
        let failed = lock(&self.seen.failed);
        ensure!(
            failed.is_none(),
            "the observer ended: {}",
            failed.as_deref().unwrap_or_default()
        );
        Ok(())
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// A packet socket on a port of the switch that the calling thread is in. It gets what comes in there, and not what
/// goes out: with a flood that goes through the switch, that is much.
fn listen_on(port: &str) -> Result<OwnedFd> {
    let address = getifaddrs()?
        .filter(|entry| entry.interface_name == port)
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .with_context(|| format!("there is no interface {port}"))?;
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::EthAll,
    )?;
    SockRef::from(&socket).attach_filter(&incoming_only())?;
    setsockopt(&socket, sockopt::RcvBufForce, &BACKLOG)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    bind(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

/// A filter of packet(7) sockets: takes what came in, cut to [`SNAP`].
fn incoming_only() -> [SockFilter; 4] {
    /// `BPF_LD | BPF_B | BPF_ABS` of `linux/bpf_common.h`.
    const LOAD: u16 = 0x30;
    /// `BPF_JMP | BPF_JEQ | BPF_K`.
    const JUMP_EQUAL: u16 = 0x15;
    /// `BPF_RET | BPF_K`.
    const RETURN: u16 = 0x06;
    /// `SKF_AD_OFF + SKF_AD_PKTTYPE` of linux/filter.h: where the kind of a packet is.
    const KIND: u32 = u32::MAX - 0x1000 + 1 + 4;
    /// `PACKET_OUTGOING` of packet(7).
    const OUTGOING: u32 = 4;
    [
        SockFilter::new(LOAD, 0, 0, KIND),
        SockFilter::new(JUMP_EQUAL, 0, 1, OUTGOING),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, SNAP),
    ]
}

fn read(mut ports: Vec<Port>, seen: &Seen, clock: DayClock) {
    // A reader that starves has not read yet what is asked for. Where the kernel has no time left for it, it is as it is.
    let _ = reserve(gettid(), 1_000, 10_000);
    while !seen.over.load(Ordering::Relaxed) {
        if let Err(error) = wait(&ports).and_then(|()| ports.iter_mut().try_for_each(|port| drain(port, seen, clock))) {
            *lock(&seen.failed) = Some(format!("{error:#}"));
            return;
        }
    }
}

fn wait(ports: &[Port]) -> Result<()> {
    let mut wanted: Vec<_> = ports
        .iter()
        .map(|port| PollFd::new(port.socket.as_fd(), PollFlags::POLLIN))
        .collect();
    match poll(&mut wanted, PollTimeout::from(LISTEN)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error).context("poll"),
    }
}

/// Reads all that a port has.
fn drain(port: &mut Port, seen: &Seen, clock: DayClock) -> Result<()> {
    let mut buffer = [0; SNAP as usize];
    let mut control = cmsg_space!(TimeSpec, u32);
    loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received = recvmsg::<LinkAddr>(
            port.socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_DONTWAIT,
        );
        let received = match received {
            Ok(received) => received,
            Err(Errno::EAGAIN) => return Ok(()),
            // The interface was down for a moment.
            Err(Errno::EINTR | Errno::ENETDOWN) => continue,
            Err(error) => return Err(error).context("recvmsg"),
        };
        let (mut at, mut dropped) = (None, None);
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampns(stamp) = message {
                at = Some(clock.moment(Duration::from(stamp)));
            } else if let ControlMessageOwned::RxqOvfl(count) = message {
                dropped = Some(count);
            }
        }
        let (at, length) = (at.context("a packet without a time stamp")?, received.bytes);
        if let Some(count) = dropped {
            let more = count.wrapping_sub(port.dropped);
            seen.dropped.fetch_add(u64::from(more), Ordering::Relaxed);
            port.dropped = count;
        }
        let sighting = Sighting {
            at,
            sender: port.sender,
            packet: Packet::parse(&buffer[..length.min(SNAP as usize)]),
        };
        lock(&seen.sightings).push(sighting);
    }
}

#[cfg(test)]
mod tests;
