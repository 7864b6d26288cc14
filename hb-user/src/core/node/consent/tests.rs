use super::*;
use crate::core::testing::{ms, settings};
use crate::core::{Event, Settings, Sight};

/// Node 0 of two with a ping node, which has met the other and then lost it.
fn cut_off() -> Node {
    let settings = Settings {
        quorum: Quorum::Pings,
        ..settings(2, 0, 1)
    };
    let mut node = Node::new(settings, ms(0));
    let sight = Sight {
        status: Status::Up,
        pings: 1,
        ..Sight::default()
    };
    node.handle(&Event::Peer { node: 1, sight }, ms(100));
    for event in [
        Event::Pings { reached: 0 },
        Event::Lease { held: false },
        Event::Silent { node: 1 },
    ] {
        node.handle(&event, ms(1000));
    }
    node
}

fn is_taken_over(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Acquire { .. }))
}

#[test]
fn who_reaches_the_ping_node_again_listens_before_it_takes_over() {
    let mut node = cut_off();
    node.handle(&Event::Pings { reached: 1 }, ms(3000));
    let actions = node.handle(&Event::Lease { held: true }, ms(3001));
    assert!(!is_taken_over(&actions), "{actions:?}");
    assert_eq!(node.waiting(0), Some(Waiting::Doubt));
    assert_eq!(node.deadline(), Some(ms(3501)));
    assert!(!is_taken_over(&node.handle(&Event::Tick, ms(3500))));
    assert!(is_taken_over(&node.handle(&Event::Tick, ms(3501))));
}
