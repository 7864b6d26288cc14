use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::{Args, Report, Surroundings, run};
use crate::cli::Exit;
use crate::config::{Cluster, Host, Loaded};

#[test]
fn prints_what_is_in_force() {
    let dir = configured("primary floatip\n");
    let text = Report(&load(&dir))
        .to_string()
        .replace(&dir.path().display().to_string(), "DIR");
    let (digest, rest) = text.split_once('\n').expect("a first line");
    assert!(digest.starts_with("configuration in DIR is valid, digest "), "{digest}");
    let (tables, differences) = rest.split_once("\ndifferent from Heartbeat\n").expect("differences");
    assert_eq!(
        tables,
        "
settings
  keepalive        100ms   ha.cf:1
  deadtime         500ms   default
  warntime         250ms   default
  initdead         2s      default
  udpport          694     default
  auto_failback    legacy  default
  logfile          none    default
  logfacility      none    default
  debug            0       default
  scripts.timeout  60s     default

nodes
  primary    this host
  secondary

links
  eth0  192.0.2.2  ha.cf:3

keys
  1  signs  authkeys

groups
  primary  floatip  haresources:1
"
    );
    assert!(
        differences.contains("  keepalive, deadtime\n    Heartbeat: 1 s and 30 s"),
        "{differences}"
    );
    assert!(
        !differences.contains("  groups\n"),
        "one group has no order: {differences}"
    );
}

#[test]
fn warns_of_what_is_missing_on_this_host() {
    let dir = configured("primary here::1 there plain gone\n");
    script(&dir.path().join("resource.d/here"), 0o755);
    script(&dir.path().join("init.d/there"), 0o700);
    script(&dir.path().join("init.d/plain"), 0o644);
    let mut loaded = load(&dir);
    let surroundings = Surroundings {
        init_d: &dir.path().join("init.d"),
        interfaces: &dir.path().join("no-interfaces"),
    };
    surroundings.warn(&mut loaded);
    let text = Report(&loaded)
        .to_string()
        .replace(&dir.path().display().to_string(), "DIR");
    let expected = "
warnings
  ha.cf:3: this host has no interface eth0
  haresources:1: plain: no executable script in DIR/resource.d or DIR/init.d
  haresources:1: gone: no executable script in DIR/resource.d or DIR/init.d

different";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_refused_configuration_is_exit_code_6() {
    let dir = TempDir::new().expect("a directory");
    let failure = run(&Args {
        config_dir: dir.path().to_owned(),
    })
    .expect_err("refused");
    assert_eq!(failure.exit, Exit::NotConfigured);
}

fn configured(haresources: &str) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let files = [
        (
            "ha.cf",
            "keepalive 100ms\nnode primary secondary\nucast eth0 192.0.2.2\n",
        ),
        ("authkeys", "auth 1\n1 sha1 d1e6557e2fcb30ff8d4d3ae65b50345fa46a2faa\n"),
        ("haresources", haresources),
    ];
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("written");
    }
    fs::set_permissions(dir.path().join("authkeys"), fs::Permissions::from_mode(0o600)).expect("chmod");
    dir
}

fn load(dir: &TempDir) -> Loaded {
    let host = Host {
        name: "primary".to_owned(),
        addresses: vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))],
    };
    Cluster::load(dir.path(), &host).expect("accepted")
}

fn script(path: &Path, mode: u32) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, "#!/bin/sh\n").expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}
