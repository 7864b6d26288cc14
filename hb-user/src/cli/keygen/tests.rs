use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Args, Failure, run};
use crate::cli::Exit;
use crate::config::{Cluster, Host};

#[test]
fn writes_a_file_that_loads() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("authkeys");
    keygen(path.clone(), false).expect("written");

    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o600);
    fs::write(
        dir.path().join("ha.cf"),
        "node primary secondary\nucast eth0 192.0.2.2\n",
    )
    .expect("written");
    fs::write(dir.path().join("haresources"), "primary floatip\n").expect("written");
    let host = Host {
        name: "primary".to_owned(),
        addresses: vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))],
    };
    let loaded = Cluster::load(dir.path(), &host).expect("loads");
    assert!(
        !loaded
            .warnings
            .iter()
            .any(|warning| warning.origin.starts_with("authkeys"))
    );
    let secret = loaded.cluster.keys.all[0].secret.reveal();
    assert_eq!(secret.len(), 40);
    assert!(secret.iter().all(u8::is_ascii_hexdigit));
}

#[test]
fn replaces_only_when_forced() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("authkeys");
    fs::write(&path, "precious").expect("written");

    let failure = keygen(path.clone(), false).expect_err("refused");
    let advice = "use --force to replace the key, then copy the file to the other node";
    assert_eq!(
        message(&failure),
        format!("{}: {advice}: File exists (os error 17)", path.display())
    );
    assert_eq!(fs::read_to_string(&path).expect("there"), "precious");

    keygen(path.clone(), true).expect("replaced");
    let first = fs::read_to_string(&path).expect("there");
    assert!(first.starts_with("auth 1\n1 sha1 "));
    keygen(path.clone(), true).expect("replaced");
    assert_ne!(fs::read_to_string(&path).expect("there"), first);
    assert_eq!(names(&dir), ["authkeys"]);
}

#[test]
fn a_failure_says_what_to_do_and_leaves_nothing() {
    let dir = TempDir::new().expect("a directory");
    let missing = dir.path().join("missing/authkeys");
    let failure = keygen(missing.clone(), false).expect_err("refused");
    let expected = format!(
        "{}: create the directory first: No such file or directory (os error 2)",
        missing.display()
    );
    assert_eq!((message(&failure), failure.exit), (expected, Exit::Failed));

    let taken = dir.path().join("taken");
    fs::create_dir(&taken).expect("a directory");
    let failure = keygen(taken.clone(), true).expect_err("refused");
    assert!(message(&failure).starts_with(&format!("{}: nothing was changed: ", taken.display())));
    assert_eq!(names(&dir), ["taken"]);
}

#[test]
fn a_full_disk_is_explained() {
    // Every write to it fails with ENOSPC.
    let error = fs::write("/dev/full", "text").expect_err("full");
    let failure = super::explain("/etc/ha.d/authkeys".as_ref(), error);
    let expected =
        "/etc/ha.d/authkeys: make room on the disk; nothing was changed: No space left on device (os error 28)";
    assert_eq!(message(&failure), expected);
}

fn keygen(path: PathBuf, force: bool) -> Result<(), Failure> {
    run(&Args {
        path,
        force,
        stdout: false,
    })
}

fn message(failure: &Failure) -> String {
    format!("{:#}", failure.error)
}

fn names(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect()
}
