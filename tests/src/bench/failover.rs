//! What becomes of a resource and of a client when a node crashes, is cut off, is stopped, or comes back: hb beside its
//! rivals.

use anyhow::Result;

use super::{heal, plan::Plan, report::Report};

/// Measures all that is wanted, and shows each report.
pub fn measure(plan: &Plan, show: &mut dyn FnMut(Report)) -> Result<()> {
    if heal::obstacle().is_none() {
        heal::measure(&plan.hb, plan.runs(heal::RUNS, 1))?
            .into_iter()
            .for_each(show);
    }
    Ok(())
}
