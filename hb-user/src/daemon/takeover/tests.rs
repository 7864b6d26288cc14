use super::*;
use crate::resources::scripts::{Operation, Outcome};

fn primary() -> String {
    "primary".to_owned()
}

fn silence() -> Silence {
    Silence {
        last_seen: Some(Nanos(1_000_000)),
        deadline: Nanos(501_000_000),
        detected: Nanos(501_090_000),
        witnessed: true,
        graced: Some(Graced::Late(Nanos(7_000_000))),
    }
}

#[test]
fn times_are_relative_to_the_last_beat() {
    let mut record = Record::new(Cause::PeerDied(0), Some(primary()), Some(silence()), Nanos(501_200_000));
    let step = Step {
        resource: "floatip".into(),
        operation: Operation::Start,
        started: Nanos(503_000_000),
        ended: Nanos(603_000_000),
        outcome: Outcome::Exited(0),
        moved: None,
    };
    record.finish(&GroupReport {
        result: GroupResult::Done,
        steps: vec![step],
    });
    let report = record.report("floatip".into());

    assert_eq!(
        (report.cause.as_str(), report.peer.as_deref()),
        ("peer_died", Some("primary"))
    );
    assert_eq!(report.origin_monotonic_us, 1_000);
    assert_eq!(
        (
            report.last_beat_us,
            report.deadline_us,
            report.detected_us,
            report.decided_us
        ),
        (Some(0), Some(500_000), Some(500_090), 500_200)
    );
    assert_eq!(
        (report.detected_by.as_deref(), report.graced.as_deref()),
        (Some("kernel"), Some("late"))
    );
    assert_eq!(report.own_lateness_us, Some(7_000));
    assert_eq!(
        (report.steps[0].started_us, report.steps[0].ended_us),
        (502_000, 602_000)
    );
    assert_eq!(report.result, "done");
}

#[test]
fn without_a_death_times_are_relative_to_the_decision() {
    let record = Record::new(Cause::PeerLeft(0), Some(primary()), None, Nanos(7_000_000));
    let report = record.report("floatip".into());
    assert_eq!(
        (
            report.last_beat_us,
            report.deadline_us,
            report.detected_us,
            report.decided_us
        ),
        (None, None, None, 0)
    );
    assert_eq!((report.origin_monotonic_us, report.result.as_str()), (7_000, "running"));
}

#[test]
fn a_peer_that_was_never_met_has_a_deadline_and_no_last_beat() {
    let never = Silence {
        last_seen: None,
        deadline: Nanos(2_000_000),
        detected: Nanos(2_100_000),
        witnessed: false,
        graced: Some(Graced::Alone),
    };
    let record = Record::new(Cause::PeerDied(1), None, Some(never), Nanos(2_200_000));
    let report = record.report("floatip".into());
    assert_eq!(
        (report.last_beat_us, report.deadline_us, report.detected_us),
        (None, Some(-200), Some(-100))
    );
    assert_eq!(
        (report.detected_by.as_deref(), report.graced.as_deref()),
        (Some("thread"), Some("alone"))
    );
    assert_eq!(report.own_lateness_us, None);
}
