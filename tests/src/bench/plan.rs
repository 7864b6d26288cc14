//! What was asked for.

use std::path::PathBuf;

use anyhow::{Result, ensure};

/// What to measure, on whom, and how often.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The hb to measure.
    pub hb: PathBuf,
    /// How often, if not as often as docs/BENCHMARKS.md.
    pub runs: Option<usize>,
    /// Whether a first impression is enough.
    pub quick: bool,
    /// On whom, by name; empty for all that are installed.
    pub contenders: Vec<String>,
    /// Which events or steps, by name; empty for all.
    pub only: Vec<String>,
}

impl Plan {
    /// How often to repeat what docs/BENCHMARKS.md repeats `full` times, and a first impression `quick` times.
    #[must_use]
    pub fn runs(&self, full: usize, quick: usize) -> usize {
        self.runs.unwrap_or(if self.quick { quick } else { full })
    }

    /// Whether somebody is to be measured.
    #[must_use]
    pub fn wants_contender(&self, name: &str) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|wanted| wanted == name)
    }

    /// Whether an event, or a step, is to be measured. Where none of its kind is named, all are.
    #[must_use]
    pub fn wants(&self, name: &str, kind: &[&str]) -> bool {
        let mut named = self.only.iter().filter(|only| kind.contains(&only.as_str())).peekable();
        named.peek().is_none() || named.any(|only| only == name)
    }

    /// Insists that every name that was given is one of these.
    pub fn only_among(&self, names: &[&str]) -> Result<()> {
        let known = |only: &&String| names.contains(&only.as_str());
        let unknown: Vec<_> = self.only.iter().filter(|only| !known(only)).cloned().collect();
        ensure!(
            unknown.is_empty(),
            "--only {}: expected some of {}",
            unknown.join(","),
            names.join(", ")
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_runs_beats_quick() {
        let plan = |runs, quick| Plan {
            runs,
            quick,
            ..Plan::default()
        };
        assert_eq!(plan(None, false).runs(50, 5), 50);
        assert_eq!(plan(None, true).runs(50, 5), 5);
        assert_eq!(plan(Some(7), true).runs(50, 5), 7);
    }

    #[test]
    fn names_restrict_their_own_kind_only() -> Result<()> {
        let (events, steps) = (["crash", "stop"], ["idle", "timers"]);
        let plan = Plan {
            only: vec!["crash".into()],
            contenders: vec!["hb".into()],
            ..Plan::default()
        };
        assert!(plan.wants("crash", &events) && !plan.wants("stop", &events));
        assert!(plan.wants("idle", &steps) && plan.wants("timers", &steps));
        assert!(plan.wants_contender("hb") && !plan.wants_contender("keepalived"));
        plan.only_among(&["crash", "stop", "idle"])?;
        let error = plan.only_among(&steps).expect_err("crash is no step");
        assert_eq!(error.to_string(), "--only crash: expected some of idle, timers");
        Ok(())
    }
}
