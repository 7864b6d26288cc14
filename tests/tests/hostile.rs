//! Whoever can reach the port but does not have the key moves nothing, ends nothing, and keeps nobody alive.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hb_ebpf::{Incarnation, NodeId, Sequence, beat::Beat};
use hb_tests::{
    clock::Moment,
    cluster::Cluster,
    expect::{FLOATIP, LIMIT},
    flood::Flood,
    frames::{self, Datagram, between, is_beat_of},
    linux_ha,
    network::{ATTACKER_IP, ATTACKER_MAC, INTERFACE, Server},
    random::Random,
    resource,
    status::Status,
    tutorial::Files,
    wire::{Capture, Direction, inject},
};
use hb_user::config::node_id;

use Server::{Primary, Secondary};

const PORT: u16 = 694;

/// Longest that a flood goes on should a test not end it.
const FLOOD: Duration = Duration::from_secs(30);

fn quick() -> Files {
    Files::recording().timers("800ms", "3")
}

/// No deadline passes while these count.
fn slow() -> Files {
    Files::recording().timers("15", "15")
}

/// Beats of primary's, as they reach secondary.
fn record(cluster: &Cluster, count: usize) -> Result<Vec<Vec<u8>>> {
    let capture = Capture::start(&cluster.network.cloud, Secondary.port(), is_beat_of(Primary.address()))?;
    let frames = capture.wait_for(count, LIMIT)?;
    Ok(frames.into_iter().map(|frame| frame.bytes).collect())
}

/// Beats that came too late or once more.
fn stale(status: &Status) -> Result<u64> {
    Ok(status.verdict("old_sequence") + status.number("/peers/0/links/0/duplicates")?)
}

#[test]
fn with_different_keys_each_is_alone_until_it_is_mended() -> Result<()> {
    let mut cluster = Cluster::recording(Files::recording().timers("800ms", "2"))?;
    let secondary = &cluster.network.secondary;
    secondary.write_file("/etc/ha.d/authkeys", 0o600, "auth 1\n1 sha1 AnotherKey\n")?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    for server in Server::ALL {
        let status = cluster.wait_for_peer(server, "dead")?;
        ensure!(status.verdict("tag") > 0 && status.accepted()? == 0, "{}", status.json);
        ensure!(status.has_alarm("other keys", "authkeys"), "{}", status.json);
        // Nothing else is possible: nobody can tell a wrong key from a dead host.
        cluster.wait_until("it has the group", LIMIT, || {
            resource::runs_on(cluster.network.server(server), FLOATIP)
        })?;
    }
    Files::recording()
        .timers("800ms", "2")
        .install(&cluster.network.secondary)?;
    cluster.stop_hb(Secondary)?;
    cluster.start_hb(Secondary)?;
    cluster.ensure_agreed(Primary)?;
    let status = cluster.status(Primary)?;
    ensure!(!status.has_alarm("other keys", ""), "{}", status.json);
    Ok(())
}

#[test]
fn recorded_beats_do_not_raise_the_dead() -> Result<()> {
    let mut cluster = Cluster::settled(quick())?;
    let recorded = record(&cluster, 30)?;
    cluster.power_off(Primary)?;
    resource::lose(&cluster.network.primary, FLOATIP)?;
    cluster.wait_for_owner(Secondary)?;

    let (before, calls) = (cluster.status(Secondary)?, cluster.all_calls()?);
    inject(&cluster.network.cloud, Secondary.port(), &recorded)?;
    let count = stale(&before)? + recorded.len() as u64;
    let after = cluster.wait_for_status(Secondary, "the recorded beats have come", |status| {
        Ok(stale(status)? >= count)
    })?;
    ensure!(after.peers[0].state == "dead" && after.accepted()? == before.accepted()?);
    ensure!(after.number("/peers/0/links/0/sequence")? == before.number("/peers/0/links/0/sequence")?);
    ensure!(cluster.all_calls()? == calls);

    cluster.power_on(Primary)?;
    cluster.ensure_agreed(Primary)
}

#[test]
fn beats_recorded_before_our_restart_bring_up_nobody() -> Result<()> {
    let mut cluster = Cluster::settled(quick())?;
    let recorded = record(&cluster, 30)?;
    cluster.power_off(Primary)?;
    resource::lose(&cluster.network.primary, FLOATIP)?;
    cluster.hb(Secondary)?.kill9()?;
    resource::lose(&cluster.network.secondary, FLOATIP)?;
    let log = cluster.network.secondary.log().len();
    cluster.start_hb(Secondary)?;
    cluster.wait_until_answering(Secondary)?;

    // It knows of no life of primary's yet, and the tags are right: they are admitted. They echo another life of ours.
    inject(&cluster.network.cloud, Secondary.port(), &recorded)?;
    let heard = cluster.wait_for_status(Secondary, "the recorded beats have come", |status| {
        Ok(status.accepted()? >= recorded.len() as u64)
    })?;
    ensure!(heard.peers[0].state == "unknown", "{}", heard.json);
    cluster.wait_for_peer(Secondary, "dead")?;
    cluster.wait_for_owner(Secondary)?;
    ensure!(!cluster.network.secondary.log()[log..].contains("peer is up"));

    cluster.power_on(Primary)?;
    cluster.ensure_agreed(Primary)
}

#[test]
fn forged_beats_are_refused() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    let status = cluster.status(Secondary)?;
    let link = "/peers/0/links/0";
    let known = u64::from_str_radix(status.text(&format!("{link}/incarnation"))?, 16)?;
    let mut beat = frames::beat(NodeId(node_id("primary")), NodeId(node_id("secondary")));
    let mut forged = Vec::new();
    for ahead in 1..=500 {
        // All that the attacker cannot see on the wire is the key.
        beat.sequence = Sequence(status.number(&format!("{link}/sequence"))? + 1_000_000 + ahead);
        for incarnation in [known, known + (ahead << 16)] {
            beat.incarnation = Incarnation(incarnation);
            let payload = frames::signed(&beat, b"a guess");
            let datagram = Datagram::new(Primary.address().into(), Secondary.address().into(), PORT, payload);
            forged.push(between(ATTACKER_MAC, Secondary.mac(), datagram.frame()));
        }
    }
    let sent = inject(&cluster.network.attacker, INTERFACE, &forged)?;
    let refused = |status: &Status| status.verdict("tag") + status.verdict("budget");
    let after = cluster.wait_for_status(Secondary, "the forged beats have come", |status| {
        Ok(refused(status) >= sent)
    })?;
    // Claims to a new life cost few hashes, however many there are.
    ensure!(
        after.verdict("tag") >= 500 && after.verdict("budget") > 0,
        "{}",
        after.json
    );
    ensure!(after.text(&format!("{link}/incarnation"))? == format!("{known:016x}"));
    ensure!(after.number(&format!("{link}/sequence"))? < 1_000_000);
    cluster.ensure_agreed(Primary)?;
    ensure!(cluster.called(Secondary)?.is_empty());
    Ok(())
}

#[test]
fn heartbeats_own_packets_are_counted_and_passed_on() -> Result<()> {
    let cluster = Cluster::settled(slow())?;
    let address = Secondary.address();
    let seen = Capture::start(&cluster.network.secondary, INTERFACE, move |frame| {
        frame.get(30..34) == Some(&address.octets())
    })?;
    let mut sent = Vec::new();
    for sequence in 1..=100 {
        for payload in [
            linux_ha::netstring("primary", sequence, frames::KEY),
            linux_ha::classic("primary", sequence, frames::KEY),
        ] {
            let datagram = Datagram::new(ATTACKER_IP.into(), address.into(), PORT, payload);
            sent.push(between(ATTACKER_MAC, Secondary.mac(), datagram.frame()));
        }
    }
    let count = inject(&cluster.network.attacker, INTERFACE, &sent)?;
    cluster.wait_for_status(Secondary, "the packets are counted", |status| {
        Ok(status.verdict("linux_ha") == count)
    })?;
    // Beats end in XDP and are not seen behind it; these are, and not a byte has changed.
    let is_right = |frame: &hb_tests::wire::Frame| frame.direction == Direction::Received;
    cluster.wait_until("they have passed", LIMIT, || {
        Ok(seen.frames().iter().filter(|frame| is_right(frame)).count() >= sent.len())
    })?;
    let passed: Vec<_> = seen
        .take()
        .into_iter()
        .filter(is_right)
        .map(|frame| frame.bytes)
        .collect();
    ensure!(passed == sent, "{} of {} frames passed", passed.len(), sent.len());
    cluster.ensure_agreed(Primary)?;
    ensure!(cluster.called(Secondary)?.is_empty());
    Ok(())
}

#[test]
fn a_million_random_frames_move_nothing() -> Result<()> {
    const EACH: u64 = 500_000;
    let cluster = Cluster::settled(slow())?;
    let good = record(&cluster, 1)?.remove(0);
    let before = [counted(&cluster, Primary)?, counted(&cluster, Secondary)?];
    // Past the switch, which would keep the worst of it.
    let flood = |to: Server| {
        let mut random = Random::new(694 + to as u64);
        let noise = random.bytes(1 << 20);
        let frames = (0..EACH).map(|index| {
            let frame = if index % 2 == 0 {
                let length = 14 + random.below(1501);
                let start = random.below(noise.len() - length);
                noise[start..start + length].to_vec()
            } else {
                mutated(&good, &mut random)
            };
            between(ATTACKER_MAC, to.mac(), frame)
        });
        inject(&cluster.network.cloud, to.port(), frames)
    };
    let began = Moment::now();
    let sent = std::thread::scope(|scope| -> Result<u64> {
        let other = scope.spawn(|| flood(Secondary));
        let sent = flood(Primary)?;
        Ok(sent + other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?)
    })?;
    println!("{sent} frames in {:?}", began.elapsed());
    ensure!(sent == 2 * EACH);
    for (server, before) in Server::ALL.into_iter().zip(before) {
        let seen = counted(&cluster, server)? - before;
        ensure!(seen >= EACH / 10 * 9, "{} saw {seen} frames", server.name());
    }
    cluster.ensure_agreed(Primary)?;
    ensure!(cluster.all_calls()? == [vec!["floatip status", "floatip start"], vec![]]);
    for server in Server::ALL {
        cluster.run_hb(server, &["status"])?.ensure(0, &["up"])?;
    }
    Ok(())
}

/// A good beat that is wrong in a few places behind its Ethernet addresses, which the switch learns from, or that is too
/// short or too long.
fn mutated(good: &[u8], random: &mut Random) -> Vec<u8> {
    let mut frame = good.to_vec();
    for _ in 0..=random.below(4) {
        let place = 12 + random.below(frame.len() - 12);
        frame[place] ^= u8::try_from(1 << random.below(8)).unwrap_or(1);
    }
    let length = 14 + random.below(2 * good.len());
    if random.below(4) == 0 {
        frame.resize(length, 0x5a);
    }
    frame
}

/// All frames that a server's XDP program has seen.
fn counted(cluster: &Cluster, server: Server) -> Result<u64> {
    let status = cluster.status(server)?;
    let link = status.json.pointer("/peers/0/links/0").context("no link")?;
    let sum = |counters: &serde_json::Value| -> u64 {
        counters
            .as_object()
            .into_iter()
            .flat_map(|counters| counters.values().filter_map(serde_json::Value::as_u64))
            .sum()
    };
    let whole = status.accepted()? + status.number("/peers/0/links/0/duplicates")?;
    Ok(whole + sum(&link["rejected"]) + sum(&status.json["verdicts"]))
}

#[test]
fn beats_get_through_a_flood() -> Result<()> {
    // The deadtime is so short that a few lost or late beats would show.
    let cluster = Cluster::settled(Files::recording().timers("1500ms", "10"))?;
    let datagram = Datagram::new(
        Primary.address().into(),
        Secondary.address().into(),
        PORT,
        vec![0x5a; 64],
    );
    let frame = between(ATTACKER_MAC, Secondary.mac(), datagram.frame());
    let before = cluster.status(Secondary)?;
    let end = Moment::now() + Duration::from_secs(3);
    let flood = (0_u64..).take_while(|_| Moment::now() < end).map(|_| &frame);
    let sent = inject(&cluster.network.attacker, INTERFACE, flood)?;
    let after = cluster.wait_for_status(Secondary, "the flood has come", |status| {
        Ok(status.verdict("foreign") >= before.verdict("foreign") + sent / 10 * 9)
    })?;
    ensure!(after.accepted()? >= before.accepted()? + 40, "{}", after.json);
    cluster.ensure_agreed(Primary)?;
    ensure!(cluster.called(Secondary)?.is_empty());
    Ok(())
}

/// A flood at secondary from the attacker's host.
fn flood(cluster: &Cluster, frames: Vec<Vec<u8>>) -> Result<Flood> {
    let frames = frames.into_iter();
    let frames = frames.map(|frame| between(ATTACKER_MAC, Secondary.mac(), frame));
    Flood::start(&cluster.network.attacker, INTERFACE, frames.collect(), None, FLOOD)
}

/// Waits until so many frames more than before have got a verdict.
fn wait_for_verdicts(cluster: &Cluster, verdict: &str, before: &Status, count: u64) -> Result<Status> {
    cluster.wait_for_status(Secondary, "the flood has come", |status| {
        Ok(status.verdict(verdict) >= before.verdict(verdict) + count)
    })
}

#[test]
fn a_flood_of_recorded_beats_buys_no_hash() -> Result<()> {
    let cluster = Cluster::settled(quick())?;
    let recorded = record(&cluster, 30)?;
    let before = cluster.status(Secondary)?;
    let flood = flood(&cluster, recorded)?;
    let during = wait_for_verdicts(&cluster, "old_sequence", &before, 100_000)?;
    ensure!(during.verdict("tag") == before.verdict("tag") && during.verdict("budget") == before.verdict("budget"));
    let sent = flood.stop()?;
    println!("{:.0} frames a second", sent.rate());
    cluster.ensure_agreed(Primary)?;
    ensure!(cluster.called(Secondary)?.is_empty());
    Ok(())
}

/// Strangers claim new lives of primary's, more than secondary would hash in minutes. Primary really has a new one.
#[test]
fn who_has_restarted_is_heard_through_a_flood_of_strangers() -> Result<()> {
    let mut cluster = Cluster::settled(slow())?;
    cluster.stop_hb(Primary)?;
    cluster.wait_for_owner(Secondary)?;
    let claims = (1..=4096).map(|ahead| {
        let beat = Beat {
            incarnation: Incarnation((0xf000_0000 + ahead) << 16 | 1),
            ..frames::beat(NodeId(node_id("primary")), NodeId(node_id("secondary")))
        };
        let payload = frames::signed(&beat, b"a guess");
        Datagram::new(Primary.address().into(), Secondary.address().into(), PORT, payload).frame()
    });
    let before = cluster.status(Secondary)?;
    let flood = flood(&cluster, claims.collect())?;
    wait_for_verdicts(&cluster, "budget", &before, 20_000)?;
    cluster.start_hb(Primary)?;
    let up = cluster.wait_for_peer(Secondary, "up")?;
    // It still goes on, and it was one: few of its frames were hashed.
    let after = wait_for_verdicts(&cluster, "budget", &up, 20_000)?;
    let more = |verdict| after.verdict(verdict) - before.verdict(verdict);
    ensure!(more("tag") < more("budget") / 4, "{}", after.json);
    flood.stop()?;
    // It is the preferred node, and gets its group back.
    cluster.ensure_agreed(Primary)
}
