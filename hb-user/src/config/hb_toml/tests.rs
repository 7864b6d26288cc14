use std::time::Duration;

use proptest::prelude::*;

use super::parse;

#[test]
fn accepts_a_script_timeout() {
    let table = [
        ("", None),
        ("# nothing\n[scripts]\n", None),
        ("[scripts]\ntimeout = \"60s\"\n", Some(60_000)),
        ("scripts.timeout = \"500ms\"", Some(500)),
    ];
    for (text, millis) in table {
        let timeout = parse(text.as_bytes()).expect(text).script_timeout;
        assert_eq!(timeout, millis.map(Duration::from_millis), "{text}");
    }
}

#[test]
fn refuses_with_the_reason() {
    let table = [
        (
            "[scripts]\ntimeout = \"60\"",
            Some(2),
            "scripts.timeout \"60\": expected a number and its unit (60s, 500ms, 2m)",
        ),
        (
            "[scripts]\ntimeout = \"0s\"",
            Some(2),
            "scripts.timeout \"0s\": expected at least 1ms, and this rounds to 0",
        ),
        (
            "[scripts]\ntimeout = 60",
            Some(2),
            "invalid type: integer `60`, expected a string",
        ),
        (
            "[scripts]\n\nretries = 3",
            Some(3),
            "unknown field `retries`, expected `timeout`",
        ),
        ("[cloud]", Some(1), "unknown field `cloud`, expected `scripts`"),
        (
            "\n\n=",
            Some(3),
            "unquoted keys cannot be empty, expected letters, numbers, `-`, `_`",
        ),
    ];
    for (text, line, message) in table {
        let fault = parse(text.as_bytes()).expect_err(text);
        assert_eq!((fault.line, fault.message.as_str()), (line, message), "{text}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_text_is_judged(text in "((\\[scripts\\]|timeout|=|\"|60s|\n| ){0,20}|\\PC*)") {
        let _ = parse(text.as_bytes());
    }
}
