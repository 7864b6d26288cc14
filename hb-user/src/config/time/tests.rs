use std::time::Duration;

use proptest::prelude::*;

use super::{TimeError, parse, parse_toml};

#[test]
fn accepts_what_heartbeat_accepts() {
    let table = [
        ("2", 2000),
        ("0.5", 500),
        (".5", 500),
        ("2.", 2000),
        ("1.7", 1700),
        ("100ms", 100),
        ("100msec", 100),
        ("100MSEC", 100),
        ("100Ms", 100),
        ("1.5ms", 2),
        ("1.4999ms", 1),
        ("0.5ms", 1),
        ("500us", 1),
        ("5000us", 5),
        ("5000usec", 5),
        ("0.0005", 1),
        ("0.00149", 1),
        ("007", 7000),
        ("2678400", 2_678_400_000),
    ];
    for (text, millis) in table {
        assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
    }
}

#[test]
fn refuses_what_heartbeat_refuses() {
    let table = [
        ("", TimeError::Syntax),
        (".", TimeError::Syntax),
        ("2s", TimeError::Syntax),
        ("abc", TimeError::Syntax),
        ("ms", TimeError::Syntax),
        ("1m", TimeError::Syntax),
        ("1min", TimeError::Syntax),
        ("-1", TimeError::Syntax),
        ("+1", TimeError::Syntax),
        ("1e3", TimeError::Syntax),
        ("1,5", TimeError::Syntax),
        ("1.2.3", TimeError::Syntax),
        ("100msx", TimeError::Syntax),
        ("٣", TimeError::Syntax),
        ("0", TimeError::Zero),
        ("0.0004", TimeError::Zero),
        ("400us", TimeError::Zero),
        ("499.9us", TimeError::Zero),
        ("2678401", TimeError::TooLong),
        ("99999999999999999999999999999999999999999999999999", TimeError::TooLong),
    ];
    for (text, error) in table {
        assert_eq!(parse(text), Err(error), "{text}");
    }
}

#[test]
fn toml_times_carry_their_unit() {
    let table = [
        ("60s", 60_000),
        ("1.5s", 1500),
        ("500ms", 500),
        ("2m", 120_000),
        ("0.5m", 30_000),
    ];
    for (text, millis) in table {
        assert_eq!(parse_toml(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["60", "60 s", "1h", "60S", "", "s"] {
        assert_eq!(parse_toml(text), Err(TimeError::TomlSyntax), "{text}");
    }
    assert_eq!(parse_toml("0s"), Err(TimeError::Zero));
}

proptest! {
    #[test]
    fn any_text_is_judged(text in "\\PC*") {
        let _ = parse(&text);
        let _ = parse_toml(&text);
    }

    #[test]
    fn any_number_is_judged(text in "[0-9]{0,60}\\.?[0-9]{0,60}(ms|us|m|s|MSEC|)") {
        let _ = parse(&text);
        let _ = parse_toml(&text);
    }

    #[test]
    fn milliseconds_are_exact(millis in 1_u64..=2_678_400_000) {
        prop_assert_eq!(parse(&format!("{millis}ms")), Ok(Duration::from_millis(millis)));
        let seconds = format!("{}.{:03}", millis / 1000, millis % 1000);
        prop_assert_eq!(parse(&seconds), Ok(Duration::from_millis(millis)));
    }
}
