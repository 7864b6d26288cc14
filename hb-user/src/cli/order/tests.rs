use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Standby {
    #[command(flatten)]
    args: StandbyArgs,
}

#[derive(Debug, Parser)]
struct Takeover {
    #[command(flatten)]
    args: TakeoverArgs,
}

#[test]
fn all_groups_and_a_minute_are_the_default() {
    let standby = Standby::try_parse_from(["standby"])
        .expect("no argument is needed")
        .args;
    assert!(matches!(standby.which, Given::All), "{standby:?}");
    assert_eq!(standby.manner.timeout, Duration::from_mins(1));
    assert!(!standby.manner.no_wait);
}

#[test]
fn failback_is_for_standby_only() {
    assert!(Standby::try_parse_from(["standby", "failback"]).is_ok());
    assert!(Takeover::try_parse_from(["takeover", "failback"]).is_err());
}

#[test]
fn times_have_a_unit_and_an_end() {
    for (text, expected) in [
        ("500ms", Some(500)),
        ("60m", Some(3_600_000)),
        ("60", None),
        ("0s", None),
        ("61m", None),
    ] {
        let millis = timeout(text).ok().map(|time| time.as_millis());
        assert_eq!(millis, expected, "{text}");
    }
}
