use proptest::prelude::*;

use super::{Group, check_clouds, parse};
use crate::config::{CloudKind, CloudSettings, SecretSource};

/// A file, and its groups: preferred node, line, resources as text.
type Row = (&'static str, &'static [(usize, u32, &'static str)]);

#[test]
fn accepts_what_heartbeat_accepts() {
    let table: [Row; 20] = [
        ("", &[]),
        ("# nothing\n\n   # yet\n", &[]),
        ("primary floatip\n", &[(0, 1, "floatip")]),
        ("primary floatip", &[(0, 1, "floatip")]),
        ("PRIMARY floatip", &[(0, 1, "floatip")]),
        ("\t primary \t floatip \r\n", &[(0, 1, "floatip")]),
        ("primary floatip # the web\n", &[(0, 1, "floatip")]),
        ("secondary a::1::2 b", &[(1, 1, "a::1::2 b")]),
        (
            "primary a\nprimary b\n\nsecondary c",
            &[(0, 1, "a"), (0, 2, "b"), (1, 4, "c")],
        ),
        ("primary 10.77.0.100", &[(0, 1, "IPaddr::10.77.0.100")]),
        (
            "primary 10.77.0.100/24/eth0 a",
            &[(0, 1, "IPaddr::10.77.0.100/24/eth0 a")],
        ),
        (
            "primary IPaddr2::10.77.0.100/24/eth0",
            &[(0, 1, "IPaddr2::10.77.0.100/24/eth0")],
        ),
        (
            "primary a \\\n  b \\\n  c\nsecondary d",
            &[(0, 1, "a b c"), (1, 4, "d")],
        ),
        ("primary a \\\r\n  b\r\n", &[(0, 1, "a b")]),
        (
            "primary a \\\n  b # no resource \\\nsecondary c",
            &[(0, 1, "a b"), (1, 3, "c")],
        ),
        ("primary a::\nprimary b \\", &[(0, 1, "a"), (0, 2, "b")]),
        ("Secondary a\nPriMary b", &[(1, 1, "a"), (0, 2, "b")]),
        (
            "primary a#1 \\\nprimary b \\ # note\n\tc # note\nthird d\nprimary e",
            &[(0, 1, "a"), (0, 2, "b c"), (2, 4, "d"), (0, 5, "e")],
        ),
        (
            "primary 10.0.0.1/24/eth0:1/10.0.0.255 10.0.0.2/24",
            &[(0, 1, "IPaddr::10.0.0.1/24/eth0:1/10.0.0.255 IPaddr::10.0.0.2/24")],
        ),
        (
            "primary Filesystem::/dev/sda1::/mnt::ext4 10.0.0.1",
            &[(0, 1, "Filesystem::/dev/sda1::/mnt::ext4 IPaddr::10.0.0.1")],
        ),
    ];
    for (text, expected) in table {
        let (groups, warnings) = parse(text.as_bytes(), &nodes(), &no_script).expect(text);
        let found: Vec<_> = groups
            .iter()
            .map(|group| (group.preferred, group.line, resources(group)))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|&(preferred, line, resources)| (preferred, line, resources.to_owned()))
            .collect();
        assert_eq!(found, expected, "{text}");
        assert_eq!(warnings, [], "{text}");
    }
}

#[test]
fn a_group_is_named_after_its_first_resource() {
    let (groups, _) = parse(b"primary IPaddr::10.77.0.100 web", &nodes(), &no_script).expect("accepted");
    assert_eq!(groups[0].name(), "IPaddr::10.77.0.100");
}

#[test]
fn refuses_with_the_reason() {
    let script = "expected NAME or NAME::ARG::ARG, the name of a script in resource.d or /etc/init.d";
    let table = [
        ("gamma floatip", 1, r#"node "gamma": expected a node of ha.cf (primary, secondary, third)"#.to_owned()),
        ("primary a \\\n # note\nb", 3, r#"node "b": expected a node of ha.cf (primary, secondary, third)"#.to_owned()),
        ("primary /bin/true", 1, format!(r#"resource "/bin/true": {script}"#)),
        ("primary a ../b::c", 1, format!(r#"resource "../b::c": {script}"#)),
        ("primary ..", 1, format!(r#"resource "..": {script}"#)),
        ("primary .::a", 1, format!(r#"resource ".::a": {script}"#)),
        ("primary ::a", 1, format!(r#"resource "::a": {script}"#)),
        ("primary a \\ b", 1, format!(r#"resource "\\": {script}"#)),
        (
            "primary IPaddr2:198.51.100.10",
            1,
            r#"resource "IPaddr2:198.51.100.10": did you mean IPaddr2::198.51.100.10?"#.to_owned(),
        ),
        (
            "primary IPv6addr:2001:db8::10/64",
            1,
            r#"resource "IPv6addr:2001:db8::10/64": did you mean IPv6addr::2001:db8::10/64?"#.to_owned(),
        ),
        (
            "primary a aws:203.0.113.10",
            1,
            r#"resource "aws:203.0.113.10": did you mean aws::203.0.113.10?"#.to_owned(),
        ),
        ("primary 10.77.0.300", 1, r#"resource "10.77.0.300": expected an IPv4 address"#.to_owned()),
        (
            "primary a b\nsecondary a",
            2,
            r#"resource "a": the group of line 1 begins with it too: expected each first resource once"#.to_owned(),
        ),
        (
            "primary 10.77.0.1\nsecondary IPaddr::10.77.0.1",
            2,
            r#"resource "IPaddr::10.77.0.1": the group of line 1 begins with it too: expected each first resource once"#
                .to_owned(),
        ),
        ("primary a\0", 1, "contains a NUL byte: expected plain text".to_owned()),
    ];
    for (text, line, message) in table {
        let fault = parse(text.as_bytes(), &nodes(), &no_script).expect_err(text);
        assert_eq!((fault.line, fault.message), (Some(line), message), "{text}");
    }
}

#[test]
fn refuses_more_groups_than_a_beat_carries() {
    let lines: Vec<String> = (1..=33).map(|number| format!("primary web{number}\n")).collect();
    assert_eq!(
        parse(lines[..32].concat().as_bytes(), &nodes(), &no_script)
            .expect("32 are accepted")
            .0
            .len(),
        32
    );
    let fault = parse(lines.concat().as_bytes(), &nodes(), &no_script).expect_err("33 are not");
    assert_eq!(
        (fault.line, fault.message.as_str()),
        (Some(33), "expected at most 32 resource groups")
    );
}

#[test]
fn a_node_without_resources_is_ignored_with_a_warning() {
    let (groups, warnings) = parse(b"primary\nprimary a", &nodes(), &no_script).expect("accepted");
    assert_eq!(groups.len(), 1);
    assert_eq!(
        warnings[0].to_string(),
        "haresources:1: primary stands without a resource: ignored"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes: Vec<u8>) {
        let _ = parse(&bytes, &nodes(), &no_script);
    }

    #[test]
    fn anything_like_a_file_is_judged(text in "(primary|secondary|a|::|\\\\|#|/|[0-9.]{1,9}| |\t|\r|\n){0,40}") {
        for group in parse(text.as_bytes(), &nodes(), &no_script).map(|(groups, _)| groups).unwrap_or_default() {
            prop_assert!(!group.resources.is_empty());
            prop_assert!(group.resources.iter().all(|resource| !resource.name.contains('/')));
        }
    }
}

#[test]
fn hb_moves_addresses_unless_a_script_does() {
    let table = [
        ("10.77.0.100", "IPaddr::10.77.0.100", "IPaddr"),
        ("IPaddr::10.77.0.100/24", "IPaddr::10.77.0.100/24", "IPaddr"),
        (
            "IPaddr2::10.77.0.100/24/eth0:web",
            "IPaddr2::10.77.0.100/24/eth0:web",
            "IPaddr2",
        ),
        ("IPaddr2::2001:db8::10/64", "IPaddr2::2001:db8::10/64", "IPaddr2"),
        (
            "IPv6addr::2001:db8::10/64/eth0",
            "IPv6addr::2001:db8::10/64/eth0",
            "IPv6addr",
        ),
        ("2001:db8::10", "IPv6addr::2001:db8::10", "IPv6addr"),
        ("fd00::10/64/eth0", "IPv6addr::fd00::10/64/eth0", "IPv6addr"),
        ("::1/128/lo", "IPv6addr::::1/128/lo", "IPv6addr"),
        ("1:2:3:4:5:6:7:8", "IPv6addr::1:2:3:4:5:6:7:8", "IPv6addr"),
    ];
    for (word, shown, name) in table {
        let text = format!("primary {word}");
        let one = |has_script| parse(text.as_bytes(), &nodes(), has_script).expect(word).0[0].resources[0].clone();
        let built_in = one(&no_script);
        assert_eq!(built_in.to_string(), shown);
        assert!(built_in.address.is_some(), "{word}");
        let scripted = one(&|script| script == name);
        assert_eq!(scripted.to_string(), shown);
        assert_eq!((scripted.name.as_str(), scripted.args.len()), (name, 1), "{word}");
        assert_eq!(scripted.address, None, "{word}");
    }
    // What only begins like an IPv6 address is a script and its argument, as it is to Heartbeat.
    for word in [
        "a::1",
        "fd00::10",
        "db::1::2",
        "ad::/dev/sda",
        "IPaddr3::10.77.0.100",
        "ipaddr::10.77.0.100",
    ] {
        let (groups, _) = parse(format!("primary {word}").as_bytes(), &nodes(), &no_script).expect(word);
        assert_eq!(groups[0].resources[0].address, None, "{word}");
    }
}

#[test]
fn a_script_of_ones_own_takes_what_it_likes() {
    let (groups, _) = parse(b"primary IPaddr::a::b IPaddr2", &nodes(), &|_| true).expect("accepted");
    assert_eq!(resources(&groups[0]), "IPaddr::a::b IPaddr2");
    assert_eq!(groups[0].resources[0].args, ["a", "b"]);
    let fault = parse(b"primary IPaddr::a::b", &nodes(), &no_script).expect_err("no address");
    assert_eq!(fault.message, r#"resource "IPaddr::a::b": expected an IPv4 address"#);
    let fault = parse(b"primary 1.2.3.400", &nodes(), &|_| true).expect_err("no address");
    assert_eq!(fault.message, r#"resource "1.2.3.400": expected an IPv4 address"#);
}

#[test]
fn a_floating_ip_is_moved_by_us_unless_a_script_of_its_name_is() {
    for word in [
        "digitalocean::203.0.113.10",
        "hetzner::2001:db8::1",
        "vultr::203.0.113.10",
        "aws::eipalloc-08229861",
    ] {
        let text = format!("primary {word}");
        let one = |has_script| parse(text.as_bytes(), &nodes(), has_script).expect(word).0[0].resources[0].clone();
        let built_in = one(&no_script);
        assert_eq!((built_in.to_string().as_str(), built_in.args.len()), (word, 1));
        assert_eq!(built_in.cloud.map(|address| address.to_string()).as_deref(), Some(word));
        let scripted = one(&|_| true);
        assert_eq!(scripted.cloud, None, "{word}");
    }
    for (word, expected) in [
        ("digitalocean", "expected digitalocean::ADDRESS, a reserved IP"),
        ("digitalocean::web", "expected digitalocean::ADDRESS, a reserved IP"),
        (
            "hetzner::203.0.113.10::203.0.113.11",
            "expected hetzner::ADDRESS, a floating IP",
        ),
        ("aws::2001:db8::1", "an Elastic IP is an IPv4 address"),
    ] {
        let fault = parse(format!("\nprimary {word}").as_bytes(), &nodes(), &no_script).expect_err(word);
        assert_eq!(fault.line, Some(2));
        assert_eq!(fault.message, format!("resource \"{word}\": {expected}"));
    }
}

#[test]
fn a_floating_ip_has_one_provider_whose_token_is_known() {
    let check = |text: &str, kinds: &[CloudKind]| {
        let (groups, _) = parse(text.as_bytes(), &nodes(), &no_script).expect(text);
        let settings = kinds
            .iter()
            .map(|kind| CloudSettings::new(*kind, SecretSource::InstanceRole));
        check_clouds(&groups, &settings.collect::<Vec<_>>())
    };
    let both = [CloudKind::DigitalOcean, CloudKind::Vultr];
    assert_eq!(
        check("primary web digitalocean::203.0.113.10 vultr::203.0.113.11", &both),
        Ok(())
    );
    assert_eq!(check("primary web", &[]), Ok(()));
    let table = [
        (
            "primary web\nprimary hetzner::203.0.113.10",
            "resource \"hetzner::203.0.113.10\": expected a table [hetzner] in hb.toml, with token_file or credential",
        ),
        (
            "primary digitalocean::203.0.113.10\nsecondary vultr::203.0.113.10",
            "resource \"vultr::203.0.113.10\": 203.0.113.10 is in the group of line 1, too: expected each floating IP once",
        ),
        (
            "primary digitalocean::203.0.113.10\nsecondary web digitalocean::203.0.113.10",
            "resource \"digitalocean::203.0.113.10\": 203.0.113.10 is in the group of line 1, too: expected each \
             floating IP once",
        ),
    ];
    for (text, message) in table {
        let fault = check(text, &both).expect_err(text);
        assert_eq!((fault.line, fault.message.as_str()), (Some(2), message), "{text}");
    }
}

#[test]
fn an_address_in_two_groups_is_accepted_with_a_warning() {
    let text = b"primary 10.0.0.1\nsecondary web IPaddr2::10.0.0.1/24\n";
    let (_, warnings) = parse(text, &nodes(), &no_script).expect("accepted");
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["haresources:2: 10.0.0.1 is in the group of line 1, too: two nodes may have it at once"]
    );
}

fn no_script(_: &str) -> bool {
    false
}

fn nodes() -> Vec<String> {
    ["primary", "secondary", "third"].map(str::to_owned).to_vec()
}

fn resources(group: &Group) -> String {
    group
        .resources
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}
