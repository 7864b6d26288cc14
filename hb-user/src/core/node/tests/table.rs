//! docs/OWNERSHIP.md against the code, row by row.

use std::collections::BTreeSet;

use super::super::*;
use super::{A, B, settings};
use crate::core::testing::groups;

const PAGE: &str = include_str!("../../../../../docs/OWNERSHIP.md");

/// The cells of the table below the header that begins with these cells.
fn table(header: &str) -> Vec<Vec<&'static str>> {
    let lines = PAGE.lines().skip_while(move |line| !line.starts_with(header)).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        row.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect()
    })
    .collect()
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

#[test]
fn the_page_lists_the_states() {
    let listed = table("| State |");
    let states = GroupState::ALL.map(|state| vec![state.name(), yes(state.is_held()), yes(state.is_owned())]);
    let without_meaning: Vec<_> = listed.iter().map(|row| vec![row[0], row[2], row[3]]).collect();
    assert_eq!(without_meaning, states);
}

#[test]
fn every_state_has_its_bits() {
    for (bits, state) in (0..).zip(GroupState::ALL) {
        assert_eq!((state as u8, GroupState::from_bits(bits)), (bits, state));
    }
    for reserved in 7..16 {
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
        Cause::FailBack(B),
        Cause::Conflict(B),
        Cause::Leave,
    ];
    let listed: Vec<_> = table("| Cause |").iter().map(|row| row[0]).collect();
    assert_eq!(listed, causes.map(Cause::name));
}

/// All that a decision about one group of two nodes depends on.
#[derive(Clone, Debug)]
struct Case {
    we: Status,
    here: GroupState,
    contested: bool,
    peer: PeerView,
    preferred: usize,
    failback: Failback,
}

impl Case {
    fn all() -> Vec<Self> {
        let statuses = [Status::Init, Status::Up, Status::Leaving];
        let contacts = [Contact::Unknown, Contact::Up, Contact::Left, Contact::Dead];
        let mut cases = Vec::new();
        for number in 0..3 * 7 * 2 * 4 * 3 * 7 * 2 * 2 * 2 {
            let mut rest = number;
            let mut pick = |choices: usize| {
                let choice = rest % choices;
                rest /= choices;
                choice
            };
            let case = Self {
                we: statuses[pick(3)],
                here: GroupState::ALL[pick(7)],
                contested: pick(2) == 1,
                peer: PeerView {
                    contact: contacts[pick(4)],
                    status: statuses[pick(3)],
                    groups: groups(&[GroupState::ALL[pick(7)]]),
                    hears_us: pick(2) == 1,
                },
                preferred: pick(2),
                failback: [Failback::Return, Failback::Stay][pick(2)],
            };
            // Who is up has met all its peers.
            if case.we != Status::Up || case.peer.contact != Contact::Unknown {
                cases.push(case);
            }
        }
        cases
    }

    /// In the words of the page.
    fn cells(&self) -> [&'static str; 8] {
        let name = |status| match status {
            Status::Init => "init",
            Status::Up => "up",
            Status::Leaving => "leaving",
        };
        let peer = match self.peer.contact {
            Contact::Up => name(self.peer.status),
            Contact::Unknown | Contact::Left | Contact::Dead => self.peer.contact.name(),
        };
        let failback = match self.failback {
            Failback::Return => "on",
            Failback::Stay => "off",
        };
        [
            name(self.we),
            self.here.name(),
            yes(self.contested),
            peer,
            self.peer.group(0).name(),
            yes(self.peer.hears_us),
            ["us", "peer"][self.preferred],
            failback,
        ]
    }

    fn node(&self) -> Node {
        let mut node = Node::new(settings(A, &[self.preferred], self.failback), Nanos(0));
        node.status = self.we;
        node.peers[B] = self.peer;
        node.groups[0].state = self.here;
        node.groups[0].contested = self.contested.then_some(FORMER);
        node
    }
}

/// With whom a group was contested before, so that a new entry can be told from the old one.
const FORMER: usize = 9;

/// A decision in the words of the page.
fn decide(node: &mut Node) -> String {
    match node.decide(0, Nanos(0)) {
        Some(Action::Acquire { cause, reassert, .. }) => {
            let again = if reassert { " again" } else { "" };
            format!("acquire{again}: {}", cause.name())
        }
        Some(Action::Release { cause, .. }) => format!("release: {}", cause.name()),
        Some(Action::Advertise(_) | Action::Left) => "something else".into(),
        None if node.groups[0].contested == Some(B) => "contest".into(),
        None => "nothing".into(),
    }
}

#[test]
fn every_decision_is_a_row_of_the_page() {
    let rows = table("| We |");
    let mut used = vec![false; rows.len()];
    let fits = |cell: &str, value: &str| cell == "any" || cell.split(", ").any(|word| word == value);
    for case in Case::all() {
        let cells = case.cells();
        let row = rows
            .iter()
            .position(|row| row.iter().zip(cells).all(|(cell, value)| fits(cell, value)));
        let row = row.unwrap_or_else(|| panic!("no row for {cells:?}"));
        used[row] = true;
        assert_eq!(decide(&mut case.node()), rows[row][8], "{cells:?} by row {}", row + 1);
    }
    let unused: Vec<_> = rows.iter().zip(used).filter(|(_, used)| !used).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn the_diagram_has_every_step_and_no_other() {
    let mut steps = BTreeSet::new();
    let mut step = |before: &Node, after: &Node| {
        let (from, to) = (before.groups[0].state, after.groups[0].state);
        if from != to {
            steps.insert((from.name(), to.name()));
        }
    };
    for case in Case::all() {
        for claim in [false, true] {
            let mut before = case.node();
            before.groups[0].claim = claim;
            let mut decided = before.clone();
            decided.decide(0, Nanos(0));
            step(&before, &decided);
            for outcome in [Outcome::Done, Outcome::Failed, Outcome::Stuck] {
                let mut finished = before.clone();
                finished.finish(0, outcome, Nanos(0));
                step(&before, &finished);
            }
            let mut heard = before.clone();
            heard.set_peer(B, case.peer);
            step(&before, &heard);
        }
    }
    let arrows = PAGE.lines().filter_map(|line| line.trim().split_once(" --> "));
    let drawn: BTreeSet<_> = arrows
        .filter(|(from, _)| *from != "[*]")
        .filter_map(|(from, rest)| Some((from, rest.split(':').next()?)))
        .collect();
    assert_eq!(drawn, steps);
}
