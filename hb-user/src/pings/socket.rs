//! A socket for echoes: the kernel's "ping socket" where its group range allows, a raw one otherwise (icmp(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage, bind,
    getsockname, recvfrom, sendto, socket,
};

use super::packet::{self, Echo, Family, TOKEN};

/// A reply with the longest IPv4 header, and room to see that something is longer.
const BUFFER: usize = 128;

/// An open socket of one family, and the identifier of its echoes.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    family: Family,
    /// Raw IPv4 sockets deliver the header.
    with_header: bool,
    pub(super) identifier: u16,
}

/// What one receiving brought.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Received {
    Reply(IpAddr, Echo),
    Other,
    Nothing,
}

impl Socket {
    pub(super) fn open(family: Family) -> Result<Self, Errno> {
        Self::open_ping(family).or_else(|_| Self::open_raw(family))
    }

    /// The kernel gives the identifier, and delivers replies to it only.
    pub(super) fn open_ping(family: Family) -> Result<Self, Errno> {
        let fd = open(family, SockType::Datagram)?;
        let any = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(any, 0)))?;
        let identifier = match family {
            Family::V4 => getsockname::<SockaddrIn>(fd.as_raw_fd())?.port(),
            Family::V6 => getsockname::<SockaddrIn6>(fd.as_raw_fd())?.port(),
        };
        Ok(Self {
            fd,
            family,
            with_header: false,
            identifier,
        })
    }

    pub(super) fn open_raw(family: Family) -> Result<Self, Errno> {
        let fd = open(family, SockType::Raw)?;
        let mut identifier = [0; 2];
        getrandom::fill(&mut identifier).map_err(|_| Errno::EIO)?;
        Ok(Self {
            fd,
            family,
            with_header: family == Family::V4,
            identifier: u16::from_be_bytes(identifier),
        })
    }

    /// Sends a request. Never waits.
    pub(super) fn send(&self, to: IpAddr, sequence: u16, token: [u8; TOKEN]) -> Result<(), Errno> {
        let echo = Echo {
            identifier: self.identifier,
            sequence,
            token,
        };
        let packet = packet::request(self.family, &echo);
        let to = SockaddrStorage::from(SocketAddr::new(to, 0));
        let send = || {
            sendto(
                self.fd.as_raw_fd(),
                &packet,
                &to,
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            )
        };
        // An error that an earlier packet left on the socket is told to the next, which is not sent then.
        send().or_else(|_| send()).map(drop)
    }

    /// Takes one packet. Never waits.
    pub(super) fn receive(&self) -> Result<Received, Errno> {
        let mut buffer = [0; BUFFER];
        let (length, from) = match recvfrom::<SockaddrStorage>(self.fd.as_raw_fd(), &mut buffer) {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Received::Nothing),
            Err(errno) => return Err(errno),
        };
        let from = from.as_ref().and_then(address);
        let bytes = buffer.get(..length).unwrap_or_default();
        let icmp = if self.with_header {
            packet::after_ipv4_header(bytes)
        } else {
            Some(bytes)
        };
        let echo = icmp.and_then(|icmp| packet::reply(self.family, icmp));
        Ok(match (from, echo) {
            (Some(from), Some(echo)) if echo.identifier == self.identifier => Received::Reply(from, echo),
            _ => Received::Other,
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open(family: Family, kind: SockType) -> Result<OwnedFd, Errno> {
    let (domain, protocol) = match family {
        Family::V4 => (AddressFamily::Inet, SockProtocol::Icmp),
        Family::V6 => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(domain, kind, flags, protocol)
}

fn address(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}
