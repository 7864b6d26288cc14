use super::*;

const NOW: Nanos = Nanos::from_millis(100_000);
const PATIENCE: Patience = Patience {
    confirm: Nanos::from_millis(1_000),
    settle: Nanos::from_millis(10_000),
    detach: Nanos::from_millis(10_000),
};
const ME: &str = "me";
const B: usize = 1;

fn later(millis: u64) -> Nanos {
    NOW.saturating_add(Nanos::from_millis(millis))
}

fn reading(owner: Option<&'static &'static str>, asked: Nanos) -> Reading<'static, &'static str> {
    Reading { asked, me: &ME, owner }
}

/// Read at this time, with its answer at once.
fn read(deed: &mut Deed<&'static str>, owner: Option<&'static &'static str>, is_any_lost: bool, now: Nanos) -> Finding {
    deed.read(&reading(owner, now), is_any_lost, now)
}

/// Of a group that has been running here for long.
fn ours() -> Deed<&'static str> {
    let mut deed = Deed::new(PATIENCE, Nanos(0));
    assert!(deed.held_by(Holder::Us { since: Nanos(0) }, None, Nanos(0)));
    deed
}

fn lost(held: bool, instance: Option<&'static &'static str>) -> [Lost<'static, &'static str>; 1] {
    [Lost { instance, held }]
}

#[test]
fn it_has_moved_when_that_is_read_twice() {
    let mut deed = ours();
    assert_eq!(read(&mut deed, Some(&"b"), false, NOW), Finding::Suspect);
    assert!(deed.is_away());
    assert_eq!(read(&mut deed, Some(&"b"), false, later(1)), Finding::Moved);
    assert_eq!(read(&mut deed, Some(&ME), false, later(2)), Finding::Fine);
    assert!(!deed.is_away());
    assert_eq!(
        read(&mut deed, Some(&"b"), false, later(3)),
        Finding::Suspect,
        "as if it had never been"
    );
}

/// At Vultr who takes an address detaches it first.
#[test]
fn what_is_nobodys_may_be_on_its_way_to_a_node_that_is_lost() {
    let mut deed = ours();
    read(&mut deed, None, false, NOW);
    assert_eq!(read(&mut deed, None, false, later(1)), Finding::Moved, "all are heard");
    let mut deed = ours();
    for millis in [0, 5_000, 9_999] {
        assert_eq!(read(&mut deed, None, true, later(millis)), Finding::Suspect, "{millis}");
    }
    assert_eq!(read(&mut deed, None, true, later(10_000)), Finding::Moved);
    let mut deed = ours();
    read(&mut deed, None, true, NOW);
    assert_eq!(
        read(&mut deed, Some(&"b"), true, later(1)),
        Finding::Moved,
        "there it is"
    );
}

#[test]
fn what_has_just_come_or_is_not_ours_to_have_has_not_moved() {
    let since = Nanos(NOW.0 - PATIENCE.settle.0 + 1);
    for holder in [Holder::Us { since }, Holder::Peer(B), Holder::Nobody] {
        let mut deed = Deed::new(PATIENCE, Nanos(0));
        deed.held_by(holder, None, NOW);
        for _ in 0..3 {
            assert_eq!(read(&mut deed, Some(&"b"), false, NOW), Finding::Fine, "{holder:?}");
        }
        assert!(!deed.is_away());
    }
}

#[test]
fn a_word_from_before_is_no_measure_of_who_has_it_now() {
    let mut deed = Deed::new(PATIENCE, Nanos(0));
    deed.held_by(Holder::Peer(B), None, NOW);
    let before = reading(Some(&"a"), Nanos(NOW.0 - 1));
    deed.read(&before, false, NOW);
    assert_eq!((deed.agreed(), deed.shown()), (None, None));
    let after = reading(Some(&"b"), NOW);
    deed.read(&after, false, NOW);
    assert_eq!((deed.agreed(), deed.shown()), (Some(&"b"), Some((B, &"b"))));
    // It says that it runs, and the address is ours still: then nothing is shown.
    let mut deed = Deed::new(PATIENCE, Nanos(0));
    deed.held_by(Holder::Peer(B), None, NOW);
    read(&mut deed, Some(&ME), false, NOW);
    assert_eq!((deed.agreed(), deed.shown()), (None, None));
}

/// It may have been ours when that was written down, and the group was on its way.
#[test]
fn what_a_former_process_knew_is_no_evidence_of_who_the_peer_is() {
    let mut deed = Deed::known(Some(ME), PATIENCE, NOW);
    deed.held_by(Holder::Moving(B), None, NOW);
    deed.held_by(Holder::Peer(B), None, NOW);
    assert_eq!((deed.agreed(), deed.shown()), (Some(&ME), None));
    read(&mut deed, Some(&"b"), false, later(1));
    assert_eq!((deed.agreed(), deed.shown()), (Some(&"b"), Some((B, &"b"))));
}

/// Somebody has given it to a stranger, and the peer that runs its group has not noticed yet, or dies before it does.
#[test]
fn what_is_read_once_is_not_agreed_while_a_peer_is_heard() {
    let mut deed = Deed::new(PATIENCE, Nanos(0));
    deed.held_by(Holder::Peer(B), None, NOW);
    read(&mut deed, Some(&"b"), false, NOW);
    for owner in [
        Some(&"c"),
        None,
        Some(&"c"),
        Some(&"b"),
        Some(&"c"),
        Some(&"d"),
        Some(&ME),
        Some(&"d"),
    ] {
        read(&mut deed, owner, false, later(1));
        assert_eq!(deed.shown(), Some((B, &"b")), "{owner:?}");
    }
    let mut robbed = deed.clone();
    robbed.held_by(Holder::Nobody, None, later(2));
    let claims = robbed.claims(lost(true, Some(&"b")).into_iter(), false);
    assert_eq!(claims, Some(vec!["b", "b"]));
    // Twice in a row, and the peer is content: it is another instance than it was.
    read(&mut deed, Some(&"d"), false, later(3));
    assert_eq!(deed.shown(), Some((B, &"d")));
}

#[test]
fn it_is_taken_from_who_had_it_last_and_from_no_other() {
    let mut deed = Deed::new(PATIENCE, Nanos(0));
    assert_eq!(
        deed.claims(lost(false, None).into_iter(), false),
        None,
        "nothing is known"
    );
    deed.held_by(Holder::Peer(B), None, NOW);
    read(&mut deed, Some(&"b"), false, NOW);
    // It falls silent.
    deed.held_by(Holder::Nobody, None, later(1));
    for (held, instance, expected) in [
        (true, Some(&"b"), Some(vec!["b", "b"])),
        (true, None, None),
        (false, None, Some(vec!["b"])),
        (false, Some(&"c"), Some(vec!["b"])),
    ] {
        let claims = deed.claims(lost(held, instance).into_iter(), false);
        assert_eq!(claims, expected, "{held} {instance:?}");
    }
    read(&mut deed, Some(&"c"), true, later(2));
    assert_eq!(
        deed.agreed(),
        Some(&"b"),
        "what nobody in the cluster says counts for nothing"
    );
}

/// Between a start and the first look at it a node may die that nobody knows the instance of: then it must not be spared.
#[test]
fn who_has_the_group_now_ends_what_was_known() {
    let mut deed = ours();
    read(&mut deed, Some(&ME), false, NOW);
    assert_eq!(deed.agreed(), Some(&ME));
    deed.held_by(Holder::Nobody, None, later(1));
    assert_eq!(deed.agreed(), Some(&ME), "it is being stopped here");
    deed.held_by(Holder::Peer(B), None, later(2));
    assert_eq!(deed.agreed(), None);
}

/// A silent node that did not have the group and took the address is not robbed of it.
#[test]
fn who_took_it_in_silence_keeps_it() {
    let mut deed = ours();
    read(&mut deed, Some(&ME), true, NOW);
    deed.held_by(Holder::Nobody, None, later(1));
    let claims = deed.claims(lost(false, Some(&"b")).into_iter(), false);
    assert_eq!(claims, Some(vec![ME]));
}

/// It was being handed to it, and its provider may have given it the address already.
#[test]
fn who_was_about_to_have_it_is_not_spared() {
    let mut deed = Deed::new(PATIENCE, Nanos(0));
    deed.held_by(Holder::Us { since: NOW }, Some(&ME), NOW);
    deed.held_by(Holder::Moving(B), Some(&ME), later(1));
    assert_eq!(read(&mut deed, Some(&"b"), false, later(2)), Finding::Fine);
    deed.held_by(Holder::Nobody, Some(&ME), later(3));
    assert_eq!(
        deed.claims(lost(true, Some(&"b")).into_iter(), false),
        Some(vec![ME, "b"])
    );
    assert_eq!(deed.claims(lost(true, None).into_iter(), false), None);
    // Had it got there, ours would be no measure any more.
    deed.held_by(Holder::Peer(B), Some(&ME), later(4));
    assert_eq!(deed.agreed(), None);
}

/// A group that runs here was started with its address, whoever had that before.
#[test]
fn what_was_started_here_is_ours() {
    let mut deed = Deed::new(PATIENCE, Nanos(0));
    deed.held_by(Holder::Peer(B), None, NOW);
    read(&mut deed, Some(&"b"), false, NOW);
    deed.held_by(Holder::Us { since: NOW }, Some(&ME), later(1));
    assert_eq!(deed.agreed(), Some(&ME));
    // That the other had it by its last word was before.
    let claims = deed.claims(lost(true, Some(&"b")).into_iter(), false);
    assert_eq!(claims, Some(vec![ME]));
}

#[test]
fn a_node_is_known_by_its_instance() {
    let nodes = |of_c| [(B, Some(&"b")), (2, of_c)].into_iter();
    assert_eq!(taker(Some(&"b"), nodes(None)), Taker::Node(B));
    assert_eq!(taker(Some(&"c"), nodes(None)), Taker::Unknown);
    assert_eq!(taker(Some(&"d"), nodes(Some(&"c"))), Taker::Other);
    assert_eq!(taker::<&str>(None, nodes(None)), Taker::Nobody);
}

#[test]
fn what_is_taken_back_is_taken_from_who_was_seen_with_it() {
    let mut deed = ours();
    read(&mut deed, Some(&ME), true, NOW);
    read(&mut deed, Some(&"stranger"), true, later(1));
    let claims = |deed: &Deed<_>, is_taken_back| deed.claims(lost(false, Some(&"b")).into_iter(), is_taken_back);
    assert_eq!(claims(&deed, true), Some(vec![ME, "stranger"]));
    assert_eq!(claims(&deed, false), Some(vec![ME]));
}

#[test]
fn what_a_former_process_knew_holds_for_who_has_it_first() {
    for holder in [Holder::Us { since: NOW }, Holder::Peer(B), Holder::Nobody] {
        let mut deed = Deed::known(Some("b"), PATIENCE, NOW);
        deed.held_by(holder, None, NOW);
        assert_eq!(deed.agreed(), Some(&"b"), "{holder:?}");
    }
}
