//! What happens to an address while it is here: docs/ADDRESSES.md, as the network sees it.

use std::net::UdpSocket;

use anyhow::{Context, Result, ensure};
use hb_tests::{
    addresses::{
        ANNOUNCEMENTS, V4, V6, arp_about, cluster, ensure_absent, files, gratuitous, held, intrude, number, often,
        remove, started, text, told_of, wait_for_gratuitous, wait_for_holder, wait_for_log, wait_for_neighbour,
    },
    clock::Moment,
    cluster::Cluster,
    expect::LIMIT,
    host::Host,
    network::{ATTACKER_IP, ATTACKER_MAC, INTERFACE, Server},
    status::Status,
    wire::{Capture, Frame, inject},
};
use hb_user::core::GroupState;

use Server::{Primary, Secondary};

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
