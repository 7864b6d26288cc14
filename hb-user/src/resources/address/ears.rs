//! Who else says that an address of ours is theirs: ARP, and neighbour advertisements.
//!
//! The kernel lets through only what is about our addresses, and of that only so much is read that a flood of it costs next to
//! nothing.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use hb_ebpf::Nanos;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};

mod filter;

use filter::Filter;

/// So many frames are read at once, and then none for a while.
const FRAMES: usize = 16;
const REST: Nanos = Nanos::from_millis(100);
/// What may wait to be read: a few frames, as the kernel counts.
const BACKLOG: usize = 32 * 1024;

/// Who says what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Claim {
    pub(super) ip: IpAddr,
    pub(super) mac: [u8; 6],
    /// Whether it only asks for it, as who is about to take it.
    pub(super) is_probe: bool,
    /// Where that was heard.
    pub(super) interface: u32,
}

/// What listens, opened in advance.
#[derive(Debug)]
pub(super) struct Ears {
    arp: Ear,
    neighbours: Ear,
}

#[derive(Debug)]
struct Ear {
    socket: OwnedFd,
    /// Ethernet's number of what it listens to.
    protocol: u16,
    is_open: bool,
    filter: Filter,
    /// Until then nothing is read.
    rests: Nanos,
}

impl Ears {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            arp: Ear::new(libc::ETH_P_ARP)?,
            neighbours: Ear::new(libc::ETH_P_IPV6)?,
        })
    }

    /// Listens for these addresses, and no others; for who else asks for those that are `wanted`, too. Who asks for an IPv6
    /// address does so in a group that most interfaces hear only when they have joined it (RFC 4862, section 5.4.2).
    pub(super) fn listen(
        &mut self,
        addresses: impl Iterator<Item = IpAddr> + Clone,
        wanted: impl Iterator<Item = IpAddr>,
    ) -> Result<(), Errno> {
        let v4_of = |ip| match ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        };
        let (v4, wanted) = (addresses.clone().filter_map(v4_of), wanted.filter_map(v4_of));
        let v6 = addresses.filter_map(|ip| match ip {
            IpAddr::V4(_) => None,
            IpAddr::V6(ip) => Some(ip),
        });
        let (has_v4, has_v6) = (v4.clone().next().is_some(), v6.clone().next().is_some());
        let v4 = self.arp.listen(has_v4, |filter| filter.arp(v4, wanted));
        let v6 = self.neighbours.listen(has_v6, |filter| filter.neighbours(v6));
        v4.and(v6)
    }

    /// What to poll now.
    pub(super) fn descriptors(&self, now: Nanos) -> [Option<BorrowedFd<'_>>; 2] {
        [&self.arp, &self.neighbours].map(|ear| (ear.is_open && ear.rests <= now).then(|| ear.socket.as_fd()))
    }

    /// When there is something to poll again.
    pub(super) fn next(&self, now: Nanos) -> Option<Nanos> {
        let rests = [&self.arp, &self.neighbours].map(|ear| (ear.rests > now).then_some(ear.rests));
        rests.into_iter().flatten().min()
    }

    /// Rests no longer.
    pub(super) fn listen_now(&mut self) {
        for ear in [&mut self.arp, &mut self.neighbours] {
            ear.rests = Nanos(0);
        }
    }

    /// Shows what came.
    pub(super) fn hear(&mut self, now: Nanos, mut each: impl FnMut(Claim)) {
        for ear in [&mut self.arp, &mut self.neighbours] {
            ear.hear(now, &mut each);
        }
    }
}

impl Ear {
    fn new(protocol: libc::c_int) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        // Of no protocol yet, so that it receives nothing before it has a filter (packet(7)).
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        setsockopt(&socket, sockopt::RcvBuf, &BACKLOG)?;
        Ok(Self {
            socket,
            protocol: u16::try_from(protocol).unwrap_or_default(),
            is_open: false,
            filter: Filter::new(),
            rests: Nanos(0),
        })
    }

    fn listen(&mut self, is_needed: bool, fill: impl FnOnce(&mut Filter)) -> Result<(), Errno> {
        if !is_needed && !self.is_open {
            return Ok(());
        }
        fill(&mut self.filter);
        self.filter.attach(self.socket.as_fd())?;
        if !self.is_open {
            self.bind()?;
            self.is_open = true;
        }
        Ok(())
    }

    /// To all interfaces: which one a frame came by is said with it.
    fn bind(&self) -> Result<(), Errno> {
        // SAFETY: all zeroes are an address of no family.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or_default();
        to.sll_protocol = self.protocol.to_be();
        let size = libc::socklen_t::try_from(size_of_val(&to)).unwrap_or(0);
        // SAFETY: the address is alive during the call, and its size is given.
        let result = unsafe { libc::bind(self.socket.as_raw_fd(), (&raw const to).cast(), size) };
        Errno::result(result).map(drop)
    }

    fn hear(&mut self, now: Nanos, each: &mut impl FnMut(Claim)) {
        if !self.is_open || self.rests > now {
            return;
        }
        for count in 0..FRAMES {
            let mut frame = [0; 128];
            match receive(&self.socket, &mut frame) {
                Ok((length, interface)) => {
                    if let Some(claim) = read(&frame[..length.min(128)], interface) {
                        each(claim);
                    }
                }
                // Nothing more; or an interface went down, which is said once.
                Err(_) if count == 0 => return,
                Err(_) => break,
            }
        }
        self.rests = now.saturating_add(REST);
    }
}

/// A frame, and the number of the interface that it came by.
fn receive(socket: &OwnedFd, frame: &mut [u8; 128]) -> Result<(usize, u32), Errno> {
    // SAFETY: all zeroes are an address of no family.
    let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut size = libc::socklen_t::try_from(size_of_val(&from)).unwrap_or(0);
    // SAFETY: the frame and the address are alive and writable during the call, and their sizes are given.
    let length = unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            frame.as_mut_ptr().cast(),
            frame.len(),
            libc::MSG_DONTWAIT,
            (&raw mut from).cast(),
            &raw mut size,
        )
    };
    let length = Errno::result(length)?;
    Ok((
        usize::try_from(length).unwrap_or(0),
        u32::try_from(from.sll_ifindex).unwrap_or(0),
    ))
}

/// Whose Ethernet address a frame says an address has. Whatever it is, and however short.
fn read(frame: &[u8], interface: u32) -> Option<Claim> {
    let (header, rest) = frame.split_at_checked(14)?;
    let from: [u8; 6] = header[6..12].try_into().ok()?;
    let (ip, mac, is_probe) = match u16::from_be_bytes([header[12], header[13]]) {
        0x0806 => read_arp(rest)?,
        0x86DD => read_advertisement(rest, from)?,
        _ => return None,
    };
    Some(Claim {
        ip,
        mac,
        is_probe,
        interface,
    })
}

/// RFC 826: whatever is asked or answered, the sender says who it is. In a probe it says nothing, and means what it asks for
/// (RFC 5227, section 2.1.1).
fn read_arp(arp: &[u8]) -> Option<(IpAddr, [u8; 6], bool)> {
    const REQUEST: [u8; 2] = [0, 1];
    const ETHERNET_AND_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];

    if arp.get(..6)? != ETHERNET_AND_IPV4 {
        return None;
    }
    let mac: [u8; 6] = arp.get(8..14)?.try_into().ok()?;
    let sender: [u8; 4] = arp.get(14..18)?.try_into().ok()?;
    let target: [u8; 4] = arp.get(24..28)?.try_into().ok()?;
    let is_probe = sender == [0; 4] && arp.get(6..8)? == REQUEST;
    let ip = if is_probe { target } else { sender };
    Some((ip.into(), mac, is_probe))
}

/// RFC 4861, section 4.4, of which section 7.1.2 says that a router has not forwarded it.
fn read_advertisement(packet: &[u8], from: [u8; 6]) -> Option<(IpAddr, [u8; 6], bool)> {
    const FIXED: [(usize, u8); 4] = [(6, 58), (7, 255), (40, 136), (41, 0)];

    if FIXED.iter().any(|(at, byte)| packet.get(*at) != Some(byte)) {
        return None;
    }
    let ip: [u8; 16] = packet.get(48..64)?.try_into().ok()?;
    // The target's Ethernet address, where it comes first of the options, as it does.
    let option = packet.get(64..72).filter(|option| option[..2] == [2, 1]);
    let mac = option.and_then(|option| option[2..8].try_into().ok()).unwrap_or(from);
    Some((ip.into(), mac, false))
}

#[cfg(test)]
mod tests;
