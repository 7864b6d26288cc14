//! What the provider of floating IPs tells, and what follows: docs/OWNERSHIP.md, The provider.

use super::super::*;
use super::bench::*;
use crate::core::testing::{groups, ms, settings};
use crate::core::{Carry, Command, Failback, Outcome, Outlook, Reconfiguration, Taker, Which};

const TO_B: Event = Event::Moved {
    group: 0,
    to: Taker::Node(B),
};
const TO_A_STRANGER: Event = Event::Moved {
    group: 0,
    to: Taker::Other,
};
const TO_WHOM: Event = Event::Moved {
    group: 0,
    to: Taker::Unknown,
};

fn taken_back(bench: &mut Bench, event: &Event) {
    assert_eq!(bench.tell(event), ["acquire 0 again: moved"]);
    assert_eq!(bench.tell(event), [""; 0], "it is being taken back");
    assert_eq!(bench.finish(Outcome::Done), [""; 0]);
}

/// Of two with a witness, with a group of ours that runs here.
fn witnessed() -> Bench {
    let mut bench = Bench::new(Settings {
        witness: true,
        ..settings(2, A, 1)
    });
    bench.run(&[B]);
    bench
}

fn witness(bench: &mut Bench, answers: bool) -> Vec<String> {
    let asked = bench.now;
    bench.tell(&Event::Witness { asked, answers })
}

#[test]
fn what_nobody_in_the_cluster_has_is_taken_back() {
    for event in [TO_B, TO_A_STRANGER, TO_WHOM] {
        let mut bench = Bench::running();
        taken_back(&mut bench, &event);
        assert_eq!(
            (bench.state(), bench.node.group(0).map(|it| it.taken_back)),
            (Running, Some(1))
        );
    }
}

/// However often that happens while a node is silent: there is nobody to give way to.
#[test]
fn what_is_nobodys_is_taken_back_from_nobody() {
    let mut bench = Bench::running();
    bench.now = ms(2_000);
    bench.silent(B);
    let to_nobody = Event::Moved {
        group: 0,
        to: Taker::Nobody,
    };
    for _ in 0..TAKE_BACKS {
        taken_back(&mut bench, &to_nobody);
    }
    assert_eq!(bench.tell(&to_nobody), [""; 0], "too often");
    assert_eq!(bench.state(), Running);
}

/// Two nodes that both have it never take it from each other: one of them lets go, and only then it is asserted again.
#[test]
fn in_a_conflict_its_rule_decides() {
    let mut bench = Bench::running();
    bench.says(B, &[Running]);
    assert_eq!(bench.tell(&TO_B), [""; 0], "B is to let go, and will");
    assert_eq!(bench.says(B, &[Releasing]), [""; 0]);
    assert_eq!(bench.tell(&TO_B), [""; 0]);
    assert_eq!(bench.says(B, &[Released]), ["acquire 0 again: conflict"]);
    assert_eq!(bench.node.group(0).map(|it| it.taken_back), Some(0));
    // The other side of it.
    let mut bench = Bench::two_of_b();
    bench.silent(B);
    bench.tell(&Event::Tick);
    bench.finish(Outcome::Done);
    assert_eq!(bench.state(), Claimed);
    assert_eq!(bench.says(B, &[Running]), ["release 0: conflict"]);
    assert_eq!(bench.tell(&TO_B), [""; 0]);
}

/// A node that is silent and takes the address is alive. It has taken over, and is not robbed.
#[test]
fn who_loses_it_to_a_silent_node_gives_way() {
    for event in [TO_B, TO_WHOM] {
        let mut bench = Bench::running();
        bench.silent(B);
        assert_eq!(bench.tell(&event), ["release 0: moved"]);
        assert_eq!(bench.finish(Outcome::Done), [""; 0]);
        assert_eq!((bench.state(), bench.waiting()), (Released, None));
        assert!(bench.node.group(0).is_some_and(|group| group.gave_way));
        assert_eq!(bench.at(ms(1_000_000)), [""; 0], "however long that lasts");
        // Heard again, it is asked like anybody.
        assert_eq!(bench.says(B, &[Claimed]), [""; 0]);
        assert_eq!(bench.state(), Asking, "and gives back what is ours");
    }
    // One that is nobody's of the cluster proves nothing. But it may have been taken for that: once.
    let mut bench = Bench::running();
    bench.silent(B);
    taken_back(&mut bench, &TO_A_STRANGER);
    assert_eq!(bench.tell(&TO_A_STRANGER), ["release 0: moved"]);
}

#[test]
fn who_gave_way_takes_it_when_somebody_says_so_or_the_silent_one_is_fenced() {
    let gave_way = |settings: Settings| {
        let mut bench = Bench::new(settings);
        bench.run(&[B]);
        bench.silent(B);
        bench.tell(&TO_B);
        bench.finish(Outcome::Done);
        bench
    };
    let mut bench = gave_way(settings(2, A, 1));
    assert_eq!(bench.order(Command::Cleanup(0)), ["acquire 0: peer_died"]);
    let mut bench = gave_way(settings(2, A, 1));
    assert_eq!(bench.order(Command::Takeover(Which::All)), ["acquire 0: takeover"]);
    let mut bench = gave_way(settings(2, A, 1));
    bench.node.peers[B].fencing = Fencing::Done;
    assert_eq!(bench.tell(&Event::Tick), ["acquire 0: peer_died"]);
}

#[test]
fn what_is_taken_away_too_often_is_left_until_time_has_passed_or_somebody_cleans_up() {
    let mut bench = Bench::running();
    for _ in 0..TAKE_BACKS {
        taken_back(&mut bench, &TO_A_STRANGER);
    }
    assert_eq!(bench.tell(&TO_A_STRANGER), [""; 0]);
    let held_off = |bench: &Bench| bench.node.group(0).and_then(|group| group.held_off);
    assert_eq!(held_off(&bench), Some(ms(601_000)));
    assert_eq!(bench.state(), Running, "nobody else is to start it meanwhile");
    bench.at(ms(600_999));
    assert_eq!(bench.tell(&TO_A_STRANGER), [""; 0]);
    bench.at(ms(601_000));
    assert_eq!(held_off(&bench), None);
    for _ in 0..TAKE_BACKS {
        taken_back(&mut bench, &TO_A_STRANGER);
    }
    assert_eq!(bench.tell(&TO_A_STRANGER), [""; 0]);
    assert!(bench.node.plan(Command::Cleanup(0)).is_ok());
    assert_eq!(bench.order(Command::Cleanup(0)), [""; 0]);
    assert_eq!((held_off(&bench), bench.state()), (None, Running));
    taken_back(&mut bench, &TO_A_STRANGER);
    assert_eq!(bench.node.group(0).map(|it| it.taken_back), Some(2 * TAKE_BACKS + 1));
}

#[test]
fn where_nothing_is_to_be_touched_nothing_is_taken_back() {
    let mut bench = Bench::running();
    bench.order(Command::Maintenance(true));
    assert_eq!(bench.tell(&TO_A_STRANGER), [""; 0]);
    let mut bench = Bench::three();
    bench.run(&[B, C]);
    bench.tell(&Event::Lease { held: false });
    assert_eq!(bench.tell(&TO_A_STRANGER), [""; 0], "it is being stopped");
}

#[test]
fn nobody_takes_over_before_the_witness_has_answered() {
    let mut bench = Bench::new(Settings {
        witness: true,
        ..settings(2, A, 1)
    });
    bench.node.settings.groups[0].preferred = B;
    bench.says(B, &[Running]);
    bench.says(B, &[Running]);
    // What it said before says nothing of who is cut off now.
    witness(&mut bench, true);
    bench.now = ms(2000);
    bench.silent(B);
    assert_eq!((bench.state(), bench.waiting()), (Wanting, Some(Waiting::Witness(B))));
    assert!(bench.node.needs_witness());
    assert_eq!(witness(&mut bench, false), [""; 0]);
    assert_eq!(bench.waiting(), Some(Waiting::Lease));
    assert!(!bench.node.has_lease());
    bench.now = ms(2500);
    assert_eq!(witness(&mut bench, true), ["acquire 0: peer_died"]);
}

#[test]
fn who_lost_its_peer_and_reaches_no_witness_gives_up() {
    let mut bench = witnessed();
    // While all are there nobody is asked, and an API that is down stops nothing.
    assert_eq!(witness(&mut bench, false), [""; 0]);
    assert!(bench.node.has_lease() && !bench.node.needs_witness());
    bench.now = ms(2000);
    assert_eq!(bench.silent(B), [""; 0], "it is asked first");
    assert_eq!(witness(&mut bench, false), ["release 0: lease"]);
    assert_eq!(bench.finish(Outcome::Done), [""; 0]);
    assert_eq!(bench.waiting(), Some(Waiting::Lease));
    // The peer is heard again: then the provider is not what decides.
    bench.says(B, &[Released]);
    assert!(bench.node.has_lease());
}

#[test]
fn who_lost_its_peer_and_is_answered_keeps_what_it_has() {
    let mut bench = witnessed();
    bench.now = ms(2000);
    bench.silent(B);
    assert_eq!(witness(&mut bench, true), [""; 0]);
    assert_eq!(bench.state(), Running);
    // A start that is under way is broken off, too, when it turns out that we are the ones who are cut off.
    let mut bench = Bench::new(Settings {
        witness: true,
        ..settings(2, A, 1)
    });
    bench.says(B, &[Released]);
    assert_eq!(bench.says(B, &[Released]), ["acquire 0: start"]);
    bench.silent(B);
    assert_eq!(witness(&mut bench, false), ["release 0: lease"]);
}

/// With a lease it is asked again before its answer is over, and only its end counts, not a question in vain.
#[test]
fn an_answer_with_a_lease_has_to_be_renewed() {
    let mut bench = witnessed();
    bench.node.settings.witness_lease = Some(ms(30_000));
    assert_eq!(bench.node.witness_due(), None, "nobody is silent");
    bench.now = ms(2_000);
    bench.silent(B);
    assert_eq!(bench.node.witness_due(), Some(ms(2_000)));
    witness(&mut bench, true);
    assert_eq!(bench.node.witness_due(), Some(ms(12_000)));
    bench.now = ms(12_000);
    assert_eq!(witness(&mut bench, true), [""; 0]);
    assert_eq!(bench.node.deadline(), Some(ms(42_000)));
    bench.now = ms(25_000);
    assert_eq!(witness(&mut bench, false), [""; 0], "the last answer counts still");
    assert!(bench.node.has_lease() && bench.node.witness_due() <= Some(bench.now));
    assert_eq!(bench.at(ms(41_999)), [""; 0]);
    assert_eq!(bench.at(ms(42_000)), ["release 0: lease"]);
    assert_eq!(bench.node.witness_due(), Some(ms(42_000)));
    assert_eq!(bench.finish(Outcome::Done), [""; 0]);
    bench.now = ms(50_000);
    assert_eq!(witness(&mut bench, true), ["acquire 0: peer_died"]);
    // Nobody is silent any more: then it may end.
    bench.says(B, &[Released]);
    assert_eq!(bench.at(ms(90_000)), [""; 0]);
    assert!(bench.node.has_lease() && bench.node.deadline().is_none());
}

/// It was good for ever, and is asked for again at once.
#[test]
fn a_reload_that_shortens_the_lease_ends_nothing() {
    let mut bench = witnessed();
    bench.now = ms(2_000);
    bench.silent(B);
    witness(&mut bench, true);
    bench.now = ms(900_000);
    let shorter = Reconfiguration {
        settings: Settings {
            witness_lease: Some(ms(60_000)),
            ..bench.node.settings.clone()
        },
        nodes: vec![Some(0), Some(1)],
        groups: vec![Carry::Kept(0)],
    };
    assert_eq!(bench.tell(&Event::Reconfigure(Box::new(shorter))), [""; 0]);
    assert_eq!(bench.node.witness_due(), Some(bench.now));
    assert_eq!(bench.at(ms(939_999)), [""; 0]);
    assert_eq!(bench.at(ms(940_000)), ["release 0: lease"]);
}

/// Without one it lasts as long as the silence.
#[test]
fn an_answer_without_a_lease_is_asked_for_once() {
    let mut bench = witnessed();
    bench.now = ms(2_000);
    bench.silent(B);
    witness(&mut bench, true);
    assert_eq!((bench.node.witness_due(), bench.node.deadline()), (None, None));
    assert_eq!(bench.at(ms(999_999_999)), [""; 0]);
    assert!(bench.node.has_lease());
}

#[test]
fn a_fenced_node_cannot_be_on_the_other_side_of_a_cut() {
    let mut bench = witnessed();
    bench.now = ms(2000);
    bench.silent(B);
    bench.node.peers[B].fencing = Fencing::Done;
    assert_eq!(witness(&mut bench, false), [""; 0]);
    assert_eq!(bench.state(), Running);
    // Nor is anybody asked about it. So an answer from before is over some time, and that does not matter.
    bench.node.settings.witness_lease = Some(ms(30_000));
    bench.node.witness = Witness::Answers(ms(2_000));
    assert_eq!(bench.at(ms(40_000)), [""; 0]);
    assert_eq!((bench.node.witness_due(), bench.node.deadline()), (None, None));
    assert_eq!(bench.node.gone(B, 0), Ok(()));
}

/// A majority knows better who is cut off, and goes on without the provider.
#[test]
fn where_a_majority_decides_the_provider_is_not_asked() {
    let mut bench = Bench::three();
    bench.node.settings.witness = true;
    bench.run(&[B, C]);
    bench.silent(B);
    assert!(!bench.node.needs_witness());
    assert_eq!(witness(&mut bench, false), [""; 0]);
    assert!(bench.node.has_lease());
}

fn looks(bench: &mut Bench, outlook: Outlook) -> Vec<String> {
    bench.tell(&Event::Outlook { group: 0, outlook })
}

/// A failback that would fail takes the group from a node that runs it well.
#[test]
fn a_group_is_asked_back_by_a_node_that_could_start_it() {
    for (outlook, idle) in [(Outlook::Unready, Declined), (Outlook::Unknown, Released)] {
        let mut bench = Bench::two();
        looks(&mut bench, outlook);
        for _ in 0..2 {
            bench.says(B, &[Running]);
        }
        assert_eq!((bench.state(), bench.waiting()), (idle, Some(Waiting::Readiness)));
        looks(&mut bench, Outlook::Ready);
        assert_eq!((bench.state(), bench.waiting()), (Asking, Some(Waiting::Held(B))));
        looks(&mut bench, outlook);
        assert_eq!(bench.state(), idle, "it is not asked any more");
        looks(&mut bench, Outlook::Ready);
        bench.says(B, &[Releasing]);
        assert_eq!(bench.says(B, &[Released]), ["acquire 0: fail_back"]);
    }
}

/// A start that would fail is for the others to try first, but better than none.
#[test]
fn who_could_not_start_it_is_the_last_to_try() {
    let mut bench = Bench::two();
    looks(&mut bench, Outlook::Unready);
    for _ in 0..2 {
        bench.says(B, &[Released]);
    }
    assert_eq!((bench.state(), bench.waiting()), (Declined, None), "it is B's turn");
    bench.silent(B);
    assert_eq!(bench.state(), Acquiring, "nobody else is there");
    let mut bench = Bench::two();
    looks(&mut bench, Outlook::Unready);
    for _ in 0..2 {
        bench.says(B, &[Declined]);
    }
    assert_eq!(bench.state(), Acquiring, "B is no better");
    let mut bench = Bench::two();
    looks(&mut bench, Outlook::Unknown);
    bench.run(&[B]);
}

/// In a conflict, as after a cut, the floating IP is with the node that moved it last.
#[test]
fn who_could_not_move_it_back_leaves_it_to_who_runs_it() {
    for (theirs, lets_go) in [(Claimed, true), (Running, true), (Acquiring, false)] {
        let mut bench = Bench::running();
        looks(&mut bench, Outlook::Unready);
        let done = bench.says(B, &[theirs]);
        assert_eq!(done == ["release 0: conflict"], lets_go, "{theirs:?}: {done:?}");
        if lets_go {
            bench.finish(Outcome::Done);
            bench.says(B, &[Released]);
            assert_eq!(bench.state(), Declined, "that B has let go, too, makes it B's");
        }
    }
}

/// It may be quicker to let go than its beats are to tell that it had it.
#[test]
fn what_the_other_ran_before_it_let_go_was_moved_there() {
    for (had, lets_go) in [(Claimed, true), (Releasing, false), (Acquiring, false)] {
        let mut bench = Bench::running();
        looks(&mut bench, Outlook::Unready);
        bench.silent(B);
        let meets = Sight {
            had: groups(&[had]),
            ..sight(&[Releasing])
        };
        assert_eq!(bench.says_so(B, meets), [""; 0], "it is waited for");
        let done = bench.says(B, &[Released]);
        let expected = if lets_go {
            "release 0: conflict"
        } else {
            "acquire 0 again: conflict"
        };
        assert_eq!(done, [expected], "{had:?}");
    }
}

/// An operator knows better.
#[test]
fn an_order_is_carried_out_ready_or_not() {
    let mut bench = Bench::two();
    looks(&mut bench, Outlook::Unready);
    for _ in 0..2 {
        bench.says(B, &[Running]);
    }
    bench.order(Command::Takeover(Which::All));
    assert_eq!(bench.state(), Asking);
}

/// Who does not ask back has nothing to wait for.
#[test]
fn it_waits_for_readiness_only_where_it_would_come_back() {
    let stays = Settings {
        failback: Failback::Stay,
        ..settings(2, A, 1)
    };
    for mut bench in [Bench::new(stays), Bench::two_of_b()] {
        looks(&mut bench, Outlook::Unready);
        for _ in 0..2 {
            bench.says(B, &[Running]);
        }
        assert_eq!((bench.state(), bench.waiting()), (Declined, None));
    }
}
