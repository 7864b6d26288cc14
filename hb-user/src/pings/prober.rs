//! The thread's work: requests out, replies in.

use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use hb_ebpf::Nanos;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;

use super::Reach;
use super::packet::{Echo, TOKEN};
use super::socket::{Received, Socket};
use crate::clock;

/// How many requests to an address are remembered; a reply to an older one is ignored.
const REMEMBERED: usize = 128;
/// How many packets are taken before it is time to look at the clock again.
const AT_ONCE: usize = 256;

/// One address of one target.
pub(super) struct Member {
    target: usize,
    address: IpAddr,
    sequence: u16,
    requests: Box<[Option<Request>; REMEMBERED]>,
}

/// A request that may be answered yet.
#[derive(Clone, Copy)]
struct Request {
    sequence: u16,
    token: [u8; TOKEN],
    sent: Nanos,
}

impl Member {
    /// Requests begin with any sequence number.
    pub(super) fn new(target: usize, address: IpAddr, sequence: u16) -> Self {
        Self {
            target,
            address,
            sequence,
            requests: Box::new([None; REMEMBERED]),
        }
    }

    /// Notes a request that is about to be sent, and returns its sequence number.
    pub(super) fn ask(&mut self, token: [u8; TOKEN], sent: Nanos) -> u16 {
        self.sequence = self.sequence.wrapping_add(1);
        let request = Request {
            sequence: self.sequence,
            token,
            sent,
        };
        self.requests[usize::from(self.sequence) % REMEMBERED] = Some(request);
        self.sequence
    }

    /// The target, and when the request was sent that this answers; `None` if it answers none of ours.
    pub(super) fn answered_by(&self, from: IpAddr, echo: &Echo) -> Option<(usize, Nanos)> {
        let request = self.requests[usize::from(echo.sequence) % REMEMBERED]?;
        let ours = from == self.address && request.sequence == echo.sequence && request.token == echo.token;
        ours.then_some((self.target, request.sent))
    }
}

/// The sockets, by family; one that no target needs is not there.
pub(super) struct Sockets {
    pub(super) v4: Option<Socket>,
    pub(super) v6: Option<Socket>,
}

impl Sockets {
    fn to(&self, address: IpAddr) -> Option<&Socket> {
        match address {
            IpAddr::V4(_) => self.v4.as_ref(),
            IpAddr::V6(_) => self.v6.as_ref(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Socket> {
        self.v4.iter().chain(&self.v6)
    }
}

pub(super) struct Work {
    pub(super) members: Vec<Member>,
    pub(super) sockets: Sockets,
    pub(super) interval: Nanos,
    pub(super) reach: Arc<Reach>,
}

impl Work {
    /// Works until the bell rings.
    pub(super) fn run(mut self, stop: &EventFd) {
        let mut next = clock::now();
        loop {
            let now = clock::now();
            if now >= next {
                self.ask();
                // In step with the clock, unless a whole interval was missed.
                let in_step = next.saturating_add(self.interval);
                next = if in_step > now {
                    in_step
                } else {
                    now.saturating_add(self.interval)
                };
            }
            let mut fds = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
            fds.extend(
                self.sockets
                    .all()
                    .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)),
            );
            let wait = TimeSpec::from_duration(Duration::from_nanos(next.since(clock::now()).0));
            // EINTR is the only error possible, and then it is time to look as well.
            let _ = ppoll(&mut fds, Some(wait), None);
            if fds[0].any() == Some(true) {
                return;
            }
            self.receive();
        }
    }

    fn ask(&mut self) {
        for member in &mut self.members {
            let mut token = [0; TOKEN];
            let Some(socket) = self.sockets.to(member.address) else {
                continue;
            };
            if getrandom::fill(&mut token).is_err() {
                self.reach.count_error();
                continue;
            }
            // Read before the sending: what is answered was sent then or later, never earlier.
            let sequence = member.ask(token, clock::now());
            if let Err(errno) = socket.send(member.address, sequence, token) {
                // No route, no carrier, a firewall: it may be there again next time.
                tracing::trace!(address = %member.address, %errno, "cannot ping");
                self.reach.count_error();
            }
        }
    }

    fn receive(&self) {
        for socket in self.sockets.all() {
            for _ in 0..AT_ONCE {
                match socket.receive() {
                    Ok(Received::Nothing) => break,
                    Ok(Received::Other) => self.reach.count_ignored(),
                    Ok(Received::Reply(from, echo)) => self.take(from, &echo),
                    Err(errno) => {
                        tracing::trace!(%errno, "cannot receive echoes");
                        self.reach.count_error();
                        break;
                    }
                }
            }
        }
    }

    fn take(&self, from: IpAddr, echo: &Echo) {
        // An address may be in several targets: the token tells whose request this answers.
        let answered = self.members.iter().find_map(|member| member.answered_by(from, echo));
        match answered {
            Some((target, sent)) => self.reach.note_answer(target, sent),
            None => self.reach.count_ignored(),
        }
    }
}
