use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::rerun::{Rerun, Step};
use super::{Flaw, Printer, ReplayError};
use crate::core::{Action, GroupState};
use crate::recorder::testing::{header, live, ms, names, primary};
use crate::recorder::{Reader, Recorder};

/// A recording of the history, and what was decided.
fn recording() -> (String, Vec<Vec<Action>>) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("record");
    let mut recorder = Recorder::start(&path, 1 << 20, header()).expect("starts");
    recorder.rename(names(&["www", "floatip"]));
    let actions = live(|at, event, node| recorder.record(at, event, node));
    drop(recorder);
    (fs::read_to_string(&path).expect("there"), actions)
}

fn replay(text: &[u8], is_json: bool) -> (String, Result<(), ReplayError>) {
    let mut out = Vec::new();
    let result = super::replay(text, Printer::new(&mut out, is_json));
    (String::from_utf8(out).expect("text"), result)
}

fn print(text: &str) -> String {
    let (out, result) = replay(text.as_bytes(), false);
    result.expect("replays");
    out
}

fn flaw(text: &str) -> (u64, String) {
    match replay(text.as_bytes(), false).1 {
        Err(ReplayError::Flaw(Flaw::Line { number, message })) => (number, message),
        result => panic!("{result:?}"),
    }
}

/// A line that happened at this time.
fn tick(millis: u64) -> String {
    format!("{{\"at\":{},\"event\":\"Tick\"}}\n", ms(millis).0)
}

#[test]
fn decides_as_the_node_did() {
    let (text, decided) = recording();
    let mut reader = Reader::new(text.as_bytes());
    let mut rerun = Rerun::default();
    let mut again = Vec::new();
    while let Some(located) = reader.next_line().expect("reads") {
        match rerun.take(located.line).expect("fits") {
            Step::Handled(handled) => again.push(handled.actions),
            Step::Started(started) => assert!(!started.is_other, "{:?}", started.start),
            step @ (Step::Lost(_) | Step::Torn) => panic!("{step:?}"),
        }
    }
    assert!(decided.iter().flatten().count() > 12, "{decided:?}");
    assert_eq!(again, decided);
}

#[test]
fn tells_the_story() {
    let (text, _) = recording();
    let version = env!("CARGO_PKG_VERSION");
    let expected = STORY.trim_start_matches('\n').replace("VERSION", version);
    assert_eq!(print(&text), expected);
}

const STORY: &str = "
secondary starts at 1764000000 (seconds since 1970), recorded by hb VERSION
       0.000000  begin
       0.010000  peer primary: up, confirmed 0
                 -> advertise: up, primary up, edition 1
                 -> floatip waits no longer
       0.020000  peer primary: up, floatip acquiring, confirmed 1
       0.030000  peer primary: up, floatip running, confirmed 1
                 (primary said the same 2 times more)
       1.000000  primary silent
                 -> advertise: primary gone, primary not up, floatip acquiring, edition 2
                 -> acquire floatip: peer_died primary (work 1)
       1.010000  work 1 done
                 -> advertise: floatip claimed, edition 3
       2.000000  peer primary: up, confirmed 4
                 -> advertise: primary present, primary up, floatip running, edition 4
       2.010000  peer primary: up, floatip asking, confirmed 4
                 -> advertise: floatip releasing, edition 5
                 -> release floatip: fail_back primary (work 2)
       2.020000  work 2 done
                 -> advertise: floatip released, edition 6
       2.030000  peer primary: up, floatip running, confirmed 5
       3.000000  configuration changed: 2 nodes, 2 groups
                 -> www waits: differs (primary)
                 -> floatip waits: differs (primary)
secondary goes on with the new configuration
       4.000000  primary silent
                 -> advertise: primary gone, primary not up, www acquiring, floatip acquiring, edition 7
                 -> acquire www: peer_died primary (work 3)
                 -> acquire floatip: peer_died primary (work 4)
       4.500000  asked to leave
                 -> advertise: leaving, www releasing, floatip releasing, edition 8
                 -> release www: leave (work 5)
                 -> release floatip: leave (work 6)
       4.600000  work 3 done
       4.610000  work 4 done
       4.700000  work 5 done
                 -> advertise: www released, edition 9
       4.710000  work 6 done
                 -> advertise: floatip released, edition 10
                 -> left
";

#[test]
fn tells_programs_every_line() {
    let (text, decided) = recording();
    let (out, result) = replay(text.as_bytes(), true);
    result.expect("replays");
    let lines: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), text.lines().count());
    let decisions = lines.iter().filter_map(|line| line["decisions"].as_array());
    let actions = decisions
        .flatten()
        .filter(|decision| decision["decision"].get("wait").is_none());
    assert_eq!(actions.count(), decided.iter().flatten().count());
    assert!(
        out.contains("{\"acquire\":{\"cause\":{\"peer_died\":0},\"group\":0,\"reassert\":false,\"work\":1}}"),
        "{out}"
    );
    assert!(
        out.contains("\"words\":\"acquire floatip: peer_died primary (work 1)\""),
        "{out}"
    );
}

#[test]
fn warns_of_what_is_missing_and_of_what_comes_out_differently() {
    let (text, _) = recording();
    let lines: Vec<&str> = text.lines().collect();
    let lost = [&lines[..7], &["{\"lost\":3}"], &lines[7..]].concat().join("\n");
    assert!(print(&lost).contains("warning: line 8: 3 events were lost here"));
    assert!(!print(&lost).contains("is not the one that these events"));

    // Without being told, it comes to another state than the one that follows.
    let silence = lines
        .iter()
        .position(|line| line.contains("Silent"))
        .expect("it falls silent");
    let cut = [&lines[..silence], &lines[silence + 1..]].concat().join("\n");
    assert!(print(&cut).contains("warning: the state recorded here is not the one that these events"));

    let other = text.replacen("{\"hb\":\"", "{\"hb\":\"99.", 1);
    assert!(print(&other).contains("note: this is hb"));
}

#[test]
fn a_torn_line_is_a_note() {
    let (text, _) = recording();
    let torn = &text[..text.len() - 4];
    let last = text.lines().count();
    assert!(print(torn).ends_with(&format!(
        "note: line {last} is torn: the daemon ended while it wrote it\n"
    )));
    let twice = format!("{torn}\n{text}");
    assert_eq!(print(&twice).matches("starts at 1764000000").count(), 2);
    assert_eq!(flaw(&format!("{torn}\n{}", tick(99_000))).0, last as u64);
}

#[test]
fn refuses_what_cannot_be() {
    let (text, _) = recording();
    assert_eq!(print(""), "");
    assert_eq!(
        flaw(&tick(1)),
        (1, "expected a header, with which a recording begins".to_owned())
    );
    assert_eq!(flaw("{\"lost\":1}\n").0, 1);
    assert_eq!(
        flaw("hello\n"),
        (1, "column 1: expected value: expected a line of a recording".to_owned())
    );
    let (number, message) = flaw(&(text.clone() + &tick(1)));
    assert_eq!(number, text.lines().count() as u64 + 1);
    assert_eq!(message, "at 1000000: expected 9710000000 or later");
    // What was right before is printed all the same.
    let (out, _) = replay((text + "hello\n").as_bytes(), false);
    assert!(out.contains("-> left"), "{out}");
}

#[test]
fn beats_that_say_nothing_new_are_counted() {
    let (text, _) = recording();
    let start = text.lines().take(2).collect::<Vec<_>>().join("\n");
    let beat = |millis, state, confirmed| {
        let event = serde_json::to_string(&primary(state, confirmed)).expect("JSON");
        format!("\n{{\"at\":{},\"event\":{event}}}", ms(millis).0)
    };
    let beats: String = (10..15)
        .map(|millis| beat(5_000 + millis, GroupState::Running, 0))
        .chain([beat(5_100, GroupState::Releasing, 0)])
        .collect();
    let out = print(&(start + &beats));
    assert!(
        out.contains("(primary said the same 4 times more)\n       0.100000  peer primary: up, floatip releasing"),
        "{out}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Nothing that is in a file makes it panic, or print what a terminal obeys.
    #[test]
    fn survives_anything(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..5, any::<u8>()), 1..6),
        is_json in any::<bool>(),
    ) {
        let mut bytes = TEXT.with(Clone::clone).into_bytes();
        for (place, other, kind, byte) in changes {
            if bytes.is_empty() { break; }
            let (place, other) = (place.index(bytes.len()), other.index(bytes.len()));
            let (from, to) = (place.min(other), place.max(other).min(place.min(other) + 300));
            match kind {
                0 => bytes[place] = byte,
                // Another number, which is still a line.
                1 => if let Some(digit) = bytes[place..].iter().position(u8::is_ascii_digit) {
                    bytes[place + digit] = b'0' + byte % 10;
                },
                2 => if let Some(digit) = bytes[place..].iter().position(u8::is_ascii_digit) {
                    let digits = byte.to_string().repeat(usize::from(byte % 7));
                    bytes.splice(place + digit..=place + digit, digits.into_bytes());
                },
                3 => { bytes.drain(from..to); }
                _ => { let copy = bytes[from..to].to_vec(); bytes.splice(place..place, copy); }
            }
        }
        let (out, _) = replay(&bytes, is_json);
        prop_assert!(!out.chars().any(|c| c.is_control() && c != '\n'));
        prop_assert_eq!(replay(&bytes, is_json).0, out);
    }
}

thread_local! {
    static TEXT: String = recording().0;
}
