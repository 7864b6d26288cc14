use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use super::packet::{Echo, TOKEN};
use super::socket::Received;
use super::*;
use crate::clock;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const OFTEN: Duration = Duration::from_millis(20);

/// A network of its own with a loopback and an Ethernet whose other end is silent. The commands need iproute2, and root.
fn in_a_network(work: impl FnOnce() + Send) {
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace (as root)");
        for command in [
            "ip link set lo up",
            "ip link add left type veth peer name right",
            "ip address add 192.0.2.1/24 dev left",
            "ip link set left up",
            "ip link set right up",
        ] {
            run(command);
        }
        work();
    };
    std::thread::scope(|scope| {
        if let Err(panic) = scope.spawn(inside).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn run(command: &str) {
    let mut words = command.split(' ');
    let program = words.next().expect("a program");
    let status = Command::new(program).args(words).status().expect(program);
    assert!(status.success(), "{command}");
}

#[expect(clippy::disallowed_methods, reason = "a wait for a condition, with a deadline")]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = clock::now().saturating_add(Nanos::from_millis(10_000));
    while !condition() {
        assert!(clock::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn both_families_answer_and_go_on_answering() {
    in_a_network(|| {
        let begin = clock::now();
        let (prober, reach) = Prober::start(vec![vec![V4], vec![V6]], OFTEN).expect("a start");
        eventually("both have answered", || reach.newest(2).is_some());
        let first = reach.newest(2).expect("an answer");
        assert!(first >= begin && first <= clock::now());
        assert_eq!(reach.reached(clock::now(), Nanos::from_millis(60_000)), 2);
        eventually("they go on", || reach.newest(2).is_some_and(|newest| newest > first));
        assert!(reach.answered(0).is_some() && reach.answered(1).is_some());

        drop(prober);
        let replies = reach.replies();
        let newest = reach.newest(1).expect("an answer");
        // Nothing is under way any more: the thread has ended.
        assert_eq!((reach.replies(), Arc::strong_count(&reach)), (replies, 1));
        let later = newest.saturating_add(Nanos::from_millis(1000));
        assert_eq!(reach.reached(later, Nanos::from_millis(999)), 0, "too long ago");
    });
}

#[test]
fn the_silent_are_not_reached_until_they_are_there() {
    in_a_network(|| {
        let silent: IpAddr = "192.0.2.2".parse().expect("an address");
        let no_route: IpAddr = "2001:db8::2".parse().expect("an address");
        let targets = vec![vec![silent], vec![no_route], vec![silent, V4], vec![]];
        let (_prober, reach) = Prober::start(targets, OFTEN).expect("a start");
        eventually("many were asked", || reach.errors() >= 5 && reach.replies() >= 5);
        assert_eq!(
            (reach.answered(0), reach.answered(1), reach.answered(3)),
            (None, None, None)
        );
        assert!(reach.answered(2).is_some(), "one of a group is enough");
        assert_eq!(reach.reached(clock::now(), Nanos::from_millis(60_000)), 1);

        run("ip address add 192.0.2.2/32 dev lo");
        run("ip address add 2001:db8::2/128 dev lo nodad");
        eventually("they are reached", || reach.newest(3).is_some());
        assert_eq!(reach.answered(3), None);
    });
}

#[test]
fn ping_sockets_and_raw_ones_do_the_same() {
    in_a_network(|| {
        // Of this namespace: on a host it may exclude everybody.
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").expect("a sysctl");
        for (family, to) in [(Family::V4, V4), (Family::V6, V6)] {
            for socket in [Socket::open_ping(family), Socket::open_raw(family)] {
                let socket = socket.expect("a socket");
                let echo = Echo {
                    identifier: socket.identifier,
                    sequence: 7,
                    token: [42; TOKEN],
                };
                socket.send(to, echo.sequence, echo.token).expect("sent");
                eventually("a reply", || {
                    socket.receive().expect("no error") == Received::Reply(to, echo)
                });
            }
        }
    });
}

#[test]
fn forged_replies_answer_nothing() {
    let mut member = Member::new(3, V4, 0xfffe);
    let token = [7; TOKEN];
    let sequence = member.ask(token, Nanos(100));
    assert_eq!(sequence, 0xffff);
    let echo = Echo {
        identifier: 1,
        sequence,
        token,
    };
    assert_eq!(member.answered_by(V4, &echo), Some((3, Nanos(100))));

    let elsewhere: IpAddr = "127.0.0.2".parse().expect("an address");
    assert_eq!(member.answered_by(elsewhere, &echo), None, "source");
    assert_eq!(member.answered_by(V6, &echo), None, "source");
    let mut forged = echo;
    forged.token[TOKEN - 1] ^= 1;
    assert_eq!(member.answered_by(V4, &forged), None, "token");
    for sequence in [0, 0xfffe, 0xffff - 128] {
        let forged = Echo { sequence, ..echo };
        assert_eq!(member.answered_by(V4, &forged), None, "sequence {sequence}");
    }
}

#[test]
fn a_late_reply_counts_with_its_own_time_and_a_very_late_one_not_at_all() {
    let mut member = Member::new(0, V4, 0);
    let sent: Vec<Echo> = (1..=200_u8)
        .map(|number| Echo {
            identifier: 1,
            sequence: member.ask([number; TOKEN], Nanos(u64::from(number))),
            token: [number; TOKEN],
        })
        .collect();
    assert_eq!(member.answered_by(V4, &sent[199]), Some((0, Nanos(200))));
    assert_eq!(member.answered_by(V4, &sent[72]), Some((0, Nanos(73))));
    assert_eq!(member.answered_by(V4, &sent[71]), None, "forgotten");
}

#[test]
fn what_is_too_much_is_refused_and_nothing_is_fine() {
    let error = Prober::start(vec![Vec::new(); 256], OFTEN).expect_err("too many");
    assert!(error.to_string().contains("256 ping targets"), "{error}");
    let (_prober, reach) = Prober::start(Vec::new(), Duration::ZERO).expect("nothing to do");
    assert_eq!((reach.newest(1), reach.answered(0)), (None, None));
}
