//! The matrix, as a table to read.

use std::fmt::Write as _;

use crate::case::{Case, Run};

/// A line for each fault at each step, a column for each provider and kind of address: the end, the seconds, the calls.
pub fn of(runs: &[(Case, Run)]) -> String {
    let mut lines: Vec<(String, [Option<&Run>; Case::KINDS.len()])> = Vec::new();
    let mut sorted: Vec<&(Case, Run)> = runs.iter().collect();
    sorted.sort_by_key(|(case, _)| (case.step, format!("{:?}", case.fault)));
    for (case, run) in sorted {
        let name = format!("{:?} {:?}, {:?}", case.step, case.fault, case.often);
        if lines.last().is_none_or(|(last, _)| *last != name) {
            lines.push((name, [None; Case::KINDS.len()]));
        }
        if let (Some((_, cells)), Some(column)) = (lines.last_mut(), column(case)) {
            cells[column] = Some(run);
        }
    }
    let mut table = format!("{:40}", "step and fault");
    for (provider, is_ipv6) in Case::KINDS {
        let family = if is_ipv6 { ", IPv6" } else { "" };
        let _ = write!(table, "{:24}", format!("{}{family}", provider.name()));
    }
    for (name, cells) in lines {
        let _ = write!(table, "\n{name:40}");
        for cell in cells {
            let _ = write!(table, "{:24}", cell.map_or_else(|| "-".to_owned(), shown));
        }
    }
    table
}

fn column(case: &Case) -> Option<usize> {
    Case::KINDS
        .iter()
        .position(|kind| *kind == (case.provider, case.is_ipv6))
}

fn shown(run: &Run) -> String {
    format!("{:?} {:.1} s {}", run.end, run.took.as_secs_f32(), run.calls)
}
