use anyhow::Result;

use super::*;
use crate::bench::{
    machine::{Load, Machine},
    report::{Counts, Goal, Subject},
    rivals::{Program, Programs},
};

fn report(contender: &str, step: &str, values: &[f64], false_deaths: u64) -> Result<Report> {
    let figure = Figure::new("until the other's start", Unit::Millis, values.to_vec())?;
    let figure = if contender == "hb" {
        figure.goal(Goal::Median(31.0))
    } else {
        figure
    };
    Ok(Report {
        title: "a title".into(),
        subject: Some(Subject {
            contender: contender.into(),
            timers: "10/30 ms".into(),
            event: "crash".into(),
            step: step.into(),
        }),
        figures: vec![figure],
        counts: Counts::from([("false deaths", false_deaths), ("never", 0)]),
        load: Load::default(),
    })
}

fn results(reports: Vec<Report>) -> Result<Results> {
    Ok(Results {
        date: "2026-01-01T00:00:00Z".into(),
        machine: Machine::this()?,
        programs: Programs(vec![Program {
            name: "hb".into(),
            version: Some("0.1.0".into()),
        }]),
        parts: vec![Part {
            name: "failover".into(),
            seconds: 12.4,
            packets: None,
            reports,
        }],
    })
}

#[test]
fn contenders_are_rows_by_step() -> Result<()> {
    let text = markdown(&results(vec![
        report("hb", "idle", &[30.0, 29.0, 31.5], 0)?,
        report("hb", "churn", &[40.0], 0)?,
        report("keepalived", "idle", &[32.0, 35.0], 2)?,
    ])?);
    let expected = "\
**failover, crash: until the other's start** (ms)

| step | who | runs | min | median | p99 | max | goal |
|---|---|---|---|---|---|---|---|
| idle | hb 10/30 ms | 3 | 29.00 | 30.00 | 31.50 | 31.50 | median at most 31: met |
| idle | keepalived 10/30 ms | 2 | 32.00 | 32.00 | 35.00 | 35.00 |  |
| churn | hb 10/30 ms | 1 | 40.00 | 40.00 | 40.00 | 40.00 | median at most 31: **missed** |

**failover, crash: counted**

| step | who | false deaths |
|---|---|---|
| idle | hb 10/30 ms | 0 |
| idle | keepalived 10/30 ms | 2 |
| churn | hb 10/30 ms | 0 |
";
    assert!(text.contains(expected), "{text}");
    assert!(text.starts_with("Measured 2026-01-01T00:00:00Z on Linux "), "{text}");
    assert!(
        text.contains("\n## failover (12 s)\n") && text.contains(": hb 0.1.0.\n"),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_report_that_is_compared_with_nothing_has_a_row_each_figure() -> Result<()> {
    let mut report = report("hb", "idle", &[1.0], 3)?;
    report.subject = None;
    let text = markdown(&results(vec![report])?);
    assert!(
        text.contains("| until the other's start | ms | 1 | 1.00 | 1.00 | 1.00 | 1.00 |"),
        "{text}"
    );
    assert!(text.contains("- false deaths: 3"), "{text}");
    Ok(())
}

#[test]
fn medians_and_maxima_are_short_and_in_milliseconds() -> Result<()> {
    let shown =
        |unit, values: &[f64]| Ok::<_, anyhow::Error>(median_and_max(&Figure::new("x", unit, values.to_vec())?));
    assert_eq!(shown(Unit::Micros, &[81.0, 81.0, 1234.0])?, "0.081 / 1.23 ms");
    assert_eq!(shown(Unit::Seconds, &[0.0, 16.6])?, "0.000 / 16600 ms");
    assert_eq!(shown(Unit::Percent, &[0.25])?, "0.250 / 0.250 % of a core");
    Ok(())
}
