//! Raw Ethernet frames: put on an interface, and seen on one.

use std::{
    mem,
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    sys::{
        socket::{
            AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvfrom, sendto, setsockopt,
            socket, sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};

use crate::{
    clock::{Moment, lock, poll},
    host::Host,
};

/// How soon a capture notices that it is over.
const LISTEN: i64 = 20_000;

/// Room for a burst of frames that the capture's thread has not read yet.
const BACKLOG: usize = 8 << 20;

/// Puts frames on an interface of a host, as they are, and says how many the interface took.
///
/// On a host's own interface they go out to the network; on a port of the cloud's switch, straight to the host behind it.
pub fn inject<F: AsRef<[u8]>>(host: &Host, interface: &str, frames: impl IntoIterator<Item = F> + Send) -> Result<u64> {
    let send = || -> Result<u64> {
        let (socket, address) = packet_socket(interface)?;
        let mut sent = 0;
        for frame in frames {
            sent += u64::from(send_one(&socket, frame.as_ref(), &address)?);
        }
        Ok(sent)
    };
    host.enter(send)?
        .with_context(|| format!("{}: cannot inject on {interface}", host.name()))
}

/// Whether the interface took the frame.
fn send_one(socket: &OwnedFd, frame: &[u8], address: &LinkAddr) -> Result<bool> {
    loop {
        match sendto(socket.as_raw_fd(), frame, address, MsgFlags::empty()) {
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            // The interface's queue dropped it, as it does where a host is made mute.
            Err(Errno::ENOBUFS) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A frame that was seen.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When.
    pub at: Moment,
    /// Which way, seen from the interface.
    pub direction: Direction,
    /// All of it, from the destination address on.
    pub bytes: Vec<u8>,
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// It arrived at the interface: on a switch's port, from the host behind it.
    Received,
    /// It left through the interface: on a switch's port, to the host behind it.
    Sent,
}

/// The frames seen on an interface while this exists.
#[derive(Debug)]
pub struct Capture {
    frames: Arc<Mutex<Vec<Frame>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts to capture those frames on an interface of the host's that `wanted` picks.
    pub fn start(host: &Host, interface: &str, wanted: impl Fn(&[u8]) -> bool + Send + 'static) -> Result<Self> {
        let open = || -> Result<OwnedFd> {
            let (socket, address) = packet_socket(interface)?;
            bind(socket.as_raw_fd(), &address)?;
            setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::microseconds(LISTEN))?;
            setsockopt(&socket, sockopt::RcvBufForce, &BACKLOG)?;
            Ok(socket)
        };
        let socket = host
            .enter(open)?
            .with_context(|| format!("{}: cannot capture on {interface}", host.name()))?;
        let (frames, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (frames, over) = (Arc::clone(&frames), Arc::clone(&over));
            std::thread::spawn(move || listen(&socket, &frames, &over, wanted))
        };
        Ok(Self {
            frames,
            over,
            thread: Some(thread),
        })
    }

    /// What was seen so far.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        lock(&self.frames).clone()
    }

    /// Waits until `count` frames were seen, and gives what was seen; an error when it takes longer than `limit`.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Result<Vec<Frame>> {
        let seen = || lock(&self.frames).len();
        poll(limit, || Ok((seen() >= count).then(|| self.frames())))?
            .with_context(|| format!("{} of {count} frames seen within {limit:?}", seen()))
    }

    /// Forgets what was seen so far, and gives it.
    #[must_use]
    pub fn take(&self) -> Vec<Frame> {
        mem::take(&mut *lock(&self.frames))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(socket: &OwnedFd, frames: &Mutex<Vec<Frame>>, over: &AtomicBool, wanted: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 65_536];
    while !over.load(Ordering::Relaxed) {
        match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Ok((length, from)) if wanted(&buffer[..length]) => lock(frames).push(Frame {
                at: Moment::now(),
                direction: direction(from.as_ref()),
                bytes: buffer[..length].to_vec(),
            }),
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => {}
            Err(_) => return,
        }
    }
}

fn direction(from: Option<&LinkAddr>) -> Direction {
    /// `PACKET_OUTGOING` of packet(7).
    const OUTGOING: u8 = 4;
    match from.map(LinkAddr::pkttype) {
        Some(OUTGOING) => Direction::Sent,
        Some(_) | None => Direction::Received,
    }
}

/// A packet socket, and the address of an interface of the network that the calling thread is in.
pub(crate) fn packet_socket(interface: &str) -> Result<(OwnedFd, LinkAddr)> {
    let address = getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .with_context(|| format!("there is no interface {interface}"))?;
    let every_kind = SockProtocol::EthAll;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, every_kind)?;
    Ok((socket, address))
}
