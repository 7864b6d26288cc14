use super::*;
use crate::core::testing::groups;

fn advert(states: &[GroupState]) -> Advert {
    Advert {
        edition: 1,
        status: Status::Up,
        maintenance: false,
        pings: 0,
        present: 0b0101,
        up: 0b0011,
        groups: groups(states),
    }
}

#[test]
fn of_its_receiver_a_beat_says_whether_it_is_up_and_of_others_whether_they_are_present() {
    let advert = advert(&[]);
    assert_eq!(advert.present_for(0), 0b0101);
    assert_eq!(advert.present_for(1), 0b0111, "gone for nobody else to know, but up");
    assert_eq!(advert.present_for(2), 0b0001, "present, but not up");
    assert_eq!(advert.present_for(3), 0b0101);
    assert_eq!(advert.present_for(15), 0b0101);
}

/// What a node has, whether it waits for the others, and whether anything could be taken over from it.
#[test]
fn what_waits_and_what_is_idle() {
    for state in GroupState::ALL {
        let (wants, is_idle) = match state {
            GroupState::Wanting | GroupState::Asking => (true, false),
            GroupState::Acquiring | GroupState::Running | GroupState::Claimed | GroupState::Releasing => (false, false),
            // It cannot let go, lease or not.
            GroupState::Released | GroupState::Stuck | GroupState::Failed | GroupState::Declined => (false, true),
        };
        let advert = advert(&[GroupState::Released, state]);
        assert_eq!((advert.wants(), advert.is_idle()), (wants, is_idle), "{state:?}");
    }
}

#[test]
fn the_room_of_a_lease_is_one_interval() {
    let settings = crate::core::testing::settings(3, 0, 1);
    assert_eq!(settings.lease(), crate::core::testing::ms(400));
    assert_eq!((settings.majority(), settings.supporters()), (2, 1));
    assert_eq!(crate::core::testing::settings(4, 0, 1).majority(), 3);
    assert_eq!(crate::core::testing::settings(5, 0, 1).supporters(), 2);
}
