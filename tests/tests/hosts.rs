//! The harness itself: hosts and the network between them.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    census::Census,
    clock::{Moment, poll},
    host::Host,
    network::{Cut, INTERFACE, METADATA_IP, Network, Server},
    wire::{Capture, Direction, inject},
};

const SOON: Duration = Duration::from_secs(5);

#[test]
fn hosts_have_names_files_and_processes_of_their_own() -> Result<()> {
    let started = Moment::now();
    let (one, two) = (Host::create("primary")?, Host::create("secondary")?);
    println!("two hosts in {:?}", started.elapsed());
    ensure!(one.run_ok("uname", &["-n"])? == "primary\n");
    ensure!(two.run_ok("uname", &["-n"])? == "secondary\n");

    one.write_file("/etc/ha.d/authkeys", 0o600, "auth1\n")?;
    one.write_file("/usr/local/bin/tool", 0o755, "#!/bin/sh\necho $0 $1\n")?;
    ensure!(one.read_file("/etc/ha.d/authkeys")? == "auth1\n");
    ensure!(one.run_ok("stat", &["-c", "%a %U", "/etc/ha.d/authkeys"])? == "600 root\n");
    ensure!(one.run_ok("tool", &["x"])? == "/usr/local/bin/tool x\n");
    ensure!(two.read_file("/etc/ha.d/authkeys").is_err());
    ensure!(!fs::exists("/usr/local/bin/tool")?);

    ensure!(
        one.run_ok("sh", &["-c", "ls -d /proc/[0-9]* | wc -l"])?
            .trim()
            .parse::<u32>()?
            < 6
    );
    ensure!(one.run_ok("ls", &["/sys/class/net"])? == "lo\n");
    ensure!(one.run_ok("stat", &["-f", "-c", "%T", "/sys/fs/bpf"])? == "bpf_fs\n");
    Ok(())
}

#[test]
fn processes_are_signalled_waited_for_and_logged() -> Result<()> {
    let host = Host::create("primary")?;
    let script = "trap 'echo asked to end; exit 7' TERM; echo up; while :; do sleep 0.01; done";
    let process = host.spawn(host.command("sh").args(["-c", script]))?;
    poll(SOON, || Ok(host.log().contains("up\n").then_some(())))?.context("the script is not up")?;
    ensure!(fs::read_to_string(format!("/proc/{}/cmdline", process.pid()))?.contains("asked to end"));

    process.stop()?;
    let state = || fs::read_to_string(format!("/proc/{}/stat", process.pid()));
    poll(SOON, || Ok(state()?.contains(") T ").then_some(())))?.context("not stopped")?;
    process.cont()?;
    process.term()?;
    ensure!(process.wait_exit(SOON)?.code() == Some(7));
    ensure!(host.log().contains("asked to end"));
    ensure!(process.term().is_err());

    let endless = host.spawn(host.command("sleep").arg("1000"))?;
    ensure!(endless.exit_status()?.is_none());
    endless.stop()?;
    endless.kill9()?;
    ensure!(endless.exit_status()?.is_some());
    ensure!(host.run("sh", &["-c", "exit 3"])?.status.code() == Some(3));
    ensure!(host.run_ok("false", &[]).is_err());
    Ok(())
}

#[test]
fn orphans_are_collected_and_die_with_the_host() -> Result<()> {
    let host = Host::create("primary")?;
    host.run_ok("sh", &["-c", "sleep 0.01 & (setsid sleep 4711 &)"])?;
    let states = || host.run_ok("sh", &["-c", "cat /proc/[0-9]*/stat 2>/dev/null; true"]);
    poll(SOON, || Ok((!states()?.contains(" Z ")).then_some(())))?.context("a zombie stays")?;
    ensure!(states()?.contains("(sleep) S"));
    let left = Census::of(host.pid())?;
    drop(host);
    ensure!(left.count()? == 0);
    Ok(())
}

#[test]
fn a_dropped_host_leaves_nothing() -> Result<()> {
    let host = Host::create("primary")?;
    let process = host.spawn(host.command("sleep").arg("1000"))?;
    let left = Census::of(host.pid())?;
    ensure!(left.count()? >= 2);
    drop(host);
    ensure!(left.count()? == 0);
    ensure!(process.exit_status()?.is_some());
    Ok(())
}

#[test]
fn a_new_host_is_not_taken_for_a_dropped_one() -> Result<()> {
    let old = Host::create("primary")?;
    let left = Census::of(old.pid())?;
    drop(old);
    // They would be given the old one's numbers, were those free.
    let new = [Host::create("primary")?, Host::create("secondary")?];
    ensure!(left.count()? == 0);
    ensure!(Census::of(new[0].pid())?.count()? > 0);
    Ok(())
}

#[test]
fn servers_reach_each_other_until_cut() -> Result<()> {
    let started = Moment::now();
    let network = Network::create()?;
    println!("a network in {:?}", started.elapsed());
    for server in Server::ALL {
        let port = server.other().port();
        let capture = Capture::start(&network.cloud, port, is_ping(server))?;
        let pings = |count: usize| {
            ping(&network, server)?;
            poll(Duration::from_millis(300), || {
                Ok((capture.frames().len() >= count).then_some(()))
            })
        };
        ensure!(pings(1)?.is_some(), "{server:?} does not reach the other one");
        for (cut, carrier) in [(Cut::Unplugged, "0\n"), (Cut::Silent, "1\n"), (Cut::Mute, "1\n")] {
            drop(capture.take());
            let started = Moment::now();
            network.cut(server, cut)?;
            let took = started.elapsed();
            let seen = || network.server(server).run_ok("cat", &["/sys/class/net/eth0/carrier"]);
            poll(SOON, || Ok((seen()? == carrier).then_some(())))?.context("the carrier is not as expected")?;
            ensure!(pings(1)?.is_none(), "{server:?} reaches the other one although {cut:?}");
            let started = Moment::now();
            network.heal(server, cut)?;
            println!("{cut:?}: cut in {took:?}, healed in {:?}", started.elapsed());
            ensure!(
                pings(1)?.is_some(),
                "{server:?} does not reach the other one after {cut:?} was healed"
            );
        }
    }
    Ok(())
}

#[test]
fn servers_and_client_talk_over_ip() -> Result<()> {
    let network = Network::create()?;
    for (from, to) in [
        (&network.primary, Server::Secondary.address()),
        (&network.secondary, Server::Primary.address()),
        (&network.client, Server::Primary.address()),
        (&network.primary, METADATA_IP),
    ] {
        // Nobody listens: the answer is a refusal, which takes the way there and back.
        let connect = from.run("bash", &["-c", &format!(": < /dev/tcp/{to}/9")])?;
        let message = String::from_utf8_lossy(&connect.stderr);
        ensure!(
            message.contains("Connection refused"),
            "{} to {to}: {message}",
            from.name()
        );
    }
    Ok(())
}

#[test]
fn a_deaf_server_is_heard_but_hears_nothing() -> Result<()> {
    let network = Network::create()?;
    let to_primary = Capture::start(&network.primary, INTERFACE, is_ping(Server::Secondary))?;
    let to_secondary = Capture::start(&network.secondary, INTERFACE, is_ping(Server::Primary))?;
    network.cut(Server::Primary, Cut::Deaf)?;
    ping(&network, Server::Secondary)?;
    ping(&network, Server::Primary)?;
    let heard = to_secondary.wait_for(1, SOON)?;
    ensure!(heard[0].direction == Direction::Received);
    ensure!(to_primary.frames().is_empty());
    network.heal(Server::Primary, Cut::Deaf)?;
    ping(&network, Server::Secondary)?;
    to_primary.wait_for(1, SOON)?;
    Ok(())
}

#[test]
fn captured_frames_can_be_replayed() -> Result<()> {
    let network = Network::create()?;
    let capture = Capture::start(&network.cloud, Server::Primary.port(), is_ping(Server::Primary))?;
    ping(&network, Server::Primary)?;
    let recorded = capture.wait_for(1, SOON)?.remove(0);
    ensure!(recorded.direction == Direction::Received);

    let arriving = Capture::start(&network.secondary, INTERFACE, is_ping(Server::Primary))?;
    ensure!(inject(&network.attacker, INTERFACE, [&recorded.bytes])? == 1);
    ensure!(arriving.wait_for(1, SOON)?[0].bytes == recorded.bytes);
    let started = Moment::now();
    let many = 20_000;
    inject(
        &network.cloud,
        Server::Secondary.port(),
        (0..many).map(|_| &recorded.bytes),
    )?;
    println!("{many} frames injected in {:?}", started.elapsed());
    arriving.wait_for(many / 2, SOON)?;
    Ok(())
}

#[test]
fn two_networks_do_not_meet() -> Result<()> {
    let networks = std::thread::scope(|scope| {
        let making: Vec<_> = (0..2).map(|_| scope.spawn(Network::create)).collect();
        making
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
            .collect::<Result<Vec<_>>>()
    })?;
    let capture = Capture::start(&networks[1].secondary, INTERFACE, is_ping(Server::Primary))?;
    networks[1].cut(Server::Primary, Cut::Silent)?;
    ping(&networks[0], Server::Primary)?;
    ping(&networks[1], Server::Primary)?;
    networks[1].heal(Server::Primary, Cut::Silent)?;
    ping(&networks[1], Server::Primary)?;
    capture.wait_for(1, SOON)?;
    ensure!(capture.frames().len() == 1);
    Ok(())
}

/// Broadcasts a frame of IEEE's "local experimental" type: unlike a datagram, it waits for no neighbour's address, so
/// it goes now or never.
fn ping(network: &Network, from: Server) -> Result<()> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, from.address().octets()[3]]);
    frame.extend([0x88, 0xb5]);
    frame.extend([from.address().octets()[3]; 46]);
    inject(network.server(from), INTERFACE, [frame]).map(|_| ())
}

/// Whether a frame is that server's ping.
fn is_ping(from: Server) -> impl Fn(&[u8]) -> bool + Send + 'static {
    move |frame| frame.get(11..14) == Some(&[from.address().octets()[3], 0x88, 0xb5])
}
