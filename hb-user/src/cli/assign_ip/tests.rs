use clap::Parser as _;

use crate::cli::Cli;

fn parse(args: &[&str]) -> Result<Cli, clap::error::ErrorKind> {
    Cli::try_parse_from(["hb", "assign-ip"].iter().chain(args)).map_err(|error| error.kind())
}

#[test]
fn the_tutorials_call_is_understood() {
    assert!(parse(&["198.51.100.9", "3164444"]).is_ok());
    assert!(
        parse(&[
            "2001:db8::7",
            "3164444",
            "--json",
            "--timeout",
            "5",
            "--token-file",
            "/run/token"
        ])
        .is_ok()
    );
}

#[test]
fn nonsense_is_refused_before_anything_is_sent() {
    use clap::error::ErrorKind::{MissingRequiredArgument, ValueValidation};
    // The tutorial's script when the metadata service did not answer: `assign-ip $IP` and nothing.
    assert_eq!(parse(&["198.51.100.9"]).err(), Some(MissingRequiredArgument));
    assert_eq!(parse(&["198.51.100.9", "not-a-number"]).err(), Some(ValueValidation));
    assert_eq!(parse(&["198.51.100.999", "3164444"]).err(), Some(ValueValidation));
    assert_eq!(
        parse(&["198.51.100.9", "3164444", "--timeout", "0"]).err(),
        Some(ValueValidation)
    );
}

#[test]
fn a_token_comes_from_a_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    std::fs::write(&file, "dop_v1_secret\n").expect("a file");
    // Only where no token is in the environment of the tests.
    if super::TOKEN.iter().all(|name| std::env::var_os(name).is_none()) {
        assert_eq!(super::token(Some(&file)).expect("a token").reveal(), b"dop_v1_secret");
        std::fs::write(&file, " \n").expect("a file");
        assert!(super::token(Some(&file)).is_err());
        assert!(super::token(Some(&dir.path().join("none"))).is_err());
        let error = super::token(None).expect_err("no token").to_string();
        assert!(error.contains("DO_TOKEN"), "{error}");
    }
}
