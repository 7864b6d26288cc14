use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::super::{ConfigError, Host, Monitor};

#[test]
fn accepts_the_tutorial() {
    let dir = tutorial();
    let loaded = load(&dir).expect("accepted");
    let cluster = &loaded.cluster;
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("ha.cf: auto_failback is legacy"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].starts_with("ha.cf: a cut between the two nodes"),
        "{warnings:?}"
    );
    assert_eq!(cluster.nodes, ["primary", "secondary"]);
    assert_eq!((cluster.me, cluster.links.len(), cluster.keys.signing), (0, 1, 1));
    assert_eq!(cluster.groups[0].name(), "floatip");
    assert_eq!(cluster.links[0].node, 1);
    assert_eq!(cluster.scripts.timeout, Duration::from_mins(1));
    assert_eq!(cluster.dir, dir.path());
}

#[test]
fn only_the_read_bits_of_authkeys_count() {
    let dir = tutorial();
    for mode in [0o600, 0o400, 0o601, 0o620] {
        chmod(&dir, mode);
        assert!(load(&dir).is_ok(), "{mode:o}");
    }
    for mode in [0o644, 0o640, 0o604] {
        chmod(&dir, mode);
        let expected = format!("DIR/authkeys: mode {mode:o} lets others read the keys: run `chmod 600 DIR/authkeys`");
        assert_eq!(refusal(&dir), expected);
    }
}

#[test]
fn keys_belong_to_root_or_to_who_reads_them() {
    let path = Path::new("/etc/ha.d/authkeys");
    for (owner, me) in [(0, 0), (0, 1000), (1000, 1000)] {
        assert_eq!(super::foreign(path, owner, me), None, "{owner} {me}");
    }
    let warning = super::foreign(path, 1000, 0).expect("somebody else's").to_string();
    let expected = "authkeys: belongs to user 1000, who can read and change the keys: unless hb runs as that user, run `chown root \
                    /etc/ha.d/authkeys`";
    assert_eq!(warning, expected);
}

#[test]
fn nothing_to_own_is_told() {
    let dir = tutorial();
    for (text, is_warned) in [
        ("", true),
        ("# primary floatip\n", true),
        ("primary\n", true),
        ("primary a\n", false),
    ] {
        fs::write(dir.path().join("haresources"), text).expect("written");
        let warnings = load(&dir).expect("accepted").warnings;
        let is_there = warnings.iter().any(|it| it.message.contains("nothing to own"));
        assert_eq!(is_there, is_warned, "{text}");
    }
}

#[test]
fn a_missing_file_says_what_to_do() {
    let table = [
        (
            "ha.cf",
            "not found, create it, with a `node` and a `ucast` line for each host",
        ),
        (
            "authkeys",
            "not found, run `hb keygen` on one node and copy the file to the other",
        ),
        (
            "haresources",
            "not found, create it, with a line `NODE RESOURCE` for each resource group",
        ),
    ];
    for (name, advice) in table {
        let dir = tutorial();
        fs::remove_file(dir.path().join(name)).expect("removed");
        assert_eq!(refusal(&dir), format!("DIR/{name}: {advice}"));
    }
}

#[test]
fn a_refusal_names_file_and_line() {
    let table = [
        (
            "ha.cf",
            "node primary\n\nkeepalive 2s\n",
            "DIR/ha.cf:3: keepalive \"2s\": expected seconds (2, 0.5) or milliseconds (100ms)",
        ),
        (
            "authkeys",
            "auth 1\n1 md5 key",
            "DIR/authkeys:2: key 1: md5 is not supported, beats are signed with HMAC-SHA1: expected sha1",
        ),
        (
            "haresources",
            "gamma floatip",
            "DIR/haresources:1: node \"gamma\": expected a node of ha.cf (primary, secondary)",
        ),
        (
            "hb.toml",
            "[cloud]",
            "DIR/hb.toml:1: unknown field `cloud`, expected one of `scripts`, `realtime`, `cluster`, `fencing`, `recorder`, `restart`, \
             `digitalocean`, `hetzner`, `vultr`, `aws`, `address`, `monitor`, `nodes`",
        ),
        (
            "hb.toml",
            "[scirpts]",
            "DIR/hb.toml:1: unknown field `scirpts`, expected one of `scripts`, `realtime`, `cluster`, `fencing`, `recorder`, `restart`, \
             `digitalocean`, `hetzner`, `vultr`, `aws`, `address`, `monitor`, `nodes`: did you mean `scripts`?",
        ),
        (
            "ha.cf",
            "deadtme 10\n# so far\nkeepalive 2s\n",
            "DIR/ha.cf:1: illegal directive \"deadtme\": did you mean `deadtime`?; \
             DIR/ha.cf:3: keepalive \"2s\": expected seconds (2, 0.5) or milliseconds (100ms)",
        ),
        (
            "ha.cf",
            "# nothing",
            "DIR/ha.cf: no nodes defined: expected a line `node NAME` for every host (`uname -n`)",
        ),
    ];
    for (name, text, message) in table {
        let dir = tutorial();
        fs::write(dir.path().join(name), text).expect("written");
        assert_eq!(refusal(&dir), message);
    }
}

#[test]
fn hb_toml_sets_the_script_timeout() {
    let dir = tutorial();
    fs::write(dir.path().join("hb.toml"), "[scripts]\ntimeout = \"5s\"\n").expect("written");
    let loaded = load(&dir).expect("accepted");
    assert_eq!(loaded.cluster.scripts.timeout, Duration::from_secs(5));
    let setting = loaded.settings.iter().find(|setting| setting.name == "scripts.timeout");
    let setting = setting.expect("a setting");
    assert_eq!((setting.value.as_str(), setting.origin.as_str()), ("5s", "hb.toml:2"));
}

#[test]
fn three_nodes_find_each_other() {
    let dir = tutorial();
    let ha_cf = "node primary secondary third\nucast eth0 198.51.100.5\nucast eth0 198.51.100.6\nucast eth1 10.0.0.7\n";
    fs::write(dir.path().join("ha.cf"), ha_cf).expect("written");
    let message = "DIR/ha.cf:4: ucast \"10.0.0.7\": no node's name resolves to it: write in hb.toml, below [nodes]: NODE = \
                   [\"10.0.0.7\"]";
    assert_eq!(refusal(&dir), message);

    fs::write(
        dir.path().join("hb.toml"),
        "[nodes]\nthird = [\"10.0.0.7\", \"10.0.0.8\"]\n",
    )
    .expect("written");
    let loaded = load(&dir).expect("accepted");
    let links: Vec<_> = loaded.cluster.links.iter().map(|link| (link.node, link.line)).collect();
    assert_eq!(links, [(1, 3), (2, 4)]);
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings[1..], ["hb.toml:2: no ucast line has 10.0.0.8 of third"]);

    fs::write(dir.path().join("hb.toml"), "[nodes]\nfourth = []\n").expect("written");
    let message = "DIR/hb.toml:2: nodes \"fourth\": expected a node of ha.cf (primary, secondary, third)";
    assert_eq!(refusal(&dir), message);
}

#[test]
fn a_slip_in_ones_own_address_is_seen() {
    let dir = tutorial();
    let ha_cf = "node primary secondary\nucast eth0 198.51.100.55\nucast eth0 198.51.100.6\n";
    fs::write(dir.path().join("ha.cf"), ha_cf).expect("written");
    let warned = || {
        let warnings = load(&dir).expect("accepted").warnings.into_iter();
        let mut slips = warnings.filter(|warning| warning.message.contains("ucast"));
        slips.next().map(|warning| warning.to_string())
    };
    let expected = "ha.cf:2: none of the ucast addresses on eth0 is this host's, all are taken for secondary's \
                    (198.51.100.55, 198.51.100.6): mend the one that is wrong, or say in hb.toml, below [nodes], whose they \
                    are: secondary = [\"198.51.100.55\", \"198.51.100.6\"]";
    assert_eq!(warned().as_deref(), Some(expected));
    let hb_toml = "[nodes]\nsecondary = [\"198.51.100.55\", \"198.51.100.6\"]\n";
    fs::write(dir.path().join("hb.toml"), hb_toml).expect("written");
    assert_eq!(warned(), None);
}

#[test]
fn hb_toml_names_groups() {
    let dir = tutorial();
    fs::write(dir.path().join("hb.toml"), "[monitor.floatip]\n").expect("written");
    assert_eq!(
        load(&dir).expect("accepted").cluster.groups[0].monitor,
        Some(Monitor::default())
    );
    fs::write(dir.path().join("hb.toml"), "[monitor.floatpi]\n").expect("written");
    let message = "DIR/hb.toml:1: monitor \"floatpi\": expected the name of a group of haresources (\"floatip\")";
    assert_eq!(refusal(&dir), message);
}

#[test]
fn a_ping_node_is_no_node() {
    let dir = tutorial();
    append(&dir, "ping 198.51.100.6\n");
    let message = "DIR/ha.cf:5: ping \"198.51.100.6\": 198.51.100.6 is an address of node secondary: expected a host outside \
                   the cluster, such as a router";
    assert_eq!(refusal(&dir), message);
}

#[test]
fn passwords_in_ha_cf_are_for_nobody_else() {
    let dir = tutorial();
    append(&dir, "stonith ssh /etc/ssh.conf\n");
    let exposed = |mode| {
        fs::set_permissions(dir.path().join("ha.cf"), fs::Permissions::from_mode(mode)).expect("chmod");
        let loaded = load(&dir).expect("accepted");
        loaded
            .warnings
            .into_iter()
            .find(|warning| warning.message.contains("passwords"))
    };
    assert_eq!(exposed(0o644), None, "nothing is in it");
    append(&dir, "stonith_host * ssh hunter2\n");
    assert_eq!(exposed(0o600), None);
    for mode in [0o644, 0o640, 0o604] {
        let warning = exposed(mode).expect("a warning");
        assert_eq!(warning.origin, "ha.cf:6");
        assert!(!warning.message.contains("hunter2"));
    }
}

#[test]
fn the_same_files_are_the_same_value() {
    let dir = tutorial();
    append(&dir, "stonith_host * ssh hunter2\nping 192.0.2.1\n");
    let before = load(&dir).expect("accepted");
    assert_eq!(load(&dir).expect("accepted"), before);
    append(&dir, "deadtime 1\n");
    assert_ne!(load(&dir).expect("accepted").cluster, before.cluster);
}

fn append(dir: &TempDir, line: &str) {
    let path = dir.path().join("ha.cf");
    let text = fs::read_to_string(&path).expect("read");
    fs::write(path, text + line).expect("written");
}

#[test]
fn a_huge_file_is_not_read() {
    let dir = tutorial();
    File::create(dir.path().join("haresources"))
        .and_then(|file| file.set_len(1 << 40))
        .expect("a sparse file");
    assert_eq!(
        refusal(&dir),
        "DIR/haresources: 1099511627776 bytes: expected at most 1048576"
    );
}

#[test]
fn a_directory_or_a_pipe_is_not_a_file() {
    for make in [make_dir, make_pipe] {
        let dir = tutorial();
        let path = dir.path().join("hb.toml");
        make(&path);
        assert_eq!(refusal(&dir), "DIR/hb.toml: expected a regular file");
    }
}

fn make_dir(path: &Path) {
    fs::create_dir(path).expect("a directory");
}

fn make_pipe(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
}

/// The tutorial's three files.
#[test]
fn a_floating_ip_needs_its_providers_table() {
    let dir = tutorial();
    fs::write(dir.path().join("haresources"), "primary digitalocean::203.0.113.10\n").expect("written");
    let expected = "DIR/haresources:1: resource \"digitalocean::203.0.113.10\": expected a table [digitalocean] in hb.toml, \
                    with token_file or credential";
    assert_eq!(refusal(&dir), expected);
    let hb_toml = "[digitalocean]\ncredential = \"digitalocean\"\napi_url = \"http://192.0.2.1\"\n\
                   [vultr]\ncredential = \"vultr\"\n";
    fs::write(dir.path().join("hb.toml"), hb_toml).expect("written");
    let loaded = load(&dir).expect("accepted");
    let addresses: Vec<String> = loaded.cluster.cloud_addresses().map(ToString::to_string).collect();
    assert_eq!(addresses, ["digitalocean::203.0.113.10"]);
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    for warning in [
        "hb.toml:1: digitalocean.api_url: the token goes over the network unencrypted: use https, but for tests",
        "hb.toml:4: no vultr::ADDRESS of haresources is moved by hb: the table [vultr] is not used",
    ] {
        assert!(warnings.iter().any(|it| it == warning), "{warning}: {warnings:?}");
    }
    let clouds = super::load_clouds(dir.path()).expect("without the other files");
    assert_eq!(clouds.len(), 2);
}

#[test]
fn a_witness_is_for_two_nodes() {
    let dir = tutorial();
    fs::write(dir.path().join("haresources"), "primary digitalocean::203.0.113.10\n").expect("written");
    let hb_toml = "[digitalocean]\ncredential = \"digitalocean\"\nwitness = true\n";
    let third = "[nodes]\nthird = [\"198.51.100.7\"]\n";
    fs::write(dir.path().join("hb.toml"), hb_toml).expect("written");
    let is_warned = |dir: &TempDir| {
        let warnings = load(dir).expect("accepted").warnings;
        warnings
            .iter()
            .any(|it| it.to_string().contains("digitalocean.witness"))
    };
    assert!(!is_warned(&dir));
    append(&dir, "node third\nucast eth0 198.51.100.7\n");
    fs::write(dir.path().join("hb.toml"), format!("{hb_toml}{third}")).expect("written");
    assert!(is_warned(&dir));
}

#[test]
fn a_droplet_has_one_reserved_ip_of_a_family() {
    let dir = tutorial();
    fs::write(
        dir.path().join("hb.toml"),
        "[digitalocean]\ncredential = \"digitalocean\"\n",
    )
    .expect("written");
    let warnings = |haresources: &str| -> Vec<String> {
        fs::write(dir.path().join("haresources"), haresources).expect("written");
        let warnings = load(&dir).expect("accepted").warnings;
        let all = warnings.iter().map(ToString::to_string);
        all.filter(|it| it.contains("droplet")).collect()
    };
    let one_of_each = "primary digitalocean::203.0.113.10 digitalocean::2001:db8::10\n";
    assert_eq!(warnings(one_of_each), [""; 0]);
    let expected = "hb.toml:1: a droplet can have one reserved IPv4 address and one IPv6 address: no two of \
                    digitalocean::203.0.113.10, digitalocean::203.0.113.11 can be on one host, so a node that has one cannot \
                    take over another";
    let two = format!("{one_of_each}secondary digitalocean::203.0.113.11\n");
    assert_eq!(warnings(&two), [expected]);
}

#[test]
fn an_instance_has_one_elastic_ip() {
    let dir = tutorial();
    fs::write(dir.path().join("hb.toml"), "[aws]\nregion = \"eu-west-1\"\n").expect("written");
    let warnings = |haresources: &str| -> Vec<String> {
        fs::write(dir.path().join("haresources"), haresources).expect("written");
        let warnings = load(&dir).expect("accepted").warnings;
        let all = warnings.iter().map(ToString::to_string);
        all.filter(|it| it.contains("Elastic IP")).collect()
    };
    assert_eq!(warnings("primary aws::203.0.113.10\n"), [""; 0]);
    let expected = "hb.toml:1: an instance can have one Elastic IP in this way: each of aws::203.0.113.10, aws::203.0.113.11 that is \
                    moved to a host takes away the one that the host has";
    let two = "primary aws::203.0.113.10\nsecondary aws::203.0.113.11\n";
    assert_eq!(warnings(two), [expected]);
}

#[test]
fn owners_are_read_again_within_half_of_what_a_token_is_good_for() {
    let dir = tutorial();
    let interval = |kind: &str, addresses: usize, written: &str| {
        let table = format!("[{kind}]\ncredential = \"it\"\nverify_interval = \"{written}\"\n");
        fs::write(dir.path().join("hb.toml"), table).expect("written");
        let lines = (1..=addresses).map(|last| format!("primary {kind}::203.0.113.{last} r{last}\n"));
        fs::write(dir.path().join("haresources"), lines.collect::<String>()).expect("written");
        let loaded = load(&dir).expect("accepted");
        let warnings = loaded.warnings.iter().map(ToString::to_string);
        let warning = warnings.into_iter().find(|it| it.contains("verify_interval"));
        (
            loaded.cluster.verify_interval(&loaded.cluster.clouds[0]).as_secs(),
            warning,
        )
    };
    assert_eq!(interval("digitalocean", 1, "30s"), (30, None));
    // Two nodes, two addresses: 4 requests a round, 2500 an hour.
    assert_eq!(interval("digitalocean", 2, "6s"), (6, None));
    let expected = "hb.toml:1: digitalocean.verify_interval 5s: every owner is read again every 6s only, so that all nodes together \
                    use no more than half of the requests that the provider takes";
    assert_eq!(interval("digitalocean", 2, "5s"), (6, Some(expected.to_owned())));
    assert_eq!(interval("hetzner", 15, "30s").0, 60);
    assert_eq!(interval("vultr", 16, "1s"), (1, None));
}

fn tutorial() -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let files = [
        (
            "ha.cf",
            "node primary\nucast eth0 198.51.100.5\nnode secondary\nucast eth0 198.51.100.6\n",
        ),
        ("authkeys", "auth1\n1 sha1 d1e6557e2fcb30ff8d4d3ae65b50345fa46a2faa\n"),
        ("haresources", "primary floatip\n"),
    ];
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("written");
    }
    chmod(&dir, 0o600);
    dir
}

fn chmod(dir: &TempDir, mode: u32) {
    fs::set_permissions(dir.path().join("authkeys"), fs::Permissions::from_mode(mode)).expect("chmod");
}

fn load(dir: &TempDir) -> Result<super::Loaded, ConfigError> {
    let host = Host {
        name: "primary".to_owned(),
        addresses: vec![IpAddr::V4(Ipv4Addr::new(198, 51, 100, 5))],
    };
    super::load(dir.path(), &host, &resolve)
}

fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    match name {
        "secondary" => Ok(vec![IpAddr::V4(Ipv4Addr::new(198, 51, 100, 6))]),
        _ => Err(io::Error::other("no such host")),
    }
}

/// The message, with the directory's name replaced by `DIR`.
fn refusal(dir: &TempDir) -> String {
    let error = load(dir).expect_err("refused");
    error.to_string().replace(&dir.path().display().to_string(), "DIR")
}
