//! Why groups move: each cause, once.

use super::super::*;
use super::bench::*;
use crate::core::testing::{groups, ms, settings};
use crate::core::{Command, Failback, Outcome, Which};

/// With the second node preferred, and `auto_failback` off.
fn stay() -> Bench {
    let mut bench = Bench::two();
    bench.node.settings.failback = Failback::Stay;
    bench
}

#[test]
fn a_lonely_node_starts_at_once() {
    let mut bench = Bench::new(settings(1, A, 1));
    assert_eq!(bench.tell(&Event::Begin), ["acquire 0: start"]);
}

#[test]
fn start_when_the_nodes_have_met_and_the_want_is_confirmed() {
    let mut bench = Bench::two();
    assert!(bench.says(B, &[Released]).is_empty());
    assert_eq!(
        (bench.state(), bench.waiting()),
        (Wanting, Some(Waiting::Unconfirmed(B)))
    );
    assert_eq!(bench.says(B, &[Released]), ["acquire 0: start"]);
    assert!(bench.finish(Outcome::Done).is_empty());
    assert_eq!(bench.state(), Running);
}

#[test]
fn what_prefers_another_is_left_to_it() {
    let mut bench = Bench::two_of_b();
    for _ in 0..3 {
        assert!(bench.says(B, &[Released]).is_empty());
    }
    assert_eq!(bench.state(), Released);
}

#[test]
fn a_peer_that_died() {
    let mut bench = Bench::two_of_b();
    bench.says(B, &[Running]);
    assert_eq!(bench.silent(B), ["acquire 0: peer_died"]);
    bench.finish(Outcome::Done);
    assert_eq!(bench.state(), Claimed, "B is presumed dead");
    bench.says(B, &[Released]);
    assert_eq!(bench.state(), Running, "and was heard again without it");
}

#[test]
fn a_peer_that_was_never_met() {
    let mut bench = Bench::two_of_b();
    assert_eq!(bench.silent(B), ["acquire 0: peer_died"]);
}

#[test]
fn a_peer_that_left_in_good_order() {
    let mut bench = Bench::two_of_b();
    bench.says(B, &[Running]);
    let leaving = |states| Sight {
        status: Status::Leaving,
        ..sight(states)
    };
    assert!(bench.says_so(B, leaving(&[Releasing])).is_empty());
    assert_eq!(bench.says_so(B, leaving(&[Released])), ["acquire 0: peer_left"]);
    bench.silent(B);
    assert_eq!(bench.node.peer(B).contact, Contact::Left, "its silence is no death");
}

#[test]
fn a_peer_that_failed_and_one_that_declined() {
    for (state, cause) in [
        (Failed, "acquire 0: peer_failed"),
        (Declined, "acquire 0: peer_declined"),
    ] {
        let mut bench = Bench::two_of_b();
        bench.says(B, &[state]);
        assert_eq!(bench.says(B, &[state]), [cause]);
    }
}

#[test]
fn the_preferred_node_asks_and_gets_it() {
    let mut bench = Bench::two();
    bench.says(B, &[Running]);
    assert_eq!(bench.state(), Asking);
    assert!(bench.says(B, &[Releasing]).is_empty());
    assert_eq!((bench.state(), bench.waiting()), (Asking, Some(Waiting::Held(B))));
    assert_eq!(bench.says(B, &[Released]), ["acquire 0: fail_back"]);

    let mut bench = stay();
    bench.says(B, &[Running]);
    assert_eq!(bench.state(), Released, "auto_failback off");
}

#[test]
fn the_owner_gives_to_the_preferred_node_that_asks() {
    let mut bench = Bench::two_of_b();
    bench.silent(B);
    bench.finish(Outcome::Done);
    assert_eq!(bench.says(B, &[Asking]), ["release 0: fail_back"]);
    bench.finish(Outcome::Done);
    assert_eq!(bench.state(), Released);
}

#[test]
fn nobody_gives_to_who_does_not_count_it_as_up() {
    let mut bench = Bench::two_of_b();
    bench.silent(B);
    bench.finish(Outcome::Done);
    let blind = Sight {
        present: 0b10,
        ..sight(&[Asking])
    };
    assert!(bench.says_so(B, blind).is_empty());
    let init = Sight {
        status: Status::Init,
        ..sight(&[Asking])
    };
    assert!(bench.says_so(B, init).is_empty());
}

#[test]
fn who_is_asked_by_an_operator_elsewhere_declines() {
    let mut bench = Bench::running();
    assert_eq!(bench.says(B, &[Asking]), ["release 0: takeover"]);
    bench.finish(Outcome::Done);
    assert_eq!(bench.state(), Declined);
    bench.says(B, &[Running]);
    assert_eq!(bench.state(), Declined, "it is not asked back");
    bench.says(B, &[Declined]);
    assert_eq!(bench.state(), Wanting, "until the other gives it back");
}

#[test]
fn of_two_that_have_it_the_loser_stops_and_the_winner_starts_once_more() {
    let mut winner = Bench::running();
    assert!(winner.says(B, &[Claimed]).is_empty());
    assert!(winner.says(B, &[Releasing]).is_empty());
    assert_eq!(winner.says(B, &[Released]), ["acquire 0 again: conflict"]);
    winner.finish(Outcome::Done);
    assert!(winner.says(B, &[Released]).is_empty(), "once");

    let mut loser = Bench::two_of_b();
    loser.silent(B);
    loser.finish(Outcome::Done);
    assert_eq!(loser.says(B, &[Running]), ["release 0: conflict"]);
}

#[test]
fn a_conflict_ends_when_the_other_dies() {
    let mut bench = Bench::running();
    bench.says(B, &[Claimed]);
    assert_eq!(bench.silent(B), ["acquire 0 again: conflict"]);
    bench.finish(Outcome::Done);
    assert_eq!(bench.state(), Running, "nothing was claimed");
}

/// Who started earlier keeps it where groups stay; the numbers are our state, its state, and whether we yield.
#[test]
fn where_groups_stay_who_had_it_first_keeps_it() {
    for (ours, theirs, yields) in [
        (Running, Claimed, false),
        (Claimed, Running, true),
        (Running, Acquiring, false),
        (Running, Running, false),
        (Claimed, Claimed, false),
    ] {
        let mut bench = stay();
        bench.run(&[B]);
        bench.node.groups[0].state = ours;
        let expected: &[&str] = if yields { &["release 0: conflict"] } else { &[] };
        assert_eq!(bench.says(B, &[theirs]), expected, "{ours:?} {theirs:?}");
    }
}

#[test]
fn a_lease_that_ends_stops_everything() {
    let mut bench = Bench::three();
    bench.run(&[B, C]);
    assert_eq!(bench.tell(&Event::Lease { held: false }), ["release 0: lease"]);
    bench.finish(Outcome::Done);
    assert_eq!((bench.state(), bench.waiting()), (Released, Some(Waiting::Lease)));
}

#[test]
fn a_lease_that_ends_breaks_a_start_off() {
    let mut bench = Bench::three();
    for peer in [B, C, B, C] {
        bench.says(peer, &[Released]);
    }
    assert_eq!(bench.state(), Acquiring);
    let work = bench.node.groups[0].work;
    assert_eq!(bench.tell(&Event::Lease { held: false }), ["release 0: lease"]);
    let outcome = Outcome::Done;
    bench.tell(&Event::Finished { work, outcome });
    assert_eq!(bench.state(), Releasing, "the end of the start is not that of the stop");
    bench.finish(Outcome::Done);
    assert_eq!(bench.state(), Released);
}

#[test]
fn two_nodes_without_a_tie_breaker_have_no_lease_to_lose() {
    let mut bench = Bench::running();
    assert!(bench.tell(&Event::Lease { held: false }).is_empty());
    assert!(bench.node.has_lease());
}

#[test]
fn what_failed_is_tried_again_when_nobody_else_can_have_it() {
    let mut bench = Bench::two();
    bench.says(B, &[Released]);
    bench.says(B, &[Released]);
    bench.finish(Outcome::Failed);
    let retry = bench.now.saturating_add(ms(60_000));
    assert_eq!(bench.node.deadline(), Some(retry));
    assert_eq!((bench.state(), bench.waiting()), (Failed, Some(Waiting::Retry)));
    bench.says(B, &[Failed]);
    assert_eq!(bench.state(), Failed);
    bench.at(retry);
    assert_eq!(bench.state(), Wanting, "last resort");
    assert_eq!(bench.says(B, &[Failed]), ["acquire 0: peer_failed"]);
}

#[test]
fn a_node_alone_retries_by_itself() {
    let mut bench = Bench::new(settings(1, A, 1));
    bench.tell(&Event::Begin);
    bench.finish(Outcome::Failed);
    let retry = bench.now.saturating_add(ms(60_000));
    assert!(bench.at(Nanos(retry.0 - 1)).is_empty());
    assert_eq!(bench.at(retry), ["acquire 0: retry"]);
}

#[test]
fn what_failed_and_is_declined_goes_to_the_other() {
    let mut bench = Bench::two();
    bench.says(B, &[Released]);
    bench.says(B, &[Released]);
    bench.finish(Outcome::Failed);
    bench.at(bench.now.saturating_add(ms(60_000)));
    assert_eq!(bench.state(), Declined);
    bench.says(B, &[Released]);
    assert_eq!(bench.state(), Declined, "B comes before us now");
}

#[test]
fn who_leaves_stops_what_it_has_and_then_goes() {
    let mut bench = Bench::running();
    assert_eq!(bench.tell(&Event::Leave), ["release 0: leave"]);
    assert_eq!(bench.finish(Outcome::Done), ["left"]);
    assert!(bench.says(B, &[Released]).is_empty(), "it takes nothing any more");
    assert_eq!(bench.node.group(0).map(|group| group.waiting), Some(None));
}

#[test]
fn who_is_told_to_leave_breaks_off_what_it_starts() {
    let mut bench = Bench::two();
    bench.says(B, &[Released]);
    bench.says(B, &[Released]);
    assert_eq!(bench.state(), Acquiring);
    assert_eq!(bench.tell(&Event::Leave), ["release 0: leave"]);
    assert_eq!(bench.finish(Outcome::Done), ["left"]);
}

#[test]
fn who_cannot_stop_leaves_all_the_same_and_blocks_the_others() {
    let mut bench = Bench::running();
    bench.tell(&Event::Leave);
    assert_eq!(bench.finish(Outcome::Stuck), ["reboot for 0", "left"]);
    assert_eq!(bench.state(), Stuck);
}

#[test]
fn a_standby_is_for_who_can_have_it() {
    let mut bench = Bench::running();
    assert_eq!(bench.order(Command::Standby(Which::All)), ["release 0: standby"]);
    bench.finish(Outcome::Done);
    assert_eq!(bench.state(), Declined);
}

/// It let go in the moment in which it met us. What it had it had, and its stop may have taken what was shared.
#[test]
fn what_the_other_let_go_of_unseen_is_started_once_more() {
    let had = |states: &[GroupState]| Sight {
        had: groups(states),
        ..sight(&[Released])
    };
    let mut bench = Bench::running();
    bench.silent(B);
    assert_eq!(bench.says_so(B, had(&[Running])), ["acquire 0 again: conflict"]);
    assert_eq!(bench.finish(Outcome::Done), [""; 0]);
    assert_eq!(bench.says_so(B, had(&[Released])), [""; 0]);
    // While we start it we start it on, and then once more.
    let mut bench = Bench::two_of_b();
    bench.silent(B);
    bench.tell(&Event::Tick);
    assert_eq!(bench.state(), Acquiring);
    assert_eq!(bench.says_so(B, had(&[Stuck])), [""; 0]);
    assert_eq!(bench.finish(Outcome::Done), ["acquire 0 again: conflict"]);
    // It is ours no more, and none of our business.
    let mut bench = Bench::two_of_b();
    bench.silent(B);
    assert_eq!(bench.says_so(B, had(&[Running])), [""; 0]);
}
