//! The way to an API that is far: a relay that passes on what it gets some time later, in both directions, and that can
//! hang up. TLS goes through it from end to end.
//!
//! It answers the TCP handshake itself, and at once. So that a new connection costs what it would, the first bytes that
//! come through it wait for one round trip more.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddrV4, TcpListener, TcpStream},
    os::fd::AsFd as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    clock::{Moment, lock, pause},
    host::Host,
    service::listen,
};

/// How soon it notices that it is over.
const LISTEN: u16 = 50;
/// As much as is read at once.
const CHUNK: usize = 1 << 14;

/// The relay. It and all connections through it end when this is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    ways: Arc<Ways>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Ways {
    /// From one end to the other.
    delay: Mutex<Duration>,
    /// Both ends of each connection.
    open: Mutex<Vec<TcpStream>>,
    /// How many there were so far.
    count: AtomicU64,
    over: AtomicBool,
}

impl Relay {
    /// Listens on a host from now on, and passes on to another place there.
    pub(super) fn start(host: &Host, at: SocketAddrV4, to: SocketAddrV4) -> Result<Self> {
        let listener = listen(host, at)?;
        let ways = Arc::new(Ways::default());
        let thread = {
            let ways = Arc::clone(&ways);
            host.network_thread("relay", move || serve(&listener, to, &ways))?
        };
        Ok(Self {
            ways,
            thread: Some(thread),
        })
    }

    /// How long each byte of connections that begin from now on is under way.
    pub(super) fn set_delay(&self, delay: Duration) {
        *lock(&self.ways.delay) = delay;
    }

    /// How many connections were made so far. The API numbers them in the same order.
    pub(super) fn connections(&self) -> u64 {
        self.ways.count.load(Ordering::Relaxed)
    }

    /// Closes all connections, as a server does that has had nothing to do for them.
    pub(super) fn hang_up(&self) {
        self.ways.close_all();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ways.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.ways.close_all();
    }
}

impl Ways {
    fn close_all(&self) {
        for end in lock(&self.open).drain(..) {
            // Fails where it has ended already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn serve(listener: &TcpListener, to: SocketAddrV4, ways: &Ways) {
    while !ways.over.load(Ordering::Relaxed) {
        let mut wanted = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut wanted, PollTimeout::from(LISTEN));
        let Ok((near, _)) = listener.accept() else {
            continue;
        };
        if let Err(error) = connect(&near, to, ways) {
            eprintln!("the relay: {error}");
        }
    }
}

fn connect(near: &TcpStream, to: SocketAddrV4, ways: &Ways) -> io::Result<()> {
    let accepted = Moment::now();
    let far = TcpStream::connect(to)?;
    ways.count.fetch_add(1, Ordering::Relaxed);
    near.set_nonblocking(false)?;
    let delay = *lock(&ways.delay);
    for end in [near, &far] {
        end.set_nodelay(true)?;
        lock(&ways.open).push(end.try_clone()?);
    }
    // Nothing of a client arrives before the answer to its SYN could have been with it.
    carry(near.try_clone()?, far.try_clone()?, delay, accepted + delay * 3)?;
    carry(far, near.try_clone()?, delay, accepted)
}

/// Passes on what one end sends, a delay later and not before some moment, until it sends no more.
fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration, not_before: Moment) -> io::Result<()> {
    let (sender, chunks) = mpsc::channel::<(Moment, Vec<u8>)>();
    spawn("relay-in", move || {
        let mut buffer = [0; CHUNK];
        while let Ok(length) = from.read(&mut buffer) {
            let due = (Moment::now() + delay).max(not_before);
            // Nothing is the end.
            let sent = sender.send((due, buffer[..length].to_vec()));
            if length == 0 || sent.is_err() {
                return;
            }
        }
    })?;
    spawn("relay-out", move || {
        while let Ok((due, chunk)) = chunks.recv() {
            pause(due - Moment::now());
            if chunk.is_empty() || to.write_all(&chunk).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

#[cfg(test)]
mod tests;
