//! `hb check` as a person calls it: its last line and its exit code say the same, and as `hb ip` does.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A host's files, with a token; the shell's own name for the directory.
fn configured() -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let name = name.trim();
    let write = |file: &str, text: String| {
        let path = dir.path().join(file);
        std::fs::write(&path, text).expect("written");
        set_mode(&path, 0o600);
    };
    write("ha.cf", format!("node {name} another\nucast lo 198.51.100.6\n"));
    write("authkeys", "auth 1\n1 sha1 key\n".to_owned());
    write("haresources", format!("{name} digitalocean::203.0.113.10\n"));
    // Nobody listens there.
    write(
        "hb.toml",
        format!(
            "[digitalocean]\ntoken_file = \"{}\"\napi_url = \"http://127.0.0.1:1\"\n",
            dir.path().join("token").display()
        ),
    );
    write("token", "secret".to_owned());
    dir
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

fn hb(dir: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hb"));
    command.args(args).current_dir(dir).args(["--config-dir", "."]);
    command.output().expect("hb")
}

/// The last line that a person sees: nothing is on stderr where all is well.
fn last(output: &Output) -> &str {
    let lines = [&output.stderr, &output.stdout].map(|bytes| std::str::from_utf8(bytes).expect("text").lines().last());
    lines.into_iter().flatten().next().expect("a line")
}

#[test]
fn the_last_line_is_the_verdict() {
    let dir = configured();
    let output = hb(&dir, &["check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let valid = format!("configuration in {} is valid, with ", dir.path().display());
    assert!(last(&output).starts_with(&valid), "{output:?}");

    let token = dir.path().join("token");
    let spoil: [(&str, &dyn Fn()); 3] = [
        ("lets others read the token", &|| set_mode(&token, 0o644)),
        ("empty: expected the token", &|| {
            std::fs::write(&token, "\n").expect("written");
            set_mode(&token, 0o600);
        }),
        ("not found, put the provider's token there", &|| {
            std::fs::remove_file(&token).expect("removed");
        }),
    ];
    for (reason, spoil) in spoil {
        spoil();
        let output = hb(&dir, &["check"]);
        assert_eq!(output.status.code(), Some(6), "{output:?}");
        assert!(
            last(&output).starts_with("hb: `hb run` would refuse to start: "),
            "{output:?}"
        );
        assert!(last(&output).contains(reason), "{output:?}");
        assert!(
            !String::from_utf8_lossy(&output.stdout).contains("is valid"),
            "{output:?}"
        );

        let asked = hb(&dir, &["ip", "owner", "digitalocean::203.0.113.10"]);
        assert_eq!(asked.status.code(), Some(6), "{asked:?}");
        assert!(last(&asked).contains(reason), "{asked:?}");
    }
}

#[test]
fn every_refused_line_is_named() {
    let dir = configured();
    std::fs::write(dir.path().join("ha.cf"), "deadtme 10\nkeepalive 2s\n").expect("written");
    let output = hb(&dir, &["check"]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let dir = dir.path().display();
    let expected = format!(
        "hb: {dir}/ha.cf:1: illegal directive \"deadtme\": did you mean `deadtime`?\n\
         hb: {dir}/ha.cf:2: keepalive \"2s\": expected seconds (2, 0.5) or milliseconds (100ms)\n"
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
}
