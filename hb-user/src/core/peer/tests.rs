use super::*;

fn view(contact: Contact, sight: Sight) -> PeerView {
    PeerView {
        contact,
        sight,
        ..PeerView::default()
    }
}

#[test]
fn only_a_peer_that_leaves_and_holds_nothing_has_said_farewell() {
    for contact in Contact::ALL {
        for status in [Status::Init, Status::Up, Status::Leaving] {
            for state in GroupState::ALL {
                for maintenance in [false, true] {
                    let sight = Sight {
                        status,
                        maintenance,
                        groups: Groups::default().with(1, state as u8),
                        ..Sight::default()
                    };
                    let expected = contact == Contact::Up && status == Status::Leaving && !state.is_held();
                    assert_eq!(view(contact, sight).has_said_farewell(), expected, "{sight:?}");
                }
            }
        }
    }
}

/// Two digests, and in what they differ: groups, nodes, settings.
#[test]
fn a_digest_names_what_differs() {
    let table = [
        (0, 0, [false; 3]),
        (u32::MAX, u32::MAX, [false; 3]),
        (0, 1, [false, false, true]),
        (0, 0x3ff, [false, false, true]),
        (0, 1 << 10, [false, true, false]),
        (5, 5 | 0x3ff << 10, [false, true, false]),
        (0, 1 << 20, [true, false, false]),
        (1 << 31, 0, [true, false, false]),
        (0, u32::MAX, [true; 3]),
    ];
    for (ours, theirs, [groups, nodes, settings]) in table {
        let differs = Differs::between(ours, theirs);
        assert_eq!(
            differs,
            Differs {
                groups,
                nodes,
                settings
            },
            "{ours:x} {theirs:x}"
        );
        assert_eq!(differs, Differs::between(theirs, ours));
        assert_eq!(differs.is_any(), groups || nodes || settings);
        assert_eq!(differs.keeps_our_time(), !nodes && !settings);
    }
}

#[test]
fn what_a_peer_says_of_groups_counts_while_it_is_up_and_means_ours() {
    let held = Sight {
        groups: Groups::default().with(0, GroupState::Running as u8),
        ..Sight::default()
    };
    for contact in Contact::ALL {
        assert_eq!(view(contact, held).holds(0), contact == Contact::Up);
        assert!(!view(contact, held).holds(1));
    }
    for differs in [(true, false), (false, true)].map(|(groups, nodes)| Differs {
        groups,
        nodes,
        settings: false,
    }) {
        assert!(!view(Contact::Up, Sight { differs, ..held }).holds(0));
    }
    let settings = true;
    let differs = Differs {
        settings,
        ..Differs::default()
    };
    assert!(
        view(Contact::Up, Sight { differs, ..held }).holds(0),
        "its timers are no matter"
    );
}

#[test]
fn a_candidate_is_there_and_stays_and_has_not_failed() {
    for contact in Contact::ALL {
        for status in [Status::Init, Status::Up, Status::Leaving] {
            for state in GroupState::ALL {
                let groups = Groups::default().with(0, state as u8);
                let peer = view(
                    contact,
                    Sight {
                        status,
                        groups,
                        ..Sight::default()
                    },
                );
                let expected = contact == Contact::Up && status != Status::Leaving && state != GroupState::Failed;
                assert_eq!(peer.is_candidate(0), expected);
            }
        }
    }
}

#[test]
fn nobody_is_counted_out_before_it_was_met() {
    assert!((0..16).all(|node| PeerView::default().counts(node)));
}

#[test]
fn a_difference_has_words() {
    let table = [
        (0, "nothing differs"),
        (1, "the timers and policies of ha.cf and hb.toml differ"),
        (1 << 9, "the timers and policies of ha.cf and hb.toml differ"),
        (1 << 10, "the nodes of ha.cf differ"),
        (1 << 19, "the nodes of ha.cf differ"),
        (1 << 20, "the groups of haresources differ"),
        (1 << 31, "the groups of haresources differ"),
        (
            1 << 31 | 1,
            "the groups of haresources and the timers and policies of ha.cf and hb.toml differ",
        ),
        (
            u32::MAX,
            "the groups of haresources, the nodes of ha.cf, the timers and policies of ha.cf and hb.toml differ",
        ),
    ];
    for (bits, words) in table {
        let differs = Differs::between(0x1234_5678, 0x1234_5678 ^ bits);
        assert_eq!(differs.to_string(), words, "{bits:x}");
        assert_eq!(differs.is_any(), bits != 0);
    }
}

#[test]
fn other_timers_support_a_lease_and_in_another_list_of_nodes_our_bit_may_be_anybodys() {
    let table = [
        (0, 0b010, true),
        (0, 0b101, false),
        (1, 0b010, true),
        (1, 0b101, false),
        (1 << 10, 0b101, true),
        (1 << 20, 0b101, false),
    ];
    for (difference, present, supports) in table {
        let differs = Differs::between(7, 7 ^ difference);
        assert_eq!(differs.supports(present, 1), supports, "{differs:?} {present:b}");
    }
}
