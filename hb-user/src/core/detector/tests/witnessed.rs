//! Silences that the kernel found, and those that may be our own.

use super::*;

fn found(last_seen: u64, deadline: u64, found: u64) -> Witnessed {
    Witnessed {
        last_seen: ms(last_seen),
        deadline: ms(deadline),
        found: ms(found),
    }
}

fn death(findings: &Findings) -> Silence {
    match findings.change {
        Some(Change::Dead(silence)) => silence,
        other => panic!("no death: {other:?}"),
    }
}

#[test]
fn what_the_kernel_found_counts_from_then_however_late_we_are() {
    let mut bench = Bench::met();
    bench.witnessed = Some(found(100, 600, 601));
    let silence = death(&bench.look_late(9000, 8400));
    assert_eq!((silence.deadline, silence.detected), (ms(600), ms(601)));
    assert_eq!((silence.witnessed, silence.graced), (true, None));
}

#[test]
fn what_the_kernel_found_ends_a_grace() {
    let mut bench = Bench::met();
    assert!(bench.look_late(590, 400).graced.is_some());
    assert_eq!(bench.detector.deadline(), ms(1090));
    bench.witnessed = Some(found(100, 600, 601));
    let silence = death(&bench.look(602));
    assert_eq!(silence.graced, Some(Graced::Late(ms(400))));
    assert_eq!(silence.detected, ms(601));
}

#[test]
fn a_former_silence_and_an_earlier_deadline_than_ours_say_nothing() {
    let mut bench = Bench::met();
    bench.witnessed = Some(found(99, 600, 601));
    assert_eq!(
        bench.look_late(610, 0).change.map(|_| ()),
        Some(()),
        "found by ourselves"
    );

    let mut bench = Bench::met();
    // Its watch has another deadtime already, since a reload.
    bench.witnessed = Some(found(100, 300, 301));
    let findings = bench.look(310);
    assert!(!matches!(findings.change, Some(Change::Dead(_))), "{findings:?}");
    assert_eq!(bench.detector.deadline(), ms(600));
}

#[test]
fn of_a_peer_that_does_not_hear_us_the_kernel_knows_nothing() {
    let mut bench = Bench::new();
    bench.hears_deaf(1400, 1, 9);
    bench.look(1400);
    bench.witnessed = Some(found(1400, 1900, 1901));
    assert_eq!(bench.look(1902), Findings::default());
}

#[test]
fn all_silent_at_once_may_be_us_for_one_deadtime() {
    let mut bench = Bench::met();
    bench.alone = true;
    let findings = bench.look(600);
    assert_eq!(findings.graced, Some(Graced::Alone));
    assert_eq!(bench.detector.deadline(), ms(1100));
    // The kernel's word changes nothing about who can be heard.
    bench.witnessed = Some(found(100, 600, 600));
    assert!(!matches!(bench.look(1099).change, Some(Change::Dead(_))));
    let silence = death(&bench.look(1100));
    assert_eq!((silence.deadline, silence.graced), (ms(1100), Some(Graced::Alone)));
    assert!(!silence.witnessed);
}

#[test]
fn who_is_not_alone_waits_for_nothing() {
    let mut bench = Bench::met();
    bench.alone = true;
    bench.look(590);
    bench.alone = false;
    assert_eq!(death(&bench.look(600)).graced, None);
}

#[test]
fn after_a_suspension_nobody_is_blamed_for_a_deadtime() {
    let mut bench = Bench::met();
    bench.detector.resume(ms(60_000), ms(590));
    assert_eq!(bench.detector.deadline(), ms(1090));
    // What the kernel found by a clock that stood still.
    bench.witnessed = found(100, 600, 601).into();
    assert!(!matches!(bench.look(1089).change, Some(Change::Dead(_))));
    let silence = death(&bench.look(1090));
    assert_eq!(silence.graced, Some(Graced::Late(ms(60_000))));
}

#[test]
fn beats_that_are_old_by_what_we_know_change_nothing() {
    let mut bench = Bench::met();
    bench.hears(200, 1, 9);
    bench.look(200);
    let before = bench.detector.newest().copied();
    // A liveness map that began anew is told them once more.
    for (incarnation, sequence) in [(1, 8), (0, 20)] {
        bench.hears(300, incarnation, sequence);
        assert_eq!(bench.look(300).change, None);
        assert_eq!(bench.detector.newest().copied(), before);
    }
    assert_eq!(bench.detector.deadline(), ms(700));
}
