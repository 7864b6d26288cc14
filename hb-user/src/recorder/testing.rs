//! A life of a node, for the tests of what records and of what replays.

use hb_ebpf::Nanos;
use hb_ebpf::beat::{Groups, Status};

use super::{Header, Names};
use crate::core::{
    Action, Carry, Event, Failback, GroupSettings, GroupState, Node, Outcome, Quorum, Reconfiguration, Settings, Sight,
    StuckPolicy,
};

/// The span `millis`, in milliseconds.
pub(crate) const fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

/// The second of two nodes, with so many groups that prefer the first.
pub(crate) fn settings(groups: usize) -> Settings {
    Settings {
        nodes: 2,
        me: 1,
        groups: vec![GroupSettings { preferred: 0 }; groups],
        failback: Failback::Return,
        quorum: Quorum::None,
        deadtime: ms(500),
        interval: ms(100),
        takeover_delay: ms(0),
        start_retry: ms(60_000),
        stuck: StuckPolicy::Reboot,
        fenced: vec![false; 2],
        fence_retry: ms(10_000),
        witness: false,
        witness_lease: None,
    }
}

pub(crate) fn names(groups: &[&str]) -> Names {
    Names {
        nodes: vec!["primary".to_owned(), "secondary".to_owned()],
        groups: groups.iter().map(ToString::to_string).collect(),
    }
}

pub(crate) fn header() -> Header {
    Header {
        started_unix: 1_764_000_000,
        names: names(&["floatip"]),
    }
}

/// What primary says when it does this with its first group.
pub(crate) fn primary(state: GroupState, confirmed: u32) -> Event {
    Event::Peer {
        node: 0,
        sight: Sight {
            status: Status::Up,
            groups: Groups::default().with(0, state as u8),
            hears_us: true,
            confirmed,
            ..Sight::default()
        },
    }
}

/// A takeover, a failback, a second group, and a takeover by an orderly leave.
pub(crate) fn history() -> Vec<(Nanos, Event)> {
    let done = |work| Event::Finished {
        work,
        outcome: Outcome::Done,
    };
    let reconfiguration = Reconfiguration {
        settings: settings(2),
        nodes: vec![Some(0), Some(1)],
        groups: vec![Carry::New, Carry::Kept(0)],
    };
    vec![
        (ms(5_000), Event::Begin),
        (ms(5_010), primary(GroupState::Released, 0)),
        (ms(5_020), primary(GroupState::Acquiring, 1)),
        (ms(5_030), primary(GroupState::Running, 1)),
        (ms(5_040), primary(GroupState::Running, 2)),
        (ms(5_050), primary(GroupState::Running, 3)),
        (ms(6_000), Event::Silent { node: 0 }),
        (ms(6_010), done(1)),
        (ms(7_000), primary(GroupState::Released, 4)),
        (ms(7_010), primary(GroupState::Asking, 4)),
        (ms(7_020), done(2)),
        (ms(7_030), primary(GroupState::Running, 5)),
        (ms(8_000), Event::Reconfigure(Box::new(reconfiguration))),
        (ms(9_000), Event::Silent { node: 0 }),
        (ms(9_500), Event::Leave),
        (ms(9_600), done(3)),
        (ms(9_610), done(4)),
        (ms(9_700), done(5)),
        (ms(9_710), done(6)),
    ]
}

/// A node lives through that. `before` learns of each event as a recorder does.
pub(crate) fn live(mut before: impl FnMut(Nanos, &Event, &Node)) -> Vec<Vec<Action>> {
    let mut node = Node::new(settings(1), ms(4_900));
    let history = history().into_iter().map(|(at, event)| {
        before(at, &event, &node);
        node.handle(&event, at)
    });
    history.collect()
}
