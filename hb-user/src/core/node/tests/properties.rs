//! What holds whatever happens.

use proptest::prelude::*;

use super::super::*;
use super::history::{History, kinds};
use crate::core::{Cause, Outcome};

/// What an action needs, given the node that took it, and the state of its group before.
fn check(before: &Node, event: &Event, after: &Node, actions: &[Action]) -> Result<(), TestCaseError> {
    for action in actions {
        match action {
            Action::Acquire {
                group, reassert, cause, ..
            } => {
                prop_assert!(after.lease && after.doubt.is_none() && !after.in_maintenance());
                prop_assert_eq!(after.status, Status::Up);
                let holder = after.holders(*group).next();
                prop_assert_eq!(holder, None, "{:?} while it is held", cause);
                let was = before.groups[*group].state;
                // What had this number before a reload was another group.
                let is_new = matches!(event, Event::Reconfigure(_));
                prop_assert!(is_new || *reassert == was.runs(), "{:?} from {:?}", cause, was);
                let is_met = after.others().all(|node| after.peers[node].contact != Contact::Unknown);
                // A node that a reload brought is not asked when what we have is started once more.
                prop_assert!(is_met || *reassert || *cause == Cause::Sick);
            }
            Action::Release { group, .. } => {
                prop_assert_eq!(after.groups[*group].state, GroupState::Releasing);
                let is_reload = matches!(event, Event::Reconfigure(_));
                prop_assert!(is_reload || before.groups[*group].state.is_held());
                prop_assert!(!after.in_maintenance() || is_reload, "in maintenance");
            }
            Action::Fence { node } => {
                prop_assert!(after.peers[*node].contact == Contact::Dead && after.settings.fenced[*node]);
                prop_assert!(!after.in_maintenance());
            }
            Action::Advertise(advert) => {
                prop_assert_eq!(advert, &after.advert());
                prop_assert_ne!(advert.edition, before.advertised.edition);
            }
            Action::Left => prop_assert!(after.may_go()),
            Action::Drop { .. } => prop_assert!(matches!(event, Event::Reconfigure(_))),
            Action::Reboot { group } => prop_assert_eq!(after.groups[*group].state, GroupState::Stuck),
        }
    }
    Ok(())
}

/// No two works have one number, and peers always know our state.
fn check_state(node: &Node, now: Nanos) -> Result<(), TestCaseError> {
    prop_assert!(node.deadline().is_none_or(|deadline| deadline > now));
    prop_assert_eq!(node.advertised, node.advert(), "told at once");
    for (index, group) in node.groups.iter().enumerate() {
        prop_assert!(!group.state.is_wanted() || node.may_act());
        let is_idle = !group.state.is_held() && !group.state.is_wanted();
        if is_idle && node.status == Status::Up && !node.in_maintenance() {
            prop_assert_eq!(group.state, group.idle());
        }
        let view = node.group(index);
        prop_assert!(view.is_some_and(|view| view.owner.is_none_or(|owner| owner < node.settings.nodes)));
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_happens_each_action_has_its_reason(kind in 0..kinds().len(), seed: u64) {
        let mut history = History::new(kinds()[kind].clone(), seed);
        let mut works = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let before = history.node.clone();
            let (event, actions) = history.step();
            check(&before, &event, &history.node, &actions)?;
            check_state(&history.node, history.now)?;
            for action in actions {
                if let Action::Acquire { work, .. } | Action::Release { work, .. } = action {
                    prop_assert!(works.insert(work), "work {} twice", work);
                }
            }
        }
    }

    /// Who looks again before its deadline finds nothing to do: nothing is forgotten, and nothing has to be polled.
    #[test]
    fn between_events_and_deadlines_nothing_changes(kind in 0..kinds().len(), seed: u64, part in 0_u64..1000) {
        let mut history = History::new(kinds()[kind].clone(), seed);
        for _ in 0..60 {
            history.step();
            let mut node = history.node.clone();
            prop_assert!(node.handle(&Event::Tick, history.now).is_empty(), "at once");
            let deadline = node.deadline().unwrap_or(history.now.saturating_add(Nanos(1 << 40)));
            let between = Nanos(history.now.0 + (deadline.0 - history.now.0 - 1) / 1000 * part);
            let actions = node.handle(&Event::Tick, between);
            prop_assert!(actions.is_empty(), "{:?} at {:?}, due {:?}", actions, between, deadline);
        }
    }

    /// No index from outside is out of range for it.
    #[test]
    fn nothing_out_of_range_panics(node: usize, group: usize, work: u32) {
        let mut history = History::new(kinds()[0].clone(), 0);
        for event in [
            Event::Silent { node },
            Event::Peer { node, sight: Sight::default() },
            Event::Fenced { node, done: true },
            Event::Sick { group },
            Event::Moved { group, to: crate::core::Taker::Node(node) },
            Event::Outlook { group, outlook: crate::core::Outlook::Unready },
            Event::Finished { work, outcome: Outcome::Done },
            Event::Command(crate::core::Command::Cleanup(group)),
        ] {
            history.node.handle(&event, history.now);
        }
        let _ = (history.node.peer(node), history.node.group(group));
    }
}

#[test]
fn nobody_is_a_peer_of_itself() {
    let mut history = History::new(kinds()[0].clone(), 0);
    let sight = Sight::default();
    history.node.handle(&Event::Peer { node: 0, sight }, history.now);
    history.node.handle(&Event::Silent { node: 0 }, history.now);
    assert_eq!(history.node.peer(0), PeerView::default());
    assert_eq!(history.node.peer(9), PeerView::default());
}
