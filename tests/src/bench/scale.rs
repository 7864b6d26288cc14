//! What grows with the number of nodes: the price of a frame, of a look of the pulse thread, and of a whole daemon.

mod hosts;
mod table;

use anyhow::Result;

use super::{journal::Show, plan::Plan};

/// What can be asked for by `--only`.
const PARTS: [&str; 2] = ["table", "hosts"];

/// Measures what is wanted, and shows each report.
pub fn measure(plan: &Plan, show: &mut Show<'_>) -> Result<()> {
    if plan.wants("table", &PARTS) {
        for peers in table::PEERS {
            show(table::measure(peers, plan.runs(21, 7))?)?;
        }
    }
    if plan.wants("hosts", &PARTS) {
        hosts::measure_all(plan, show)?;
    }
    Ok(())
}
