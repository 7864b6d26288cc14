//! A client that asks the address that moves, every millisecond, by ICMP echo: whose kernel answers has the address. The
//! answers are seen by the observer, with the kernel's time stamps and with who sent them. Where a network is cut it asks
//! the nodes' own addresses, too: their answers tell to the millisecond from when to when it was.
//!
//! No program on the nodes takes part, so that what is measured is the failover and not a starving server.

use std::{
    mem::MaybeUninit,
    net::{Ipv4Addr, SocketAddrV4},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::sync_channel,
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use nix::unistd::gettid;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::{
    bench::{
        arena::NODES,
        observer::{Sighting, packet::Packet},
        reserved::reserve,
    },
    clock::{Moment, pause},
    host::Host,
    nodes::lan,
};

/// How often it asks.
pub(super) const INTERVAL: Duration = Duration::from_millis(1);

/// What it reserves of a processor: so many microseconds of every so many, so that no hog keeps it from asking.
const RUNTIME_US: u32 = 100;
const PERIOD_US: u32 = 1000;

/// An ICMP echo request without a payload (RFC 792). The kernel fills in the identifier and the checksum.
const REQUEST: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 1];

/// The client. It asks until this is dropped.
#[derive(Debug)]
pub(super) struct Client {
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Orders {
    asks_nodes: AtomicBool,
    over: AtomicBool,
}

impl Client {
    /// Starts to ask for an address from a host.
    pub(super) fn start(host: &Host, address: Ipv4Addr) -> Result<Self> {
        // Sockets for echo requests are for these groups of users; for nobody, by default.
        host.sysctl("net.ipv4.ping_group_range", "0 0")?;
        let open = || -> std::io::Result<Socket> {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let socket = host.enter(open)?.context("the client cannot have a socket")?;
        let orders = Arc::new(Orders::default());
        let (told, thread_id) = sync_channel(1);
        let thread = {
            let orders = Arc::clone(&orders);
            std::thread::Builder::new().name("client".to_owned()).spawn(move || {
                if told.send(gettid()).is_ok() {
                    ask(&orders, &socket, address);
                }
            })?
        };
        let client = Self {
            orders,
            thread: Some(thread),
        };
        // Where the kernel refuses, the client is late under stress, and what it finds is too long, never too short.
        reserve(thread_id.recv()?, RUNTIME_US, PERIOD_US)?;
        Ok(client)
    }

    /// From now on the nodes' own addresses are asked as well, or not any more.
    pub(super) fn ask_nodes(&self, asks: bool) {
        self.orders.asks_nodes.store(asks, Ordering::Relaxed);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.orders.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ask(orders: &Orders, socket: &Socket, address: Ipv4Addr) {
    let target = |address| SockAddr::from(SocketAddrV4::new(address, 0));
    let (service, nodes) = (target(address), (0..NODES).map(|node| target(lan::address(node))));
    let nodes: Vec<_> = nodes.collect();
    let mut next = Moment::now();
    let mut answer = [MaybeUninit::uninit(); 64];
    while !orders.over.load(Ordering::Relaxed) {
        // While nobody has the address this fails, which is what is to be found out.
        let _ = socket.send_to(&REQUEST, &service);
        if orders.asks_nodes.load(Ordering::Relaxed) {
            for node in &nodes {
                let _ = socket.send_to(&REQUEST, node);
            }
        }
        while socket.recv(&mut answer).is_ok() {}
        next = (next + INTERVAL).max(Moment::now());
        pause(next - Moment::now());
    }
}

/// An answer to the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Answer {
    /// When it came to the switch.
    pub(super) at: Moment,
    /// The node that sent it.
    pub(super) node: usize,
}

/// The answers among what was seen.
pub(super) fn answers(seen: &[Sighting], address: Ipv4Addr) -> Vec<Answer> {
    let answers = seen.iter().filter(|seen| seen.packet == Packet::EchoReply(address));
    answers
        .map(|seen| Answer {
            at: seen.at,
            node: seen.sender,
        })
        .collect()
}
