//! The work itself: an address is added, removed, looked for, announced and looked after. Nothing here allocates, logs, or waits for
//! anybody but the kernel.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use hb_ebpf::Nanos;
use netlink_packet_route::address::AddressHeader;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::ears::{Claim, Ears};
use super::frame::Frame;
use super::kept::All;
use super::message::{Announcement, Prepared};
use super::netlink::{Netlink, Refusal, attributes};
use super::order::{Answer, Heard, Hush, Order, Task, Unsent};
use crate::clock::{self, Suspended};
use crate::pulse::wake::{Alarm, Bell};

/// An address may be on an interface several times, with other numbers of bits. Nobody means it to be there so often.
const ROUNDS: usize = 8;

/// So long, or for two deadtimes, a host that was frozen says nothing on its own: long enough for the controller to listen, and to
/// give up what others have taken over.
const QUIET: Nanos = Nanos::from_millis(10_000);

/// An address as the kernel has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Found {
    bits: u8,
    /// Whether the kernel answers for it: not, while or since it doubts that nobody else has it (RFC 4862, section 5.4).
    is_usable: bool,
}

/// What the work is done with, opened in advance.
#[derive(Debug)]
pub(super) struct Worker {
    netlink: Netlink,
    /// Sends by every interface and, being of no protocol, receives nothing (packet(7)).
    packets: OwnedFd,
    ears: Ears,
    kept: All,
    alarm: Alarm,
    /// As the last order has it.
    deadtime: Nanos,
    suspended: Suspended,
}

impl Worker {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(Self {
            netlink: Netlink::open()?,
            packets: socket(AddressFamily::Packet, SockType::Raw, flags, None)?,
            ears: Ears::open()?,
            kept: All::new(),
            alarm: Alarm::new()?,
            deadtime: Nanos(0),
            suspended: Suspended::so_far(),
        })
    }

    /// Sleeps until somebody rings, the next announcement is due, or there is something to be heard. Who was frozen meanwhile says
    /// nothing for a while: others may have taken over, and it would take the neighbours from them.
    pub(super) fn sleep(&mut self, bell: &Bell) -> Option<Hush> {
        let now = clock::now();
        let next = [self.kept.next(), self.ears.next(now), self.lookout(now)];
        let next = next.into_iter().flatten().min();
        // An alarm that is never to go off is set to a time that never comes. It cannot fail with what we pass; should it,
        // the bell wakes us all the same.
        let _ = self.alarm.set(next.unwrap_or(Nanos(u64::MAX)));
        let [arp, neighbours] = self.ears.descriptors(now);
        // Who must not be listened to now is replaced by the bell, which is asked anyway.
        let mut fds = [
            PollFd::new(bell.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.alarm.as_fd(), PollFlags::POLLIN),
            PollFd::new(arp.unwrap_or(bell.as_fd()), PollFlags::POLLIN),
            PollFd::new(neighbours.unwrap_or(bell.as_fd()), PollFlags::POLLIN),
        ];
        let _ = poll(&mut fds, PollTimeout::NONE);
        // What was due before it slept was late for another reason.
        let (woken, planned) = (clock::now(), next.map(|next| next.max(now)));
        let late = planned.map_or(Nanos(0), |planned| woken.since(planned));
        // While the machine is suspended our clock stands still.
        let late = late.saturating_add(self.suspended.missed());
        let is_feared = self.deadtime > Nanos(0) && self.kept.has_any();
        if !is_feared || late <= Nanos(self.deadtime.0 / 4 * 3) {
            return None;
        }
        let deadtimes = Nanos(self.deadtime.0.saturating_mul(2));
        let hush = Hush {
            at: woken,
            until: woken.saturating_add(QUIET.max(deadtimes)),
        };
        self.kept.hush(hush.until);
        Some(hush)
    }

    /// It looks at the clock so often that it notices to have been frozen for a deadtime.
    fn lookout(&self, now: Nanos) -> Option<Nanos> {
        let is_wanted = self.deadtime > Nanos(0) && self.kept.has_any();
        is_wanted.then(|| now.saturating_add(Nanos(self.deadtime.0 / 4)))
    }

    /// Repeats the announcements that are due. One that is refused is lost, and counted: others follow.
    pub(super) fn announce_again(&mut self) {
        let now = clock::now();
        while let Some(due) = self.kept.pop(now) {
            // What somebody has removed since is not here to be announced; the check sees to it.
            let is_here = !due.is_refresh || self.look(&due.prepared) == Ok(true);
            if let Some(announcement) = due.prepared.announcement.filter(|_| is_here) {
                let sent = self.announce(&announcement);
                self.kept.note(due.key, sent);
            }
        }
    }

    /// What waits to be heard is heard next, though so much was heard a moment ago.
    pub(super) fn listen_now(&mut self) {
        self.ears.listen_now();
    }

    /// Hears who else uses our addresses. To that an announcement is the answer (RFC 5227, section 2.4).
    pub(super) fn hear(&mut self, mut tell: impl FnMut(Heard)) {
        let at = clock::now();
        let Self {
            ears, kept, packets, ..
        } = self;
        ears.hear(at, |claim| {
            let Claim { mac, is_probe, .. } = claim;
            kept.claim(&claim, at, |key, claimed, announcement| {
                if claimed.is_defended {
                    let _ = announce(packets, announcement);
                }
                if claimed.is_told {
                    tell(Heard { key, mac, is_probe, at });
                }
            });
        });
    }

    pub(super) fn carry_out(&mut self, order: &Order) -> Answer {
        let answer = self.work(order);
        Answer {
            unsent: self.kept.unsent(order.key).or(answer.unsent),
            ..answer
        }
    }

    fn work(&mut self, order: &Order) -> Answer {
        let it = &order.prepared;
        let mut answer = Answer {
            number: order.number,
            started: clock::now(),
            ..Answer::nothing()
        };
        self.deadtime = order.upkeep.deadtime;
        match order.task {
            Task::Add { before, probes } => {
                answer.was_here = self.add_until(it, before);
                if answer.was_here.is_ok() {
                    self.come(order, &mut answer, probes);
                    return answer;
                }
            }
            Task::Remove => {
                let was_kept = self.kept.end(order.key);
                answer.was_here = self.remove(it);
                answer.ended = clock::now();
                if was_kept {
                    answer.unheard = self.listen(order.upkeep.listens);
                }
                return answer;
            }
            Task::Listen => {}
            Task::Look => answer.was_here = self.look(it),
            Task::Keep => {
                self.kept.go_on(order.key, it, order.upkeep.refresh, clock::now());
                answer.unheard = self.listen(order.upkeep.listens);
            }
            Task::Probe { until } => {
                self.kept.ask(order.key, it, until, clock::now());
                answer.unheard = self.listen(order.upkeep.listens);
                answer.asked = self.probe(it);
            }
            Task::Check { mends, tells, probes } => {
                if !self.kept.is_here(order.key) {
                    // Removed since the check was ordered.
                    answer.was_here = Ok(true);
                    return answer;
                }
                answer.was_here = self.look(it);
                if self.kept.is_quiet(order.key, answer.started) {
                    answer.is_quiet = true;
                    return answer;
                }
                if answer.was_here == Ok(false) && mends {
                    match self.add(it) {
                        Ok(_) => self.come(order, &mut answer, probes),
                        Err(refusal) => answer.was_here = Err(refusal),
                    }
                    return answer;
                }
                if answer.was_here == Ok(true) && tells {
                    self.come(order, &mut answer, probes);
                    return answer;
                }
                self.kept.go_on(order.key, it, order.upkeep.refresh, clock::now());
                if probes && answer.was_here == Ok(true) {
                    answer.asked = self.probe(it);
                }
            }
        }
        answer.ended = clock::now();
        answer
    }

    /// It has come: the neighbours are told at once, and the rest is done after that.
    fn come(&mut self, order: &Order, answer: &mut Answer, probes: bool) {
        let it = &order.prepared;
        let sent = it.announcement.as_ref().map_or(Ok(()), |it| self.announce(it));
        answer.ended = clock::now();
        if self.kept.begin(order.key, it, order.upkeep.refresh, answer.ended) {
            answer.unheard = self.listen(order.upkeep.listens);
        }
        self.kept.note(order.key, sent);
        // One too many to be looked after has this one only.
        let mut only = Unsent::default();
        only.note(sent);
        answer.unsent = Some(only);
        if probes {
            answer.asked = self.probe(it);
        }
    }

    fn listen(&mut self, is_wanted: bool) -> Option<Errno> {
        let addresses = self.kept.addresses().filter(move |_| is_wanted);
        let wanted = self.kept.wanted().filter(move |_| is_wanted);
        self.ears.listen(addresses, wanted).err()
    }

    /// Who has it answers at once, or never.
    fn probe(&self, it: &Prepared) -> Option<Result<(), Errno>> {
        let announcement = it.announcement.as_ref()?;
        Some(send(&self.packets, &announcement.probe, announcement.interface))
    }

    /// Adds it while somebody waits for that. The kernel may have taken its time, with its lock held by another.
    fn add_until(&mut self, it: &Prepared, before: Nanos) -> Result<bool, Refusal> {
        if clock::now() > before {
            return Err(Errno::ETIMEDOUT.into());
        }
        let was_here = self.add(it)?;
        if clock::now() > before {
            self.remove(it)?;
            return Err(Errno::ETIMEDOUT.into());
        }
        Ok(was_here)
    }

    fn add(&mut self, it: &Prepared) -> Result<bool, Refusal> {
        match self.netlink.request(&it.add) {
            Ok(()) => Ok(false),
            Err(refusal) if refusal.errno == Errno::EEXIST => match self.find(it)? {
                Some(found) if !found.is_usable => {
                    self.netlink.request(&it.delete.with_bits(found.bits))?;
                    self.netlink.request(&it.add)?;
                    Ok(false)
                }
                Some(_) | None => Ok(true),
            },
            Err(refusal) => Err(refusal),
        }
    }

    /// Removes it however many bits it has there, and looks whether it is gone.
    fn remove(&mut self, it: &Prepared) -> Result<bool, Refusal> {
        let mut was_here = false;
        let mut delete = it.delete;
        for _ in 0..ROUNDS {
            match self.netlink.request(&delete) {
                Ok(()) => was_here = true,
                // It is not there, or its interface is not.
                Err(refusal) if matches!(refusal.errno, Errno::EADDRNOTAVAIL | Errno::ENODEV) => {}
                Err(refusal) => return Err(refusal),
            }
            match self.find(it)? {
                Some(found) => delete = it.delete.with_bits(found.bits),
                None => return Ok(was_here),
            }
        }
        Err(Errno::EBUSY.into())
    }

    /// Whether it is there, and the kernel answers for it.
    fn look(&mut self, it: &Prepared) -> Result<bool, Refusal> {
        Ok(self.find(it)?.is_some_and(|found| found.is_usable))
    }

    /// How it is there.
    fn find(&mut self, it: &Prepared) -> Result<Option<Found>, Refusal> {
        let mut found = None;
        match self
            .netlink
            .dump(&it.look, |_, payload| found = found.or(found_in(it, payload)))
        {
            Ok(()) => Ok(found),
            Err(refusal) if refusal.errno == Errno::ENODEV => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    fn announce(&self, announcement: &Announcement) -> Result<(), Errno> {
        announce(&self.packets, announcement)
    }
}

/// All of it, though a part is refused. Then the first refusal is what came of it.
fn announce(packets: &OwnedFd, announcement: &Announcement) -> Result<(), Errno> {
    let frames = announcement.frames.iter().flatten();
    let sent = frames.map(|frame| send(packets, frame, announcement.interface));
    sent.fold(Ok(()), Result::and)
}

fn send(packets: &OwnedFd, frame: &Frame, interface: u32) -> Result<(), Errno> {
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
            packets.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT,
            (&raw const to).cast(),
            size,
        )
    };
    Errno::result(sent).map(drop)
}

/// An address of which the kernel tells, if it is the one that is looked for: `struct ifaddrmsg`, then attributes and flags of
/// `linux/if_addr.h`.
fn found_in(it: &Prepared, payload: &[u8]) -> Option<Found> {
    const IFADDRMSG: usize = 8;
    const FLAGS: usize = 2;
    const NODAD: u8 = 0x02;
    const OPTIMISTIC: u8 = 0x04;
    const DADFAILED: u8 = 0x08;
    const TENTATIVE: u8 = 0x40;
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
    let flags = *payload.get(FLAGS)?;
    // Of an IPv4 address none of these is ever set.
    let is_in_doubt = flags & TENTATIVE != 0 && flags & (NODAD | OPTIMISTIC) == 0;
    is_it.then_some(Found {
        bits: header.prefix_len,
        is_usable: flags & DADFAILED == 0 && !is_in_doubt,
    })
}

#[cfg(test)]
mod tests;
