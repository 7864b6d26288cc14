//! Addresses that move without a script, as the other machines on the network see it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    addresses::{
        ANNOUNCEMENTS, V4, V6, advertisements_of, arp_about, cluster, ensure_absent, files, held, started, state,
        wait_for_gratuitous, wait_for_holder, wait_for_log, wait_for_neighbour,
    },
    cluster::Cluster,
    expect::{FLOATIP, LIMIT},
    network::{Cut, INTERFACE, Server},
    resource,
    tutorial::Files,
    wire::Capture,
};

use Server::{Primary, Secondary};

/// A resource whose script notes which addresses its host has when it is called.
const WITNESS: &str = r"#!/bin/sh
ip -o address show dev eth0 >/run/witness-$1
";

/// Whose page the attacker's host gets from an address; nobody's, where it is reached and nobody listens.
fn page(cluster: &Cluster, ip: &str) -> Result<Option<String>> {
    let address = SocketAddr::new(ip.parse::<IpAddr>()?, 80);
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match cluster.network.attacker.enter(ask)? {
        Ok(answer) => {
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let server = body.strip_prefix("Server: ").and_then(|rest| rest.split(',').next());
            Ok(Some(server.context(answer.clone())?.to_owned()))
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// As a host that loses its power: it is silent, and its daemon will not come back.
fn lose_power(cluster: &mut Cluster, server: Server) -> Result<()> {
    cluster.network.cut(server, Cut::Silent)?;
    cluster.power_off(server)
}

#[test]
fn a_bare_address_moves_and_the_neighbours_learn_it() -> Result<()> {
    let mut cluster = started(files(&format!("primary {V4}\n")))?;
    let found = wait_for_holder(&cluster, Primary, V4)?;
    // As the route to the servers' network says.
    ensure!(
        found["prefixlen"] == 24 && found["broadcast"] == "198.51.100.255",
        "{found}"
    );
    ensure!(page(&cluster, V4)?.as_deref() == Some("primary"));
    wait_for_neighbour(&cluster, Primary, V4)?;
    ensure_absent(&cluster, Secondary, V4)?;

    let capture = Capture::start(&cluster.network.attacker, INTERFACE, arp_about(V4)?)?;
    lose_power(&mut cluster, Primary)?;
    wait_for_holder(&cluster, Secondary, V4)?;
    // Nobody has asked since: this is what the announcements have done.
    wait_for_neighbour(&cluster, Secondary, V4)?;
    let frames = wait_for_gratuitous(&cluster, &capture, Secondary, 2 * ANNOUNCEMENTS)?;
    let forms: Vec<u8> = frames.iter().map(|frame| frame[21]).collect();
    ensure!(
        forms == [1, 2].repeat(ANNOUNCEMENTS),
        "requests and replies by turns: {forms:?}"
    );
    for frame in &frames {
        ensure!(
            frame[22..28] == Secondary.mac() && frame[28..32] == frame[38..42],
            "{frame:x?}"
        );
    }
    ensure!(page(&cluster, V4)?.as_deref() == Some("secondary"));

    let takeover = cluster.status(Secondary)?.last_takeover.context("no takeover")?;
    let steps: Vec<_> = takeover.steps.iter().map(|step| step.operation.as_str()).collect();
    ensure!(steps == ["start"], "no status is asked for: {steps:?}");
    let step = &takeover.steps[0];
    ensure!(step.resource == format!("IPaddr::{V4}") && takeover.decided_us <= Some(step.started_us));
    ensure!(step.ended_us >= Some(step.started_us), "{step:?}");
    Ok(())
}

#[test]
fn an_ipv6_address_moves_and_the_neighbours_learn_it() -> Result<()> {
    let mut cluster = started(files(&format!("primary IPv6addr::{V6}/64/{INTERFACE}\n")))?;
    let found = wait_for_holder(&cluster, Primary, V6)?;
    ensure!(
        found["prefixlen"] == 64 && found["tentative"].is_null() && found["nodad"] == true,
        "{found}"
    );
    page(&cluster, V6)?;
    wait_for_neighbour(&cluster, Primary, V6)?;

    let capture = Capture::start(&cluster.network.attacker, INTERFACE, advertisements_of(V6)?)?;
    lose_power(&mut cluster, Primary)?;
    wait_for_holder(&cluster, Secondary, V6)?;
    wait_for_neighbour(&cluster, Secondary, V6)?;
    let frames = wait_for_gratuitous(&cluster, &capture, Secondary, ANNOUNCEMENTS)?;
    for frame in &frames {
        // To override what is known, not solicited, and not from a router.
        ensure!(
            frame[21] == 255 && frame[58] == 0x20 && frame[80..86] == Secondary.mac(),
            "{frame:x?}"
        );
    }
    // It reaches secondary, where nobody listens at this address.
    page(&cluster, V6)?;
    cluster.stop_hb(Secondary)?;
    ensure_absent(&cluster, Secondary, V6)
}

#[test]
fn it_is_gone_before_the_other_one_has_it() -> Result<()> {
    let line = format!("primary witness IPaddr2::{V4}/28/{INTERFACE}:web/198.51.100.127\n");
    let cluster = {
        let mut cluster = cluster(files(&line))?;
        for server in Server::ALL {
            let host = cluster.network.server(server);
            host.write_file("/etc/ha.d/resource.d/witness", 0o755, WITNESS)?;
            cluster.start_hb(server)?;
        }
        cluster.wait_until_joined(LIMIT)?;
        cluster
    };
    let found = wait_for_holder(&cluster, Primary, V4)?;
    ensure!(
        found["prefixlen"] == 28 && found["label"] == "eth0:web" && found["broadcast"] == "198.51.100.127",
        "{found}"
    );
    cluster.stop_hb(Primary)?;
    wait_for_holder(&cluster, Secondary, V4)?;
    ensure_absent(&cluster, Primary, V4)?;
    // The witness is stopped after the address, and before secondary is told.
    let at_stop = cluster.network.primary.read_file("/run/witness-stop")?;
    ensure!(at_stop.contains("198.51.100.5/") && !at_stop.contains(V4), "{at_stop}");
    let own = held(&cluster.network.primary, "198.51.100.5")?;
    ensure!(own.is_some(), "its own address stays");
    cluster.stop_hb(Secondary)?;
    for server in Server::ALL {
        ensure_absent(&cluster, server, V4)?;
        cluster.ensure_nothing_left(server)?;
    }
    Ok(())
}

#[test]
fn a_script_in_resource_d_wins() -> Result<()> {
    let mut cluster = cluster(files(&format!("primary {V4}/24\n")))?;
    for server in Server::ALL {
        let host = cluster.network.server(server);
        host.write_file("/etc/ha.d/resource.d/IPaddr", 0o755, resource::SCRIPT)?;
        // Looked for last, and not at all where hb does it.
        host.write_file("/etc/init.d/IPaddr2", 0o755, resource::SCRIPT)?;
        cluster.start_hb(server)?;
    }
    cluster.wait_until_joined(LIMIT)?;
    let group = format!("IPaddr::{V4}/24");
    cluster.wait_for_status(Primary, "the script was called", |status| {
        Ok(state(status, 0) == Some("running"))
    })?;
    ensure!(cluster.called(Primary)? == [format!("{group} status"), format!("{group} start")]);
    ensure_absent(&cluster, Primary, V4)?;
    cluster
        .run_hb(Primary, &["check"])?
        .ensure(0, &["moved by /etc/ha.d/resource.d/IPaddr"])
}

#[test]
fn an_address_without_a_place_is_a_failure_that_says_what_helps() -> Result<()> {
    let table = [
        (
            format!("IPaddr2::{V4}/24/eth9"),
            "this host has no interface eth9: create it, or name another one",
        ),
        (
            "203.0.113.77".to_owned(),
            "no interface of this host is in a network that contains 203.0.113.77: name one in haresources",
        ),
        (
            format!("IPaddr2::{V4}/24/dummy0"),
            "the interface dummy0 is down: `ip link set dummy0 up`",
        ),
    ];
    for (resource, words) in table {
        let mut cluster = cluster(files(&format!("primary {resource} {FLOATIP}\n")))?;
        let host = &cluster.network.primary;
        host.run_ok("ip", &["link", "add", "dummy0", "type", "bridge"])?;
        cluster
            .run_hb(Primary, &["check"])?
            .ensure(0, &["nowhere, as it is now", words])?;
        cluster.start_hb(Primary)?;
        cluster.start_hb(Secondary)?;
        let status =
            cluster.wait_for_status(
                Primary,
                "it has failed",
                |status| Ok(state(status, 0) == Some("failed")),
            )?;
        let problem = status.text("/groups/0/problem")?;
        ensure!(problem.contains("start: ") && problem.contains(words), "{problem}");
        // What follows it in the group was not started.
        ensure!(!cluster.called(Primary)?.contains(&format!("{FLOATIP} start")));
        for server in Server::ALL {
            cluster.hb(server)?.kill9()?;
        }
    }
    Ok(())
}

#[test]
fn what_is_there_already_is_announced_again() -> Result<()> {
    let files = files(&format!("primary {V4}\n")).hb_toml("[address]\nrefresh = \"0s\"\n");
    let mut cluster = cluster(files.timers("15", "15"))?;
    let capture = Capture::start(&cluster.network.attacker, INTERFACE, arp_about(V4)?)?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    wait_for_holder(&cluster, Primary, V4)?;
    // All that the first life has to say, so that none of it is taken for the second one's.
    wait_for_gratuitous(&cluster, &capture, Primary, 2 * ANNOUNCEMENTS)?;
    // From before a reboot of the daemon it is still there.
    cluster.hb(Primary)?.kill9()?;
    ensure!(held(&cluster.network.primary, V4)?.is_some());
    let _ = capture.take();
    cluster.start_hb(Primary)?;
    wait_for_gratuitous(&cluster, &capture, Primary, 2)?;
    wait_for_holder(&cluster, Primary, V4)?;
    // With another number of bits and another label it is still the same address, and goes with the daemon.
    let host = &cluster.network.primary;
    host.run_ok(
        "ip",
        &[
            "address",
            "add",
            &format!("{V4}/26"),
            "dev",
            INTERFACE,
            "label",
            "eth0:x",
        ],
    )?;
    cluster.stop_hb(Primary)?;
    ensure_absent(&cluster, Primary, V4)
}

#[test]
fn a_reload_adds_and_removes_addresses_and_what_is_held_stays() -> Result<()> {
    let cluster = Cluster::settled(Files::recording().timers("15", "15"))?;
    let write = |text: &str| -> Result<()> {
        for server in Server::ALL {
            let host = cluster.network.server(server);
            host.write_file("/etc/ha.d/haresources", 0o644, text)?;
        }
        for server in Server::ALL {
            cluster.run_hb(server, &["reload"])?.ensure(0, &["groups changed"])?;
        }
        Ok(())
    };
    write(&format!(
        "primary {FLOATIP}\nprimary {V4}\nsecondary IPaddr2::{V4}1/24/{INTERFACE}\n"
    ))?;
    cluster.wait_until("the new addresses are there", LIMIT, || {
        Ok(held(&cluster.network.primary, V4)?.is_some()
            && held(&cluster.network.secondary, &format!("{V4}1"))?.is_some())
    })?;
    write(&format!("primary {FLOATIP}\nprimary {V4}\n"))?;
    cluster.wait_until("what is named no more is gone", LIMIT, || {
        Ok(held(&cluster.network.secondary, &format!("{V4}1"))?.is_none())
    })?;
    ensure!(held(&cluster.network.primary, V4)?.is_some());
    ensure!(
        cluster.called(Primary)? == ["floatip status", "floatip start"],
        "{:?}",
        cluster.called(Primary)?
    );
    Ok(())
}

#[test]
fn a_monitor_misses_an_address() -> Result<()> {
    // Or the check might put it back first.
    let hb_toml = format!("[address]\ncheck = \"0s\"\n[monitor.\"IPaddr::{V4}\"]\ninterval = \"1s\"\nfailures = 1\n");
    let cluster = started(files(&format!("primary {V4}\n")).hb_toml(&hb_toml))?;
    wait_for_holder(&cluster, Primary, V4)?;
    let host = &cluster.network.primary;
    host.run_ok("ip", &["address", "del", &format!("{V4}/24"), "dev", INTERFACE])?;
    wait_for_holder(&cluster, Primary, V4)?;
    wait_for_log(&cluster, Primary, "the address is not here", 1)
}

#[test]
fn check_says_where_they_go() -> Result<()> {
    let line = format!("primary {V4} {V6} IPaddr2::{V4}1/24/{INTERFACE}:web\n");
    let cluster = cluster(files(&line))?;
    let output = cluster.run_hb(Primary, &["check"])?;
    let squeezed = output.text.split_whitespace().collect::<Vec<_>>().join(" ");
    for row in [
        format!("IPaddr::{V4} {V4}/24 on eth0 broadcast 198.51.100.255 haresources:1"),
        format!("IPv6addr::{V6} {V6}/64 on eth0 haresources:1"),
        format!("IPaddr2::{V4}1/24/eth0:web {V4}1/24 on eth0 label eth0:web broadcast 198.51.100.255 haresources:1"),
    ] {
        ensure!(squeezed.contains(&row), "{row}: {}", output.text);
    }
    Ok(())
}

/// Where two interfaces are in the same network it goes where the kernel itself sends what goes to that network.
#[test]
fn of_two_interfaces_in_its_network_it_goes_on_the_one_with_the_lower_metric() -> Result<()> {
    let (v4, v6) = ("203.0.113.77", "2001:db8:9::77");
    let cluster = cluster(files(&format!("primary {v4} {v6}\n")))?;
    let host = &cluster.network.primary;
    for command in [
        "link add second0 type veth peer name second1",
        "link set second1 up",
        "link set second0 up",
        "route add 203.0.113.0/24 dev second0 metric 100",
        "route add 203.0.113.0/24 dev eth0 metric 600",
        "-6 route add 2001:db8:9::/64 dev second0 metric 100",
        "-6 route add 2001:db8:9::/64 dev eth0 metric 600",
    ] {
        host.run_ok("ip", &command.split(' ').collect::<Vec<_>>())?;
    }
    let places = |interface: &str| [format!("{v4}/24 on {interface}"), format!("{v6}/64 on {interface}")];
    let ensure_on = |interface: &str| -> Result<()> {
        let output = cluster.run_hb(Primary, &["check"])?;
        let squeezed = output.text.split_whitespace().collect::<Vec<_>>().join(" ");
        for place in places(interface) {
            ensure!(squeezed.contains(&place), "{place}: {}", output.text);
        }
        Ok(())
    };
    ensure_on("second0")?;
    // That its cable is out when that is decided says nothing of the takeover.
    host.run_ok("ip", &["link", "set", "second1", "down"])?;
    cluster.wait_until("its routes are said to be cut", LIMIT, || {
        let of = |family| host.run_ok("ip", &[family, "route", "show", "dev", "second0"]);
        Ok(of("-4")?.contains("linkdown") && of("-6")?.contains("linkdown"))
    })?;
    ensure_on("second0")
}

/// The kernel of a host whose daemon was killed goes on answering for its addresses, until there is a daemon again.
#[test]
fn what_a_killed_daemon_left_is_removed_when_another_has_it() -> Result<()> {
    let files = files(&format!("primary {V4} IPv6addr::{V6}/64/{INTERFACE}\n")).ha_cf_line("auto_failback off");
    let mut cluster = started(files)?;
    for address in [V4, V6] {
        wait_for_holder(&cluster, Primary, address)?;
    }
    cluster.hb(Primary)?.kill9()?;
    wait_for_holder(&cluster, Secondary, V4)?;
    for address in [V4, V6] {
        ensure!(
            held(&cluster.network.primary, address)?.is_some(),
            "nobody has removed {address}"
        );
    }
    cluster.start_hb(Primary)?;
    for address in [V4, V6] {
        cluster.wait_until("it is removed", LIMIT, || {
            Ok(held(&cluster.network.primary, address)?.is_none())
        })?;
        wait_for_holder(&cluster, Secondary, address)?;
    }
    wait_for_log(&cluster, Primary, "was left here by a daemon that was killed", 2)
}
