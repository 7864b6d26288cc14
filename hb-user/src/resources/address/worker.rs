//! The work itself: an address is added, removed, looked for and announced. Nothing here allocates, logs, or waits for
//! anybody but the kernel.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use hb_ebpf::Nanos;
use netlink_packet_route::address::AddressHeader;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::burst::Bursts;
use super::frame::Frame;
use super::message::{Announcement, Prepared};
use super::netlink::{Netlink, Refusal, attributes};
use crate::clock;
use crate::pulse::wake::{Alarm, Bell};
use crate::resources::scripts::Operation;

/// An address may be on an interface several times, with other numbers of bits. Nobody means it to be there so often.
const ROUNDS: usize = 8;

/// Something to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// By which its answer is known.
    pub(super) number: u64,
    pub(super) operation: Operation,
    pub(super) prepared: Prepared,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) number: u64,
    /// Whether the address was there before, or why it is not as was asked for.
    pub(super) was_here: Result<bool, Refusal>,
    /// Why the first announcement was not sent.
    pub(super) unannounced: Option<Errno>,
    /// When the work began.
    pub(super) started: Nanos,
    /// When the address was there and announced, or gone.
    pub(super) ended: Nanos,
}

impl Order {
    /// One that is never carried out.
    pub(super) fn nothing() -> Self {
        Self {
            number: 0,
            operation: Operation::Status,
            prepared: Prepared::nothing(),
        }
    }
}

impl Answer {
    /// One to such an order.
    pub(super) fn nothing() -> Self {
        Self {
            number: 0,
            was_here: Ok(false),
            unannounced: None,
            started: Nanos(0),
            ended: Nanos(0),
        }
    }
}

/// What the work is done with, opened in advance.
#[derive(Debug)]
pub(super) struct Worker {
    netlink: Netlink,
    /// Sends by every interface and, being of no protocol, receives nothing (packet(7)).
    packets: OwnedFd,
    bursts: Bursts,
    alarm: Alarm,
}

impl Worker {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(Self {
            netlink: Netlink::open()?,
            packets: socket(AddressFamily::Packet, SockType::Raw, flags, None)?,
            bursts: Bursts::new(),
            alarm: Alarm::new()?,
        })
    }

    /// Sleeps until somebody rings, or the next announcement is due.
    pub(super) fn sleep(&self, bell: &Bell) {
        // An alarm that is never to go off is set to a time that never comes. It cannot fail with what we pass; should it,
        // the bell wakes us all the same.
        let _ = self.alarm.set(self.bursts.next().unwrap_or(Nanos(u64::MAX)));
        let mut fds = [
            PollFd::new(bell.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.alarm.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut fds, PollTimeout::NONE);
    }

    /// Repeats the announcements that are due. One that is refused is lost: others follow.
    pub(super) fn announce_again(&mut self) {
        let now = clock::now();
        while let Some(announcement) = self.bursts.pop(now) {
            let _ = self.announce(&announcement);
        }
    }

    pub(super) fn carry_out(&mut self, order: &Order) -> Answer {
        let it = &order.prepared;
        let mut answer = Answer {
            number: order.number,
            started: clock::now(),
            ..Answer::nothing()
        };
        answer.was_here = match order.operation {
            Operation::Start => self.add(it),
            Operation::Stop => self.remove(it),
            Operation::Status => self.look(it).map(|bits| bits.is_some()),
        };
        if order.operation == Operation::Start
            && answer.was_here.is_ok()
            && let Some(announcement) = &it.announcement
        {
            answer.unannounced = self.announce(announcement).err();
            self.bursts.begin(it.ip, *announcement, clock::now());
        }
        answer.ended = clock::now();
        answer
    }

    fn add(&mut self, it: &Prepared) -> Result<bool, Refusal> {
        match self.netlink.request(&it.add) {
            Ok(()) => Ok(false),
            Err(refusal) if refusal.errno == Errno::EEXIST => Ok(true),
            Err(refusal) => Err(refusal),
        }
    }

    /// Removes it however many bits it has there, and looks whether it is gone.
    fn remove(&mut self, it: &Prepared) -> Result<bool, Refusal> {
        self.bursts.end(it.ip, it.interface);
        let mut was_here = false;
        let mut delete = it.delete;
        for _ in 0..ROUNDS {
            match self.netlink.request(&delete) {
                Ok(()) => was_here = true,
                // It is not there, or its interface is not.
                Err(refusal) if matches!(refusal.errno, Errno::EADDRNOTAVAIL | Errno::ENODEV) => {}
                Err(refusal) => return Err(refusal),
            }
            match self.look(it)? {
                Some(bits) => delete = it.delete.with_bits(bits),
                None => return Ok(was_here),
            }
        }
        Err(Errno::EBUSY.into())
    }

    /// With how many bits it is there.
    fn look(&mut self, it: &Prepared) -> Result<Option<u8>, Refusal> {
        let mut found = None;
        match self
            .netlink
            .dump(&it.look, |_, payload| found = found.or(bits_of(it, payload)))
        {
            Ok(()) => Ok(found),
            Err(refusal) if refusal.errno == Errno::ENODEV => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    fn announce(&self, announcement: &Announcement) -> Result<(), Errno> {
        announcement
            .frames
            .iter()
            .flatten()
            .try_for_each(|frame| self.send(frame, announcement.interface))
    }

    fn send(&self, frame: &Frame, interface: u32) -> Result<(), Errno> {
        let bytes = frame.bytes();
        // SAFETY: all zeroes are an address of no family.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or_default();
        to.sll_ifindex = i32::try_from(interface).map_err(|_| Errno::ENODEV)?;
        to.sll_protocol = u16::from_ne_bytes([bytes[12], bytes[13]]);
        let size = libc::socklen_t::try_from(size_of_val(&to)).unwrap_or(0);
        // SAFETY: the frame and the address are alive during the call, and their sizes are given.
        let sent = unsafe {
            libc::sendto(
                self.packets.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                libc::MSG_DONTWAIT,
                (&raw const to).cast(),
                size,
            )
        };
        Errno::result(sent).map(drop)
    }
}

/// The bits of an address of which the kernel tells, if it is the one that is looked for: `struct ifaddrmsg`, then
/// attributes of `linux/if_addr.h`.
fn bits_of(it: &Prepared, payload: &[u8]) -> Option<u8> {
    const IFADDRMSG: usize = 8;
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;

    let header = AddressHeader::parse(payload).ok()?;
    let rest = payload.get(IFADDRMSG..)?;
    let has = |kind: u16, ip: &[u8]| attributes(rest).any(|it| it.kind() == kind && it.value() == ip);
    // What the kernel calls the address is the other end's, of an IPv4 address that has one.
    let is_it = header.index == it.interface
        && match it.ip {
            IpAddr::V4(ip) => has(LOCAL, &ip.octets()),
            IpAddr::V6(ip) => has(ADDRESS, &ip.octets()),
        };
    is_it.then_some(header.prefix_len)
}
