//! What a measurement found: each figure as a spread over its runs, never as a mean.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::machine::Load;

/// The figures of one measurement.
#[derive(Debug, Deserialize, Serialize)]
pub struct Report {
    /// What was measured, and under which conditions.
    pub title: String,
    /// Who was measured, and what happened meanwhile, for tables and plots; `None` where there is nothing to compare.
    pub subject: Option<Subject>,
    /// The figures.
    pub figures: Vec<Figure>,
    /// What was counted meanwhile.
    pub counts: Counts,
    /// What else the machine did meanwhile.
    pub load: Load,
}

/// Who was measured, and what happened meanwhile. Reports that differ in one of these are a row, or a column, of a table.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Subject {
    /// Whose figures these are: `hb`, `keepalived`.
    pub contender: String,
    /// Its timers: `10/30 ms`.
    pub timers: String,
    /// What was done to it: `crash`; `none` where it was left in peace.
    pub event: String,
    /// What else kept the machine busy, a step of the ladder: `idle`.
    pub step: String,
}

/// What was counted, by name.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Counts(pub BTreeMap<String, u64>);

impl<S: Into<String>, const N: usize> From<[(S, u64); N]> for Counts {
    fn from(counts: [(S, u64); N]) -> Self {
        Self(counts.map(|(name, count)| (name.into(), count)).into())
    }
}

/// A figure.
#[derive(Debug, Deserialize, Serialize)]
pub struct Figure {
    name: String,
    unit: Unit,
    #[serde(flatten)]
    spread: Spread,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    goals: Vec<Goal>,
}

/// What the values of a figure count.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Unit {
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanos,
    /// Microseconds.
    #[serde(rename = "us")]
    Micros,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Millis,
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
    /// Calls of somebody.
    #[serde(rename = "calls")]
    Calls,
}

impl Unit {
    /// How it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nanos => "ns",
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::Seconds => "s",
            Self::Percent => "% of a core",
            Self::Megabytes => "MB",
            Self::PerSecond => "/s",
            Self::Calls => "calls",
        }
    }

    /// How many digits after the point are worth showing.
    #[must_use]
    pub fn digits(self) -> usize {
        match self {
            Self::Nanos | Self::Micros | Self::Calls => 0,
            Self::Millis => 2,
            Self::Seconds | Self::Percent => 3,
            Self::Megabytes | Self::PerSecond => 1,
        }
    }
}

/// What a figure should at most be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// In half of the runs.
    Median(f64),
    /// In every run.
    Max(f64),
}

/// The values of several runs. Percentiles are by nearest rank: each is a value that was measured.
#[derive(Debug, Deserialize, Serialize)]
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
    pub fn new(name: impl Into<String>, unit: Unit, values: Vec<f64>) -> Result<Self> {
        let name = name.into();
        let spread = Spread::of(values).with_context(|| format!("nothing was measured: {name}"))?;
        Ok(Self {
            name,
            unit,
            spread,
            goals: Vec::new(),
        })
    }

    /// With what it should at most be.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    /// What it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its values count.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// How often it was measured.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.spread.runs
    }

    /// Each run's value, in the order in which they were measured.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.spread.values
    }

    /// Minimum, median, 99th percentile and maximum.
    #[must_use]
    pub fn ranks(&self) -> [f64; 4] {
        [self.spread.min, self.spread.median, self.spread.p99, self.spread.max]
    }

    /// The median, and the worst.
    #[must_use]
    pub fn median_and_max(&self) -> (f64, f64) {
        (self.spread.median, self.spread.max)
    }

    /// Each goal in words, and whether it is met.
    pub fn verdicts(&self) -> impl Iterator<Item = (String, bool)> {
        self.goals.iter().map(|goal| {
            let (which, value, at_most) = match goal {
                Goal::Median(at_most) => ("median", self.spread.median, *at_most),
                Goal::Max(at_most) => ("max", self.spread.max, *at_most),
            };
            (format!("{which} at most {at_most}"), value <= at_most)
        })
    }
}

impl Report {
    /// Its figure of this name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }

    /// Whether another one says the same of another time: of the same subject or, where there is none, under the same
    /// title.
    #[must_use]
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        self.subject == other.subject && (self.subject.is_some() || self.title == other.title)
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
        for (what, count) in &self.counts.0 {
            writeln!(f, "    {what}: {count}")?;
        }
        writeln!(f, "    {}", self.load)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, digits) = (self.unit.name(), self.unit.digits());
        write!(f, "{:<42} {unit:>12} {:>5}", self.name, self.spread.runs)?;
        for value in self.ranks() {
            write!(f, " {value:>9.digits$}")?;
        }
        let verdicts = self.verdicts().map(|(goal, met)| {
            let verdict = if met { "met" } else { "MISSED" };
            format!("{goal}: {verdict}")
        });
        let verdicts: Vec<_> = verdicts.collect();
        if verdicts.is_empty() {
            return Ok(());
        }
        write!(f, "   {}", verdicts.join(", "))
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
        let both = figure()?.goal(Goal::Median(150.0)).goal(Goal::Max(500.0)).to_string();
        assert!(
            both.ends_with("median at most 150: met, max at most 500: MISSED"),
            "{both}"
        );
        Ok(())
    }

    #[test]
    fn what_is_written_can_be_read_again() -> Result<()> {
        let report = Report {
            title: "a title".into(),
            subject: Some(Subject {
                contender: "hb".into(),
                timers: "10/30 ms".into(),
                event: "crash".into(),
                step: "idle".into(),
            }),
            figures: vec![Figure::new("overshoot", Unit::Millis, vec![0.25, 0.5])?.goal(Goal::Max(1.0))],
            counts: [("false deaths", 0)].into(),
            load: Load::default(),
        };
        let read: Report = serde_json::from_str(&serde_json::to_string(&report)?)?;
        assert_eq!(read.to_string(), report.to_string());
        assert_eq!(read.subject, report.subject);
        Ok(())
    }
}
