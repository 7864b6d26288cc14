//! The sockets that beats leave by: one an interface, from udpport to udpport.
//!
//! Nothing is ever received through them: beats are consumed in XDP, and whatever else comes to the port is dropped by
//! a socket filter, so that no packet can wake or fill anything. Being bound, they keep the stack from answering with
//! ICMP errors, and show when something else, such as Heartbeat, has the port.

use std::ffi::OsString;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, sendto, setsockopt, socket, sockopt,
};

/// `IPTOS_LOWDELAY`, as Heartbeat sets it.
const LOW_DELAY: i32 = 0x10;

/// Why beats cannot be sent.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SocketError {
    #[error(
        "UDP port {port} is in use on {interface}: `ss -ulpn sport = {port}` shows by whom; stop it (Heartbeat?), or \
         choose another udpport in ha.cf on all nodes"
    )]
    InUse { interface: String, port: u16 },
    #[error(
        "no permission to bind UDP port {port} on {interface}: run hb as root, or with CAP_NET_BIND_SERVICE and CAP_NET_RAW"
    )]
    NotPermitted {
        interface: String,
        port: u16,
        source: io::Error,
    },
    #[error("cannot open a UDP socket for port {port} on {interface}")]
    Open {
        interface: String,
        port: u16,
        source: io::Error,
    },
}

/// The sockets by interface and family.
#[derive(Clone, Debug)]
pub struct Sockets {
    port: u16,
    sockets: Vec<(String, bool, Arc<OwnedFd>)>,
}

impl Sockets {
    /// Opens what is needed to send from `port` to `port` over these links.
    pub fn open<'a>(port: u16, links: impl Iterator<Item = (&'a str, IpAddr)>) -> Result<Self, SocketError> {
        let none = Self {
            port,
            sockets: Vec::new(),
        };
        none.adapted(links)
    }

    /// The same for other links: what is open already is shared.
    pub fn adapted<'a>(&self, links: impl Iterator<Item = (&'a str, IpAddr)>) -> Result<Self, SocketError> {
        let mut sockets: Vec<(String, bool, Arc<OwnedFd>)> = Vec::new();
        for (interface, address) in links {
            let is_it = |(name, v6, _): &&(String, bool, Arc<OwnedFd>)| name == interface && *v6 == address.is_ipv6();
            if sockets.iter().any(|socket| is_it(&socket)) {
                continue;
            }
            if let Some(socket) = self.sockets.iter().find(is_it) {
                sockets.push(socket.clone());
                continue;
            }
            let socket =
                open(interface, address.is_ipv6(), self.port).map_err(|errno| explain(errno, interface, self.port))?;
            sockets.push((interface.to_owned(), address.is_ipv6(), Arc::new(socket)));
        }
        Ok(Self {
            port: self.port,
            sockets,
        })
    }

    /// Where a link's beats leave and go: the index of a socket and an address. To be looked up once.
    pub(super) fn route(&self, interface: &str, address: IpAddr) -> Option<Route> {
        let socket = self
            .sockets
            .iter()
            .position(|(name, v6, _)| name == interface && *v6 == address.is_ipv6())?;
        Some(Route {
            socket,
            to: SockaddrStorage::from(SocketAddr::new(address, self.port)),
        })
    }

    /// Sends, or says why not. Never waits.
    pub(super) fn send(&self, route: &Route, beat: &[u8]) -> Result<(), Errno> {
        let socket = &self.sockets[route.socket].2;
        sendto(
            socket.as_raw_fd(),
            beat,
            &route.to,
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        )
        .map(drop)
    }
}

/// A socket and an address.
#[derive(Debug)]
pub(super) struct Route {
    socket: usize,
    to: SockaddrStorage,
}

fn open(interface: &str, v6: bool, port: u16) -> Result<OwnedFd, Errno> {
    let family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let any = if v6 {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    };
    let socket = socket(
        family,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    receive_nothing(&socket)?;
    setsockopt(&socket, sockopt::BindToDevice, &OsString::from(interface))?;
    if v6 {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
        setsockopt(&socket, sockopt::Ipv6TClass, &LOW_DELAY)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4Tos, &LOW_DELAY)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(any, port)))?;
    Ok(socket)
}

/// A classic BPF filter of one instruction: keep 0 bytes of whatever comes (socket(7), `SO_ATTACH_FILTER`).
#[expect(
    clippy::cast_possible_truncation,
    reason = "small constants of the C library, in its types"
)]
fn receive_nothing(socket: &impl AsFd) -> Result<(), Errno> {
    let mut refuse = libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let program = libc::sock_fprog {
        len: 1,
        filter: &raw mut refuse,
    };
    // SAFETY: the option's value is a `sock_fprog` of the length given; the kernel copies the one instruction.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            mem::size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

fn explain(errno: Errno, interface: &str, port: u16) -> SocketError {
    let interface = interface.to_owned();
    if errno == Errno::EADDRINUSE {
        SocketError::InUse { interface, port }
    } else if errno == Errno::EACCES || errno == Errno::EPERM {
        SocketError::NotPermitted {
            interface,
            port,
            source: errno.into(),
        }
    } else {
        SocketError::Open {
            interface,
            port,
            source: errno.into(),
        }
    }
}
