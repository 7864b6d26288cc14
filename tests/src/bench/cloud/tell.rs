//! The reports.

use anyhow::Result;

use super::{Round, outcome::Outcome, site::Mover};
use crate::{
    bench::{
        machine::Load,
        report::{Counts, Figure, Report, Subject, Unit},
    },
    cloud::Provider,
};

/// A figure: its name, its unit, and what it is of an outcome.
struct Row {
    name: &'static str,
    unit: Unit,
    value: fn(&Outcome) -> Option<f64>,
}

const fn row(name: &'static str, unit: Unit, value: fn(&Outcome) -> Option<f64>) -> Row {
    Row { name, unit, value }
}

const ROWS: [Row; 8] = [
    row("decision to the API's first call", Unit::Millis, |one| {
        Some(one.first_call)
    }),
    row("decision to accepted", Unit::Millis, |one| Some(one.accepted)),
    row("decision to done", Unit::Millis, |one| Some(one.done)),
    row("of that the API's own time", Unit::Millis, |one| Some(one.api)),
    row("of that beyond the API's own time", Unit::Millis, |one| {
        Some(one.beyond)
    }),
    row("the end of the action noticed after", Unit::Millis, |one| one.late),
    row("calls of the API", Unit::Calls, |one| Some(one.calls)),
    row("calls of the metadata service", Unit::Calls, |one| Some(one.metadata)),
];

/// What some takeovers of the same kind took. Those whose connection was not as wanted are counted and not timed.
pub(super) fn report(
    provider: Provider,
    mover: Mover,
    round: &Round,
    outcomes: &[Outcome],
    load: Load,
) -> Result<Option<Report>> {
    let is_wanted = |one: &&Outcome| mover == Mover::Script || one.was_connected != round.is_cold;
    let timed: Vec<_> = outcomes.iter().filter(is_wanted).collect();
    if timed.is_empty() {
        return Ok(None);
    }
    let mut figures = Vec::new();
    for row in ROWS {
        let values: Vec<_> = timed.iter().filter_map(|one| (row.value)(one)).collect();
        if !values.is_empty() {
            figures.push(Figure::new(row.name, row.unit, values)?);
        }
    }
    let spoilt = outcomes.len() - timed.len();
    let connection = round.connection(mover);
    Ok(Some(Report {
        title: format!(
            "CLOUD: {}, {}, API {}: the address moved by {}, connection {connection}; milliseconds after the decision",
            provider.name(),
            round.action(),
            round.step,
            mover.name(),
        ),
        subject: Some(Subject {
            contender: mover.name().to_owned(),
            timers: connection.to_owned(),
            event: provider.name().to_owned(),
            step: round.step.to_owned(),
        }),
        figures,
        counts: Counts::from([("runs spoilt, since the connection was not as wanted", spoilt as u64)]),
        load,
    }))
}

#[cfg(test)]
mod tests;
