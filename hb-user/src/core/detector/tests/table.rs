//! The diagram and the table of docs/DETECTION.md against the code.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const PAGE: &str = include_str!("../../../../../docs/DETECTION.md");
const PHASES: [&str; 3] = ["unmet", "up", "dead"];
const EVENTS: [&str; 9] = [
    "deaf",
    "echoing",
    "news",
    "late echo",
    "stale",
    "silence",
    "freeze",
    "witnessed",
    "alone",
];

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Unmet => PHASES[0],
        Phase::Up => PHASES[1],
        Phase::Dead => PHASES[2],
    }
}

/// A detector that is in this phase, looked at last at 2500 ms, just after our beat 20 left.
fn bench(phase: &str) -> Bench {
    let mut bench = Bench::new();
    bench.detector.deadline = ms(3000);
    if phase != "unmet" {
        bench.hears_echo(2480, 1, 1, 19);
        bench.look(2490);
    }
    if phase == "dead" {
        bench.look(2980);
    }
    bench.sent = 20;
    if phase == "dead" {
        // As if it had died with our beat 20.
        bench.detector.forget = Some(20);
    }
    assert_eq!(name(bench.detector.phase), phase);
    bench
}

/// What became of it: the phase, and what was told.
fn after(phase: &str, event: &str) -> (&'static str, &'static str) {
    let mut bench = bench(phase);
    let now = if phase == "dead" { 2990 } else { 2600 };
    let findings = match event {
        "deaf" => {
            bench.hears_deaf(now, 1, 2);
            bench.look(now)
        }
        "echoing" => {
            bench.hears_echo(now, 1, 2, 20);
            bench.look(now)
        }
        "news" => {
            let heard = bench.hears_echo(now, 1, 2, 20);
            bench.links[0] = Some(Heard { digest: 7, ..heard });
            bench.look(now)
        }
        "late echo" => {
            bench.sent = 22;
            bench.hears_echo(now, 1, 2, 21);
            bench.look(now)
        }
        "stale" => {
            bench.hears_echo(2490, 1, 2, 22);
            bench.look(2990)
        }
        "silence" => bench.look_at(
            bench.detector.deadline.max(ms(now)),
            bench.detector.deadline.max(ms(now)),
        ),
        "freeze" => bench.look_late(2990, 400),
        "witnessed" => {
            bench.witnessed = Some(Witnessed {
                last_seen: ms(2480),
                deadline: ms(2980),
                found: ms(2981),
            });
            bench.look_late(2990, 400)
        }
        "alone" => {
            bench.alone = true;
            let deadline = bench.detector.deadline.max(ms(now));
            bench.look_at(deadline, deadline)
        }
        other => panic!("no event {other}"),
    };
    let told = match (findings.change, findings.graced) {
        (Some(Change::Up(_)), Some(_)) => "up, graced",
        (Some(Change::Up(_)), None) => "up",
        (Some(Change::Dead(_)), _) => "dead",
        (None, Some(_)) => "graced",
        (None, None) => "nothing",
    };
    (name(bench.detector.phase), told)
}

#[test]
fn the_page_has_every_phase_and_event() {
    let rows = PAGE.lines().skip_while(|line| !line.starts_with("| Phase |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let listed: Vec<Vec<&str>> = rows
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let mut found = Vec::new();
    for phase in PHASES {
        for event in EVENTS {
            let (then, told) = after(phase, event);
            found.push(vec![phase, event, then, told]);
        }
    }
    assert_eq!(listed, found);
}

#[test]
fn the_diagram_has_every_step_and_no_other() {
    let mut steps = BTreeMap::<_, BTreeSet<_>>::new();
    for phase in PHASES {
        for event in EVENTS {
            let (then, _) = after(phase, event);
            if then != phase {
                steps.entry((phase, then)).or_default().insert(event);
            }
        }
    }
    let arrows = PAGE.lines().filter_map(|line| line.trim().split_once(" --> "));
    let arrows = arrows.filter_map(|(from, rest)| rest.split_once(": ").map(|(to, events)| (from, to, events)));
    let drawn: BTreeMap<_, BTreeSet<_>> = arrows
        .map(|(from, to, events)| ((from, to), events.split(", ").collect()))
        .collect();
    assert_eq!(drawn, steps);
}
