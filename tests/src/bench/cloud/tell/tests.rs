use anyhow::Context as _;

use super::*;
use crate::bench::cloud::ROUNDS;

fn outcome(first_call: f64, was_connected: bool) -> Outcome {
    Outcome {
        first_call,
        accepted: 40.0,
        done: 600.0,
        api: 510.0,
        beyond: 90.0,
        late: None,
        calls: 7.0,
        metadata: 2.0,
        was_connected,
    }
}

fn told(mover: Mover, round: &Round, outcomes: &[Outcome]) -> Result<Option<Report>> {
    report(Provider::DigitalOcean, mover, round, outcomes, Load::default())
}

#[test]
fn a_run_whose_connection_was_not_as_wanted_is_counted_and_not_timed() -> Result<()> {
    let outcomes = [outcome(11.0, true), outcome(55.0, false), outcome(12.0, true)];
    let first_calls = |report: &Report| report.figures.first().map(|figure| figure.values().to_vec());
    let spoilt = |report: &Report| report.counts.0.values().sum::<u64>();
    let warm = told(Mover::Hb, &ROUNDS[0], &outcomes)?.context("nothing")?;
    assert_eq!((first_calls(&warm), spoilt(&warm)), (Some(vec![11.0, 12.0]), 1));
    let cold = told(Mover::Hb, &ROUNDS[1], &outcomes)?.context("nothing")?;
    assert_eq!((first_calls(&cold), spoilt(&cold)), (Some(vec![55.0]), 2));
    // curl has none that it could keep.
    let script = told(Mover::Script, &ROUNDS[0], &outcomes[1..2])?.context("nothing")?;
    assert_eq!((first_calls(&script), spoilt(&script)), (Some(vec![55.0]), 0));
    assert!(told(Mover::Hb, &ROUNDS[0], &outcomes[1..2])?.is_none());
    Ok(())
}

#[test]
fn rounds_are_told_apart_and_what_was_not_waited_for_has_no_figure() -> Result<()> {
    let warm = told(Mover::Hb, &ROUNDS[0], &[outcome(11.0, true)])?.context("nothing")?;
    let cold = told(Mover::Hb, &ROUNDS[1], &[outcome(55.0, false)])?.context("nothing")?;
    assert!(!warm.is_of_the_same(&cold));
    assert_eq!(warm.figures.len(), ROWS.len() - 1);
    Ok(())
}
