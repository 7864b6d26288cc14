use super::*;

#[test]
fn only_a_peer_that_leaves_and_holds_nothing_or_touches_nothing_has_said_farewell() {
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
                    let view = PeerView {
                        contact,
                        sight,
                        ..PeerView::default()
                    };
                    let lets_go = maintenance || !state.is_held();
                    let expected = contact == Contact::Up && status == Status::Leaving && lets_go;
                    assert_eq!(view.has_said_farewell(), expected, "{view:?}");
                }
            }
        }
    }
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
