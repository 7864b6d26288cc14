use std::time::Duration;

use super::{Draft, Timers};
use crate::config::ha_cf::Given;
use crate::config::time;

/// keepalive, deadtime, warntime, initdead as given; then in milliseconds.
#[test]
fn defaults_follow_from_one_another() {
    let table = [
        (["", "", "", ""], [100, 500, 250, 2000]),
        (["20ms", "", "", ""], [20, 500, 250, 2000]),
        (["2", "", "", ""], [2000, 10_000, 5000, 20_000]),
        (["3", "", "", ""], [3000, 15_000, 7500, 15_000]),
        (["", "200ms", "", ""], [40, 200, 100, 2000]),
        (["", "2", "", ""], [400, 2000, 1000, 4000]),
        (["", "3ms", "", ""], [1, 3, 1, 2000]),
        (["", "9", "", ""], [1000, 9000, 4500, 18_000]),
        (["", "10", "", ""], [1000, 10_000, 5000, 20_000]),
        (["", "10001ms", "", ""], [1000, 10_001, 5000, 10_001]),
        (["", "30", "", ""], [1000, 30_000, 15_000, 30_000]),
        (["100ms", "300ms", "", ""], [100, 300, 150, 2000]),
        (["1ms", "3ms", "", "3ms"], [1, 3, 1, 3]),
        (["2", "32", "10", "60"], [2000, 32_000, 10_000, 60_000]),
    ];
    for (given, expected) in table {
        let timers = draft(given).finish(&mut Vec::new());
        let expected = expected.map(Duration::from_millis);
        // warntime is half of deadtime to the nanosecond; the table is in milliseconds.
        let timers = timers.map(|timers| {
            let millis = u64::try_from(timers.warntime.as_millis()).unwrap_or(u64::MAX);
            [
                timers.keepalive,
                timers.deadtime,
                Duration::from_millis(millis),
                timers.initdead,
            ]
        });
        assert_eq!(timers, Ok(expected), "{given:?}");
    }
}

#[test]
fn refuses_what_cannot_work_together() {
    let table = [
        (
            ["1", "2", "", ""],
            2,
            r#"deadtime "2": expected more than twice keepalive, which is 1s"#,
        ),
        (
            ["100ms", "200ms", "", ""],
            2,
            r#"deadtime "200ms": expected more than twice keepalive, which is 100ms"#,
        ),
        (
            ["", "2ms", "", ""],
            2,
            r#"deadtime "2ms": expected more than twice keepalive, which is 1ms"#,
        ),
        (
            ["", "10", "", "5"],
            4,
            r#"initdead "5": expected at least deadtime, which is 10s"#,
        ),
    ];
    for (given, line, message) in table {
        let fault = draft(given).finish(&mut Vec::new()).expect_err(message);
        assert_eq!((fault.line, fault.message.as_str()), (Some(line), message));
    }
}

#[test]
fn warns_of_what_is_odd() {
    let table = [
        (["", "", "", ""], None),
        (
            ["", "10", "11", ""],
            Some("ha.cf:3: warntime 11s is longer than deadtime 10s: no late beat will be reported"),
        ),
        (
            ["1", "10", "1", ""],
            Some("ha.cf:3: warntime 1s is not longer than keepalive 1s: every beat will be reported as late"),
        ),
        (
            ["", "500ms", "", "1"],
            Some("ha.cf:4: initdead 1s may be too short for a network that is still coming up"),
        ),
    ];
    for (given, expected) in table {
        let mut warnings = Vec::new();
        let timers: Result<Timers, _> = draft(given).finish(&mut warnings);
        assert!(timers.is_ok(), "{given:?}");
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, expected.into_iter().collect::<Vec<_>>(), "{given:?}");
    }
}

/// Line 1 gives keepalive, 2 deadtime, 3 warntime, 4 initdead; an empty text gives nothing.
fn draft([keepalive, deadtime, warntime, initdead]: [&str; 4]) -> Draft {
    let given = |line, text: &str| {
        let value = time::parse(text).ok()?;
        Some(Given {
            value,
            text: text.to_owned(),
            line,
        })
    };
    Draft {
        keepalive: given(1, keepalive),
        deadtime: given(2, deadtime),
        warntime: given(3, warntime),
        initdead: given(4, initdead),
    }
}
