mod pair;
mod table;

use super::*;
use crate::core::testing::groups;
use pair::Pair;

use Failback::{Return, Stay};

const A: usize = 0;
const B: usize = 1;

fn settings(me: usize, preferred: &[usize], failback: Failback) -> Settings {
    Settings {
        nodes: 2,
        me,
        groups: preferred.iter().map(|&preferred| GroupSettings { preferred }).collect(),
        failback,
    }
}

/// A pair whose groups run where they are preferred.
fn running(preferred: &[usize], failback: Failback) -> Pair {
    let mut pair = Pair::new(preferred, failback);
    pair.meet();
    pair.finish_all();
    pair.log();
    pair
}

/// The group of A after a partition: both have it.
fn split(failback: Failback) -> Pair {
    let mut pair = running(&[A], failback);
    pair.cut();
    pair.finish_all();
    assert_eq!(pair.log(), ["B acquires 0: peer_died"]);
    assert_eq!(pair.states(0), ["running", "claimed"]);
    pair
}

#[test]
fn started_together_each_takes_its_own_once_they_have_met() {
    let mut pair = Pair::new(&[A, B, A], Return);
    assert!(pair.log().is_empty());
    pair.meet();
    assert_eq!(
        pair.log(),
        ["B acquires 1: start", "A acquires 0: start", "A acquires 2: start"]
    );
    pair.finish_all();
    assert_eq!(pair.states(0), ["running", "released"]);
    assert!(pair.log().is_empty());
}

#[test]
fn a_peer_dead_at_the_start_is_replaced() {
    let mut pair = Pair::new(&[A, B], Return);
    pair.dies(B);
    assert_eq!(pair.log(), ["A acquires 0: peer_died", "A acquires 1: peer_died"]);
    pair.finish(A, 0, Outcome::Done);
    pair.finish(A, 1, Outcome::Done);
    assert_eq!(pair.nodes[A].advert().groups, groups(&[GroupState::Claimed; 2]));
}

/// failback, and who has the group of B after B came later.
#[test]
fn started_one_after_the_other() {
    for (failback, moves) in [
        (Return, &["A releases 1: fail_back", "B acquires 1: start"][..]),
        (Stay, &[]),
    ] {
        let mut pair = Pair::new(&[A, B], failback);
        pair.dies(B);
        pair.finish_all();
        pair.log();
        pair.restart(B);
        pair.meet();
        pair.finish_all();
        assert_eq!(pair.log(), moves);
        assert_eq!(
            pair.states(0),
            ["running", "released"],
            "no claim: B was heard without it"
        );
    }
}

#[test]
fn who_leaves_stops_first_and_the_peer_takes_each_group_at_once() {
    let mut pair = running(&[A, A, B], Return);
    pair.tell(A, Event::Leave);
    assert_eq!(pair.log(), ["A releases 0: leave", "A releases 1: leave"]);
    pair.finish(A, 1, Outcome::Done);
    assert_eq!(pair.log(), ["B acquires 1: peer_left"]);
    pair.finish(A, 0, Outcome::Done);
    assert_eq!(pair.log(), ["A has left", "B acquires 0: peer_left"]);
    pair.finish(B, 0, Outcome::Done);
    pair.dies(A);
    assert_eq!(pair.nodes[B].peer(A).contact, Contact::Left);
    assert!(pair.log().is_empty(), "its silence is no news");
}

#[test]
fn a_node_that_dies_while_it_leaves_has_died() {
    let mut pair = running(&[A, A], Return);
    pair.tell(A, Event::Leave);
    pair.finish(A, 1, Outcome::Done);
    pair.log();
    pair.dies(A);
    assert_eq!(pair.nodes[B].peer(A).contact, Contact::Dead);
    assert_eq!(pair.log(), ["B acquires 0: peer_died"]);
}

#[test]
fn who_is_told_to_leave_while_it_starts_a_group_stops_it_afterwards() {
    let mut pair = Pair::new(&[A], Return);
    pair.meet();
    pair.tell(A, Event::Leave);
    pair.tell(A, Event::Leave);
    assert_eq!(pair.log(), ["A acquires 0: start"]);
    pair.finish(A, 0, Outcome::Done);
    assert_eq!(pair.log(), ["A releases 0: leave"]);
    pair.finish(A, 0, Outcome::Done);
    assert_eq!(pair.log(), ["A has left", "B acquires 0: peer_left"]);
}

#[test]
fn who_holds_nothing_leaves_at_once() {
    let mut pair = Pair::new(&[A], Return);
    pair.tell(A, Event::Leave);
    assert_eq!(pair.log(), ["A has left"]);
    pair.tell(B, Event::PeerDead { node: A });
    pair.tell(A, Event::PeerDead { node: B });
    assert_eq!(pair.log(), ["B acquires 0: peer_died"], "B never met A");
}

#[test]
fn after_a_crash_the_group_returns_or_stays() {
    for (failback, moves) in [
        (Return, &["B releases 0: fail_back", "A acquires 0: start"][..]),
        (Stay, &[]),
    ] {
        let mut pair = running(&[A], failback);
        pair.dies(A);
        assert_eq!(pair.log(), ["B acquires 0: peer_died"]);
        pair.finish_all();
        pair.restart(A);
        pair.meet();
        pair.finish_all();
        assert_eq!(pair.log(), moves, "{failback:?}");
    }
}

#[test]
fn an_owner_that_restarts_before_it_was_missed_starts_its_group_again() {
    let mut pair = running(&[A], Return);
    pair.restart(A);
    pair.meet();
    assert_eq!(pair.log(), ["A acquires 0: start"]);

    let mut elsewhere = running(&[A], Stay);
    elsewhere.dies(A);
    elsewhere.finish_all();
    elsewhere.restart(A);
    elsewhere.meet();
    elsewhere.log();
    elsewhere.restart(B);
    elsewhere.meet();
    assert_eq!(elsewhere.log(), ["A acquires 0: start"], "nobody had it, and it is A's");
}

#[test]
fn what_cannot_be_started_is_offered_to_the_peer() {
    let mut pair = Pair::new(&[A], Return);
    pair.meet();
    pair.finish(A, 0, Outcome::Failed);
    assert_eq!(pair.log(), ["A acquires 0: start", "B acquires 0: peer_failed"]);
    pair.finish(B, 0, Outcome::Done);
    assert!(pair.log().is_empty(), "it does not bounce");
    assert_eq!(pair.states(0), ["failed", "running"]);
}

#[test]
fn what_nobody_can_start_stays_down() {
    let mut pair = Pair::new(&[A], Return);
    pair.meet();
    pair.finish(A, 0, Outcome::Failed);
    pair.finish(B, 0, Outcome::Failed);
    pair.log();
    pair.meet();
    assert!(pair.log().is_empty());
    pair.restart(A);
    pair.meet();
    assert_eq!(
        pair.log(),
        ["A acquires 0: peer_failed"],
        "a restart forgets the failure"
    );
}

#[test]
fn what_cannot_be_stopped_blocks_the_peer_until_it_is_dead() {
    let mut pair = running(&[A], Return);
    pair.tell(A, Event::Leave);
    pair.finish(A, 0, Outcome::Stuck);
    pair.meet();
    assert_eq!(pair.log(), ["A releases 0: leave", "A has left"]);
    pair.dies(A);
    assert_eq!(
        pair.nodes[B].peer(A).contact,
        Contact::Dead,
        "it did not leave in good order"
    );
    assert_eq!(pair.log(), ["B acquires 0: peer_died"]);
}

#[test]
fn what_could_neither_be_started_nor_stopped_blocks_the_peer() {
    let mut pair = Pair::new(&[A], Return);
    pair.meet();
    pair.finish(A, 0, Outcome::Stuck);
    assert_eq!(pair.log(), ["A acquires 0: start"]);
}

/// Both have a group of A, and A heals as it was: B took it over later, and it is A's.
#[test]
fn after_a_partition_the_later_owner_lets_go_and_the_other_starts_once_more() {
    for failback in [Return, Stay] {
        let mut pair = split(failback);
        pair.meet();
        assert_eq!(pair.log(), ["B releases 0: conflict"]);
        pair.finish(B, 0, Outcome::Done);
        assert_eq!(pair.log(), ["A acquires 0 again: conflict"]);
        pair.finish(A, 0, Outcome::Done);
        assert_eq!(pair.states(0), ["running", "released"]);
        pair.meet();
        assert!(pair.log().is_empty(), "once");
    }
}

/// B runs the group of A when the cluster splits, and A claims it.
#[test]
fn after_a_partition_the_preferred_or_the_first_owner_keeps_it() {
    for (failback, moves) in [
        (Return, ["B releases 0: conflict", "A acquires 0 again: conflict"]),
        (Stay, ["A releases 0: conflict", "B acquires 0 again: conflict"]),
    ] {
        let mut pair = running(&[A], Stay);
        pair.dies(A);
        pair.finish_all();
        pair.restart(A);
        pair.meet();
        pair.cut();
        pair.finish_all();
        assert_eq!(pair.states(0), ["claimed", "running"]);
        pair.log();
        for node in &mut pair.nodes {
            node.settings.failback = failback;
        }
        pair.meet();
        pair.finish_all();
        assert_eq!(pair.log(), moves);
    }
}

#[test]
fn who_was_only_starting_it_yields_to_who_has_it() {
    let mut pair = running(&[B], Stay);
    pair.dies(B);
    pair.finish_all();
    pair.restart(B);
    pair.meet();
    pair.cut();
    pair.log();
    assert_eq!(pair.states(0), ["running", "acquiring"]);
    pair.meet();
    assert!(pair.log().is_empty(), "A has it, although it is B's");
    pair.finish(B, 0, Outcome::Done);
    assert_eq!(pair.log(), ["B releases 0: conflict"]);
    pair.finish(B, 0, Outcome::Done);
    assert_eq!(pair.log(), ["A acquires 0 again: conflict"]);
}

#[test]
fn who_can_be_heard_yields_to_who_cannot_hear() {
    let mut pair = running(&[A], Return);
    pair.deaf[B] = true;
    pair.tell(B, Event::PeerDead { node: A });
    assert_eq!(
        pair.log(),
        ["B acquires 0: peer_died", "A releases 0: conflict"],
        "B cannot know"
    );
    pair.finish(A, 0, Outcome::Done);
    pair.finish(B, 0, Outcome::Done);
    assert!(pair.log().is_empty());
    pair.deaf[B] = false;
    pair.meet();
    assert_eq!(pair.log(), ["B releases 0: fail_back"]);
}

#[test]
fn nobody_yields_to_a_peer_that_is_letting_go() {
    // B is deaf: A yields. Before A has stopped, B hears again, and keeps what A lets go.
    let mut pair = running(&[A], Stay);
    pair.deaf[B] = true;
    pair.tell(B, Event::PeerDead { node: A });
    pair.finish(B, 0, Outcome::Done);
    assert_eq!(pair.states(0), ["releasing", "claimed"]);
    pair.log();
    pair.deaf[B] = false;
    pair.meet();
    assert!(pair.log().is_empty());
    pair.finish(A, 0, Outcome::Done);
    assert_eq!(pair.log(), ["B acquires 0 again: conflict"]);
}

#[test]
fn a_conflict_with_a_node_that_leaves_is_won() {
    let mut pair = split(Return);
    pair.tell(A, Event::Leave);
    pair.meet();
    assert_eq!(pair.log(), ["A releases 0: leave"]);
    pair.finish(A, 0, Outcome::Done);
    assert_eq!(pair.log(), ["A has left", "B acquires 0 again: conflict"]);
}

#[test]
fn a_claim_is_not_renewed_by_starting_once_more() {
    let mut pair = split(Stay);
    pair.tell(
        A,
        Event::PeerUp {
            node: B,
            status: Status::Up,
            groups: groups(&[GroupState::Claimed]),
            hears_us: true,
        },
    );
    pair.tell(A, Event::PeerDead { node: B });
    assert_eq!(pair.log(), ["A acquires 0 again: conflict"]);
    pair.finish(A, 0, Outcome::Done);
    assert_eq!(pair.states(0), ["running", "claimed"], "A still has it longest");
}

#[test]
fn a_claim_ends_when_nobody_is_presumed_dead() {
    let mut node = Node::new(
        Settings {
            nodes: 3,
            ..settings(0, &[0], Return)
        },
        Nanos(0),
    );
    let up = |node| Event::PeerUp {
        node,
        status: Status::Up,
        groups: Groups::default(),
        hears_us: true,
    };
    let state = |node: &Node| node.group(0).map(|group| group.state);
    node.handle(up(1), Nanos(0));
    node.handle(Event::PeerDead { node: 2 }, Nanos(0));
    let done = Event::Finished {
        group: 0,
        outcome: Outcome::Done,
    };
    node.handle(done, Nanos(1));
    assert_eq!(state(&node), Some(GroupState::Claimed));
    node.handle(up(1), Nanos(2));
    assert_eq!(state(&node), Some(GroupState::Claimed), "node 2 may still have it");
    node.handle(up(2), Nanos(3));
    assert_eq!(state(&node), Some(GroupState::Running));
}

#[test]
fn the_last_of_32_groups_moves_like_the_first() {
    let preferred: Vec<usize> = (0..32).map(|index| index % 2).collect();
    let mut pair = running(&preferred, Return);
    assert_eq!(pair.states(31), ["released", "running"]);
    pair.dies(B);
    assert_eq!(pair.log().len(), 16);
    pair.finish_all();
    let owned = |index| pair.nodes[A].group(index).and_then(|group| group.owner);
    assert!((0..32).all(|index| owned(index) == Some(A)));
    assert_eq!(pair.nodes[A].advert().groups.get(31), GroupState::Claimed as u8);
}

#[test]
fn the_owner_is_known_to_both() {
    let pair = running(&[A], Return);
    for node in &pair.nodes {
        assert_eq!(node.group(0).and_then(|group| group.owner), Some(A));
    }
}

#[test]
fn the_advert_comes_before_the_work_and_only_when_it_changed() {
    let mut node = Node::new(settings(A, &[A], Return), Nanos(0));
    let actions = node.handle(Event::PeerDead { node: B }, Nanos(5));
    assert!(matches!(
        actions[..],
        [
            Action::Advertise(Advert { status: Status::Up, .. }),
            Action::Acquire { .. }
        ]
    ));
    assert!(node.handle(Event::PeerDead { node: B }, Nanos(6)).is_empty());
    assert_eq!(node.group(0).map(|group| group.since), Some(Nanos(5)));
}

#[test]
fn the_end_of_a_work_that_nobody_asked_for_changes_nothing() {
    for state in GroupState::ALL {
        let mut node = Node::new(settings(A, &[A], Return), Nanos(0));
        node.groups[0].state = state;
        let is_working = matches!(state, GroupState::Acquiring | GroupState::Releasing);
        for outcome in [Outcome::Done, Outcome::Failed, Outcome::Stuck] {
            let mut node = node.clone();
            node.handle(Event::Finished { group: 0, outcome }, Nanos(1));
            let after = node.groups[0].state;
            assert_eq!(after != state, is_working, "{state:?} {outcome:?} {after:?}");
        }
    }
}

#[test]
fn nothing_out_of_range_panics_or_counts() {
    let mut node = Node::new(settings(A, &[A, 7], Return), Nanos(0));
    let view = |node| Event::PeerUp {
        node,
        status: Status::Up,
        groups: groups(&[GroupState::Running; 32]),
        hears_us: true,
    };
    for peer in [A, 2, usize::MAX] {
        assert!(node.handle(view(peer), Nanos(0)).is_empty());
        assert!(node.handle(Event::PeerDead { node: peer }, Nanos(0)).is_empty());
    }
    for group in [2, usize::MAX] {
        let outcome = Outcome::Done;
        assert!(node.handle(Event::Finished { group, outcome }, Nanos(0)).is_empty());
        assert!(node.group(group).is_none());
    }
    assert_eq!(node.peer(9), PeerView::default());
    assert_eq!(node.peer(A), PeerView::default(), "nobody is a peer of itself");
    assert_eq!(node.handle(Event::PeerDead { node: B }, Nanos(0)).len(), 3);
}
