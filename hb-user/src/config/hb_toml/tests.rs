use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::{Claim, HbToml, parse};
use crate::config::Deadlines;
use crate::config::error::Fault;
use crate::config::testing::cluster;
use crate::config::{
    Addresses, ConflictPolicy, Fencing, Host, Monitor, Policy, Realtime, Recorder, Restart, Scheduling, Scripts,
    StuckPolicy,
};
use crate::config::{CloudKind, CloudSettings, Identity, InstanceId, SecretSource};
use crate::realtime::{Priority, Programs};

const EVERYTHING: &str = r#"
[scripts]
timeout = "5s"
stop_retries = 0
stop_pause = "0ms"
[cluster]
takeover_delay = "1.5s"
start_retry = "2m"
stuck = "hold"
reboot_command = ["/bin/sh", "-c", "echo b > /proc/sysrq-trigger"]
[fencing]
program = "/opt/stonith"
timeout = "20s"
retry = "1s"
[recorder]
file = "/var/log/hb.jsonl"
max_size_mb = 1
[restart]
promise = "10s"
pin = false
[monitor.floatip]
interval = "1s"
failures = 1
[nodes]
primary = ["192.0.2.1", "2001:db8::1"]
[realtime]
scheduling = "fifo"
cpus = [1, 0]
deadlines = "thread"
[address]
refresh = "0s"
check = "5s"
conflict = "refuse"
probe = "1s"
"#;

#[test]
fn nothing_is_all_defaults() {
    for text in ["", "# nothing\n[scripts]\n[nodes]\n[recorder]\n"] {
        let file = parse(text.as_bytes()).expect(text);
        assert_eq!(file.scripts, Scripts::default());
        assert_eq!((file.realtime.clone(), file.cpus_line), (Realtime::default(), None));
        assert_eq!(file.policy, Policy::default());
        assert_eq!(file.fencing, Fencing::default());
        assert_eq!(file.recorder, None);
        assert_eq!(file.restart, Restart::default());
        assert_eq!(file.addresses, Addresses::default());
        assert_eq!(
            settings(&file),
            "scripts.timeout 60s default, scripts.stop_retries 10 default, scripts.stop_pause 1s default, \
             scripts.rtprio none default, scripts.nice 0 default, scripts.pass_env none default, \
             realtime.scheduling deadline default, \
             realtime.cpus all default, realtime.deadlines kernel default, cluster.takeover_delay 0ms default, \
             cluster.start_retry 60s default, cluster.stuck reboot default, \
             cluster.reboot_command /sbin/reboot -nf default, fencing.program /usr/sbin/stonith default, \
             fencing.timeout 60s default, fencing.retry 10s default, recorder.file none default, \
             restart.promise 2s default, restart.pin true default, address.refresh 60s default, \
             address.check 10s default, address.conflict log default, address.probe 200ms default"
        );
    }
}

#[test]
fn scripts_may_find_what_is_named() {
    let file = parse(b"[scripts]\npass_env = [\"DO_TOKEN\", \"X\"]").expect("accepted");
    assert_eq!(file.scripts.pass_env, ["DO_TOKEN", "X"]);
    assert!(settings(&file).contains("scripts.pass_env DO_TOKEN X hb.toml:2"));
}

#[test]
fn everything_can_be_set() {
    let file = parse(EVERYTHING.as_bytes()).expect("accepted");
    assert_eq!(
        file.scripts,
        Scripts {
            timeout: Duration::from_secs(5),
            stop_retries: 0,
            stop_pause: Duration::ZERO,
            programs: Programs::default(),
            pass_env: Vec::new(),
        }
    );
    assert_eq!(
        (&file.realtime, file.cpus_line),
        (
            &Realtime {
                preferred: Scheduling::Fifo,
                cpus: vec![1, 0],
                deadlines: Deadlines::Thread,
                ..Realtime::default()
            },
            Some(28)
        )
    );
    assert_eq!(
        file.policy,
        Policy {
            takeover_delay: Duration::from_millis(1500),
            start_retry: Duration::from_mins(2),
            stuck: StuckPolicy::Hold,
            reboot_command: ["/bin/sh", "-c", "echo b > /proc/sysrq-trigger"]
                .map(str::to_owned)
                .to_vec(),
        }
    );
    assert_eq!(
        file.fencing,
        Fencing {
            program: PathBuf::from("/opt/stonith"),
            timeout: Duration::from_secs(20),
            retry: Duration::from_secs(1),
        }
    );
    assert_eq!(
        file.recorder,
        Some(Recorder {
            file: PathBuf::from("/var/log/hb.jsonl"),
            max_bytes: 1_000_000,
        })
    );
    assert_eq!(
        file.addresses,
        Addresses {
            refresh: Duration::ZERO,
            check: Duration::from_secs(5),
            conflict: ConflictPolicy::Refuse,
            probe: Duration::from_secs(1),
        }
    );
    assert_eq!(
        settings(&file),
        "scripts.timeout 5s hb.toml:3, scripts.stop_retries 0 hb.toml:4, scripts.stop_pause 0ms hb.toml:5, \
         scripts.rtprio none default, scripts.nice 0 default, scripts.pass_env none default, \
         realtime.scheduling fifo hb.toml:27, \
         realtime.cpus 1 0 hb.toml:28, realtime.deadlines thread hb.toml:29, cluster.takeover_delay 1.5s hb.toml:7, \
         cluster.start_retry 120s hb.toml:8, cluster.stuck hold hb.toml:9, \
         cluster.reboot_command /bin/sh -c echo b > /proc/sysrq-trigger hb.toml:10, \
         fencing.program /opt/stonith hb.toml:12, fencing.timeout 20s hb.toml:13, fencing.retry 1s hb.toml:14, \
         recorder.file /var/log/hb.jsonl hb.toml:16, recorder.max_size_mb 1 hb.toml:17, \
         restart.promise 10s hb.toml:19, restart.pin false hb.toml:20, address.refresh 0ms hb.toml:31, \
         address.check 5s hb.toml:32, address.conflict refuse hb.toml:33, address.probe 1s hb.toml:34, \
         monitor.\"floatip\".interval 1s hb.toml:22, monitor.\"floatip\".failures 1 hb.toml:23"
    );
}

#[test]
fn a_promise_is_longer_than_the_deadtime_or_the_default() {
    let check = |text: &str, deadtime| parse(text.as_bytes()).expect("accepted").check_promise(deadtime);
    let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
    assert_eq!(check("[restart]\npromise = \"1001ms\"", second), Ok(()));
    assert_eq!(check("", minute), Ok(()));
    let fault = check("\n[restart]\npromise = \"1s\"", second).expect_err("refused");
    assert_eq!(fault.line, Some(3));
    assert_eq!(
        fault.message,
        "restart.promise \"1s\": expected more than deadtime, which is 1s"
    );
}

#[test]
fn scripts_have_a_priority_or_a_nice_value() {
    for (text, priority, nice) in [
        ("[scripts]\nrtprio = 1", Priority::new(1), 0),
        ("[scripts]\nrtprio = 99", Priority::new(99), 0),
        ("[scripts]\nnice = -20", None, -20),
        ("[scripts]\nnice = 19", None, 19),
    ] {
        let file = parse(text.as_bytes()).expect(text);
        assert_eq!(file.scripts.programs, Programs { priority, nice }, "{text}");
    }
}

/// What the README shows is accepted, and is the defaults where it says so.
#[test]
fn the_readmes_example_is_true() {
    let readme = include_str!("../../../../README.md");
    let (_, rest) = readme.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let file = parse(example.as_bytes()).expect("accepted");
    let defaults = parse(b"").expect("accepted");
    assert_eq!((&file.scripts, &file.policy), (&defaults.scripts, &defaults.policy));
    assert_eq!((&file.fencing, &file.restart), (&defaults.fencing, &defaults.restart));
    assert_eq!(file.addresses, defaults.addresses);
    assert_eq!(file.realtime, defaults.realtime);
    assert_eq!(file.monitors[0].value, Monitor::default());
    assert_eq!(file.nodes[0].name, "primary");
    assert_eq!(file.recorder.map(|recorder| recorder.max_bytes), Some(64_000_000));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn refuses_with_the_reason() {
    let time = "expected a number and its unit (60s, 500ms, 2m)";
    let program = "expected a program's absolute path and its arguments";
    let table = [
        (
            "[scripts]\ntimeout = \"60\"",
            2,
            format!("scripts.timeout \"60\": {time}"),
        ),
        (
            "[scripts]\ntimeout = \"0s\"",
            2,
            "scripts.timeout \"0s\": expected at least 1ms, and this rounds to 0: in no time nothing can be heard or done".to_owned(),
        ),
        (
            "[scripts]\ntimeout = 60",
            2,
            r#"scripts.timeout "60": expected its unit as well, in quotes: "60s", "60ms" or "60m""#.to_owned(),
        ),
        (
            "[digitalocean]\ncredential = \"x\"\ntimeout = 10",
            3,
            r#"digitalocean.timeout "10": expected its unit as well, in quotes: "10s", "10ms" or "10m""#.to_owned(),
        ),
        (
            "[address]\ncheck = 0.5",
            2,
            r#"address.check "0.5": expected its unit as well, in quotes: "0.5s", "0.5ms" or "0.5m""#.to_owned(),
        ),
        (
            "[scripts]\nstop_pause = true",
            2,
            r#"invalid type: boolean `true`, expected a time in quotes ("60s", "500ms", "2m")"#.to_owned(),
        ),
        (
            "[address]\nrefresh = \"often\"",
            2,
            format!("address.refresh \"often\": {time}"),
        ),
        (
            "[address]\nconflict = \"Refuse\"",
            2,
            "address.conflict \"Refuse\": expected ignore, log or refuse".to_owned(),
        ),
        (
            "[address]\nprobe = \"0s\"",
            2,
            "address.probe \"0s\": expected at least 1ms, and this rounds to 0: in no time nothing can be heard or done".to_owned(),
        ),
        (
            "[address]\nprobe = \"11s\"",
            2,
            "address.probe \"11s\": expected at most 10s".to_owned(),
        ),
        (
            "[scripts]\nrtprio = 0",
            2,
            "scripts.rtprio \"0\": expected a priority from 1 to 99".to_owned(),
        ),
        (
            "[scripts]\nrtprio = 100",
            2,
            "scripts.rtprio \"100\": expected a priority from 1 to 99".to_owned(),
        ),
        (
            "[scripts]\nnice = 20",
            2,
            "scripts.nice \"20\": expected a number from -20 to 19".to_owned(),
        ),
        (
            "[scripts]\nnice = -129",
            2,
            "scripts.nice \"-129\": expected a number from -20 to 19".to_owned(),
        ),
        (
            "[scripts]\nrtprio = 5\nnice = 5",
            3,
            "scripts.nice \"5\": with scripts.rtprio it means nothing: expected one of the two".to_owned(),
        ),
        (
            "[realtime]\nscheduling = \"rr\"",
            2,
            "realtime.scheduling \"rr\": expected deadline, fifo or none".to_owned(),
        ),
        (
            "[realtime]\ndeadlines = \"me\"",
            2,
            "realtime.deadlines \"me\": expected kernel or thread".to_owned(),
        ),
        (
            "[realtime]\n\ncpus = [0, 1024]",
            3,
            "realtime.cpus \"1024\": expected numbers from 0 to 1023".to_owned(),
        ),
        (
            "[realtime]\ncpus = [-1]",
            2,
            "realtime.cpus \"-1\": expected numbers from 0 to 1023".to_owned(),
        ),
        (
            "[realtime]\ncpus = [3, 3]",
            2,
            "realtime.cpus \"3\": expected each processor once".to_owned(),
        ),
        (
            "[scripts]\n\nretries = 3",
            3,
            "unknown field `retries`, expected one of `timeout`, `stop_retries`, `stop_pause`, `rtprio`, `nice`, `pass_env`"
                .to_owned(),
        ),
        (
            "[cloud]",
            1,
            "unknown field `cloud`, expected one of `scripts`, `realtime`, `cluster`, `fencing`, `recorder`, `restart`, `digitalocean`, `hetzner`, `vultr`, `aws`, `address`, `monitor`, `nodes`"
                .to_owned(),
        ),
        (
            "[scripts]\nstop_retries = -1",
            2,
            "scripts.stop_retries \"-1\": expected a number from 0 to 1000".to_owned(),
        ),
        (
            "[scripts]\npass_env = [\"TOKEN\", \"A=B\"]",
            2,
            "scripts.pass_env \"A=B\": expected names of variables: letters, digits and underscores".to_owned(),
        ),
        (
            "[scripts]\nstop_pause = \"0.1ms\"",
            2,
            "scripts.stop_pause \"0.1ms\": expected at least 1ms, and this rounds to 0: in no time nothing can be heard or done".to_owned(),
        ),
        (
            "[cluster]\ntakeover_delay = \"0\"",
            2,
            format!("cluster.takeover_delay \"0\": {time}"),
        ),
        (
            "[cluster]\nstart_retry = \"soon\"",
            2,
            format!("cluster.start_retry \"soon\": {time}"),
        ),
        (
            "[cluster]\nstuck = \"Reboot\"",
            2,
            "cluster.stuck \"Reboot\": expected reboot or hold".to_owned(),
        ),
        (
            "[cluster]\nreboot_command = []",
            2,
            format!("cluster.reboot_command \"\": {program}"),
        ),
        (
            "[cluster]\nreboot_command = [\"reboot\", \"-nf\"]",
            2,
            format!("cluster.reboot_command \"reboot -nf\": {program}"),
        ),
        (
            "[cluster]\nreboot_command = [\"/bin/a\", \"\\u0000\"]",
            2,
            format!("cluster.reboot_command \"/bin/a \\0\": {program}"),
        ),
        (
            "[fencing]\nprogram = \"stonith\"",
            2,
            "fencing.program \"stonith\": expected an absolute path".to_owned(),
        ),
        (
            "[restart]\npromise = \"10001ms\"",
            2,
            "restart.promise \"10001ms\": expected at most 10s".to_owned(),
        ),
        (
            "[restart]\npin = \"yes\"",
            2,
            "invalid type: string \"yes\", expected a boolean".to_owned(),
        ),
        (
            "[recorder]\nfile = \"log\"",
            2,
            "recorder.file \"log\": expected an absolute path".to_owned(),
        ),
        (
            "[recorder]\nmax_size_mb = 1",
            2,
            "recorder.max_size_mb: without a file nothing is recorded: expected recorder.file as well".to_owned(),
        ),
        (
            "[recorder]\nfile = \"/f\"\nmax_size_mb = 0",
            3,
            "recorder.max_size_mb \"0\": expected a number from 1 to 1048576".to_owned(),
        ),
        (
            "[monitor.\"a::b\"]\nfailures = 0",
            2,
            "monitor.\"a::b\".failures \"0\": expected a number from 1 to 1000".to_owned(),
        ),
        (
            "[monitor.a]\ntimeout = \"1s\"",
            2,
            "unknown field `timeout`, expected `interval` or `failures`".to_owned(),
        ),
        (
            "[nodes]\nweb1 = [\"web1\"]",
            2,
            "nodes.web1 \"web1\": expected an IP address".to_owned(),
        ),
        (
            "[nodes]\nweb1 = \"192.0.2.1\"",
            2,
            "invalid type: string \"192.0.2.1\", expected a sequence".to_owned(),
        ),
        (
            "\n\n=",
            3,
            "unquoted keys cannot be empty, expected letters, numbers, `-`, `_`".to_owned(),
        ),
    ];
    for (text, line, message) in table {
        let fault = parse(text.as_bytes()).expect_err(text);
        assert_eq!((fault.line, fault.message), (Some(line), message), "{text}");
    }
}

#[test]
fn a_monitor_is_for_a_group_by_its_name() {
    let mut groups = cluster().groups;
    let text = "[monitor.\"IPaddr2::10.77.0.100/24/eth0\"]\nfailures = 7\n";
    let file = parse(text.as_bytes()).expect("accepted");
    file.set_monitors(&mut groups).expect("such a group");
    let expected = Monitor {
        interval: Duration::from_secs(10),
        failures: 7,
    };
    assert_eq!((&groups[0].monitor, &groups[1].monitor), (&Some(expected), &None));

    let table = [
        (
            2,
            "expected the name of a group of haresources (\"IPaddr2::10.77.0.100/24/eth0\", \"floatip\")",
        ),
        (0, "expected the name of a group of haresources (it has none)"),
    ];
    for (count, expected) in table {
        let file = parse(b"\n[monitor.web]\n").expect("accepted so far");
        let fault = file.set_monitors(&mut groups[..count]).expect_err("no such group");
        assert_eq!(fault, Fault::value(2, "monitor", "web", expected));
    }
}

#[test]
fn an_address_is_a_nodes() {
    let text = "[nodes]\nWEB2 = [\"192.0.2.2\", \"192.0.2.12\"]\nweb1 = [\"192.0.2.1\"]\n";
    let found = claims(text).expect("accepted");
    let claim = |last, node, line| Claim {
        address: address(last),
        node,
        line,
    };
    assert_eq!(found, [claim(2, 1, 2), claim(12, 1, 2), claim(1, 0, 3)]);

    let table = [
        (
            "[nodes]\nweb4 = []",
            2,
            "nodes \"web4\": expected a node of ha.cf (web1, web2, web3)",
        ),
        (
            "[nodes]\nweb2 = [\"192.0.2.9\"]\nweb3 = [\n\"192.0.2.9\"]",
            4,
            "nodes.web3 \"192.0.2.9\": line 2 has it too: expected each address once",
        ),
        (
            "[nodes]\nweb2 = [\"192.0.2.1\"]",
            2,
            "nodes.web2 \"192.0.2.1\": it is an address of this host: expected one of that node",
        ),
    ];
    for (text, line, message) in table {
        let fault = claims(text).expect_err(text);
        assert_eq!((fault.line, fault.message.as_str()), (Some(line), message), "{text}");
    }
}

#[test]
fn a_provider_needs_only_a_token() {
    let file = parse(b"[digitalocean]\ntoken_file = \"/etc/ha.d/token\"\n").expect("accepted");
    let secret = SecretSource::File(PathBuf::from("/etc/ha.d/token"));
    let expected = CloudSettings {
        line: 1,
        ..CloudSettings::new(CloudKind::DigitalOcean, secret)
    };
    assert_eq!(file.clouds, [expected]);
    let shown = settings(&file);
    for setting in [
        "digitalocean.token_file /etc/ha.d/token hb.toml:2",
        "digitalocean.api_url https://api.digitalocean.com default",
        "digitalocean.metadata_url http://169.254.169.254 default",
        "digitalocean.ca_file the system's default",
        "digitalocean.connect_timeout 5s default",
        "digitalocean.timeout 10s default",
        "digitalocean.move_timeout 120s default",
        "digitalocean.identity metadata default",
        "digitalocean.verify_interval 30s default",
        "digitalocean.witness false default",
        "digitalocean.witness_lease 60s default",
    ] {
        assert!(shown.contains(setting), "{setting}: {shown}");
    }
}

/// The README's table has every key, with its default.
#[test]
fn the_readmes_table_of_providers_is_true() {
    let readme = include_str!("../../../../README.md");
    let (_, rest) = readme.split_once("| key of `[digitalocean]`").expect("a table");
    let (table, _) = rest.split_once("\n\n").expect("its end");
    let file = parse(b"[digitalocean]\ntoken_file = \"/t\"\n").expect("accepted");
    for setting in file.settings.iter().filter(|setting| setting.is_default()) {
        let Some(key) = setting.name.strip_prefix("digitalocean.") else {
            continue;
        };
        let row = table.lines().find(|row| row.contains(&format!("`{key}`"))).expect(key);
        let value = match setting.value.as_str() {
            "https://api.digitalocean.com" => "the provider's",
            "120s" => "`2m`",
            value => value,
        };
        let shown = row.split('|').nth(2).unwrap_or_default().trim();
        assert_eq!(shown.trim_matches('`'), value.trim_matches('`'), "{key}");
    }
}

#[test]
fn a_provider_takes_everything() {
    let text = r#"
[hetzner]
credential = "hetzner"
api_url = "https://hetzner.example:8443/api/"
metadata_url = "http://127.0.0.1:8080"
ca_file = "/etc/ha.d/ca.pem"
connect_timeout = "1s"
timeout = "2s"
move_timeout = "3s"
identity = "42"
verify_interval = "4s"
witness = true
witness_lease = "15s"
[aws]
region = "cn-north-1"
witness_lease = "unlimited"
identity = "i-0598c7d356eba48d7"
"#;
    let file = parse(text.as_bytes()).expect("accepted");
    let hetzner = CloudSettings {
        api_url: "https://hetzner.example:8443/api".to_owned(),
        metadata_url: "http://127.0.0.1:8080".to_owned(),
        ca_file: Some(PathBuf::from("/etc/ha.d/ca.pem")),
        connect_timeout: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        move_timeout: Duration::from_secs(3),
        identity: Identity::Fixed(InstanceId::new("42").expect("an id")),
        verify_interval: Duration::from_secs(4),
        witness: true,
        witness_lease: Some(Duration::from_secs(15)),
        line: 2,
        ..CloudSettings::new(CloudKind::Hetzner, SecretSource::Credential("hetzner".to_owned()))
    };
    assert_eq!(file.clouds[0], hetzner);
    assert_eq!(file.clouds[1].secret, SecretSource::InstanceRole);
    assert_eq!(file.clouds[1].witness_lease, None);
    assert_eq!(file.clouds[1].api_url, "https://ec2.cn-north-1.amazonaws.com.cn");
}

#[test]
fn a_providers_faults_have_their_place() {
    let token = "token_file = \"/t\"\n";
    let table = [
        (
            "[vultr]\n".to_owned(),
            1,
            "[vultr]: no token: expected token_file, or credential (systemd's)",
        ),
        (
            "[vultr]\ntoken_file = \"token\"".to_owned(),
            2,
            "vultr.token_file \"token\": expected an absolute path",
        ),
        (
            format!("[vultr]\n{token}credential = \"vultr\""),
            3,
            "vultr.credential \"vultr\": the token is in token_file already: expected one of the two",
        ),
        (
            "[vultr]\ncredential = \"../vultr\"".to_owned(),
            2,
            "vultr.credential \"../vultr\": expected the name of a credential of the service's unit \
             (LoadCredential=NAME:FILE)",
        ),
        (
            format!("[vultr]\n{token}api_url = \"api.vultr.com\""),
            3,
            "vultr.api_url \"api.vultr.com\": expected https:// or http://HOST[:PORT][/PATH]",
        ),
        (
            format!("[vultr]\n{token}api_url = \"https://me:secret@api.vultr.com\""),
            3,
            "vultr.api_url \"https://me:secret@api.vultr.com\": expected https:// or http://HOST[:PORT][/PATH]",
        ),
        (
            format!("[vultr]\n{token}metadata_url = \"https://169.254.169.254\""),
            3,
            "vultr.metadata_url \"https://169.254.169.254\": expected http://HOST[:PORT][/PATH]",
        ),
        (
            format!("[vultr]\n{token}timeout = \"0s\""),
            3,
            "vultr.timeout \"0s\": expected at least 1ms, and this rounds to 0: in no time nothing can be heard or done",
        ),
        (
            format!("[vultr]\n{token}verify_interval = \"11m\""),
            3,
            "vultr.verify_interval \"11m\": expected at most 600s",
        ),
        (
            format!("[vultr]\n{token}witness_lease = \"9999ms\""),
            3,
            "vultr.witness_lease \"9999ms\": expected at least 10s, or unlimited",
        ),
        (
            format!("[vultr]\n{token}identity = \"a b\""),
            3,
            "vultr.identity \"a b\": expected metadata, or an instance's id",
        ),
        (
            format!("[digitalocean]\n{token}identity = \"web-1\""),
            3,
            "digitalocean.identity \"web-1\": expected metadata, or a droplet's number",
        ),
        (
            format!("[hetzner]\n{token}region = \"fsn1\""),
            3,
            "hetzner.region \"fsn1\": expected no region, which is for [aws] only",
        ),
        (
            "[aws]\n".to_owned(),
            1,
            "[aws]: expected region (region = \"eu-central-1\")",
        ),
        (
            "[aws]\nregion = \"Frankfurt/1\"".to_owned(),
            2,
            "aws.region \"Frankfurt/1\": expected a region (eu-central-1)",
        ),
        (
            "[aws]\nregion = \"eu-central-1\"\nidentity = \"42\"".to_owned(),
            3,
            "aws.identity \"42\": expected metadata, or an instance's id (i-...) or a network interface's (eni-...)",
        ),
    ];
    for (text, line, message) in table {
        let fault = parse(text.as_bytes()).expect_err(&text);
        assert_eq!((fault.line, fault.message.as_str()), (Some(line), message), "{text}");
    }
    let fault = parse(b"[digitalocean]\ntoken = \"dop_v1_secret\"").expect_err("no such key");
    assert!(!fault.message.contains("dop_v1_secret"), "{}", fault.message);
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_text_is_judged(
        text in "((\\[(scripts|cluster|nodes|monitor.a)\\]|timeout|stuck|failures|web1|=|\"|60s|\\[|\\]|-?[0-9]{1,20}|\n| ){0,20}|\\PC*)"
    ) {
        let _ = parse(text.as_bytes());
    }
}

fn settings(file: &HbToml) -> String {
    let settings = file.settings.iter();
    let settings: Vec<String> = settings
        .map(|it| format!("{} {} {}", it.name, it.value, it.origin))
        .collect();
    settings.join(", ")
}

fn claims(text: &str) -> Result<Vec<Claim>, Fault> {
    let host = Host {
        name: "web1".to_owned(),
        addresses: vec![address(1)],
    };
    let nodes = ["web1", "web2", "web3"].map(str::to_owned);
    parse(text.as_bytes())?.claims(&nodes, 0, &host)
}

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}
