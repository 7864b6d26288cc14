//! Who has to agree, and who is gone.

use super::super::*;
use super::bench::*;
use crate::core::testing::{ms, settings};
use crate::core::{Command, Differs, Quorum, StuckPolicy};

/// Three nodes whose group was on B, which fell silent; B is fenced if so said. C votes when told.
fn orphaned(fenced: bool) -> Bench {
    let mut settings = settings(3, A, 1);
    settings.groups[0].preferred = B;
    settings.fenced[B] = fenced;
    let mut bench = Bench::new(settings);
    bench.tell(&Event::Lease { held: true });
    bench.says(C, &[Released]);
    bench.says(B, &[Running]);
    assert!(bench.silent(B).is_empty());
    bench
}

/// C does not hear B any more.
fn without_b() -> Sight {
    Sight {
        present: 0b101,
        ..sight(&[Released])
    }
}

#[test]
fn a_want_waits_for_everybody_who_is_up() {
    let mut bench = Bench::three();
    bench.says(B, &[Released]);
    bench.says(C, &[Released]);
    bench.says(B, &[Released]);
    assert_eq!(bench.waiting(), Some(Waiting::Unconfirmed(C)));
    assert_eq!(bench.says(C, &[Released]), ["acquire 0: start"]);
}

#[test]
fn an_old_echo_is_no_answer() {
    let mut bench = Bench::two();
    bench.says(B, &[Released]);
    let wanted = bench.node.advertised.edition;
    let old = |confirmed| Sight {
        confirmed,
        ..sight(&[Released])
    };
    assert!(bench.hears(B, old(wanted - 1)).is_empty());
    assert!(bench.hears(B, old(wanted.wrapping_sub(1 << 30))).is_empty());
    assert_eq!(bench.hears(B, old(wanted)), ["acquire 0: start"]);
}

#[test]
fn editions_go_round() {
    let mut bench = Bench::two();
    bench.node.advertised.edition = u32::MAX;
    bench.says(B, &[Released]);
    assert_eq!(bench.node.advertised.edition, 0);
    assert!(
        bench
            .hears(
                B,
                Sight {
                    confirmed: u32::MAX,
                    ..sight(&[Released])
                }
            )
            .is_empty()
    );
    assert_eq!(
        bench.hears(
            B,
            Sight {
                confirmed: 0,
                ..sight(&[Released])
            }
        ),
        ["acquire 0: start"]
    );
}

#[test]
fn who_wants_again_has_to_be_answered_again() {
    let mut bench = Bench::two();
    bench.says(B, &[Released]);
    let first = bench.node.advertised.edition;
    bench.order(Command::Maintenance(true));
    assert_eq!(bench.state(), Released);
    bench.order(Command::Maintenance(false));
    assert_eq!(bench.state(), Wanting);
    assert!(
        bench
            .hears(
                B,
                Sight {
                    confirmed: first,
                    ..sight(&[Released])
                }
            )
            .is_empty()
    );
    assert_eq!(bench.says(B, &[Released]), ["acquire 0: start"]);
}

#[test]
fn the_first_in_rank_goes_on() {
    let mut first = Bench::two();
    first.says(B, &[Wanting]);
    assert_eq!(first.says(B, &[Wanting]), ["acquire 0: start"]);

    let mut second = Bench::two();
    second.says(B, &[Asking]);
    assert!(second.says(B, &[Asking]).is_empty());
    assert_eq!(
        second.waiting(),
        Some(Waiting::Outranked(B)),
        "asking comes before wanting"
    );
}

#[test]
fn a_takeover_is_delayed_so_long_that_a_slow_owner_can_stop() {
    let mut bench = Bench::two_of_b();
    bench.node.settings.takeover_delay = ms(2000);
    bench.says(B, &[Running]);
    let silent_since = bench.now;
    assert!(bench.silent(B).is_empty());
    assert_eq!(bench.waiting(), Some(Waiting::Delay(B)));
    assert!(
        bench.node.advert().present & 0b10 != 0,
        "so long others are not told that it is gone"
    );
    let due = silent_since.saturating_add(ms(2000));
    assert_eq!(bench.node.deadline(), Some(due));
    assert!(bench.at(Nanos(due.0 - 1)).is_empty());
    assert_eq!(bench.at(due), ["acquire 0: peer_died"]);
    assert_eq!(bench.node.advert().present & 0b10, 0);
}

#[test]
fn a_majority_says_who_is_gone() {
    let mut bench = orphaned(false);
    assert!(bench.says(C, &[Released]).is_empty());
    assert_eq!(bench.waiting(), Some(Waiting::Majority(B)), "C still hears it");
    assert_eq!(bench.says_so(C, without_b()), ["acquire 0: peer_died"]);
}

#[test]
fn a_vote_from_before_the_want_does_not_count() {
    let mut bench = orphaned(false);
    let before = Sight {
        confirmed: bench.node.groups[0].wanted - 1,
        heard_us: bench.now,
        ..without_b()
    };
    assert!(bench.hears(C, before).is_empty());
}

#[test]
fn a_vote_expires_after_a_lease() {
    let mut bench = orphaned(false);
    bench.tell(&Event::Lease { held: true });
    let confirmed = bench.node.advertised.edition;
    let vote = |heard_us| Sight {
        confirmed,
        heard_us,
        ..without_b()
    };
    let heard_us = bench.now;
    bench.now = heard_us.saturating_add(ms(400));
    assert!(bench.hears(C, vote(heard_us)).is_empty());
    assert_eq!(bench.waiting(), Some(Waiting::Majority(B)));
    let heard_us = Nanos(heard_us.0 + 1);
    assert_eq!(bench.hears(C, vote(heard_us)), ["acquire 0: peer_died"]);
}

#[test]
fn who_differs_in_its_timers_has_no_vote_and_is_not_outlived() {
    let settings = Differs {
        settings: true,
        ..Differs::default()
    };
    let mut bench = orphaned(false);
    assert!(
        bench
            .says_so(
                C,
                Sight {
                    differs: settings,
                    ..without_b()
                }
            )
            .is_empty()
    );
    assert_eq!(bench.waiting(), Some(Waiting::Majority(B)));

    let mut bench = Bench::three();
    bench.says(C, &[Released]);
    bench.says_so(
        B,
        Sight {
            differs: settings,
            ..sight(&[Running])
        },
    );
    bench.silent(B);
    assert!(bench.says_so(C, without_b()).is_empty());
    bench.says_so(C, without_b());
    assert_eq!(
        bench.waiting(),
        Some(Waiting::Differs(B)),
        "its lease may be longer than ours"
    );
}

#[test]
fn nothing_is_started_while_a_peer_speaks_of_other_groups() {
    let mut bench = Bench::two();
    for _ in 0..3 {
        assert!(bench.says_so(B, other_groups(&[Released])).is_empty());
    }
    assert_eq!((bench.state(), bench.waiting()), (Released, Some(Waiting::Differs(B))));

    let mut bench = Bench::running();
    assert!(
        bench.says_so(B, other_groups(&[Running])).is_empty(),
        "what runs is left alone"
    );
}

#[test]
fn a_fence_comes_before_the_takeover() {
    let mut bench = orphaned(true);
    assert!(bench.says(C, &[Released]).is_empty(), "not before all else is settled");
    assert_eq!(bench.says_so(C, without_b()), ["fence 1"]);
    assert_eq!(
        (bench.node.peer(B).fencing, bench.waiting()),
        (Fencing::Running, Some(Waiting::Fence(B)))
    );
    assert!(bench.says_so(C, without_b()).is_empty(), "one at a time");
    assert_eq!(
        bench.tell(&Event::Fenced { node: B, done: true }),
        ["acquire 0: peer_died"]
    );
}

#[test]
fn a_fence_that_fails_is_tried_again() {
    let mut bench = orphaned(true);
    bench.says_so(C, without_b());
    assert!(bench.tell(&Event::Fenced { node: B, done: false }).is_empty());
    let retry = bench.now.saturating_add(ms(10_000));
    assert_eq!(bench.node.peer(B).fencing, Fencing::Failed(retry));
    assert_eq!(bench.node.deadline(), Some(retry));
    bench.now = retry;
    assert_eq!(bench.says_so(C, without_b()), ["fence 1"]);
    bench.says_so(B, sight(&[Running]));
    assert_eq!(bench.node.peer(B).fencing, Fencing::None, "it is back");
    assert!(
        bench.tell(&Event::Fenced { node: B, done: true }).is_empty(),
        "too late"
    );
    assert_eq!(bench.node.peer(B).fencing, Fencing::None);
}

/// Of three that can fence each other, with a lease, and two seconds after B was heard to have nothing.
fn fencing_majority() -> Bench {
    let mut settings = settings(3, A, 1);
    settings.fenced = vec![true; 3];
    let mut bench = Bench::new(settings);
    bench.tell(&Event::Lease { held: true });
    bench.says(B, &[Released]);
    bench.now = ms(2_000);
    bench
}

#[test]
fn who_had_nothing_is_not_fenced_by_a_majority() {
    let mut bench = fencing_majority();
    bench.silent(B);
    bench.says_so(C, without_b());
    assert_eq!(bench.says_so(C, without_b()), ["acquire 0: peer_died"]);
}

/// While we had no lease others may have agreed to what it took.
#[test]
fn who_may_have_got_something_unheard_is_fenced() {
    let mut bench = fencing_majority();
    bench.tell(&Event::Lease { held: false });
    bench.silent(B);
    bench.tell(&Event::Lease { held: true });
    bench.says_so(C, without_b());
    assert_eq!(bench.says_so(C, without_b()), ["fence 1"]);
}

#[test]
fn what_is_stuck_and_held_stays_where_it_is() {
    let mut bench = Bench::two_of_b();
    bench.node.settings.stuck = StuckPolicy::Hold;
    bench.says(B, &[Stuck]);
    assert!(bench.silent(B).is_empty());
    assert_eq!(bench.waiting(), Some(Waiting::Stuck(B)));
    bench.node.peers[B].fencing = Fencing::Running;
    assert_eq!(
        bench.tell(&Event::Fenced { node: B, done: true }),
        ["acquire 0: peer_died"]
    );
}

#[test]
fn ping_nodes_let_take_over_who_reaches_as_many() {
    for (ours, theirs, takes) in [(0, 0, false), (1, 2, false), (2, 2, true), (2, 1, true)] {
        let mut bench = Bench::two_of_b();
        bench.node.settings.quorum = Quorum::Pings;
        bench.tell(&Event::Lease { held: true });
        bench.at(bench.now.saturating_add(ms(500)));
        bench.tell(&Event::Pings { reached: ours });
        bench.says_so(
            B,
            Sight {
                pings: theirs,
                ..sight(&[Running])
            },
        );
        assert_eq!(bench.silent(B).len(), usize::from(takes), "{ours} {theirs}");
        if !takes {
            assert_eq!(bench.waiting(), Some(Waiting::Pings(B)));
            assert_eq!(bench.tell(&Event::Pings { reached: 2 }), ["acquire 0: peer_died"]);
        }
    }
}

#[test]
fn a_frozen_node_starts_nothing_for_a_deadtime_and_two_intervals() {
    let mut bench = Bench::two();
    bench.says(B, &[Released]);
    bench.tell(&Event::Woke);
    assert_eq!((bench.state(), bench.waiting()), (Released, Some(Waiting::Doubt)));
    let interval = bench.node.settings.interval;
    let end = bench.now.saturating_add(ms(500)).saturating_add(Nanos(2 * interval.0));
    assert_eq!(bench.node.deadline(), Some(end));
    assert!(bench.silent(B).is_empty());
    assert_eq!(bench.at(end), ["acquire 0: peer_died"]);
}

#[test]
fn a_frozen_owner_yields_to_whoever_took_it() {
    let mut bench = Bench::running();
    bench.tell(&Event::Woke);
    assert!(bench.says(B, &[Releasing]).is_empty());
    assert_eq!(
        bench.says(B, &[Claimed]),
        ["release 0: conflict"],
        "though we are preferred"
    );
    let mut bench = Bench::running();
    bench.tell(&Event::Woke);
    assert!(bench.says(B, &[Released]).is_empty(), "what nobody has is kept");
    assert_eq!(bench.state(), Running);
}
