//! What a measurement found: each figure as a spread over its runs, never as a mean.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result};
use serde::Serialize;

use super::machine::Load;

/// The figures of one measurement.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was measured, and under which conditions.
    pub title: String,
    /// The figures.
    pub figures: Vec<Figure>,
    /// What was counted meanwhile.
    pub counts: BTreeMap<&'static str, u64>,
    /// What else the machine did meanwhile.
    pub load: Load,
}

/// A figure.
#[derive(Debug, Serialize)]
pub struct Figure {
    name: &'static str,
    unit: Unit,
    #[serde(flatten)]
    spread: Spread,
    goal: Option<Goal>,
}

/// What the values of a figure count.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Unit {
    /// Microseconds.
    #[serde(rename = "us")]
    Micros,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Hundredths of one core.
    #[serde(rename = "% of a core")]
    Percent,
    /// Millions of bytes.
    #[serde(rename = "MB")]
    Megabytes,
    /// Times a second.
    #[serde(rename = "/s")]
    PerSecond,
}

/// What a figure should at most be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// In half of the runs.
    Median(f64),
    /// In every run.
    Max(f64),
}

/// The values of several runs. Percentiles are by nearest rank: each is a value that was measured.
#[derive(Debug, Serialize)]
struct Spread {
    runs: usize,
    min: f64,
    median: f64,
    p99: f64,
    max: f64,
    /// In the order in which they were measured.
    values: Vec<f64>,
}

impl Figure {
    /// A figure from the values of its runs, of which there must be some.
    pub fn new(name: &'static str, unit: Unit, values: Vec<f64>) -> Result<Self> {
        let spread = Spread::of(values).with_context(|| format!("nothing was measured: {name}"))?;
        Ok(Self {
            name,
            unit,
            spread,
            goal: None,
        })
    }

    /// With what it should at most be.
    #[must_use]
    pub fn goal(self, goal: Goal) -> Self {
        Self {
            goal: Some(goal),
            ..self
        }
    }
}

impl Spread {
    fn of(values: Vec<f64>) -> Option<Self> {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self {
            runs: sorted.len(),
            min: *sorted.first()?,
            median: rank(50)?,
            p99: rank(99)?,
            max: *sorted.last()?,
            values,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        writeln!(
            f,
            "    {:<42} {:>12} {:>5} {:>9} {:>9} {:>9} {:>9}   goal",
            "", "", "runs", "min", "median", "p99", "max"
        )?;
        self.figures.iter().try_for_each(|figure| writeln!(f, "    {figure}"))?;
        writeln!(f)?;
        for (what, count) in &self.counts {
            writeln!(f, "    {what}: {count}")?;
        }
        writeln!(f, "    {}", self.load)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, digits) = match self.unit {
            Unit::Micros => ("us", 0),
            Unit::Seconds => ("s", 3),
            Unit::Percent => ("% of a core", 3),
            Unit::Megabytes => ("MB", 1),
            Unit::PerSecond => ("/s", 1),
        };
        let Spread {
            runs,
            min,
            median,
            p99,
            max,
            ..
        } = self.spread;
        write!(f, "{:<42} {unit:>12} {runs:>5}", self.name)?;
        for value in [min, median, p99, max] {
            write!(f, " {value:>9.digits$}")?;
        }
        let (which, value, at_most) = match self.goal {
            None => return Ok(()),
            Some(Goal::Median(at_most)) => ("median", median, at_most),
            Some(Goal::Max(at_most)) => ("max", max, at_most),
        };
        let verdict = if value <= at_most { "met" } else { "MISSED" };
        write!(f, "   {which} at most {at_most}: {verdict}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() -> Result<()> {
        let spread = Spread::of((1..=50).rev().map(f64::from).collect()).context("no spread")?;
        let found = [spread.min, spread.median, spread.p99, spread.max].map(f64::to_bits);
        assert_eq!(found, [1.0, 25.0, 50.0, 50.0].map(f64::to_bits));
        assert_eq!(spread.values[0].total_cmp(&50.0), std::cmp::Ordering::Equal);
        assert!(Spread::of(Vec::new()).is_none());
        Ok(())
    }

    #[test]
    fn a_missed_goal_shows() -> Result<()> {
        let figure = || Figure::new("overshoot", Unit::Micros, vec![100.0, 120.0, 900.0]);
        assert!(figure()?.goal(Goal::Median(150.0)).to_string().ends_with("150: met"));
        assert!(figure()?.goal(Goal::Max(150.0)).to_string().ends_with("150: MISSED"));
        Ok(())
    }
}
