//! What happens when another machine uses an address, or wants it: docs/ADDRESSES.md, as the network sees it.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    addresses::{
        ANNOUNCEMENTS, Repeated, V4, V6, advertisements_of, arp_about, cluster, ensure_absent, files, gratuitous, held,
        intrude, number, often, remove, shown, started, state, text, told_of, wait_for_gratuitous, wait_for_holder,
        wait_for_log,
    },
    clock::Moment,
    cluster::Cluster,
    expect::LIMIT,
    network::{ATTACKER_MAC, Cut, INTERFACE, Server},
    nodes::{
        self, Nodes,
        expect::WEB,
        power::{Manner, Switch},
    },
    wire::{Capture, Frame, inject},
};

use Server::{Primary, Secondary};

/// ARP, or a neighbour solicitation, that asks for an address and says nothing of the sender.
fn is_probe(frame: &Frame) -> bool {
    let bytes = &frame.bytes;
    match bytes.get(12..14) {
        Some(&[0x08, 0x06]) => bytes[21] == 1 && bytes[28..32] == [0; 4] && bytes[38..42] == [198, 51, 100, 10],
        _ => false,
    }
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

/// Hosts that do not take what another one has, and try again soon; no daemon yet.
fn refusing() -> Result<Cluster> {
    let toml =
        "[address]\nconflict = \"refuse\"\nprobe = \"300ms\"\ncheck = \"300ms\"\n[cluster]\nstart_retry = \"1s\"\n";
    cluster(files(&format!("primary {V4}\n")).hb_toml(toml))
}

/// Waits until a server has refused the address in these words, and insists that it has not got it.
fn wait_until_refused(cluster: &Cluster, server: Server, words: &str) -> Result<()> {
    cluster.wait_for_status(server, "it is refused", |status| {
        let problem = status.text("/groups/0/problem").unwrap_or_default();
        Ok(problem.contains(words))
    })?;
    ensure_absent(cluster, server, V4)
}

#[test]
fn by_policy_it_is_asked_for_first_and_not_taken() -> Result<()> {
    let mut cluster = refusing()?;
    intrude(&cluster, &format!("{V4}/24"))?;
    let capture = Capture::start(&cluster.network.attacker, INTERFACE, |frame| {
        frame.get(12..14) == Some(&[0x08, 0x06])
    })?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    let words = format!("{V4} is in use on eth0 by {}", shown(ATTACKER_MAC));
    for server in Server::ALL {
        wait_until_refused(&cluster, server, &words)?;
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
    let mut cluster = refusing()?;
    let often = Duration::from_millis(20);
    let asking = Repeated::start(&cluster.network.attacker, INTERFACE, probe_of_another(), often)?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    let words = format!("{V4} is asked for on eth0 by {}", shown(ATTACKER_MAC));
    for server in Server::ALL {
        wait_until_refused(&cluster, server, &words)?;
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
