//! When an address is announced again: neighbours may lose a frame, and some take no news within a second of the last.

use std::net::IpAddr;

use hb_ebpf::Nanos;

use super::message::Announcement;

/// How long after the first announcement the others follow.
const AFTER: [Nanos; 5] = [
    Nanos::from_millis(10),
    Nanos::from_millis(30),
    Nanos::from_millis(70),
    Nanos::from_millis(150),
    // Linux before 4.12 ignores what comes within a second of the last (arp(7), locktime).
    Nanos::from_millis(1_200),
];

/// So many addresses are announced again at the same time; others are announced once.
const MOST: usize = 256;

/// The announcements that are to follow. It never grows beyond what it was made with.
#[derive(Debug)]
pub(super) struct Bursts(Vec<Burst>);

#[derive(Clone, Copy, Debug)]
struct Burst {
    ip: IpAddr,
    announcement: Announcement,
    begun: Nanos,
    sent: usize,
}

impl Burst {
    fn due(&self) -> Nanos {
        self.begun.saturating_add(AFTER[self.sent])
    }
}

impl Bursts {
    /// None, in memory that has been written to once.
    pub(super) fn new() -> Self {
        let nothing = Burst {
            ip: IpAddr::from([0; 4]),
            announcement: Announcement {
                interface: 0,
                frames: [None, None],
            },
            begun: Nanos(0),
            sent: 0,
        };
        let mut all = vec![nothing; MOST];
        all.clear();
        Self(all)
    }

    /// An address was announced for the first time.
    pub(super) fn begin(&mut self, ip: IpAddr, announcement: Announcement, now: Nanos) {
        self.end(ip, announcement.interface);
        if self.0.len() < MOST {
            self.0.push(Burst {
                ip,
                announcement,
                begun: now,
                sent: 0,
            });
        }
    }

    /// An address is not to be announced any more.
    pub(super) fn end(&mut self, ip: IpAddr, interface: u32) {
        self.0
            .retain(|burst| (burst.ip, burst.announcement.interface) != (ip, interface));
    }

    /// When the next announcement is due.
    pub(super) fn next(&self) -> Option<Nanos> {
        self.0.iter().map(Burst::due).min()
    }

    /// An announcement that is due, once.
    pub(super) fn pop(&mut self, now: Nanos) -> Option<Announcement> {
        let index = self.0.iter().position(|burst| burst.due() <= now)?;
        let burst = &mut self.0[index];
        burst.sent += 1;
        let announcement = burst.announcement;
        if burst.sent == AFTER.len() {
            self.0.swap_remove(index);
        }
        Some(announcement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(interface: u32) -> Announcement {
        Announcement {
            interface,
            frames: [None, None],
        }
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// When announcements of which interfaces are sent, in milliseconds, by who wakes exactly when he should.
    fn play(bursts: &mut Bursts) -> Vec<(u64, u32)> {
        let mut sent = Vec::new();
        while let Some(now) = bursts.next() {
            while let Some(announcement) = bursts.pop(now) {
                sent.push((now.0 / 1_000_000, announcement.interface));
            }
        }
        sent
    }

    #[test]
    fn five_follow_with_growing_gaps() {
        let mut bursts = Bursts::new();
        assert_eq!(bursts.next(), None);
        bursts.begin(ip(1), announcement(7), Nanos::from_millis(1000));
        bursts.begin(ip(2), announcement(8), Nanos::from_millis(1020));
        let sent = play(&mut bursts);
        let expected = [
            (1010, 7),
            (1030, 7),
            (1030, 8),
            (1050, 8),
            (1070, 7),
            (1090, 8),
            (1150, 7),
            (1170, 8),
            (2200, 7),
            (2220, 8),
        ];
        assert_eq!(sent, expected);
    }

    #[test]
    fn one_that_begins_again_begins_anew_and_one_that_ends_is_silent() {
        let mut bursts = Bursts::new();
        bursts.begin(ip(1), announcement(7), Nanos(0));
        bursts.begin(ip(1), announcement(8), Nanos(0));
        bursts.begin(ip(1), announcement(7), Nanos::from_millis(5));
        bursts.end(ip(1), 8);
        bursts.end(ip(2), 7);
        let sent = play(&mut bursts);
        assert_eq!(sent, [(15, 7), (35, 7), (75, 7), (155, 7), (1205, 7)]);
    }

    #[test]
    fn it_never_grows() {
        let mut bursts = Bursts::new();
        let capacity = bursts.0.capacity();
        for (_, index) in (0..2 * MOST).zip(1..) {
            bursts.begin(ip(1), announcement(index), Nanos(0));
        }
        assert_eq!((bursts.0.len(), bursts.0.capacity()), (MOST, capacity));
    }
}
