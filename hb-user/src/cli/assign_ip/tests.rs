use std::os::unix::fs::PermissionsExt as _;

use clap::Parser as _;

use super::Args;
use crate::config::{CloudAddress, CloudKind, CloudTarget};

#[derive(Debug, clap::Parser)]
struct Alone {
    #[command(flatten)]
    args: Args,
}

fn parse(args: &[&str]) -> Result<Args, clap::error::ErrorKind> {
    let parsed = Alone::try_parse_from(["hb"].iter().chain(args));
    parsed.map(|alone| alone.args).map_err(|error| error.kind())
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
fn a_timeout_has_a_unit_or_is_in_seconds() {
    let timeout =
        |text: &str| parse(&["198.51.100.9", "3164444", "--timeout", text]).map(|args| args.timeout.as_millis());
    assert_eq!(
        parse(&["198.51.100.9", "3164444"]).map(|args| args.timeout.as_secs()),
        Ok(60)
    );
    for (text, millis) in [
        ("60", 60_000),
        ("60s", 60_000),
        ("500ms", 500),
        ("2m", 120_000),
        ("3600", 3_600_000),
    ] {
        assert_eq!(timeout(text), Ok(millis), "{text}");
    }
    for text in ["0", "0s", "", "3601", "61m", "1h", "1.5", "soon"] {
        assert_eq!(timeout(text), Err(clap::error::ErrorKind::ValueValidation), "{text}");
    }
}

/// As the daemon's token does.
#[test]
fn a_token_comes_from_a_file_that_only_its_owner_may_read() {
    // Only where no token is in the environment of the tests.
    if super::TOKEN.iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    let open = |more: &[&str]| {
        let args = parse(&[&["198.51.100.9", "3164444"], more].concat()).expect("arguments");
        let address = CloudAddress {
            kind: CloudKind::DigitalOcean,
            target: CloudTarget::Ip(args.ip),
        };
        super::open(&args, &address).map_err(|failed| format!("{:#}", failed.failure.error))
    };
    let name = file.to_str().expect("a name").to_owned();
    let given = ["--token-file", name.as_str()];
    let error = open(&given).expect_err("no file");
    assert!(error.contains("not found"), "{error}");
    for (mode, text, complaint) in [
        (0o644, "dop_v1_secret\n", Some("644")),
        (0o600, " \n", Some("empty")),
        (0o600, "dop_v1_secret\n", None),
    ] {
        std::fs::write(&file, text).expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("chmod");
        match (open(&given).err(), complaint) {
            (None, None) => {}
            (Some(error), Some(complaint)) => assert!(error.contains(complaint), "{error}"),
            (error, complaint) => panic!("{complaint:?}: {error:?}"),
        }
    }
    let error = open(&[]).expect_err("no token");
    assert!(error.contains("DO_TOKEN"), "{error}");
}

#[test]
fn what_is_no_url_is_refused_before_anything_is_sent() {
    for url in [
        "localhost:8080",
        "htp://x",
        "https://",
        "https://me:secret@x",
        "https://x/?y",
    ] {
        let refused = parse(&["198.51.100.9", "3164444", "--api-url", url]).err();
        assert_eq!(refused, Some(clap::error::ErrorKind::ValueValidation), "{url}");
    }
    let args = parse(&["198.51.100.9", "3164444", "--api-url", "http://127.0.0.1:8080/"]).expect("accepted");
    assert_eq!(args.api_url, "http://127.0.0.1:8080");
}
