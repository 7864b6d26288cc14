//! What the kernel lets through to us: a filter of the classic kind (`SO_ATTACH_FILTER`, linux/filter.h).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{BPF_ABS, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_MEM, BPF_RET, BPF_ST, BPF_W, sock_filter, sock_fprog};
use nix::errno::Errno;

/// The kernel takes 4096 statements (`BPF_MAXINSNS`), but no more bytes than `net.core.optmem_max`, which may be 20 KiB.
const MAX: usize = 1_500;
/// How much of a frame is let through.
const ALL: u32 = 128;
/// Where things are in a frame: ARP's sender and its target; the next header of IPv6, the type of `ICMPv6`, and the target of an advertisement, of which
/// the first and the last four bytes are looked at. Who reads it looks at all of them.
const SENDER: u32 = 28;
const ASKED_FOR: u32 = 38;
const NEXT_HEADER: u32 = 20;
const ICMPV6: u32 = 58;
const TYPE: u32 = 54;
const ADVERTISEMENT: u32 = 136;
const TARGET: [u32; 2] = [62, 74];

/// A filter. It never grows beyond what it was made with.
#[derive(Debug)]
pub(super) struct Filter(Vec<sock_filter>);

impl Filter {
    /// One that lets nothing through, in memory that has been written to once.
    pub(super) fn new() -> Self {
        let mut all = vec![statement(BPF_RET | BPF_K, 1); MAX];
        all.clear();
        all.push(statement(BPF_RET | BPF_K, 0));
        Self(all)
    }

    /// Lets through what is from one of these, and what is from nobody and asks for one of those that are `wanted`.
    pub(super) fn arp(&mut self, addresses: impl Iterator<Item = Ipv4Addr>, wanted: impl Iterator<Item = Ipv4Addr>) {
        let refuse = statement(BPF_RET | BPF_K, 0);
        self.0.clear();
        self.0.push(statement(BPF_LD | BPF_W | BPF_ABS, SENDER));
        for ip in addresses {
            self.add(&[equal(ip.to_bits(), 1), statement(BPF_RET | BPF_K, ALL)]);
        }
        self.add(&[
            equal_or_next(Ipv4Addr::UNSPECIFIED.to_bits()),
            refuse,
            statement(BPF_LD | BPF_W | BPF_ABS, ASKED_FOR),
        ]);
        for ip in wanted {
            self.add(&[equal(ip.to_bits(), 1), statement(BPF_RET | BPF_K, ALL)]);
        }
        self.0.push(refuse);
    }

    /// Lets through advertisements of one of these.
    pub(super) fn neighbours(&mut self, addresses: impl Iterator<Item = Ipv6Addr>) {
        let refuse = statement(BPF_RET | BPF_K, 0);
        self.0.clear();
        self.0.extend([
            statement(BPF_LD | BPF_B | BPF_ABS, NEXT_HEADER),
            equal_or_next(ICMPV6),
            refuse,
            statement(BPF_LD | BPF_B | BPF_ABS, TYPE),
            equal_or_next(ADVERTISEMENT),
            refuse,
        ]);
        // What is loaded from a frame is many instructions by the time that it runs; from here on it is loaded from memory.
        for (index, place) in (0..).zip(TARGET) {
            self.0
                .extend([statement(BPF_LD | BPF_W | BPF_ABS, place), statement(BPF_ST, index)]);
        }
        for ip in addresses {
            let octets = ip.octets();
            let word = |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
            let load = |index| statement(BPF_LD | BPF_W | BPF_MEM, index);
            // From the end, where addresses differ.
            self.add(&[
                load(1),
                equal(word(12), 3),
                load(0),
                equal(word(0), 1),
                statement(BPF_RET | BPF_K, ALL),
            ]);
        }
        self.0.push(refuse);
    }

    pub(super) fn attach(&self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let program = sock_fprog {
            len: u16::try_from(self.0.len()).map_err(|_| Errno::EINVAL)?,
            filter: self.0.as_ptr().cast_mut(),
        };
        let size = libc::socklen_t::try_from(size_of_val(&program)).unwrap_or(0);
        // SAFETY: the option's value is a `sock_fprog`, and its size is given; the kernel only reads the filter, which is
        // alive and as long as is said.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                size,
            )
        };
        Errno::result(result).map(drop)
    }

    /// More than there is room for is left out.
    fn add(&mut self, statements: &[sock_filter]) {
        if self.0.len() + statements.len() < MAX {
            self.0.extend_from_slice(statements);
        }
    }
}

fn statement(code: u32, k: u32) -> sock_filter {
    jump(code, k, 0)
}

/// Goes on if what was loaded is this, else so many statements after the next.
fn equal(k: u32, otherwise: u8) -> sock_filter {
    jump(BPF_JMP | BPF_JEQ | BPF_K, k, otherwise)
}

/// Leaves the next statement out if what was loaded is this.
fn equal_or_next(k: u32) -> sock_filter {
    sock_filter { jt: 1, ..equal(k, 0) }
}

fn jump(code: u32, k: u32, jf: u8) -> sock_filter {
    sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt: 0,
        jf,
        k,
    }
}
