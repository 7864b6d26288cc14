use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::places::{self, By, Place};
use super::{Args, Report, Surroundings, run, verdict};
use crate::cli::Exit;
use crate::config::{Cluster, Host, Loaded};
use crate::resources::address::Plan;

#[test]
fn prints_what_is_in_force() {
    let dir = configured("primary floatip\n");
    let text = report(&load(&dir), &[]).replace(&dir.path().display().to_string(), "DIR");
    let (digest, rest) = text.split_once('\n').expect("a first line");
    assert!(digest.starts_with("configuration in DIR, digest "), "{digest}");
    let (tables, rest) = rest.split_once("\ndifferent from Heartbeat\n").expect("differences");
    let (differences, warnings) = rest.split_once("\nwarnings\n").expect("warnings, at the end");
    assert_eq!(
        tables,
        "
settings
  keepalive               100ms              ha.cf:1
  deadtime                500ms              default
  warntime                250ms              default
  initdead                2s                 default
  udpport                 694                default
  auto_failback           legacy             default
  logfile                 none               default
  watchdog                none               default
  realtime                on                 default
  rtprio                  50                 default
  logfacility             none               default
  debug                   0                  default
  deadping                500ms              default
  scripts.timeout         60s                default
  scripts.stop_retries    10                 default
  scripts.stop_pause      1s                 default
  scripts.rtprio          none               default
  scripts.nice            0                  default
  scripts.pass_env        none               default
  realtime.scheduling     deadline           default
  realtime.cpus           all                default
  realtime.deadlines      kernel             default
  cluster.takeover_delay  0ms                default
  cluster.start_retry     60s                default
  cluster.stuck           reboot             default
  cluster.reboot_command  /sbin/reboot -nf   default
  fencing.program         /usr/sbin/stonith  default
  fencing.timeout         60s                default
  fencing.retry           10s                default
  recorder.file           none               default
  restart.promise         2s                 default
  restart.pin             true               default
  address.refresh         60s                default
  address.check           10s                default
  address.conflict        log                default
  address.probe           200ms              default

nodes
  primary    this host
  secondary

links
  eth0  192.0.2.2  secondary  ha.cf:3

keys
  1  signs  authkeys

groups
  primary  floatip  haresources:1

what follows
  a silent node's groups are taken over after 500ms (deadtime 500ms + takeover_delay 0ms)
  a stop that still fails after 10 more tries reboots this host: /sbin/reboot -nf
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
    let origins: Vec<&str> = warnings.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    assert_eq!(
        origins,
        [
            "auto_failback is legacy",
            "a cut between the two nodes makes both own everything; what closes the hole"
        ]
    );
}

#[test]
fn prints_pings_fencing_and_monitors_without_passwords() {
    let dir = configured("primary floatip\n");
    let mut ha_cf = fs::read_to_string(dir.path().join("ha.cf")).expect("read");
    ha_cf += "ping_group routers 192.0.2.11 192.0.2.12\nstonith_host secondary external/ipmi hunter2\nstonith ssh /no/file\n";
    fs::write(dir.path().join("ha.cf"), ha_cf).expect("written");
    let hb_toml = "[monitor.floatip]\n[fencing]\nprogram = \"/no/stonith\"\n";
    fs::write(dir.path().join("hb.toml"), hb_toml).expect("written");
    let mut loaded = load(&dir);
    let surroundings = Surroundings {
        init_d: &dir.path().join("init.d"),
        interfaces: &dir.path().join("no-interfaces"),
    };
    surroundings.warn(&mut loaded);
    let text = report(&loaded, &[]);
    let expected = "
groups
  primary  floatip  monitored every 10s  haresources:1

ping nodes
  routers  192.0.2.11 192.0.2.12  ha.cf:4

fencing
  secondary  external/ipmi  parameters not shown  ha.cf:5
  any node   ssh            /no/file              ha.cf:6

what follows
  a cut-off owner has 100ms (keepalive 100ms + takeover_delay 0ms) to stop its groups";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("ha.cf:6: there is no file /no/file"), "{text}");
    assert!(
        text.contains("fencing.program: no executable program /no/stonith"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn warns_of_what_is_missing_on_this_host() {
    let dir = configured("primary here::1 there plain gone digtalocean::203.0.113.10 IPadr2::192.0.2.10\n");
    script(&dir.path().join("resource.d/here"), 0o755);
    script(&dir.path().join("init.d/there"), 0o700);
    script(&dir.path().join("init.d/plain"), 0o644);
    let mut loaded = load(&dir);
    let surroundings = Surroundings {
        init_d: &dir.path().join("init.d"),
        interfaces: &dir.path().join("no-interfaces"),
    };
    surroundings.warn(&mut loaded);
    let text = report(&loaded, &[]).replace(&dir.path().display().to_string(), "DIR");
    let (_, warnings) = text.split_once("\nwarnings\n").expect("warnings");
    let expected = "
  ha.cf:3: this host has no interface eth0
  haresources:1: plain: DIR/init.d/plain is not executable: run `chmod +x DIR/init.d/plain`
  haresources:1: gone: no executable script in DIR/resource.d or DIR/init.d
  haresources:1: digtalocean: no executable script in DIR/resource.d or DIR/init.d: did you mean `digitalocean`?
  haresources:1: IPadr2: no executable script in DIR/resource.d or DIR/init.d: did you mean `IPaddr2`?
";
    assert!(warnings.ends_with(expected), "{text}");
}

#[test]
fn says_where_each_address_goes_or_why_it_cannot() {
    let text = "primary IPaddr2::192.0.2.77/24/lo 192.0.2.10/24/no-such-if:x IPv6addr::2001:db8::10/64\n";
    let dir = configured(text);
    script(&dir.path().join("resource.d/IPv6addr"), 0o755);
    let loaded = load(&dir);
    let mut places = places::all(&loaded.cluster);
    let warnings: Vec<_> = places
        .iter()
        .filter_map(Place::warning)
        .map(|it| it.to_string())
        .collect();
    // Somebody's loopback may be down.
    assert_eq!(
        warnings.last().map(String::as_str),
        Some(
            "haresources:1: IPaddr::192.0.2.10/24/no-such-if:x: this host has no interface no-such-if: create it, or name \
             another one in haresources"
        )
    );
    let plan = Plan {
        ip: IpAddr::from([192, 0, 2, 77]),
        bits: 24,
        interface: "lo".to_owned(),
        label: Some("lo:x".to_owned()),
        broadcast: Some(Ipv4Addr::new(192, 0, 2, 255)),
    };
    places[0].by = By::Us(Ok(plan.clone()));
    let text = report(&loaded, &places).replace(&dir.path().display().to_string(), "DIR");
    let expected = "
addresses
  IPaddr2::192.0.2.77/24/lo             192.0.2.77/24 on lo               label lo:x  broadcast 192.0.2.255  haresources:1
  IPaddr::192.0.2.10/24/no-such-if:x   nowhere, as it is now                                                   haresources:1
  IPv6addr::2001:db8::10/64            moved by DIR/resource.d/IPv6addr                                        haresources:1
";
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(squeezed(&text).contains(&squeezed(expected)), "{text}");
    assert_eq!(places[0].warning(), None);
    // haresources need not say how large the network is, and then only the host knows.
    let ip = IpAddr::from([192, 0, 2, 255]);
    places[0].by = By::Us(Ok(Plan { ip, ..plan }));
    let warning = places[0].warning().expect("nobody can have it").to_string();
    assert!(
        warning.contains("192.0.2.255 is the broadcast address of the network of 24 bits on lo"),
        "{warning}"
    );
}

#[test]
fn tells_of_floating_ips_and_of_a_token_that_cannot_be_read() {
    let dir = configured("primary digitalocean::203.0.113.10 vultr::203.0.113.11 hetzner::203.0.113.12\n");
    let token = dir.path().join("token");
    let hb_toml = format!(
        "[digitalocean]\ntoken_file = \"{}\"\nidentity = \"3164444\"\n[vultr]\ncredential = \"vultr\"\n\
         [hetzner]\ntoken_file = \"/no/token\"\n",
        token.display()
    );
    fs::write(dir.path().join("hb.toml"), hb_toml).expect("written");
    fs::write(&token, "dop_v1_secret").expect("written");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).expect("chmod");
    let mut loaded = load(&dir);
    let places = places::all(&loaded.cluster);
    let surroundings = Surroundings {
        init_d: &dir.path().join("init.d"),
        interfaces: Path::new("/sys/class/net"),
    };
    surroundings.warn(&mut loaded);
    let text = report(&loaded, &places).replace(&dir.path().display().to_string(), "DIR");
    let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "digitalocean::203.0.113.10 moved through https://api.digitalocean.com token from DIR/token this host by 3164444 \
         haresources:1",
        "vultr::203.0.113.11 moved through https://api.vultr.com token from the systemd credential vultr (not checked here: \
         only the service can read it) this host by metadata haresources:1",
    ] {
        assert!(squeezed.contains(expected), "{expected}: {text}");
    }
    // hb would not start with that. Who checks by hand has not the credentials of the service.
    let refused = super::refused_accounts(&loaded.cluster).join("\n");
    let refused = refused.replace(&dir.path().display().to_string(), "DIR");
    assert_eq!(
        refused,
        "DIR/token: mode 644 lets others read the token: run `chmod 600 DIR/token`\n\
         /no/token: not found, put the provider's token there, readable by root only: No such file or directory (os error 2)"
    );
    let failure = run(&Args {
        config_dir: dir.path().to_owned(),
    });
    assert_eq!(failure.map_err(|failure| failure.exit), Err(Exit::NotConfigured));
    assert!(!text.contains("no executable script"), "{text}");
    assert!(
        !text.contains("CREDENTIALS_DIRECTORY"),
        "who checks by hand has not the service's: {text}"
    );
    assert!(!text.contains("dop_v1_secret"), "{text}");
}

#[test]
fn the_verdict_says_what_the_exit_code_says() {
    let mut loaded = load(&configured("primary floatip\n"));
    let said = |loaded: &Loaded, refused: &[&str]| {
        let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
        verdict(loaded, &refused)
            .map(|text| text.replace(&loaded.cluster.dir.display().to_string(), "DIR"))
            .map_err(|failure| (failure.exit, failure.error.to_string()))
    };
    assert_eq!(
        said(&loaded, &[]).expect("valid"),
        "\nconfiguration in DIR is valid, with 2 warnings\n"
    );
    loaded.warnings.truncate(1);
    assert_eq!(
        said(&loaded, &[]).expect("valid"),
        "\nconfiguration in DIR is valid, with 1 warning\n"
    );
    loaded.warnings.clear();
    assert_eq!(said(&loaded, &[]).expect("valid"), "\nconfiguration in DIR is valid\n");
    assert_eq!(
        said(&loaded, &["one", "two"]).expect_err("refused"),
        (
            Exit::NotConfigured,
            "`hb run` would refuse to start: one; two".to_owned()
        )
    );
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

fn report(loaded: &Loaded, places: &[Place]) -> String {
    Report { loaded, places }.to_string()
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
