//! Tables of docs/OWNERSHIP.md, and all the cases that they are about.

use super::super::*;
use crate::core::testing::groups;
use crate::core::{Differs, Failback};

const PAGE: &str = include_str!("../../../../../docs/OWNERSHIP.md");

/// The cells of the table below the header that begins with these cells.
pub(super) fn table(header: &str) -> Vec<Vec<&'static str>> {
    let lines = PAGE.lines().skip_while(move |line| !line.starts_with(header)).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().trim_matches('`')).collect()
    })
    .collect()
}

/// A table of decisions, and which of its rows were ever used.
pub(super) struct Rules {
    rows: Vec<Vec<&'static str>>,
    used: Vec<bool>,
}

impl Rules {
    pub(super) fn of(header: &str) -> Self {
        let rows = table(header);
        assert!(rows.len() > 5, "no table {header}");
        let used = vec![false; rows.len()];
        Self { rows, used }
    }

    /// What the first row says that fits.
    pub(super) fn then(&mut self, cells: &[&str]) -> &'static str {
        let fits = |cell: &str, value: &str| cell == "any" || cell.split(", ").any(|word| word == value);
        let is_it = |row: &Vec<&str>| {
            assert_eq!(row.len(), cells.len() + 1, "{row:?}");
            row.iter().zip(cells).all(|(cell, value)| fits(cell, value))
        };
        let row = self.rows.iter().position(is_it);
        let row = row.unwrap_or_else(|| panic!("no row for {cells:?}"));
        self.used[row] = true;
        self.rows[row][cells.len()]
    }

    pub(super) fn assert_all_used(&self) {
        let unused: Vec<_> = self.rows.iter().zip(&self.used).filter(|(_, used)| !**used).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }
}

/// Counts through all combinations of choices.
pub(super) struct Choices {
    number: usize,
    rest: usize,
}

impl Choices {
    /// Every case that `make` can make.
    pub(super) fn all<T>(mut make: impl FnMut(&mut Self) -> T) -> impl Iterator<Item = T> {
        let mut choices = Self { number: 0, rest: 0 };
        std::iter::from_fn(move || {
            choices.rest = choices.number;
            let case = make(&mut choices);
            choices.number += 1;
            // Whatever is left of the number was chosen by nobody: we are through.
            (choices.rest == 0).then_some(case)
        })
    }

    pub(super) fn of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        let choice = choices[self.rest % N];
        self.rest /= N;
        choice
    }

    pub(super) fn flag(&mut self) -> bool {
        self.of([false, true])
    }

    /// A peer's contact, status and whether it can be read: as the page has them.
    pub(super) fn peer(&mut self) -> PeerView {
        let (contact, status, is_other) = self.of([
            (Contact::Unknown, Status::Init, false),
            (Contact::Up, Status::Up, true),
            (Contact::Up, Status::Init, false),
            (Contact::Up, Status::Up, false),
            (Contact::Up, Status::Leaving, false),
            (Contact::Left, Status::Leaving, false),
            (Contact::Dead, Status::Up, false),
        ]);
        let differs = Differs {
            groups: is_other,
            ..Differs::default()
        };
        let states = groups(&[self.of(GroupState::ALL)]);
        PeerView {
            contact,
            sight: Sight {
                status,
                differs,
                groups: states,
                ..Sight::default()
            },
            ..PeerView::default()
        }
    }
}

pub(super) fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Init => "init",
        Status::Up => "up",
        Status::Leaving => "leaving",
    }
}

pub(super) fn failback_name(failback: Failback) -> &'static str {
    match failback {
        Failback::Return => "on",
        Failback::Stay => "off",
    }
}

pub(super) fn peer_name(peer: &PeerView) -> &'static str {
    match peer.contact {
        Contact::Up if !peer.is_readable() => "differs",
        Contact::Up => status_name(peer.sight.status),
        Contact::Unknown | Contact::Left | Contact::Dead => peer.contact.name(),
    }
}

pub(super) fn preferred_name(preferred: usize) -> &'static str {
    ["us", "peer"][preferred]
}
