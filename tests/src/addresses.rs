//! Addresses that move without a script: clusters that have some, and what the other machines on the network see.

use std::{
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{MsgFlags, sendto};
use serde_json::Value;

use crate::{
    clock,
    cluster::Cluster,
    expect::LIMIT,
    host::Host,
    network::{INTERFACE, Server},
    status::Status,
    tutorial::Files,
    wire::{Capture, Frame, packet_socket},
};

/// An address that moves.
pub const V4: &str = "198.51.100.10";
/// Another.
pub const V6: &str = "2001:db8::10";

/// Addresses are announced so often, each time with two frames of ARP, or with one neighbour advertisement.
pub const ANNOUNCEMENTS: usize = 6;

/// Short enough to wait for, long enough for a busy machine.
#[must_use]
pub fn files(haresources: &str) -> Files {
    Files::recording().timers("800ms", "10").haresources(haresources)
}

/// The hosts, with IPv6 addresses, and no daemon yet.
pub fn cluster(files: Files) -> Result<Cluster> {
    let cluster = Cluster::recording(files)?;
    let hosts = [
        (&cluster.network.primary, 5),
        (&cluster.network.secondary, 6),
        (&cluster.network.attacker, 66),
    ];
    for (host, number) in hosts {
        let address = format!("2001:db8::{number}/64");
        host.run_ok("ip", &["address", "add", &address, "dev", INTERFACE, "nodad"])?;
    }
    Ok(cluster)
}

/// The same with daemons that have met.
pub fn started(files: Files) -> Result<Cluster> {
    let mut cluster = cluster(files)?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    cluster.wait_until_joined(LIMIT)?;
    Ok(cluster)
}

/// What `ip -j address` says of an address on a host.
pub fn held(host: &Host, ip: &str) -> Result<Option<Value>> {
    let interfaces: Vec<Value> = serde_json::from_str(&host.run_ok("ip", &["-j", "address", "show"])?)?;
    let mut all = interfaces.iter().filter_map(|it| it["addr_info"].as_array()).flatten();
    Ok(all.find(|it| it["local"] == ip).cloned())
}

/// What a server does with a group, as its status says.
#[must_use]
pub fn state(status: &Status, group: usize) -> Option<&str> {
    status.groups.get(group).map(|group| group.state.as_str())
}

/// Whether a server has the first group, as it says; `claimed`, where nobody is left to agree.
#[must_use]
pub fn has_group(status: &Status) -> bool {
    matches!(state(status, 0), Some("running" | "claimed"))
}

/// Waits until a server has an address, and says so.
pub fn wait_for_holder(cluster: &Cluster, server: Server, ip: &str) -> Result<Value> {
    let mut found = None;
    cluster.wait_until(&format!("{} has {ip}", server.name()), LIMIT, || {
        found = held(cluster.network.server(server), ip)?;
        let says_so = cluster.status(server).is_ok_and(|status| has_group(&status));
        Ok(found.is_some() && says_so)
    })?;
    found.context("no address")
}

/// Waits until a host's daemon has logged something so often: a thread of its own writes the log, later than the status has it.
pub fn wait_for_log(cluster: &Cluster, server: Server, words: &str, count: usize) -> Result<()> {
    let host = cluster.network.server(server);
    cluster.wait_until(&format!("{words:?} is logged {count} times"), LIMIT, || {
        Ok(host.log().matches(words).count() >= count)
    })
}

/// Insists that a server has not got an address.
pub fn ensure_absent(cluster: &Cluster, server: Server, ip: &str) -> Result<()> {
    let found = held(cluster.network.server(server), ip)?;
    ensure!(found.is_none(), "{} has {ip}: {found:?}", server.name());
    Ok(())
}

/// What the attacker's host thinks an address's hardware address is.
pub fn neighbour(cluster: &Cluster, ip: &str) -> Result<Option<String>> {
    let text = cluster
        .network
        .attacker
        .run_ok("ip", &["-j", "neighbour", "show", ip])?;
    let all: Vec<Value> = serde_json::from_str(text.trim()).unwrap_or_default();
    Ok(all.first().and_then(|it| it["lladdr"].as_str()).map(str::to_owned))
}

/// An Ethernet address as people write it.
#[must_use]
pub fn shown(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Waits until the attacker's host takes an address for a server's.
pub fn wait_for_neighbour(cluster: &Cluster, server: Server, ip: &str) -> Result<()> {
    let mac = shown(server.mac());
    cluster.wait_until(
        &format!("the neighbours take {ip} for {}'s", server.name()),
        LIMIT,
        || Ok(neighbour(cluster, ip)?.as_deref() == Some(&mac)),
    )
}

/// ARP about an address, from whoever.
pub fn arp_about(ip: &str) -> Result<impl Fn(&[u8]) -> bool + Send + use<>> {
    let ip: std::net::Ipv4Addr = ip.parse()?;
    Ok(move |frame: &[u8]| frame.get(12..14) == Some(&[0x08, 0x06]) && frame.get(28..32) == Some(&ip.octets()))
}

/// Neighbour advertisements of an address.
pub fn advertisements_of(ip: &str) -> Result<impl Fn(&[u8]) -> bool + Send + use<>> {
    let ip: std::net::Ipv6Addr = ip.parse()?;
    Ok(move |frame: &[u8]| {
        frame.get(12..14) == Some(&[0x86, 0xDD])
            && frame.get(54) == Some(&136)
            && frame.get(62..78) == Some(&ip.octets())
    })
}

/// The frames of gratuitous kind: from a server, to all.
#[must_use]
pub fn gratuitous(frames: &[Frame], server: Server) -> Vec<&Frame> {
    let is_it = |frame: &&Frame| frame.bytes[0] & 1 == 1 && frame.bytes[6..12] == server.mac();
    frames.iter().filter(is_it).collect()
}

/// Waits for so many announcements of a server, and gives all that were seen.
pub fn wait_for_gratuitous(cluster: &Cluster, capture: &Capture, server: Server, count: usize) -> Result<Vec<Vec<u8>>> {
    cluster.wait_until(&format!("{count} announcements"), LIMIT, || {
        Ok(gratuitous(&capture.frames(), server).len() >= count)
    })?;
    let frames = capture.frames();
    Ok(gratuitous(&frames, server)
        .iter()
        .map(|frame| frame.bytes.clone())
        .collect())
}

/// A frame that is put on an interface again and again while this exists, however long the test itself is held up.
#[derive(Debug)]
pub struct Repeated {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Repeated {
    /// Begins, with a pause between two.
    pub fn start(host: &Host, interface: &str, frame: Vec<u8>, pause: Duration) -> Result<Self> {
        let (socket, address) = host
            .enter(|| packet_socket(interface))?
            .with_context(|| format!("{}: cannot send on {interface}", host.name()))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = is_over.clone();
        let thread = std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                // One that is lost is followed by another.
                let _ = sendto(socket.as_raw_fd(), &frame, &address, MsgFlags::empty());
                clock::pause(pause);
            }
        });
        Ok(Self {
            is_over,
            thread: Some(thread),
        })
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Checked so often that a test can wait for it.
pub const OFTEN: &str = "[address]\ncheck = \"300ms\"\n";

/// Such files, with checks at that pace.
#[must_use]
pub fn often(haresources: &str) -> Files {
    files(haresources).hb_toml(OFTEN)
}

/// Takes an address from a host, as somebody might by mistake.
pub fn remove(host: &Host, ip: &str, interface: &str) -> Result<()> {
    host.run_ok("ip", &["address", "del", ip, "dev", interface]).map(drop)
}

/// The attacker's host takes an address.
pub fn intrude(cluster: &Cluster, ip: &str) -> Result<()> {
    let host = &cluster.network.attacker;
    let nodad: &[&str] = if ip.contains(':') { &["nodad"] } else { &[] };
    let command = [&["address", "add", ip, "dev", INTERFACE], nodad].concat();
    host.run_ok("ip", &command).map(drop)
}

/// A number of an address in the status.
pub fn number(status: &Status, address: usize, field: &str) -> Result<u64> {
    status.number(&format!("/addresses/{address}/{field}"))
}

/// A text of an address in the status.
pub fn text<'a>(status: &'a Status, address: usize, field: &str) -> Result<&'a str> {
    status.text(&format!("/addresses/{address}/{field}"))
}

/// ARP about an address that is told to all; the answers of the cable's other end, which is this host, too, are to one.
pub fn told_of(ip: &str) -> Result<impl Fn(&[u8]) -> bool + Send + use<>> {
    let about = arp_about(ip)?;
    Ok(move |frame: &[u8]| about(frame) && frame[0] & 1 == 1)
}
