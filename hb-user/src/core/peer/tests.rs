use super::*;

const GROUPS: usize = 2;

#[test]
fn only_a_peer_that_leaves_and_holds_nothing_has_said_farewell() {
    for contact in [Contact::Unknown, Contact::Up, Contact::Left, Contact::Dead] {
        for status in [Status::Init, Status::Up, Status::Leaving] {
            for state in [GroupState::Released, GroupState::Running, GroupState::Releasing] {
                let view = PeerView {
                    contact,
                    status,
                    groups: Groups::default().with(1, state as u8),
                    hears_us: true,
                };
                let expected = contact == Contact::Up && status == Status::Leaving && state == GroupState::Released;
                assert_eq!(view.has_said_farewell(), expected, "{view:?}");
            }
        }
    }
}
