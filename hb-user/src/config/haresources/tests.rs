use proptest::prelude::*;

use super::{Group, parse};

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
        let (groups, warnings) = parse(text.as_bytes(), &nodes()).expect(text);
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
    let (groups, _) = parse(b"primary IPaddr::10.77.0.100 web", &nodes()).expect("accepted");
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
        let fault = parse(text.as_bytes(), &nodes()).expect_err(text);
        assert_eq!((fault.line, fault.message), (Some(line), message), "{text}");
    }
}

#[test]
fn refuses_more_groups_than_a_beat_carries() {
    let lines: Vec<String> = (1..=33).map(|number| format!("primary web{number}\n")).collect();
    assert_eq!(
        parse(lines[..32].concat().as_bytes(), &nodes())
            .expect("32 are accepted")
            .0
            .len(),
        32
    );
    let fault = parse(lines.concat().as_bytes(), &nodes()).expect_err("33 are not");
    assert_eq!(
        (fault.line, fault.message.as_str()),
        (Some(33), "expected at most 32 resource groups")
    );
}

#[test]
fn a_node_without_resources_is_ignored_with_a_warning() {
    let (groups, warnings) = parse(b"primary\nprimary a", &nodes()).expect("accepted");
    assert_eq!(groups.len(), 1);
    assert_eq!(
        warnings[0].to_string(),
        "haresources:1: primary stands without a resource: ignored"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes: Vec<u8>) {
        let _ = parse(&bytes, &nodes());
    }

    #[test]
    fn anything_like_a_file_is_judged(text in "(primary|secondary|a|::|\\\\|#|/|[0-9.]{1,9}| |\t|\r|\n){0,40}") {
        for group in parse(text.as_bytes(), &nodes()).map(|(groups, _)| groups).unwrap_or_default() {
            prop_assert!(!group.resources.is_empty());
            prop_assert!(group.resources.iter().all(|resource| !resource.name.contains('/')));
        }
    }
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
