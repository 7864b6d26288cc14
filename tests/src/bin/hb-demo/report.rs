//! What the demo shows.

use std::fmt;

use hb_tests::{
    client::{Answer, Gap},
    clock::Moment,
    cloud::Move,
    network::Server,
    status::Takeover,
    tutorial::{DEADTIME, KEEPALIVE},
};
use serde::Serialize;

use crate::scenario::Scenario;

/// What happened when, in microseconds.
#[derive(Debug, Serialize)]
pub struct Timeline {
    name: &'static str,
    story: &'static str,
    cause: String,
    events: Vec<Event>,
    /// From the deadline until its passing was noticed.
    overshoot_us: Option<i64>,
    /// From there until the takeover was decided.
    decision_us: Option<i64>,
    /// From there until the script was started.
    script_start_us: Option<i64>,
    /// How long the script ran.
    script_us: Option<i64>,
    /// From the acceptance of the assignment until the route moved.
    api_us: Option<i64>,
    /// The longest time without a page that the client had.
    gap_us: i64,
}

/// What the client saw.
pub struct Pages {
    /// The last page of the server that served before.
    pub last: Option<Answer>,
    /// The first page of the one that serves now.
    pub first: Answer,
    /// The longest time without any page.
    pub gap: Gap,
}

/// One line of a timeline.
#[derive(Debug, Serialize)]
struct Event {
    what: &'static str,
    /// Since the thing happened that the demo did; needs the daemon's absolute time where the daemon reports it.
    since_fault_us: Option<i64>,
    /// Since the new owner got the last beat of the old one.
    since_last_beat_us: Option<i64>,
}

impl Timeline {
    /// Puts together what the daemon, the cloud and the client saw.
    pub fn new(
        scenario: &Scenario,
        happened: Moment,
        takeover: &Takeover,
        assignment: Option<&Move>,
        pages: &Pages,
    ) -> Self {
        let last_beat = takeover.last_beat();
        let script = takeover.start();
        let ended = script.and_then(|step| step.ended_us);
        let difference = |later: Option<i64>, earlier: Option<i64>| Some(later? - earlier?);

        let by_daemon = |what, since_beat: Option<i64>| Event {
            what,
            since_fault_us: difference(since_beat, last_beat.map(|beat| happened.micros_since(beat))),
            since_last_beat_us: since_beat,
        };
        let by_clock = |what, at: Option<Moment>| Event {
            what,
            since_fault_us: at.map(|at| at.micros_since(happened)),
            since_last_beat_us: at.and_then(|at| Some(at.micros_since(last_beat?))),
        };
        let mut events = vec![
            by_clock(
                "the last page of the old server",
                pages.last.as_ref().map(|page| page.ended),
            ),
            by_daemon("the last beat", Some(0)),
            by_clock(scenario.name, Some(happened)),
            by_daemon("the deadline", takeover.deadline_us),
            by_daemon("detected", takeover.detected_us),
            by_daemon("decided", takeover.decided_us),
            by_daemon("script started", script.map(|step| step.started_us)),
            by_clock("API accepted", assignment.map(|one| one.accepted)),
            by_clock("API completed", assignment.and_then(Move::completed)),
            by_clock("the first page of the new server", Some(pages.first.ended)),
            by_daemon("script ended", ended),
        ];
        events.retain(|event| event.since_fault_us.is_some() || event.since_last_beat_us.is_some());
        if events.iter().all(|event| event.since_fault_us.is_some()) {
            events.sort_by_key(|event| event.since_fault_us);
        }
        Self {
            name: scenario.name,
            story: scenario.story,
            cause: takeover.cause.clone(),
            overshoot_us: difference(takeover.detected_us, takeover.deadline_us),
            decision_us: difference(takeover.decided_us, takeover.detected_us),
            script_start_us: difference(script.map(|step| step.started_us), takeover.decided_us),
            script_us: difference(ended, script.map(|step| step.started_us)),
            api_us: assignment.and_then(|one| Some(one.completed()?.micros_since(one.accepted))),
            gap_us: pages.gap.next.micros_since(pages.gap.last),
            events,
        }
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n    {:>14} {:>14}", "ms", "ms after the")?;
        writeln!(f, "    {:>14} {:>14}", "", "last beat")?;
        for event in &self.events {
            let (fault, beat) = (Millis(event.since_fault_us), Millis(event.since_last_beat_us));
            writeln!(f, "    {fault:>14} {beat:>14}  {}", event.what)?;
        }
        Ok(())
    }
}

/// All timelines.
#[derive(Debug, Serialize)]
pub struct Summary {
    keepalive_us: u64,
    deadtime_us: u64,
    api_ms: u64,
    served_by: &'static str,
    scenarios: Vec<Timeline>,
}

impl Summary {
    /// Collects them.
    pub fn new(api_ms: u64, served_by: &'static str, scenarios: Vec<Timeline>) -> Self {
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            keepalive_us: micros(KEEPALIVE),
            deadtime_us: micros(DEADTIME),
            api_ms,
            served_by,
            scenarios,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (interval, deadtime) = (self.keepalive_us / 1000, self.deadtime_us / 1000);
        writeln!(f, "SUMMARY, in ms (keepalive {interval}, deadtime {deadtime})\n")?;
        let heads = ["overshoot", "decision", "to script", "script", "API", "client's gap"];
        write!(f, "    {:<14}", "")?;
        heads.iter().try_for_each(|head| write!(f, " {head:>12}"))?;
        writeln!(f)?;
        for one in &self.scenarios {
            write!(f, "    {:<14}", one.name)?;
            let figures = [
                one.overshoot_us,
                one.decision_us,
                one.script_start_us,
                one.script_us,
                one.api_us,
                Some(one.gap_us),
            ];
            figures
                .into_iter()
                .try_for_each(|figure| write!(f, " {:>12}", Millis(figure)))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Prints what somebody sees who asks for the page in a loop, equal answers in a row once.
pub fn narrate(answers: &[Answer], happened: Moment, taker: Server) {
    let shown = |answer: &Answer| match &answer.page {
        Ok(page) => page.clone(),
        Err(error) => format!("({error})"),
    };
    let first = answers.iter().rposition(|answer| answer.ended < happened).unwrap_or(0);
    let mut runs: Vec<(String, usize)> = Vec::new();
    for answer in &answers[first..] {
        let text = shown(answer);
        match runs.last_mut() {
            Some((last, times)) if *last == text => *times += 1,
            Some(_) | None => runs.push((text, 1)),
        }
        if answer.server() == Some(taker.name()) && answer.asked >= happened {
            break;
        }
    }
    println!();
    for (text, times) in runs {
        let times = if times > 1 {
            format!("   ... {times} times")
        } else {
            String::new()
        };
        println!("    {text}{times}");
    }
}

/// Microseconds, shown as milliseconds.
struct Millis(Option<i64>);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(micros) => {
                let sign = if micros < 0 { "-" } else { "" };
                f.pad_integral(
                    true,
                    "",
                    &format!("{sign}{}.{:03}", micros.abs() / 1000, micros.abs() % 1000),
                )
            }
            None => f.pad("-"),
        }
    }
}
