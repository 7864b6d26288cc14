//! The tables of docs/OWNERSHIP.md against the code, row by row, over all that a decision depends on.

use super::super::*;
use super::bench::{A, B, C};
use super::rules::*;
use crate::core::testing::{groups, ms, settings};
use crate::core::{Cause, Differs, Failback, Quorum, StuckPolicy};

const STATUSES: [Status; 3] = [Status::Init, Status::Up, Status::Leaving];
/// With whom a group was contested before, so that a new entry can be told from the old one.
const FORMER: usize = 9;
/// Long after everything that a case knows of.
const NOW: Nanos = ms(100_000);

/// A node of two that is up, with one group.
fn node(preferred: usize, failback: Failback) -> Node {
    let mut settings = settings(2, A, 1);
    settings.groups[0].preferred = preferred;
    settings.failback = failback;
    let mut node = Node::new(settings, NOW);
    node.status = Status::Up;
    node
}

/// A decision in the words of the page.
fn decision(node: &mut Node) -> String {
    let was_wanted = node.groups[0].state.is_wanted();
    match node.decide(0) {
        Some(Action::Acquire { cause, reassert, .. }) => {
            let again = if reassert { " again" } else { "" };
            format!("acquire{again}: {}", cause.name())
        }
        Some(Action::Release { cause, .. }) => format!("release: {}", cause.name()),
        Some(other) => format!("{other:?}"),
        None if node.groups[0].contested.is_some_and(|contest| contest.with == B) => "contest".into(),
        None if was_wanted && !node.groups[0].state.is_wanted() => "want it no longer".into(),
        None => "nothing".into(),
    }
}

#[test]
fn the_page_lists_the_states() {
    let listed = table("| State |");
    let states = GroupState::ALL.map(|state| {
        let marks = [state.is_held(), state.is_owned(), state.is_wanted()].map(yes);
        [&[state.name()], &marks[..]].concat()
    });
    let without_meaning: Vec<_> = listed.iter().map(|row| vec![row[0], row[2], row[3], row[4]]).collect();
    assert_eq!(without_meaning, states);
}

#[test]
fn every_state_has_its_bits() {
    for (bits, state) in (0..).zip(GroupState::ALL) {
        assert_eq!((state as u8, GroupState::from_bits(bits)), (bits, state));
        assert!(!state.runs() || state.is_owned());
        assert!(!state.is_owned() || state.is_held());
        assert!(!state.is_wanted() || !state.is_held());
    }
    for reserved in 10..=u8::MAX {
        assert_eq!(GroupState::from_bits(reserved), GroupState::Stuck);
    }
}

#[test]
fn the_page_lists_the_causes() {
    let causes = [
        Cause::Start,
        Cause::PeerDied(B),
        Cause::PeerLeft(B),
        Cause::PeerFailed(B),
        Cause::PeerDeclined(B),
        Cause::FailBack(B),
        Cause::Takeover(B),
        Cause::Standby,
        Cause::Conflict(B),
        Cause::Lease,
        Cause::Sick,
        Cause::Moved,
        Cause::Retry,
        Cause::Cleanup,
        Cause::Reload,
        Cause::Leave,
    ];
    let listed: Vec<_> = table("| Cause |").iter().map(|row| row[0]).collect();
    assert_eq!(listed, causes.map(Cause::name));
    for cause in causes {
        assert!(cause.peer().is_none_or(|peer| peer == B));
    }
}

#[test]
fn what_is_decided_at_all() {
    let mut rules = Rules::of("| Maintenance |");
    let cases = Choices::all(|choose| {
        let mut node = node(choose.of([A, B]), Failback::Return);
        node.maintenance = choose.flag();
        node.status = choose.of(STATUSES);
        node.groups[0].state = choose.of(GroupState::ALL);
        node.lease = choose.flag();
        node.peers[B] = choose.peer();
        node
    });
    for mut node in cases {
        let here = node.groups[0].state;
        let cells = [
            yes(node.maintenance),
            status_name(node.status),
            here.name(),
            yes(node.lease),
        ];
        let before = node.clone();
        let decided = decision(&mut node);
        let after = node.groups[0].state;
        match rules.then(&cells) {
            "want it no longer" => assert!(!after.is_wanted() && after.is_held() == here.is_held(), "{cells:?}"),
            "a group that we have" => {
                assert!(after.is_owned() || after == GroupState::Releasing, "{cells:?}");
                assert_eq!(decided, decision(&mut before.clone()), "{cells:?}");
            }
            "a group that we do not have" => {
                assert!(!after.is_held() || after == GroupState::Acquiring, "{cells:?}");
            }
            then => assert_eq!(decided, then, "{cells:?}"),
        }
    }
    rules.assert_all_used();
}

const OUTLOOKS: [Outlook; 3] = [Outlook::Ready, Outlook::Unready, Outlook::Unknown];

fn outlook_name(outlook: Outlook) -> &'static str {
    match outlook {
        Outlook::Ready => "ready",
        Outlook::Unready => "unready",
        Outlook::Unknown => "unknown",
    }
}

#[test]
fn every_decision_on_a_group_that_we_have_is_a_row() {
    let mut rules = Rules::of("| Lease | Doubt | Peer | There |");
    let cases = Choices::all(|choose| {
        let mut node = node(choose.of([A, B]), choose.of([Failback::Return, Failback::Stay]));
        node.lease = choose.flag();
        node.doubt = choose.flag().then_some(Nanos::MAX);
        node.groups[0].state = choose.of([GroupState::Running, GroupState::Claimed]);
        node.groups[0].provided.outlook = choose.of(OUTLOOKS);
        let contests = [None, Some(false), Some(true)];
        node.groups[0].contested = choose.of(contests).map(|ran| Contest { with: FORMER, ran });
        node.peers[B] = choose.peer();
        node.peers[B].sight.hears_us = choose.flag();
        node.peers[B].sight.present = choose.of([0, u16::MAX]);
        node
    });
    for mut node in cases {
        let peer = node.peers[B];
        let cells = [
            yes(node.lease),
            yes(node.doubt.is_some()),
            peer_name(&peer),
            peer.group(0).name(),
            yes(peer.sight.hears_us),
            preferred_name(node.settings.groups[0].preferred),
            failback_name(node.settings.failback),
            node.groups[0].state.name(),
            match node.groups[0].contested {
                None => "no",
                Some(Contest { ran: false, .. }) => "yes",
                Some(Contest { ran: true, .. }) => "ran",
            },
            yes(peer.counts(A)),
            outlook_name(node.groups[0].provided.outlook),
        ];
        assert_eq!(decision(&mut node), rules.then(&cells), "{cells:?}");
    }
    rules.assert_all_used();
}

#[test]
fn every_wish_for_a_group_that_we_do_not_have_is_a_row() {
    let mut rules = Rules::of("| Lease | Doubt | Peer | Asked |");
    let idle = [Memory::Nothing, Memory::Declined, Memory::Failed(Nanos::MAX)];
    let cases = Choices::all(|choose| {
        let mut node = node(choose.of([A, B]), choose.of([Failback::Return, Failback::Stay]));
        node.lease = choose.flag();
        node.doubt = choose.flag().then_some(Nanos::MAX);
        node.peers[B] = choose.peer();
        let group = &mut node.groups[0];
        group.asked = choose.flag();
        group.provided.gave_way = choose.flag();
        group.provided.outlook = choose.of(OUTLOOKS);
        group.memory = choose.of(idle);
        group.state = group.idle();
        if choose.flag() {
            group.state = GroupState::Wanting;
        }
        node
    });
    for mut node in cases {
        let peer = node.peers[B];
        let cells = [
            yes(node.lease),
            yes(node.doubt.is_some()),
            peer_name(&peer),
            yes(node.groups[0].asked),
            peer.group(0).name(),
            failback_name(node.settings.failback),
            preferred_name(node.settings.groups[0].preferred),
            yes(node.groups[0].provided.gave_way),
            outlook_name(node.groups[0].provided.outlook),
            match node.groups[0].memory {
                Memory::Nothing => "nothing",
                Memory::Declined => "declined",
                Memory::Failed(_) => "failed",
            },
        ];
        node.decide(0);
        let group = &node.groups[0];
        let wish = match group.state {
            // What it does when all agree is another table.
            GroupState::Wanting => "want",
            GroupState::Asking => "ask",
            GroupState::Acquiring if node.groups[0].work == 1 => continue_of(&mut rules, &cells),
            state @ (GroupState::Released
            | GroupState::Acquiring
            | GroupState::Running
            | GroupState::Claimed
            | GroupState::Releasing
            | GroupState::Stuck
            | GroupState::Failed
            | GroupState::Declined) => {
                assert_eq!(state, group.idle(), "{cells:?}");
                "nothing"
            }
        };
        assert_eq!(wish, rules.then(&cells), "{cells:?}");
    }
    rules.assert_all_used();
}

/// Who acquires at once has wished for something.
fn continue_of(rules: &mut Rules, cells: &[&str]) -> &'static str {
    let then = rules.then(cells);
    assert_ne!(then, "nothing", "{cells:?}");
    then
}

#[test]
fn whose_consent_it_takes_is_a_row() {
    let mut rules = Rules::of("| Peer | There | Here |");
    let cases = Choices::all(|choose| {
        let mut node = node(choose.of([A, B]), Failback::Return);
        node.groups[0].state = choose.of([GroupState::Wanting, GroupState::Asking]);
        node.groups[0].wanted = 7;
        node.peers[B] = choose.peer();
        node.peers[B].sight.confirmed = choose.of([6, 7, 8]);
        node.peers[B].sight.present = choose.of([0, u16::MAX]);
        node
    });
    for node in cases {
        let peer = node.peers[B];
        let cells = [
            peer_name(&peer),
            peer.group(0).name(),
            node.groups[0].state.name(),
            preferred_name(node.settings.groups[0].preferred),
            yes(peer.sight.confirmed >= 7),
            yes(peer.counts(A)),
        ];
        let then = match rules.then(&cells) {
            // A peer that died long ago, and no tie-breaker.
            "who is gone" => "yes",
            then => then,
        };
        assert_eq!(
            node.consent(0).map_or_else(Waiting::name, |()| "yes"),
            then,
            "{cells:?}"
        );
    }
    rules.assert_all_used();
}

#[test]
fn who_is_gone_is_a_row() {
    let mut rules = Rules::of("| Peer | Waited |");
    let cases = Choices::all(|choose| {
        let mut node = Node::new(settings(3, A, 1), NOW);
        node.status = Status::Up;
        node.groups[0].state = GroupState::Wanting;
        node.groups[0].wanted = 7;
        node.settings.quorum = choose.of([Quorum::None, Quorum::Pings, Quorum::Majority]);
        node.settings.takeover_delay = ms(300);
        node.settings.stuck = choose.of([StuckPolicy::Reboot, StuckPolicy::Hold]);
        node.settings.fenced[B] = choose.flag();
        node.settings.witness = choose.flag();
        node.settings.witness_lease = Some(ms(200));
        node.witness = choose.of([
            Witness::Unasked,
            Witness::Silent(NOW),
            Witness::Answers(Nanos(NOW.0 - ms(301).0)),
            Witness::Answers(Nanos(NOW.0 - ms(250).0)),
            Witness::Answers(NOW),
        ]);
        node.pings = 1;
        // The last has not ended since the peer was heard.
        node.leased = Nanos(NOW.0 - choose.of([ms(499).0, ms(500).0, ms(801).0]));
        // The third node is heard, and votes or does not.
        node.peers[C] = PeerView {
            contact: Contact::Up,
            sight: Sight {
                status: Status::Up,
                confirmed: 7,
                heard_us: NOW,
                present: if choose.flag() { 0b101 } else { 0b111 },
                ..Sight::default()
            },
            ..PeerView::default()
        };
        let (settings, other_groups) = (choose.flag(), choose.flag());
        node.peers[B] = PeerView {
            contact: choose.of([Contact::Left, Contact::Dead]),
            silent_since: Nanos(NOW.0 - choose.of([ms(299).0, ms(300).0])),
            fencing: choose.of([Fencing::None, Fencing::Running, Fencing::Failed(NOW), Fencing::Done]),
            sight: Sight {
                pings: choose.of([0, 1, 2]),
                heard_us: choose.of([Nanos(0), ms(50)]),
                groups: groups(&[choose.of(GroupState::ALL)]),
                differs: Differs {
                    settings,
                    groups: other_groups,
                    nodes: false,
                },
                ..Sight::default()
            },
        };
        node
    });
    for node in cases {
        let peer = node.peers[B];
        let cells = [
            peer.contact.name(),
            yes(NOW.since(peer.silent_since) >= ms(300)),
            yes(!node.settings.witness || node.witness == Witness::Answers(NOW)),
            node.settings.quorum.name(),
            yes(node.pings >= peer.sight.pings),
            yes(NOW.since(node.leased) >= ms(500)),
            yes(!node.peers[C].counts(B)),
            yes(peer.fencing == Fencing::Done),
            yes(!peer.sight.differs.settings),
            yes(node.settings.fenced[B]),
            yes(peer.is_readable()),
            peer.group(0).name(),
            yes(peer.sight.heard_us > Nanos(0) && NOW.since(node.leased).0 > NOW.since(peer.silent_since).0 + ms(500).0),
            match node.settings.stuck {
                StuckPolicy::Reboot => "reboot",
                StuckPolicy::Hold => "hold",
            },
        ];
        let then = rules.then(&cells);
        assert_eq!(
            node.consent(0).map_or_else(Waiting::name, |()| "yes"),
            then,
            "{cells:?}"
        );
    }
    rules.assert_all_used();
}

#[test]
fn who_reaches_no_ping_node_reaches_fewer_than_anybody() {
    let mut node = node(A, Failback::Return);
    node.settings.quorum = Quorum::Pings;
    node.groups[0].state = GroupState::Wanting;
    node.peers[B].contact = Contact::Dead;
    assert_eq!(node.consent(0), Err(Waiting::Pings(B)), "none here, and none there");
    node.pings = 1;
    node.leased = Nanos(0);
    node.now = NOW;
    assert_eq!(node.consent(0), Ok(()));
}
