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
    /// From there until the cloud accepted the assignment.
    request_us: Option<i64>,
    /// From there until the cloud moved the route.
    api_us: Option<i64>,
    /// From there until the address was read back; unknown where a script does that.
    verification_us: Option<i64>,
    /// The longest time without a page that the client had.
    gap_us: i64,
}

/// What the client saw.
pub struct Pages {
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
        let by_daemon = |micros: Option<i64>| takeover.moment(micros?);
        let event = |what, at: Option<Moment>| Event {
            what,
            since_fault_us: between(Some(happened), at),
            since_last_beat_us: between(last_beat, at),
        };
        let (detected, decided) = (by_daemon(takeover.detected_us), by_daemon(takeover.decided_us));
        let (accepted, completed) = (assignment.map(|one| one.accepted), assignment.and_then(Move::completed));
        let step = takeover.start();
        let verified = step.and_then(|step| by_daemon(step.verified_us));

        let mut events = vec![
            event(scenario.name, Some(happened)),
            event("detected", detected),
            event("decided", decided),
            event("traffic seen", Some(pages.first.ended)),
        ];
        if verified.is_some() {
            events.extend([
                event("API accepted", step.and_then(|step| by_daemon(step.accepted_us))),
                event("API completed", step.and_then(|step| by_daemon(step.completed_us))),
                event("verified", verified),
            ]);
        } else {
            events.extend([
                event("script started", step.and_then(|step| by_daemon(Some(step.started_us)))),
                event("API accepted", accepted),
                event("API completed", completed),
                event("script ended", step.and_then(|step| by_daemon(step.ended_us))),
            ]);
        }
        // Where nobody died nothing was detected.
        events.retain(|event| event.since_fault_us.is_some());
        events.sort_by_key(|event| event.since_fault_us);
        Self {
            name: scenario.name,
            story: scenario.story,
            cause: takeover.cause.clone(),
            overshoot_us: between(by_daemon(takeover.deadline_us), detected),
            decision_us: between(detected, decided),
            request_us: between(decided, accepted),
            api_us: between(accepted, completed),
            verification_us: between(completed, verified),
            gap_us: pages.gap.next.micros_since(pages.gap.last),
            events,
        }
    }
}

fn between(earlier: Option<Moment>, later: Option<Moment>) -> Option<i64> {
    Some(later?.micros_since(earlier?))
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
    acts: Vec<Played>,
}

/// Those of one act.
#[derive(Debug, Serialize)]
pub struct Played {
    pub moved_by: &'static str,
    pub scenarios: Vec<Timeline>,
}

impl Summary {
    /// Collects them.
    pub fn new(api_ms: u64, served_by: &'static str, acts: Vec<Played>) -> Self {
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            keepalive_us: micros(KEEPALIVE),
            deadtime_us: micros(DEADTIME),
            api_ms,
            served_by,
            acts,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (interval, deadtime) = (self.keepalive_us / 1000, self.deadtime_us / 1000);
        writeln!(f, "SUMMARY, in ms (keepalive {interval}, deadtime {deadtime})\n")?;
        let heads = ["overshoot", "decision", "to API", "API", "to verified", "client's gap"];
        for act in &self.acts {
            write!(f, "    {:<14}", format!("by {}", act.moved_by))?;
            heads.iter().try_for_each(|head| write!(f, " {head:>12}"))?;
            writeln!(f)?;
            for one in &act.scenarios {
                writeln!(f, "{}", Row(one))?;
            }
        }
        Ok(())
    }
}

struct Row<'a>(&'a Timeline);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = self.0;
        write!(f, "    {:<14}", one.name)?;
        let figures = [
            one.overshoot_us,
            one.decision_us,
            one.request_us,
            one.api_us,
            one.verification_us,
            Some(one.gap_us),
        ];
        figures
            .into_iter()
            .try_for_each(|figure| write!(f, " {:>12}", Millis(figure)))
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
