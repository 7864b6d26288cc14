//! What happens to an address while it is here, and when another machine uses it: docs/ADDRESSES.md, as the network sees it.

use std::{
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    addresses::{
        ANNOUNCEMENTS, Repeated, V4, V6, advertisements_of, arp_about, cluster, ensure_absent, files, gratuitous, held,
        shown, started, state, wait_for_gratuitous, wait_for_holder, wait_for_log, wait_for_neighbour,
    },
    clock::Moment,
    cluster::Cluster,
    expect::LIMIT,
    host::Host,
    network::{ATTACKER_IP, ATTACKER_MAC, Cut, INTERFACE, Server},
    nodes::{
        self, Nodes,
        expect::WEB,
        power::{Manner, Switch},
    },
    status::Status,
    tutorial::Files,
    wire::{Capture, Frame, inject},
};
use hb_user::core::GroupState;

use Server::{Primary, Secondary};

/// Checked so often that a test can wait for it.
const OFTEN: &str = "[address]\ncheck = \"300ms\"\n";

fn often(haresources: &str) -> Files {
    files(haresources).hb_toml(OFTEN)
}

fn remove(host: &Host, ip: &str, interface: &str) -> Result<()> {
    host.run_ok("ip", &["address", "del", ip, "dev", interface]).map(drop)
}

/// The attacker's host takes an address.
fn intrude(cluster: &Cluster, ip: &str) -> Result<()> {
    let host = &cluster.network.attacker;
    let nodad: &[&str] = if ip.contains(':') { &["nodad"] } else { &[] };
    let command = [&["address", "add", ip, "dev", INTERFACE], nodad].concat();
    host.run_ok("ip", &command).map(drop)
}

fn number(status: &Status, address: usize, field: &str) -> Result<u64> {
    status.number(&format!("/addresses/{address}/{field}"))
}

fn text<'a>(status: &'a Status, address: usize, field: &str) -> Result<&'a str> {
    status.text(&format!("/addresses/{address}/{field}"))
}

/// ARP, or a neighbour solicitation, that asks for an address and says nothing of the sender.
fn is_probe(frame: &Frame) -> bool {
    let bytes = &frame.bytes;
    match bytes.get(12..14) {
        Some(&[0x08, 0x06]) => bytes[21] == 1 && bytes[28..32] == [0; 4] && bytes[38..42] == [198, 51, 100, 10],
        _ => false,
    }
}

#[test]
fn one_that_is_missing_is_put_back_and_counted() -> Result<()> {
    let cluster = started(often(&format!("primary {V4}\n")))?;
    wait_for_holder(&cluster, Primary, V4)?;
    wait_for_neighbour_of(&cluster, Primary)?;
    let host = &cluster.network.primary;
    let capture = Capture::start(&cluster.network.attacker, INTERFACE, arp_about(V4)?)?;
    remove(host, &format!("{V4}/24"), INTERFACE)?;
    let status = cluster.wait_for_status(Primary, "it is put back", |status| {
        Ok(number(status, 0, "repairs")? == 1)
    })?;
    ensure!(held(host, V4)?.is_some());
    ensure!(
        status
            .json
            .pointer("/addresses/0/missing")
            .is_some_and(serde_json::Value::is_null)
    );
    // As after a takeover, everybody is told.
    wait_for_gratuitous(&cluster, &capture, Primary, 2 * ANNOUNCEMENTS)?;
    wait_for_log(&cluster, Primary, "was missing, and is put back", 1)?;
    cluster
        .run_hb(Primary, &["status"])?
        .ensure(0, &[&format!("address {V4}: here, on eth0"), "put back 1 times"])?;

    // In maintenance nothing is touched.
    cluster.run_hb(Primary, &["maintenance", "on"])?.ensure(0, &[])?;
    remove(host, &format!("{V4}/24"), INTERFACE)?;
    cluster.wait_for_status(Primary, "it is missed", |status| {
        Ok(status.has_alarm("address missing", "in maintenance nothing is touched"))
    })?;
    ensure_absent(&cluster, Primary, V4)?;
    cluster.run_hb(Primary, &["maintenance", "off"])?.ensure(0, &[])?;
    let status = cluster.wait_for_status(Primary, "it is put back again", |status| {
        Ok(number(status, 0, "repairs")? == 2)
    })?;
    ensure!(
        held(host, V4)?.is_some() && status.alarms().is_empty(),
        "{:?}",
        status.alarms()
    );
    // What was released is nobody's to put back.
    cluster.stop_hb(Primary)?;
    ensure_absent(&cluster, Primary, V4)
}

fn wait_for_neighbour_of(cluster: &Cluster, server: Server) -> Result<()> {
    // So that its neighbours have something to forget: a datagram makes the kernel ask whose the address is.
    let ask = || UdpSocket::bind("0.0.0.0:0")?.send_to(b"whose?", (V4, 9));
    cluster.network.attacker.enter(ask)??;
    wait_for_neighbour(cluster, server, V4)
}

/// Going down takes the IPv6 addresses of an interface.
#[test]
fn an_interface_that_goes_down_is_an_alarm_until_it_is_up() -> Result<()> {
    let mut cluster = cluster(often(&format!("primary IPv6addr::{V6}/64/dummy0\n")))?;
    for server in Server::ALL {
        let host = cluster.network.server(server);
        host.run_ok("ip", &["link", "add", "dummy0", "type", "bridge"])?;
        host.run_ok("ip", &["link", "set", "dummy0", "up"])?;
        cluster.start_hb(server)?;
    }
    cluster.wait_until_joined(LIMIT)?;
    wait_for_holder(&cluster, Primary, V6)?;
    let host = &cluster.network.primary;
    host.run_ok("ip", &["link", "set", "dummy0", "down"])?;
    let status = cluster.wait_for_status(Primary, "it is missed", |status| {
        Ok(status.has_alarm("address missing", V6))
    })?;
    ensure!(
        text(&status, 0, "missing")?.contains("the interface dummy0 is down"),
        "{}",
        status.json
    );
    ensure_absent(&cluster, Primary, V6)?;
    host.run_ok("ip", &["link", "set", "dummy0", "up"])?;
    cluster.wait_for_status(Primary, "it is back", |status| Ok(status.alarms().is_empty()))?;
    ensure!(held(host, V6)?.is_some());

    // One that is made anew is another one, of the same name.
    host.run_ok("ip", &["link", "del", "dummy0"])?;
    cluster.wait_for_status(Primary, "it is missed again", |status| {
        Ok(status.has_alarm("address missing", "this host has no interface dummy0"))
    })?;
    host.run_ok("ip", &["link", "add", "dummy0", "type", "bridge"])?;
    host.run_ok("ip", &["link", "set", "dummy0", "up"])?;
    cluster.wait_for_status(Primary, "it is back again", |status| Ok(status.alarms().is_empty()))?;
    ensure!(held(host, V6)?.is_some());
    cluster.stop_hb(Primary)?;
    ensure_absent(&cluster, Primary, V6)
}

/// An interface keeps its addresses and its number when it is given another name.
#[test]
fn it_is_removed_from_an_interface_that_was_renamed() -> Result<()> {
    for resource in [format!("IPaddr2::{V4}/24/dummy0"), V4.to_owned()] {
        let mut cluster = cluster(files(&format!("primary {resource}\n")).hb_toml("[address]\ncheck = \"0s\"\n"))?;
        for server in Server::ALL {
            let host = cluster.network.server(server);
            for command in [
                "link add dummy0 type bridge",
                "link set dummy0 up",
                // The smallest network that contains the address, until it is elsewhere.
                "route add 198.51.100.8/29 dev dummy0",
            ] {
                host.run_ok("ip", &command.split(' ').collect::<Vec<_>>())?;
            }
            cluster.start_hb(server)?;
        }
        cluster.wait_until_joined(LIMIT)?;
        wait_for_holder(&cluster, Primary, V4)?;
        let host = &cluster.network.primary;
        for command in [
            "link set dummy0 down",
            "link set dummy0 name other0",
            "link set other0 up",
        ] {
            host.run_ok("ip", &command.split(' ').collect::<Vec<_>>())?;
        }
        ensure!(held(host, V4)?.is_some(), "it went along");
        cluster.stop_hb(Primary)?;
        ensure_absent(&cluster, Primary, V4)?;
    }
    Ok(())
}

/// What a reload tries last is to attach the program to an interface that is new.
#[test]
fn a_reload_that_is_refused_changes_nothing() -> Result<()> {
    let second = format!("{V4}1");
    let with = |check: &str| {
        let toml = format!("[address]\nrefresh = \"200ms\"\ncheck = \"{check}\"\n");
        files(&format!("primary {V4} {second}\n")).hb_toml(&toml)
    };
    let cluster = started(with("0s"))?;
    wait_for_holder(&cluster, Primary, &second)?;
    let host = &cluster.network.primary;
    for command in [
        "link add dummy0 type bridge",
        "link set dummy0 up",
        "address add 203.0.113.1/24 dev dummy0",
    ] {
        host.run_ok("ip", &command.split(' ').collect::<Vec<_>>())?;
    }
    // Where its link would be pinned something is in the way.
    let links = host.run_ok("find", &["/sys/fs/bpf", "-mindepth", "2", "-name", "link_*"])?;
    let (dir, _) = links.trim().rsplit_once('/').context("no link is pinned")?;
    let shown: serde_json::Value = serde_json::from_str(&host.run_ok("ip", &["-j", "link", "show", "dummy0"])?)?;
    let obstacle = format!("{dir}/link_{}", shown[0]["ifindex"]);
    host.run_ok("mkdir", &[&obstacle])?;
    let more = with("300ms").ha_cf_line("ucast dummy0 203.0.113.2");
    more.install(host)?;
    let ran = cluster.run_hb(Primary, &["reload"])?;
    ensure!(ran.text.contains("dummy0"), "{ran:?}");

    // Nothing is looked for so often as the new settings say. The other address shows how much time has passed.
    let capture = Capture::start(&cluster.network.attacker, INTERFACE, arp_about(&second)?)?;
    remove(host, &format!("{V4}/24"), INTERFACE)?;
    wait_for_gratuitous(&cluster, &capture, Primary, 2 * 10)?;
    ensure_absent(&cluster, Primary, V4)?;
    host.run_ok("rmdir", &[&obstacle])?;
    cluster.run_hb(Primary, &["reload"])?.ensure(0, &["links changed"])?;
    cluster.wait_for_status(Primary, "it is put back", |status| {
        Ok(number(status, 0, "repairs")? == 1)
    })?;
    Ok(())
}

/// RFC 4862, section 5.4.5: the kernel does not answer for an address that it has found to be another's.
#[test]
fn one_that_the_kernel_does_not_use_is_put_there_anew() -> Result<()> {
    let mut cluster = cluster(often(&format!("primary IPv6addr::{V6}/64/{INTERFACE}\n")))?;
    let ip = format!("{V6}/64");
    let add_unusable = |cluster: &Cluster| -> Result<()> {
        let host = &cluster.network.primary;
        host.run_ok("ip", &["address", "add", &ip, "dev", INTERFACE])?;
        cluster.wait_until("it is found to be another's", LIMIT, || {
            Ok(held(host, V6)?.is_some_and(|it| it["dadfailed"] == true))
        })
    };
    let is_usable =
        |cluster: &Cluster| -> Result<bool> {
            Ok(held(&cluster.network.primary, V6)?
                .is_some_and(|it| it["dadfailed"].is_null() && it["tentative"].is_null()))
        };
    for setting in ["accept_dad", "dad_transmits"] {
        let setting = format!("net.ipv6.conf.{INTERFACE}.{setting}=1");
        cluster.network.primary.run_ok("sysctl", &["-qw", &setting])?;
    }
    intrude(&cluster, &ip)?;
    add_unusable(&cluster)?;
    remove(&cluster.network.attacker, &ip, INTERFACE)?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    wait_for_holder(&cluster, Primary, V6)?;
    cluster.wait_until("it is usable", LIMIT, || is_usable(&cluster))?;
    ensure!(number(&cluster.status(Primary)?, 0, "repairs")? == 0);

    // In maintenance nothing is mended, so that it stays as it is until it is looked at.
    cluster.run_hb(Primary, &["maintenance", "on"])?.ensure(0, &[])?;
    intrude(&cluster, &ip)?;
    remove(&cluster.network.primary, &ip, INTERFACE)?;
    add_unusable(&cluster)?;
    remove(&cluster.network.attacker, &ip, INTERFACE)?;
    cluster.wait_for_status(Primary, "it is missed", |status| {
        Ok(status.has_alarm("address missing", V6))
    })?;
    cluster.run_hb(Primary, &["maintenance", "off"])?.ensure(0, &[])?;
    cluster.wait_for_status(Primary, "it is put back", |status| {
        Ok(number(status, 0, "repairs")? == 1)
    })?;
    ensure!(is_usable(&cluster)?);
    cluster.stop_hb(Primary)?;
    ensure_absent(&cluster, Primary, V6)
}

#[test]
fn it_is_announced_again_while_it_is_here() -> Result<()> {
    let second = format!("{V4}1");
    let toml = "[address]\nrefresh = \"200ms\"\ncheck = \"0s\"\n";
    let cluster = started(files(&format!("primary {V4} {second}\n")).hb_toml(toml))?;
    wait_for_holder(&cluster, Primary, &second)?;
    let of = |ip| Capture::start(&cluster.network.attacker, INTERFACE, arp_about(ip)?);
    let (first, other) = (of(V4)?, of(&second)?);
    wait_for_gratuitous(&cluster, &first, Primary, 2 * (ANNOUNCEMENTS + 3))?;
    // One that somebody has taken away is not: it may be elsewhere now. The other one shows how much time has passed.
    remove(&cluster.network.primary, &format!("{V4}/24"), INTERFACE)?;
    let removed = Moment::now();
    let _ = other.take();
    wait_for_gratuitous(&cluster, &other, Primary, 2 * 5)?;
    // One may have been on its way.
    let later: Vec<_> = first.take().into_iter().filter(|frame| frame.at > removed).collect();
    ensure!(gratuitous(&later, Primary).len() <= 2, "{later:?}");
    let _ = other.take();
    wait_for_gratuitous(&cluster, &other, Primary, 2 * 5)?;
    ensure!(gratuitous(&first.take(), Primary).is_empty());
    Ok(())
}

/// What the log says of a conflict.
const IN_USE: &str = "is in use by another machine";

#[test]
fn another_machine_that_comes_later_is_found_and_answered() -> Result<()> {
    let cluster = started(often(&format!("primary {V4} IPv6addr::{V6}/64/{INTERFACE}\n")))?;
    wait_for_holder(&cluster, Primary, V6)?;
    let status = cluster.wait_for_status(Primary, "nobody else has them", |status| {
        Ok(text(status, 0, "probe")? == "free" && text(status, 1, "probe")? == "free")
    })?;
    ensure!(status.alarms().is_empty(), "{:?}", status.alarms());
    let captures = [
        Capture::start(&cluster.network.attacker, INTERFACE, arp_about(V4)?)?,
        Capture::start(&cluster.network.attacker, INTERFACE, advertisements_of(V6)?)?,
    ];
    // The burst of the takeover is over, so that what is seen is the answer.
    cluster.wait_until("all is quiet", LIMIT, || {
        let status = cluster.status(Primary)?;
        Ok(status.number("/groups/0/since_ms")? > 1_500)
    })?;
    for capture in &captures {
        let _ = capture.take();
    }
    let met = Moment::now();
    for ip in [format!("{V4}/24"), format!("{V6}/64")] {
        intrude(&cluster, &ip)?;
    }
    let status = cluster.wait_for_status(Primary, "both are told of", |status| {
        Ok(status.has_alarm("address twice", V4) && status.has_alarm("address twice", V6))
    })?;
    for address in 0..2 {
        ensure!(
            text(&status, address, "conflict_mac")? == shown(ATTACKER_MAC),
            "{}",
            status.json
        );
        ensure!(text(&status, address, "probe")? == "taken" && number(&status, address, "conflicts")? >= 1);
    }
    wait_for_log(&cluster, Primary, IN_USE, 2)?;
    cluster
        .run_hb(Primary, &["status"])?
        .ensure(0, &["ADDRESS TWICE", &format!("used by {}, too", shown(ATTACKER_MAC))])?;
    // One announcement each, and no more for ten seconds, however often they are heard.
    cluster.wait_for_status(Primary, "they are heard again", |status| {
        Ok(number(status, 0, "conflicts")? >= 3 && number(status, 1, "conflicts")? >= 3)
    })?;
    let log = cluster.network.primary.log();
    ensure!(log.matches(IN_USE).count() == 2, "{log}");
    let ten_seconds = Duration::from_secs(10);
    for (capture, frames) in captures.iter().zip([2, 1]) {
        let seen = capture.frames();
        let answers = gratuitous(&seen, Primary).len();
        let bursts = usize::try_from(met.elapsed().as_nanos() / ten_seconds.as_nanos())? + 1;
        ensure!((frames..=frames * bursts).contains(&answers), "{answers}: {seen:?}");
    }
    // Primary keeps what is its own.
    ensure!(held(&cluster.network.primary, V4)?.is_some() && held(&cluster.network.primary, V6)?.is_some());
    // The next question that nobody answers says so.
    for ip in [format!("{V4}/24"), format!("{V6}/64")] {
        remove(&cluster.network.attacker, &ip, INTERFACE)?;
    }
    cluster.wait_for_status(Primary, "nobody else has them any more", |status| {
        Ok(text(status, 0, "probe")? == "free" && text(status, 1, "probe")? == "free")
    })?;
    Ok(())
}

#[test]
fn a_takeover_does_not_wait_for_the_verdict() -> Result<()> {
    let mut cluster = started(often(&format!("primary {V4}\n")))?;
    wait_for_holder(&cluster, Primary, V4)?;
    let capture = Capture::start(&cluster.network.attacker, INTERFACE, |frame| {
        frame.get(12..14) == Some(&[0x08, 0x06])
    })?;
    // It is cut off from its peer, and not from the network of the address: somebody else still has that.
    intrude(&cluster, &format!("{V4}/24"))?;
    let _ = capture.take();
    cluster.network.cut(Primary, Cut::Silent)?;
    cluster.power_off(Primary)?;
    wait_for_holder(&cluster, Secondary, V4)?;
    cluster.wait_for_status(Secondary, "it is told", |status| {
        Ok(text(status, 0, "probe")? == "taken" && status.has_alarm("address twice", V4))
    })?;
    // First everybody is told, then asked, and then told again.
    let frames = capture.frames();
    let from_secondary: Vec<&Frame> = frames.iter().filter(|it| it.bytes[6..12] == Secondary.mac()).collect();
    let first_probe = from_secondary
        .iter()
        .position(|frame| is_probe(frame))
        .context("no probe")?;
    let first_word = from_secondary
        .iter()
        .position(|frame| frame.bytes[28..32] == [198, 51, 100, 10])
        .context("no announcement")?;
    ensure!(first_word < first_probe, "{from_secondary:?}");
    Ok(())
}

#[test]
fn by_policy_it_is_asked_for_first_and_not_taken() -> Result<()> {
    let toml =
        "[address]\nconflict = \"refuse\"\nprobe = \"300ms\"\ncheck = \"300ms\"\n[cluster]\nstart_retry = \"1s\"\n";
    let mut cluster = cluster(files(&format!("primary {V4}\n")).hb_toml(toml))?;
    intrude(&cluster, &format!("{V4}/24"))?;
    let capture = Capture::start(&cluster.network.attacker, INTERFACE, |frame| {
        frame.get(12..14) == Some(&[0x08, 0x06])
    })?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    let words = format!("{V4} is in use on eth0 by {}", shown(ATTACKER_MAC));
    for server in Server::ALL {
        cluster.wait_for_status(server, "it is refused", |status| {
            let problem = status.text("/groups/0/problem").unwrap_or_default();
            Ok(problem.contains(&words))
        })?;
        ensure_absent(&cluster, server, V4)?;
        let frames = capture.frames();
        let told = gratuitous(&frames, server);
        ensure!(
            told.iter().all(|frame| frame.bytes[28..32] != [198, 51, 100, 10]),
            "{told:?}"
        );
    }
    // It is tried again, and taken when nobody answers, after as many questions as are asked.
    remove(&cluster.network.attacker, &format!("{V4}/24"), INTERFACE)?;
    let mut owner = None;
    cluster.wait_until("somebody has it", LIMIT, || {
        for server in Server::ALL {
            if held(cluster.network.server(server), V4)?.is_some() {
                owner = Some(server);
            }
        }
        Ok(owner.is_some())
    })?;
    let owner = owner.context("nobody")?;
    cluster.wait_for_status(owner, "it says so", |status| {
        Ok(state(status, 0) == Some("running") && text(status, 0, "probe")? == "free")
    })?;
    let frames = capture.frames();
    let before: Vec<&Frame> = frames
        .iter()
        .filter(|it| it.bytes[6..12] == owner.mac())
        .take_while(|it| it.bytes[28..32] != [198, 51, 100, 10])
        .filter(|frame| is_probe(frame))
        .collect();
    ensure!(before.len() >= 3, "{before:?}");
    Ok(())
}

/// While it is frozen another takes over, and what that says waits to be heard.
#[test]
fn who_was_frozen_does_not_take_the_neighbours_from_the_next() -> Result<()> {
    let cluster = started(files(&format!("primary {V4}\n")).hb_toml("[address]\nrefresh = \"300ms\"\n"))?;
    wait_for_holder(&cluster, Primary, V4)?;
    let capture = Capture::start(&cluster.network.attacker, INTERFACE, arp_about(V4)?)?;
    // Its burst is over, so that it would answer.
    cluster.wait_for_status(Primary, "all is quiet", |status| {
        Ok(status.number("/groups/0/since_ms")? > 1_500)
    })?;
    cluster.hb(Primary)?.stop()?;
    wait_for_holder(&cluster, Secondary, V4)?;
    wait_for_gratuitous(&cluster, &capture, Secondary, 2 * ANNOUNCEMENTS)?;
    let woken = Moment::now();
    cluster.hb(Primary)?.cont()?;
    cluster.wait_until("it has let go", LIMIT, || {
        Ok(held(&cluster.network.primary, V4)?.is_none())
    })?;
    let gone = Moment::now();
    let frames = capture.frames();
    let said: Vec<_> = frames
        .iter()
        .filter(|it| it.at > woken && it.at < gone)
        .cloned()
        .collect();
    ensure!(gratuitous(&said, Primary).is_empty(), "{said:?}");
    wait_for_log(&cluster, Primary, "this host was frozen", 1)?;
    // It would have been heard.
    ensure!(!gratuitous(&frames, Primary).is_empty());
    Ok(())
}

/// What asks for the address without saying who asks, from a machine that is about to take it.
fn probe_of_another() -> Vec<u8> {
    let parts: [&[u8]; 6] = [
        &[0xFF; 6],
        &ATTACKER_MAC,
        &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1],
        &ATTACKER_MAC,
        &[0; 10],
        &[198, 51, 100, 10],
    ];
    parts.concat()
}

/// RFC 5227, section 2.1.1: of two that ask at the same time neither has it, and both would take it.
#[test]
fn by_policy_what_another_is_about_to_take_is_not_taken() -> Result<()> {
    let toml =
        "[address]\nconflict = \"refuse\"\nprobe = \"300ms\"\ncheck = \"300ms\"\n[cluster]\nstart_retry = \"1s\"\n";
    let mut cluster = cluster(files(&format!("primary {V4}\n")).hb_toml(toml))?;
    let often = Duration::from_millis(20);
    let asking = Repeated::start(&cluster.network.attacker, INTERFACE, probe_of_another(), often)?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    let words = format!("{V4} is asked for on eth0 by {}", shown(ATTACKER_MAC));
    for server in Server::ALL {
        cluster.wait_for_status(server, "it is refused", |status| {
            let problem = status.text("/groups/0/problem").unwrap_or_default();
            Ok(problem.contains(&words))
        })?;
        ensure_absent(&cluster, server, V4)?;
    }
    let status = cluster.status(Primary)?;
    ensure!(!status.has_alarm("address twice", V4), "nobody uses it");
    drop(asking);
    // When nobody asks any more it is tried again.
    cluster.wait_until("somebody has it", LIMIT, || {
        Ok(held(&cluster.network.primary, V4)?.is_some() || held(&cluster.network.secondary, V4)?.is_some())
    })?;
    let owner = match held(&cluster.network.primary, V4)? {
        Some(_) => Primary,
        None => Secondary,
    };
    // From then on who asks is answered, and that is all.
    let answer = |frame: &[u8]| frame.get(12..14) == Some(&[0x08, 0x06]) && frame.get(20..22) == Some(&[0, 2]);
    let about = arp_about(V4)?;
    let capture = Capture::start(&cluster.network.attacker, INTERFACE, move |frame| {
        about(frame) && answer(frame) && frame[0] & 1 == 0
    })?;
    cluster.wait_for_status(owner, "it stays", |status| {
        inject(&cluster.network.attacker, INTERFACE, [probe_of_another()])?;
        Ok(state(status, 0) == Some("running") && capture.frames().len() >= 3)
    })?;
    let status = cluster.status(owner)?;
    ensure!(number(&status, 0, "conflicts")? == 0 && text(&status, 0, "probe")? == "free");
    ensure!(status.alarms().is_empty(), "{:?}", status.alarms());
    Ok(())
}

/// Nobody can be asked over a cable that is not plugged in: that is not known then, and no reason for no owner.
#[test]
fn where_nobody_can_be_asked_that_is_not_taken_for_free() -> Result<()> {
    let ip = "203.0.113.77";
    for policy in ["refuse", "log"] {
        let toml = format!("[address]\nconflict = \"{policy}\"\nprobe = \"200ms\"\ncheck = \"300ms\"\n");
        let mut cluster = cluster(files(&format!("primary {ip}/24/lone0\n")).hb_toml(&toml))?;
        let host = &cluster.network.primary;
        for command in [
            "link add lone0 type veth peer name lone1",
            "address add 203.0.113.1/24 dev lone0",
            "link set lone0 up",
        ] {
            host.run_ok("ip", &command.split(' ').collect::<Vec<_>>())?;
        }
        for server in Server::ALL {
            cluster.start_hb(server)?;
        }
        cluster.wait_for_status(Primary, "it is taken, and not known to be free", |status| {
            Ok(state(status, 0) == Some("running") && text(status, 0, "probe")? == "unknown")
        })?;
        let host = &cluster.network.primary;
        ensure!(held(host, ip)?.is_some());
        wait_for_log(&cluster, Primary, "lone0 has no carrier", 1)?;
        cluster.wait_for_status(Primary, "it is announced, and nobody hears of it", |status| {
            Ok(status.number("/groups/0/since_ms")? > 1_500)
        })?;
        let capture = Capture::start(host, "lone1", told_of(ip)?)?;
        host.run_ok("ip", &["link", "set", "lone1", "up"])?;
        cluster.wait_for_status(Primary, "the check settles it", |status| {
            Ok(text(status, 0, "probe")? == "free")
        })?;
        capture.wait_for(2 * ANNOUNCEMENTS, LIMIT)?;
    }
    Ok(())
}

/// ARP about an address that is told to all; the answers of the cable's other end, which is this host, too, are to one.
fn told_of(ip: &str) -> Result<impl Fn(&[u8]) -> bool + Send + use<>> {
    let about = arp_about(ip)?;
    Ok(move |frame: &[u8]| about(frame) && frame[0] & 1 == 1)
}

/// A switch that a cable is plugged into knows nothing, and the neighbours know what they were told last.
#[test]
fn all_are_told_again_when_its_interface_has_changed() -> Result<()> {
    let ip = "203.0.113.77";
    let mut cluster = cluster(often(&format!("primary {ip}/24/lone0\n")))?;
    let commands = |commands: &[&str], host: &Host| -> Result<()> {
        for command in commands {
            host.run_ok("ip", &command.split(' ').collect::<Vec<_>>())?;
        }
        Ok(())
    };
    let links = [
        "link add lone0 type veth peer name lone1",
        "link set lone1 up",
        "link set lone0 up",
    ];
    commands(&links, &cluster.network.primary)?;
    let capture = Capture::start(&cluster.network.primary, "lone1", told_of(ip)?)?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    let host = &cluster.network.primary;
    capture.wait_for(2 * ANNOUNCEMENTS, LIMIT)?;
    let is_missed = |status: &Status| Ok(status.has_alarm("address missing", ip));
    let _ = capture.take();

    commands(&["link set lone1 down"], host)?;
    wait_for_log(&cluster, Primary, "nobody hears of it: its interface has no carrier", 1)?;
    commands(&["link set lone1 up"], host)?;
    capture.wait_for(2 * ANNOUNCEMENTS, LIMIT)?;

    let told = told_of(ip)?;
    let from_another = move |frame: &[u8]| told(frame) && frame[22..28] == [2, 0, 0, 0, 0, 0x77];
    let another = Capture::start(host, "lone1", from_another)?;
    commands(&["link set lone0 address 02:00:00:00:00:77"], host)?;
    another.wait_for(2 * ANNOUNCEMENTS, LIMIT)?;

    // One that is switched off keeps its IPv4 addresses.
    commands(&["link set lone0 down"], host)?;
    cluster.wait_for_status(Primary, "it is missed", is_missed)?;
    let _ = capture.take();
    commands(&["link set lone0 up"], host)?;
    capture.wait_for(2 * ANNOUNCEMENTS, LIMIT)?;
    ensure!(number(&cluster.status(Primary)?, 0, "repairs")? == 0);
    Ok(())
}

#[test]
fn after_fencing_nobody_is_asked() -> Result<()> {
    let ip = "192.0.2.77";
    let mut nodes = Nodes::settled(2, |_| {
        let ha_cf = format!("keepalive 100ms\ndeadtime 600ms\ninitdead 3\n{}", Switch::directive(2));
        nodes::Files::of(2, &ha_cf)
            .haresources(&format!("n1 stamp::web IPaddr2::{ip}/24/eth0\n"))
            .hb_toml("[address]\nconflict = \"refuse\"\ncheck = \"0s\"\nprobe = \"5s\"\n[fencing]\nretry = \"1s\"\n")
    })?;
    nodes.wait_for_status(0, "it was asked for first", |status| {
        Ok(text(status, 0, "probe")? == "free")
    })?;
    let _switch = Switch::start(&nodes, Manner::Works)?;
    let capture = Capture::start(nodes.host(1), INTERFACE, |frame| {
        frame.get(12..14) == Some(&[0x08, 0x06])
    })?;
    nodes.power_off(0)?;
    nodes.wait_for_owner(WEB, 1, LIMIT)?;
    let status = nodes.wait_for_status(1, "it has it", |status| Ok(text(status, 0, "probe")? == "needless"))?;
    ensure!(status.text("/peers/0/fencing")? == "done", "{}", status.json);
    ensure!(held(nodes.host(1), ip)?.is_some());
    let octets = ip.parse::<Ipv4Addr>()?.octets();
    let frames = capture.frames();
    let about: Vec<_> = frames.iter().filter(|it| it.bytes[38..42] == octets).collect();
    ensure!(!about.is_empty(), "it was announced");
    ensure!(
        about.iter().all(|it| it.bytes[28..32] == octets),
        "and not asked for: {about:?}"
    );
    Ok(())
}

/// ARP by which a machine says that the address is its own.
fn claim_of(mac: [u8; 6]) -> Vec<u8> {
    let sender = [198, 51, 100, 10];
    let parts: [&[u8]; 7] = [
        &[0xFF; 6],
        &mac,
        &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2],
        &mac,
        &sender,
        &[0; 6],
        &sender,
    ];
    parts.concat()
}

#[test]
fn a_flood_about_it_is_told_with_restraint() -> Result<()> {
    let mut cluster = cluster(often(&format!("primary {V4}\n")))?;
    let about = arp_about(V4)?;
    let capture = Capture::start(&cluster.network.attacker, INTERFACE, move |frame| {
        about(frame) && frame[6..12] == Primary.mac()
    })?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    wait_for_holder(&cluster, Primary, V4)?;
    // The burst of the takeover is over, so that what is seen later is the answer.
    wait_for_gratuitous(&cluster, &capture, Primary, 2 * ANNOUNCEMENTS)?;
    let _ = capture.take();
    let begun = Moment::now();
    let flood = (0..30_000_u32).map(|number| {
        let [_, a, b, c] = number.to_be_bytes();
        claim_of([2, 0xAA, 0, a, b, c])
    });
    let sent = inject(&cluster.network.attacker, INTERFACE, flood)?;
    ensure!(sent > 1_000, "{sent}");
    // Frames are read in the order in which they came: when this one is, nothing of the flood is left.
    let last = [2, 0xBB, 0, 0, 0, 1];
    let status = cluster.wait_for_status(Primary, "the last one is told of", |status| {
        inject(&cluster.network.attacker, INTERFACE, [claim_of(last)])?;
        let is_last = text(status, 0, "conflict_mac").is_ok_and(|mac| mac == shown(last));
        Ok(is_last && status.has_alarm("address twice", V4))
    })?;
    // 16 frames ten times a second at most, and one of them told of.
    let tenths = u64::try_from(begun.elapsed().as_millis() / 100)? + 2;
    let conflicts = number(&status, 0, "conflicts")?;
    ensure!(
        (2..=tenths).contains(&conflicts),
        "{conflicts} in {tenths} tenths of a second, of {sent}"
    );
    // All of it is answered by one announcement in ten seconds.
    wait_for_gratuitous(&cluster, &capture, Primary, 2)?;
    cluster.wait_for_status(Primary, "it goes on", |status| Ok(status.sees_all_peers()))?;
    let answers = gratuitous(&capture.frames(), Primary).len();
    let bursts = usize::try_from(begun.elapsed().as_secs() / 10)? + 1;
    ensure!(answers <= 2 * bursts, "{answers}");
    Ok(())
}

/// What is asked on the wire, all the time: whose the address is.
fn question() -> Vec<u8> {
    let parts: [&[u8]; 7] = [
        &[0xFF; 6],
        &ATTACKER_MAC,
        &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1],
        &ATTACKER_MAC,
        &ATTACKER_IP.octets(),
        &[0; 6],
        &[198, 51, 100, 10],
    ];
    parts.concat()
}

/// At the port of the switch behind which primary is, all that it says is seen in its order: that the address is its own, by
/// answers to questions that never stop, and that it has let go, by its beats.
#[test]
fn it_is_gone_before_the_peer_is_told() -> Result<()> {
    const BEAT: usize = 42;
    let cluster = started(files(&format!("primary {V4}\n")))?;
    wait_for_holder(&cluster, Primary, V4)?;
    let capture = Capture::start(&cluster.network.cloud, Primary.port(), |frame| {
        let is_answer = frame.get(12..14) == Some(&[0x08, 0x06]) && frame.get(21) == Some(&2);
        let is_beat = frame.get(23) == Some(&17) && frame.get(36..38) == Some(&694_u16.to_be_bytes());
        frame.get(6..12) == Some(&Primary.mac()) && (is_answer || is_beat)
    })?;
    let says = |frame: &Frame| match frame.bytes[12..14] {
        [0x08, 0x06] => None,
        _ => Some(GroupState::from_bits(frame.bytes[BEAT + 32] >> 4)),
    };
    std::thread::scope(|scope| -> Result<()> {
        let asking = scope.spawn(|| -> Result<u64> {
            let mut asked = 0;
            // Bounded, and longer than the handover takes.
            while asked < 200_000 && held(&cluster.network.secondary, V4)?.is_none() {
                let questions = std::iter::repeat_n(question(), 200);
                asked += inject(&cluster.network.attacker, INTERFACE, questions)?;
            }
            Ok(asked)
        });
        cluster.wait_until("it is asked, and answers", LIMIT, || {
            Ok(capture.frames().iter().filter(|it| says(it).is_none()).count() > 100)
        })?;
        cluster.run_hb(Primary, &["standby", "all"])?.ensure(0, &[])?;
        let asked = asking.join().map_err(|_| anyhow::anyhow!("the asking panicked"))??;
        ensure!(asked > 100);
        Ok(())
    })?;
    wait_for_holder(&cluster, Secondary, V4)?;
    let frames = capture.frames();
    let last_answer = frames.iter().rposition(|it| says(it).is_none()).context("no answer")?;
    let told = frames
        .iter()
        .position(|it| says(it).is_some_and(|state| !state.is_held()))
        .context("not told")?;
    ensure!(
        last_answer < told,
        "it answered {} frames after it had let go",
        last_answer - told
    );
    // Both were seen in one: questions went on until the other had it.
    ensure!(frames[..told].iter().any(|it| says(it) == Some(GroupState::Releasing)));
    Ok(())
}

/// Where an address without a named interface is removed is where it was added, whatever the routes say by then.
#[test]
fn after_a_restart_it_is_looked_after_and_removed_where_it_is() -> Result<()> {
    let toml = "[address]\nrefresh = \"200ms\"\ncheck = \"300ms\"\n";
    let cluster = started(files(&format!("primary {V4}\n")).hb_toml(toml))?;
    wait_for_holder(&cluster, Primary, V4)?;
    let host = &cluster.network.primary;
    let commands = [
        "link add dummy0 type bridge",
        "link set dummy0 up",
        // A smaller network that contains the address, and is elsewhere.
        "route add 198.51.100.8/29 dev dummy0",
    ];
    for command in commands {
        host.run_ok("ip", &command.split(' ').collect::<Vec<_>>())?;
    }
    cluster
        .run_hb(Primary, &["check"])?
        .ensure(0, &[&format!("{V4}/29 on dummy0")])?;
    cluster.run_hb(Primary, &["restart"])?.ensure(0, &[])?;
    let status = cluster.wait_for_status(Primary, "it goes on", |status| {
        Ok(status.number("/restart/count")? == 1 && status.sees_all_peers())
    })?;
    ensure!(text(&status, 0, "interface")? == INTERFACE && status.json["addresses"][0]["held"] == true);
    // It is announced, and put back, as before.
    let capture = Capture::start(&cluster.network.attacker, INTERFACE, arp_about(V4)?)?;
    wait_for_gratuitous(&cluster, &capture, Primary, 2 * 3)?;
    remove(host, &format!("{V4}/24"), INTERFACE)?;
    cluster.wait_for_status(Primary, "it is put back", |status| {
        Ok(number(status, 0, "repairs")? == 1)
    })?;
    let place = held(host, V4)?.context("not here")?;
    ensure!(place["prefixlen"] == 24, "{place}");
    cluster.stop_hb(Primary)?;
    ensure_absent(&cluster, Primary, V4)
}
