//! The diagram of docs/OWNERSHIP.md against what nodes do under all kinds of events.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::bench::*;
use super::history::{History, kinds};
use crate::core::{Action, GroupState, Outcome, Sight};

const PAGE: &str = include_str!("../../../../../docs/OWNERSHIP.md");

thread_local! {
    /// The steps of groups since they were asked for.
    static STEPS: RefCell<Vec<(GroupState, GroupState)>> = const { RefCell::new(Vec::new()) };
}

/// Notes each step that a group makes.
pub(in super::super) fn step(from: GroupState, to: GroupState) {
    if from != to {
        STEPS.with_borrow_mut(|steps| steps.push((from, to)));
    }
}

/// For each step why it was made: the causes of works, and nothing for other steps.
type Arrows = BTreeMap<(&'static str, &'static str), BTreeSet<String>>;

fn explored() -> Arrows {
    let mut arrows = Arrows::new();
    // A node of three asks for what was taken over from a third while it could not have it: dice seldom fall so.
    let mut bench = Bench::three();
    bench.node.settings.groups[0].preferred = B;
    bench.silent(C);
    let sees_no_c = |states: &[GroupState]| Sight {
        present: 0b011,
        ..sight(states)
    };
    bench.says_so(B, sees_no_c(&[Declined]));
    bench.says_so(B, sees_no_c(&[Declined]));
    bench.finish(Outcome::Done);
    assert_eq!(bench.state(), Claimed);
    STEPS.take();
    assert_eq!(bench.says_so(B, sees_no_c(&[Asking])), ["release 0: fail_back"]);
    for (from, to) in STEPS.take() {
        arrows.insert((from.name(), to.name()), BTreeSet::from(["fail_back".to_owned()]));
    }
    for (kind, mut settings) in kinds().into_iter().enumerate() {
        for seed in 0..1000 {
            // One group, of ours or of another, so that a step can be told by its action.
            settings.groups.truncate(1);
            settings.groups[0].preferred = usize::from(seed % 2 == 0);
            let mut history = History::new(settings.clone(), seed * 64 + kind as u64);
            for _ in 0..150 {
                STEPS.take();
                let (_, actions) = history.step();
                for (from, to) in STEPS.take() {
                    let causes = arrows.entry((from.name(), to.name())).or_default();
                    causes.extend(actions.iter().filter_map(|action| cause(action, to)));
                }
            }
        }
    }
    arrows
}

/// Why a work was begun, of which the group is in this state.
fn cause(action: &Action, to: GroupState) -> Option<String> {
    match action {
        Action::Acquire { cause, .. } if to == GroupState::Acquiring => Some(cause.name().to_owned()),
        Action::Release { cause, .. } if to == GroupState::Releasing => Some(cause.name().to_owned()),
        Action::Advertise(_)
        | Action::Acquire { .. }
        | Action::Release { .. }
        | Action::Drop { .. }
        | Action::Fence { .. }
        | Action::Reboot { .. }
        | Action::Left => None,
    }
}

/// The arrows of the page. What is written at those to `acquiring` and `releasing` is a list of causes.
fn drawn() -> Arrows {
    let lines = PAGE.lines().skip_while(|line| *line != "stateDiagram-v2").skip(1);
    let arrows = lines.take_while(|line| *line != "```").filter_map(|line| {
        let (from, rest) = line.trim().split_once(" --> ")?;
        let (to, label) = rest.split_once(": ").unwrap_or((rest, ""));
        let is_work = to == GroupState::Acquiring.name() || to == GroupState::Releasing.name();
        let causes = label.split(", ").filter(|_| is_work).map(str::to_owned);
        Some(((from, to), causes.collect()))
    });
    arrows.filter(|((from, _), _)| *from != "[*]").collect()
}

#[test]
fn the_diagram_has_every_step_and_no_other() {
    let (explored, drawn) = (explored(), drawn());
    let undrawn: Vec<_> = explored
        .iter()
        .filter(|(step, causes)| drawn.get(*step) != Some(causes))
        .collect();
    let undone: Vec<_> = drawn
        .iter()
        .filter(|(step, causes)| explored.get(*step) != Some(causes))
        .collect();
    assert!(
        undrawn.is_empty() && undone.is_empty(),
        "done: {undrawn:#?}\ndrawn: {undone:#?}"
    );
}
