//! The timeline of a takeover.

use hb_ebpf::Nanos;

use crate::control::{StepStatus, Takeover};
use crate::core::{Cause, Graced, Silence};
use crate::resources::group::{GroupReport, GroupResult, Step};

/// What happened, and when.
#[derive(Clone, Debug)]
pub(super) struct Record {
    cause: Cause,
    /// From whom, or because of whom.
    peer: Option<String>,
    silence: Option<Silence>,
    decided: Nanos,
    steps: Vec<Step>,
    result: &'static str,
}

impl Record {
    /// Of a takeover that was decided now. `silence` is what a node died of, if that was the cause.
    pub(super) fn new(cause: Cause, peer: Option<String>, silence: Option<Silence>, decided: Nanos) -> Self {
        Self {
            cause,
            peer,
            silence,
            decided,
            steps: Vec::new(),
            result: "running",
        }
    }

    /// The scripts have run.
    pub(super) fn finish(&mut self, report: &GroupReport) {
        self.steps.clone_from(&report.steps);
        self.result = match report.result {
            GroupResult::Done => "done",
            GroupResult::Failed { .. } => "failed",
            GroupResult::Stuck { .. } => "stuck",
            GroupResult::Aborted => "aborted",
        };
    }

    /// For `hb status`, with all times relative to the last beat or, without one, to the decision.
    pub(super) fn report(&self, group: String) -> Takeover {
        let last_beat = self.silence.and_then(|silence| silence.last_seen);
        let origin = last_beat.unwrap_or(self.decided);
        let micros = |time: Nanos| signed_micros(time, origin);
        Takeover {
            origin_monotonic_us: origin.as_micros(),
            group,
            peer: self.peer.clone(),
            cause: self.cause.name().into(),
            last_beat_us: last_beat.map(micros),
            deadline_us: self.silence.map(|silence| micros(silence.deadline)),
            detected_us: self.silence.map(|silence| micros(silence.detected)),
            detected_by: self.silence.map(|silence| {
                let by = if silence.witnessed { "kernel" } else { "thread" };
                by.to_owned()
            }),
            graced: self.silence.and_then(|silence| silence.graced).map(|why| {
                let why = match why {
                    Graced::Late(_) => "late",
                    Graced::Alone => "alone",
                };
                why.to_owned()
            }),
            own_lateness_us: self.silence.and_then(|silence| match silence.graced? {
                Graced::Late(late) => Some(late.as_micros()),
                Graced::Alone => None,
            }),
            decided_us: micros(self.decided),
            steps: self.steps.iter().map(|step| report_step(step, micros)).collect(),
            result: self.result.into(),
        }
    }
}

fn report_step(step: &Step, micros: impl Fn(Nanos) -> i64) -> StepStatus {
    StepStatus {
        resource: step.resource.clone(),
        operation: step.operation.as_str().into(),
        started_us: micros(step.started),
        ended_us: micros(step.ended),
        outcome: step.outcome.to_string(),
        accepted_us: step.moved.as_ref().and_then(|moved| moved.accepted).map(&micros),
        completed_us: step.moved.as_ref().and_then(|moved| moved.completed).map(&micros),
        verified_us: step.moved.as_ref().map(|moved| micros(moved.verified)),
    }
}

fn signed_micros(time: Nanos, origin: Nanos) -> i64 {
    let later = i64::try_from(time.since(origin).as_micros()).unwrap_or(i64::MAX);
    let earlier = i64::try_from(origin.since(time).as_micros()).unwrap_or(i64::MAX);
    later - earlier
}

#[cfg(test)]
mod tests;
