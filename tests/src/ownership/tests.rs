use super::*;

fn at(millis: u64) -> Moment {
    Moment::from_clock(Duration::from_millis(millis))
}

/// Stamps of the resource `web` from `MILLISECONDS HOST PID WHAT`.
fn stamps(lines: &[&str]) -> Vec<Stamp> {
    let stamp = |line: &&str| {
        let words: Vec<_> = line.split(' ').collect();
        let what = match words[3] {
            "start" => What::StartBegin,
            "started" => What::StartEnd { ok: true },
            "not-started" => What::StartEnd { ok: false },
            "stop" => What::StopBegin,
            "stopped" => What::StopEnd { ok: true },
            "not-stopped" => What::StopEnd { ok: false },
            "status" => What::Status,
            "lost" => What::Lost,
            other => panic!("{other}"),
        };
        Stamp {
            at: at(words[0].parse().expect("milliseconds")),
            host: words[1].to_owned(),
            resource: "web".to_owned(),
            pid: words[2].parse().expect("a process id"),
            what,
        }
    };
    lines.iter().map(stamp).collect()
}

fn ownership(lines: &[&str]) -> Ownership {
    Ownership::of(&stamps(lines))
}

/// `OWNERS FROM TO` of each span between 0 and 100 ms.
fn line(ownership: &Ownership) -> Vec<String> {
    let millis = |moment: Moment| moment.since_zero().as_millis();
    let spans = ownership.spans("web", at(0), at(100));
    let shown = |span: &Span| format!("{} {} {}", span.owners.join("+"), millis(span.from), millis(span.to));
    spans.iter().map(shown).collect()
}

#[test]
fn an_interval_reaches_from_the_first_start_to_the_last_stop() {
    let ownership = ownership(&[
        "10 n1 1 status",
        "12 n1 2 start",
        "14 n1 2 started",
        "20 n1 3 start",
        "22 n1 3 started",
        "50 n1 4 stop",
        "60 n1 4 stopped",
        "70 n1 5 stop",
        "75 n1 5 stopped",
        "80 n2 1 stop",
        "85 n2 1 stopped",
    ]);
    assert_eq!(line(&ownership), [" 0 12", "n1 12 60", " 60 100"]);
    assert_eq!(ownership.resources(), BTreeSet::from(["web"]));
    assert!(ownership.clashes().is_empty());
    assert_eq!(ownership.unended(), 0);
    assert_eq!(total(&ownership.gaps("web", at(0), at(100))), Duration::from_millis(52));
}

#[test]
fn what_failed_owns_on() {
    // A start that failed may have done half of it; a stop that failed has not undone it.
    let failed = [
        "10 n1 1 start",
        "15 n1 1 not-started",
        "20 n1 2 stop",
        "25 n1 2 not-stopped",
    ];
    assert_eq!(line(&ownership(&failed)), [" 0 10", "n1 10 100"]);
    let cleaned = [&failed[..], &["30 n1 3 stop", "35 n1 3 stopped"]].concat();
    assert_eq!(line(&ownership(&cleaned)), [" 0 10", "n1 10 35", " 35 100"]);
}

#[test]
fn power_lost_is_ownership_lost() {
    let ownership = ownership(&["10 n1 1 start", "20 n1 9 lost", "30 n2 1 start", "31 n2 1 started"]);
    assert_eq!(line(&ownership), [" 0 10", "n1 10 20", " 20 30", "n2 30 100"]);
    assert_eq!(ownership.unended(), 1);
}

#[test]
fn two_owners_are_an_overlap_with_names() {
    let ownership = ownership(&[
        "10 n1 1 start",
        "11 n1 1 started",
        "30 n2 1 start",
        "31 n2 1 started",
        "40 n3 1 start",
        "41 n3 1 started",
        "50 n1 2 stop",
        "60 n1 2 stopped",
        "65 n3 2 stop",
        "70 n3 2 stopped",
    ]);
    let expected = [
        " 0 10",
        "n1 10 30",
        "n1+n2 30 40",
        "n1+n2+n3 40 60",
        "n2+n3 60 70",
        "n2 70 100",
    ];
    assert_eq!(line(&ownership), expected);
    let overlaps = ownership.overlaps("web", at(0), at(100));
    assert_eq!(overlaps.len(), 3);
    assert_eq!(total(&overlaps), Duration::from_millis(40));
    assert_eq!(
        total(&ownership.overlaps("web", at(35), at(45))),
        Duration::from_millis(10)
    );
    assert!(ownership.overlaps("web", at(70), at(100)).is_empty());
    assert!(ownership.overlaps("db", at(0), at(100)).is_empty());
    assert_eq!(total(&ownership.gaps("db", at(0), at(100))), Duration::from_millis(100));
}

#[test]
fn a_handover_in_the_same_instant_is_neither_overlap_nor_gap() {
    let ownership = ownership(&["10 n1 1 start", "20 n1 2 stop", "30 n1 2 stopped", "30 n2 1 start"]);
    assert_eq!(line(&ownership), [" 0 10", "n1 10 30", "n2 30 100"]);
}

#[test]
fn calls_of_one_resource_on_one_host_must_not_overlap() {
    let clash = ownership(&["10 n1 1 start", "12 n1 2 stop", "15 n1 1 started", "20 n1 2 stopped"]);
    assert_eq!(clash.clashes().len(), 1);
    assert_eq!(clash.clashes()[0].at, at(12));
    // On two hosts they may.
    let apart = ownership(&["10 n1 1 start", "12 n2 1 stop", "15 n1 1 started", "20 n2 1 stopped"]);
    assert!(apart.clashes().is_empty());
    // Inside one that lasts longer than the next.
    let inside = ownership(&[
        "10 n1 1 start",
        "12 n1 2 start",
        "13 n1 2 started",
        "14 n1 3 stop",
        "15 n1 3 stopped",
        "20 n1 1 started",
    ]);
    assert_eq!(inside.clashes().len(), 2);
}

#[test]
fn a_killed_call_clashes_with_nothing() {
    let ownership = ownership(&[
        "10 n1 1 start",
        "40 n1 2 stop",
        "45 n1 2 stopped",
        // The host numbers its processes from the beginning again.
        "50 n1 1 start",
        "55 n1 1 started",
    ]);
    assert!(ownership.clashes().is_empty());
    assert_eq!(ownership.unended(), 1);
}
