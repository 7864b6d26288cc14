//! With the real program, and real plugins of its own interface in a private copy of its plugins' directory.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

const STONITH: &str = "/usr/sbin/stonith";
const PLUGINS: &str = "/usr/lib/stonith/plugins/external";
const LONG: Duration = Duration::from_mins(1);

/// A plugin that notes its parameters and its caller's arguments, and does as its second parameter says.
const PLUGIN: &str = r#"
    case $1 in
    getconfignames) echo "hostlist how"; exit 0 ;;
    gethosts) echo "$hostlist"; exit 0 ;;
    reset) ;;
    *) exit 0 ;;
    esac
    echo "reset $2 hostlist=$hostlist how=$how" >> DIR/journal
    stonith=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$PPID/status)
    tr '\0' ' ' < /proc/$stonith/cmdline >> DIR/arguments
    case $how in
    well*) exit 0 ;;
    hang*) echo $$ >> DIR/hanging; exec sleep 1000 ;;
    esac
    echo "the power switch is on fire" >&2
    exit 1
"#;

/// A `stonith` that has the plugin `external/hb-test` while it runs, in a mount namespace of its own.
struct Rig {
    dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        assert!(
            Path::new(STONITH).exists(),
            "{STONITH} is missing: `cargo xtask setup` installs cluster-glue"
        );
        let dir = tempfile::tempdir().expect("a directory");
        let rig = Self { dir };
        let plugins = rig.path("plugins");
        std::fs::create_dir(&plugins).expect("plugins");
        let shown = rig.dir.path().display().to_string();
        rig.program("plugins/hb-test", &PLUGIN.replace("DIR", &shown));
        rig.program(
            "stonith",
            &format!(
                "[ \"$1\" = inside ] || exec unshare --mount --propagation private -- \"$0\" inside \"$@\"
                shift; mount --bind {shown}/plugins {PLUGINS} && exec {STONITH} \"$@\""
            ),
        );
        rig
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Written by another process, so that no fork of another test holds it open for writing (ETXTBSY).
    fn program(&self, name: &str, body: &str) {
        let path = self.path(name);
        let written = std::process::Command::new("/bin/sh")
            .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\""])
            .arg(&path)
            .arg(body)
            .status();
        assert!(written.expect("a shell").success());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    fn fencer(&self) -> Fencer {
        Fencer {
            program: self.path("stonith"),
            timeout: LONG,
            passed: Vec::new(),
        }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

fn device(kind: &str, parameters: &str) -> Device {
    Device {
        kind: kind.to_owned(),
        parameters: Parameters::Inline(parameters.to_owned()),
    }
}

#[tokio::test]
async fn the_programs_own_null_device_succeeds() {
    let rig = Rig::new();
    let fencer = Fencer {
        program: STONITH.into(),
        timeout: LONG,
        passed: Vec::new(),
    };
    fencer.reset(&device("null", "nodeb"), "nodeb").await.expect("inline");
    let file = rig.path("parameters");
    std::fs::write(&file, "# hosts\nnodeb\n").expect("a file");
    let device = Device {
        kind: "null".to_owned(),
        parameters: Parameters::File(file),
    };
    fencer.reset(&device, "nodeb").await.expect("by file");
}

#[tokio::test]
async fn parameters_reach_the_plugin_and_nobody_else() {
    let rig = Rig::new();
    let secret = device("external/hb-test", "nodeb well, said the secret");
    rig.fencer().reset(&secret, "nodeb").await.expect("success");
    assert_eq!(
        rig.read("journal"),
        "reset nodeb hostlist=nodeb how=well, said the secret\n"
    );
    let arguments = rig.read("arguments");
    assert!(arguments.contains("-T reset -- nodeb"), "{arguments}");
    assert!(!arguments.contains("secret"), "{arguments}");
    assert!(!format!("{secret:?}").contains("secret"));

    let file = rig.path("parameters");
    std::fs::write(&file, "nodeb well by file\n").expect("a file");
    let device = Device {
        kind: "external/hb-test".to_owned(),
        parameters: Parameters::File(file),
    };
    rig.fencer().reset(&device, "nodeb").await.expect("success");
    assert!(rig.read("journal").ends_with("how=well by file\n"));
}

#[tokio::test]
async fn the_program_finds_the_secrets_that_are_passed() {
    if !process::inside(&[("HB_TEST_PASSWORD", "passed"), ("HB_TEST_TOKEN", "kept")]) {
        return;
    }
    let rig = Rig::new();
    rig.program(
        "stonith",
        "echo password=$HB_TEST_PASSWORD token=$HB_TEST_TOKEN; exit 5",
    );
    let fencer = Fencer {
        passed: vec!["HB_TEST_PASSWORD".to_owned()],
        ..rig.fencer()
    };
    let error = fencer.reset(&device("null", "nodeb"), "nodeb").await;
    let error = error.expect_err("it fails").to_string();
    assert!(error.ends_with(": password=passed token="), "{error}");
}

#[tokio::test]
async fn a_failure_says_what_the_device_said() {
    let rig = Rig::new();
    let error = rig
        .fencer()
        .reset(&device("external/hb-test", "nodeb badly"), "nodeb")
        .await;
    let error = error.expect_err("a failure").to_string();
    assert!(
        error.starts_with(
            "cannot fence nodeb with external/hb-test: stonith: exit code 5 (the device could not reset it)"
        ),
        "{error}"
    );
    assert!(error.contains("the power switch is on fire"), "{error}");
    assert!(!error.contains("badly"), "{error}");
}

#[tokio::test]
async fn wrong_calls_are_explained() {
    let rig = Rig::new();
    let table = [
        (device("hb-no-such-device", "x"), "no such type of device"),
        (device("null", ""), "bad or missing parameters"),
        (device("null", "a\nb"), "cannot be handed over"),
        (
            Device {
                kind: "null".to_owned(),
                parameters: Parameters::File("/nowhere/at/all".into()),
            },
            "bad or missing parameters",
        ),
    ];
    for (device, expected) in table {
        let error = rig.fencer().reset(&device, "nodeb").await;
        let error = error.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let missing = Fencer {
        program: "/nowhere/stonith".into(),
        timeout: LONG,
        passed: Vec::new(),
    };
    let error = missing.reset(&device("null", "x"), "nodeb").await.expect_err("nothing");
    assert!(error.to_string().contains("is cluster-glue installed?"), "{error}");
}

#[tokio::test]
async fn a_device_that_hangs_is_killed_with_all_it_started() {
    let rig = Rig::new();
    let fencer = Fencer {
        timeout: Duration::from_secs(5),
        ..rig.fencer()
    };
    let error = fencer.reset(&device("external/hb-test", "nodeb hang"), "nodeb").await;
    let error = error.expect_err("a timeout");
    assert!(
        matches!(&error, FenceError::TimedOut { limit, .. } if *limit == fencer.timeout),
        "{error}"
    );
    let pid = rig.read("hanging");
    assert!(!pid.is_empty(), "the plugin was at work");
    assert!(!is_alive(pid.trim()));
}

fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

#[tokio::test]
async fn devices_are_tried_in_their_order_until_one_succeeds() {
    let rig = Rig::new();
    let [bad, worse, good, unused] =
        ["nodeb badly", "nodeb worse", "nodeb well", "nodeb well2"].map(|text| device("external/hb-test", text));
    let devices = [bad.clone(), worse.clone(), good, unused];
    rig.fencer().fence(&devices, "nodeb").await.expect("the third");
    let hows: Vec<String> = rig
        .read("journal")
        .lines()
        .map(|line| line.split('=').next_back().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(hows, ["badly", "worse", "well"]);

    let error = rig.fencer().fence(&[bad.clone(), worse], "nodeb").await;
    assert!(matches!(error, Err(FenceError::All(errors)) if errors.len() == 2));
    let error = rig.fencer().fence(&[bad], "nodeb").await;
    assert!(matches!(error, Err(FenceError::Failed { .. })));
    let error = rig.fencer().fence(&[], "nodeb").await.expect_err("nothing");
    assert_eq!(
        error.to_string(),
        "cannot fence nodeb: no stonith device is configured for it"
    );
}
