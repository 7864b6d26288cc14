//! What hb refuses, with which words and which exit code; and what it survives.

use std::{io::Write, os::unix::net::UnixStream, time::Duration};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    cluster::Cluster,
    expect::{Ended, FLOATIP, timed},
    network::Server,
    resource::{self, Fault},
    tutorial::Files,
};
use nix::sys::signal::Signal;

use Server::{Primary, Secondary};

fn slow() -> Files {
    Files::recording().timers("15", "15")
}

/// A shell command on primary, to its end.
fn shell(cluster: &Cluster, command: &str) -> Result<Ended> {
    let output = cluster.network.primary.run("sh", &["-c", command])?;
    Ok(Ended {
        code: output.status.code(),
        text: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    })
}

/// A second configuration on primary, which differs in its port.
const SECOND: &str = "cp -r /etc/ha.d /etc/other && sed -i '1i udpport 7694' /etc/other/ha.cf && \
    exec hb run --config-dir /etc/other --state-dir /var/lib/other --run-dir";

#[test]
fn a_second_instance() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    // As it is seen inside the host.
    let pid = cluster.network.primary.run_ok("pgrep", &["-x", "hb"])?;
    let running = format!("already running here, as process {}", pid.trim());
    let second = cluster.run_hb(Primary, &["run"])?;
    second.ensure(1, &[&running, "stop it first", "hb status"])?;
    // Another port does not help, the directory is the first one's.
    shell(&cluster, &format!("{SECOND} /run/hb"))?.ensure(1, &[&running])?;
    cluster.ensure_agreed(Primary)
}

#[test]
fn an_interface_with_another_program() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    let second = shell(&cluster, &format!("{SECOND} /run/other"))?;
    second.ensure(
        1,
        &["another XDP program is attached to eth0", "ip link set eth0 xdp off"],
    )?;
    ensure!(cluster.has_xdp(Primary)?);
    let left = shell(&cluster, "ss -uanH sport = :7694; ls /run/other/hb.sock 2>/dev/null; :")?;
    ensure!(left.text.is_empty(), "{}", left.text);
    cluster.ensure_agreed(Primary)
}

#[test]
fn a_missing_interface() -> Result<()> {
    let ha_cf = "node primary secondary\nucast eth7 198.51.100.6\n";
    let cluster = Cluster::recording(slow().ha_cf(ha_cf))?;
    let words = ["interface eth7, named in ha.cf, does not exist", "ip link"];
    cluster.run_hb(Primary, &["run"])?.ensure(1, &words)?;
    cluster
        .run_hb(Primary, &["check"])?
        .ensure(0, &["ha.cf:2", "no interface eth7"])?;
    cluster.ensure_nothing_left(Primary)
}

#[test]
fn a_port_in_use() -> Result<()> {
    let cluster = Cluster::recording(slow())?;
    let socket = cluster
        .network
        .primary
        .enter(|| std::net::UdpSocket::bind("0.0.0.0:694"))??;
    let words = ["UDP port 694 is in use on eth0", "ss -ulpn", "udpport"];
    cluster.run_hb(Primary, &["run"])?.ensure(1, &words)?;
    ensure!(!cluster.has_xdp(Primary)?);
    drop(socket);
    cluster.ensure_nothing_left(Primary)
}

#[test]
fn no_permission() -> Result<()> {
    let bare = "exec setpriv --bounding-set -all --inh-caps -all hb run";
    let low = Cluster::recording(slow())?;
    shell(&low, bare)?.ensure(
        4,
        &["no permission to bind UDP port 694", "root", "CAP_NET_BIND_SERVICE"],
    )?;
    low.ensure_nothing_left(Primary)?;
    // Anybody may bind a high port; what counts then is BPF.
    let high = Cluster::recording(slow().ha_cf_line("udpport 7694"))?;
    shell(&high, bare)?.ensure(4, &["no permission to load the XDP program", "root", "CAP_BPF"])?;
    high.ensure_nothing_left(Primary)
}

#[test]
fn a_full_disk() -> Result<()> {
    let cluster = Cluster::recording(slow())?;
    let fill = "mkdir -p /var/lib/hb && mount -t tmpfs -o size=4k,nr_inodes=8 tmpfs /var/lib/hb && \
        dd if=/dev/zero of=/var/lib/hb/ballast bs=4k count=1 status=none";
    shell(&cluster, fill)?.ensure(0, &[])?;
    let words = ["/var/lib/hb/incarnation", "no space left", "free some"];
    cluster.run_hb(Primary, &["run"])?.ensure(1, &words)?;
    cluster.ensure_nothing_left(Primary)?;
    ensure!(cluster.network.primary.run_ok("ls", &["/var/lib/hb"])? == "ballast\n");
    Ok(())
}

#[test]
fn a_disk_that_fills_up_later_stops_nothing() -> Result<()> {
    let mut cluster = Cluster::recording(slow().ha_cf_line("logfile /var/full/hb.log"))?;
    let mount = "mkdir -p /var/full && mount -t tmpfs -o size=4k,nr_inodes=8 tmpfs /var/full";
    for server in Server::ALL {
        cluster.network.server(server).run_ok("sh", &["-c", mount])?;
        cluster.start_hb(server)?;
    }
    cluster.wait_until_agreed(Primary)?;
    cluster
        .network
        .primary
        .run("dd", &["if=/dev/zero", "of=/var/full/ballast", "bs=4k", "count=9"])?;
    cluster.stop_hb(Secondary)?;
    cluster.start_hb(Secondary)?;
    cluster.ensure_agreed(Primary)
}

#[test]
fn a_configuration_with_mistakes() -> Result<()> {
    let cluster = Cluster::recording(slow())?;
    let primary = &cluster.network.primary;
    let run_and_check = |words: &[&str]| -> Result<()> {
        cluster.run_hb(Primary, &["run"])?.ensure(6, words)?;
        cluster.run_hb(Primary, &["check"])?.ensure(6, words)
    };
    let good = primary.read_file("/etc/ha.d/ha.cf")?;
    primary.write_file("/etc/ha.d/ha.cf", 0o644, format!("{good}deadtime soon\n"))?;
    run_and_check(&["/etc/ha.d/ha.cf:8", "deadtime \"soon\"", "expected seconds"])?;
    primary.write_file("/etc/ha.d/ha.cf", 0o644, format!("{good}keepalife 2\n"))?;
    run_and_check(&["/etc/ha.d/ha.cf:8", "keepalife"])?;
    primary.write_file("/etc/ha.d/ha.cf", 0o644, &good)?;

    primary.write_file("/etc/ha.d/haresources", 0o644, "tertiary floatip\n")?;
    run_and_check(&["/etc/ha.d/haresources:1", "tertiary", "primary, secondary"])?;
    primary.write_file("/etc/ha.d/haresources", 0o644, "primary 198.51.100.5\n")?;
    run_and_check(&[
        "/etc/ha.d/haresources:1",
        "198.51.100.5",
        "ucast line in ha.cf:",
        "expected an address of its own",
    ])?;
    primary.write_file("/etc/ha.d/haresources", 0o644, "primary floatip\n")?;

    primary.run_ok("chmod", &["644", "/etc/ha.d/authkeys"])?;
    run_and_check(&["/etc/ha.d/authkeys", "600"])?;
    primary.run_ok("chmod", &["600", "/etc/ha.d/authkeys"])?;
    primary.write_file("/etc/ha.d/hb.toml", 0o644, "[scripts]\ntimeout = 5\n")?;
    run_and_check(&["/etc/ha.d/hb.toml:2"])?;
    primary.run_ok("rm", &["-r", "/etc/ha.d"])?;
    run_and_check(&["/etc/ha.d/ha.cf"])?;
    cluster.ensure_nothing_left(Primary)
}

#[test]
fn a_script_that_hangs() -> Result<()> {
    let mut cluster = Cluster::recording(slow())?;
    let primary = &cluster.network.primary;
    primary.write_file("/etc/ha.d/hb.toml", 0o644, "[scripts]\ntimeout = \"1s\"\n")?;
    resource::spoil(primary, FLOATIP, "start", Fault::Hangs)?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    cluster.wait_for_owner(Secondary)?;
    let primary = cluster.wait_for_status(Primary, "the start has failed", |status| {
        Ok(status.groups[0].state == "failed")
    })?;
    let problem = primary.text("/groups/0/problem")?;
    ensure!(
        problem.contains("floatip: start: ") && problem.contains("time"),
        "{problem}"
    );
    // Nothing that it started runs on.
    ensure!(cluster.network.primary.run("pgrep", &["sleep"])?.status.code() == Some(1));
    cluster.ensure_agreed(Secondary)
}

#[test]
fn sighup_with_a_bad_file_ends_nothing() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    cluster.network.primary.write_file("/etc/ha.d/ha.cf", 0o644, "node\n")?;
    cluster.hb(Primary)?.signal(Signal::SIGHUP)?;
    cluster.wait_until("it says what is wrong", Duration::from_secs(5), || {
        let log = cluster.network.primary.log();
        Ok(log.contains("nothing has changed") && log.contains("ha.cf:1: node: expected a host's name"))
    })?;
    cluster.ensure_agreed(Primary)
}

/// The first to stop the group would take the address from the host that beats by it.
#[test]
fn a_reload_does_not_take_what_a_host_has_of_its_own() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    for address in ["198.51.100.6", "IPaddr2::198.51.100.5/24/eth0"] {
        let haresources = format!("primary floatip\nsecondary {address}\n");
        let primary = &cluster.network.primary;
        primary.write_file("/etc/ha.d/haresources", 0o644, haresources)?;
        let words = ["haresources:2", address, "ucast line in ha.cf:"];
        cluster.run_hb(Primary, &["reload"])?.ensure(1, &words)?;
    }
    cluster.ensure_agreed(Primary)
}

#[test]
fn sigint_is_an_orderly_stop() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    cluster.hb(Primary)?.signal(Signal::SIGINT)?;
    ensure!(cluster.hb(Primary)?.wait_exit(Duration::from_secs(5))?.success());
    cluster.wait_for_owner(Secondary)?;
    cluster.ensure_nothing_left(Primary)
}

#[test]
fn nonsense_and_idlers_at_the_control_socket() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    let connect = || -> Result<UnixStream> {
        let connected = cluster
            .network
            .primary
            .enter(|| UnixStream::connect("/run/hb/hb.sock"))?;
        connected.context("cannot connect")
    };
    let endless = vec![b'x'; 100_000];
    for nonsense in [&b"\n"[..], b"{\"status\"\n", b"\xff\xfe\x00\n", &endless, b"\"status\""] {
        // The daemon may hang up before it has heard all.
        let _ = connect()?.write_all(nonsense);
    }
    cluster.run_hb(Primary, &["status"])?.ensure(0, &["node primary: up"])?;

    let idlers = (0..40).map(|_| connect()).collect::<Result<Vec<_>>>()?;
    let took = timed(|| cluster.run_hb(Primary, &["status"])?.ensure(0, &["node primary: up"]))?;
    println!("behind {} idlers: {took:?}", idlers.len());
    cluster.ensure_agreed(Primary)?;
    // Neither do they keep it from leaving.
    let more = (0..40).map(|_| connect()).collect::<Result<Vec<_>>>()?;
    cluster.stop_hb(Primary)?;
    drop((idlers, more));
    cluster.ensure_nothing_left(Primary)
}

#[test]
fn nobody_but_root_may_ask() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    let ask = "exec setpriv --reuid=65534 --regid=65534 --clear-groups hb status";
    shell(&cluster, ask)?.ensure(4, &["no permission", "root"])
}

#[test]
fn what_a_killed_daemon_left_does_not_stop_the_next() -> Result<()> {
    let mut cluster = Cluster::settled(slow())?;
    cluster.hb(Primary)?.kill9()?;
    ensure!(shell(&cluster, "ls /run/hb/hb.sock")?.code == Some(0));
    cluster
        .run_hb(Primary, &["status"])?
        .ensure(3, &["hb is not running here"])?;
    cluster.start_hb(Primary)?;
    cluster.ensure_agreed(Primary)?;
    Ok(())
}
