//! What the kernel says of an interface, right now.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// An interface, as it is now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Interface {
    /// The kernel's number of it. One that is deleted and made again has another.
    pub(super) index: u32,
    /// Whether it is switched on.
    pub(super) is_up: bool,
    /// Whether it has a carrier: a cable with something at its other end. Without one the kernel takes frames, and loses them.
    pub(super) has_carrier: bool,
    /// Its Ethernet address, if addresses on it have to be announced.
    pub(super) mac: Option<[u8; 6]>,
}

impl Interface {
    /// Looks at an interface; `ENODEV` where there is none of that name. It allocates nothing, and waits for nobody: none
    /// of the questions takes the lock under which the kernel changes interfaces (netdevice(7)).
    pub(super) fn look(name: &str) -> Result<Self, Errno> {
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        let index = ask(&socket, name, libc::SIOCGIFINDEX)?;
        let flags = ask(&socket, name, libc::SIOCGIFFLAGS)?;
        let hardware = ask(&socket, name, libc::SIOCGIFHWADDR)?;
        // SAFETY: SIOCGIFINDEX has filled this member, and any bytes are an integer.
        let index = unsafe { index.ifr_ifru.ifru_ifindex };
        // SAFETY: likewise, by SIOCGIFFLAGS.
        let flags = i32::from(unsafe { flags.ifr_ifru.ifru_flags });
        // SAFETY: likewise, by SIOCGIFHWADDR; an address of any kind is bytes.
        let hardware = unsafe { hardware.ifr_ifru.ifru_hwaddr };
        let is_ethernet = hardware.sa_family == libc::ARPHRD_ETHER;
        let is_announced = is_ethernet && flags & (libc::IFF_LOOPBACK | libc::IFF_NOARP) == 0;
        let mac = std::array::from_fn(|at| hardware.sa_data[at].to_ne_bytes()[0]);
        Ok(Self {
            index: u32::try_from(index).map_err(|_| Errno::ENODEV)?,
            is_up: flags & libc::IFF_UP != 0,
            has_carrier: flags & libc::IFF_RUNNING != 0,
            mac: is_announced.then_some(mac),
        })
    }

    /// Whether there are neighbours that must be told anew of the addresses on it, since it was seen like `before`: what was
    /// announced without a carrier is lost, a switch forgets what is unplugged, and another Ethernet address is news.
    pub(super) fn is_news_since(&self, before: &Self) -> bool {
        let is_same = before.has_carrier && (before.index, before.mac) == (self.index, self.mac);
        self.has_carrier && !is_same
    }
}

fn ask(socket: &OwnedFd, name: &str, what: libc::Ioctl) -> Result<libc::ifreq, Errno> {
    // SAFETY: all zeroes are a name of no characters, and a union of integers and addresses.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays NUL.
    let room = request.ifr_name.len() - 1;
    if name.len() > room {
        return Err(Errno::ENODEV);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // SAFETY: each of the questions reads the name and writes the union of an `ifreq`, which this is.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut request) };
    if result == 0 {
        Ok(request)
    } else {
        let error = io::Error::last_os_error();
        Err(error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_there_and_announced_to_nobody() {
        let lo = Interface::look("lo").expect("every host has one");
        assert!(lo.index > 0);
        assert_eq!(lo.has_carrier, lo.is_up, "it is its own other end");
        assert_eq!(lo.mac, None);
    }

    #[test]
    fn neighbours_are_told_of_a_carrier_that_came_and_of_another_ethernet_address() {
        let it = Interface {
            index: 3,
            is_up: true,
            has_carrier: true,
            mac: Some([2, 0, 0, 0, 0, 5]),
        };
        let cut = Interface {
            has_carrier: false,
            ..it
        };
        let off = Interface { is_up: false, ..cut };
        let other = Interface {
            mac: Some([2, 0, 0, 0, 0, 6]),
            ..it
        };
        let anew = Interface { index: 4, ..it };
        for before in [cut, off, other, anew] {
            assert!(it.is_news_since(&before), "{before:?}");
            assert!(!cut.is_news_since(&before), "{before:?}");
        }
        assert!(!it.is_news_since(&it));
    }

    #[test]
    fn others_are_not() {
        for name in ["no-such-if", "a-name-that-is-too-long-for-an-interface"] {
            assert_eq!(Interface::look(name), Err(Errno::ENODEV), "{name}");
        }
    }
}
