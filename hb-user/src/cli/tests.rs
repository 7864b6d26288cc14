use std::io;
use std::path::PathBuf;

use clap::Parser as _;

use super::{Cli, Exit, Failure};
use crate::config::{CloudKind, ConfigError};
use crate::resources::cloud::CloudError;

#[test]
fn a_provider_that_cannot_be_asked_is_a_broken_configuration() {
    let unreadable = |kind| ConfigError::Unreadable {
        path: PathBuf::from("/token"),
        source: io::Error::from(kind),
        advice: "not found",
    };
    let exposed = ConfigError::Exposed {
        path: PathBuf::from("/token"),
        mode: 0o644,
        what: "token",
    };
    let empty = CloudError::Secret {
        place: PathBuf::from("/token"),
        reason: "empty",
    };
    for (error, exit) in [
        (unreadable(io::ErrorKind::NotFound).into(), Exit::NotConfigured),
        (unreadable(io::ErrorKind::PermissionDenied).into(), Exit::NotPermitted),
        (exposed.into(), Exit::NotConfigured),
        (empty, Exit::NotConfigured),
        (CloudError::Token, Exit::NotConfigured),
        (CloudError::NoTable(CloudKind::Aws), Exit::NotConfigured),
        (CloudError::Thread(io::ErrorKind::OutOfMemory.into()), Exit::Failed),
    ] {
        assert_eq!(Exit::of_cloud(&error), exit, "{error}");
    }
}

#[test]
fn each_refused_line_of_a_file_has_its_own() {
    let invalid = |line| ConfigError::Invalid {
        path: PathBuf::from("/ha.cf"),
        line: Some(line),
        message: "no".to_owned(),
    };
    let failure = Failure::from(ConfigError::Several(vec![invalid(1), invalid(3)]));
    assert_eq!(failure.lines(), ["/ha.cf:1: no", "/ha.cf:3: no"]);
    assert_eq!(Failure::from(invalid(1)).lines(), ["/ha.cf:1: no"]);
}

/// Scripts run in `/`, wherever the daemon was started.
#[test]
fn a_relative_directory_is_made_absolute() {
    let here = std::env::current_dir().expect("a directory");
    for (given, expected) in [
        ("some/where", here.join("some/where")),
        ("/else", PathBuf::from("/else")),
    ] {
        for command in [&["run"][..], &["check"], &["ip", "owner", "192.0.2.1"]] {
            let words = ["hb"].iter().chain(command).copied();
            let cli = Cli::try_parse_from(words.chain(["--config-dir", given])).expect("understood");
            let expected = format!("config_dir: {expected:?}");
            assert!(format!("{cli:?}").contains(&expected), "{cli:?}");
        }
    }
}
