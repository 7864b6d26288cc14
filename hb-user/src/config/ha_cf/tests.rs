use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use proptest::prelude::*;

use super::directives::{NOT_READ, refusal};
use super::{Facility, HaCf, parse};
use crate::config::error::{Fault, Faults};
use crate::config::{AutoFailback, Host, node_id};

const TUTORIAL: &str = "node primary\nucast eth0 198.51.100.5\nnode secondary\nucast eth0 198.51.100.6\n";
/// Two names with the same first word of SHA-1, found by trying.
const TWINS: (&str, &str) = ("node138559", "node191679");

#[test]
fn accepts_the_tutorial() {
    let ha_cf = read(TUTORIAL).expect("accepted");
    assert_eq!(ha_cf.nodes, ["primary", "secondary"]);
    assert_eq!(ha_cf.me, 0);
    let links: Vec<_> = ha_cf
        .ucasts
        .iter()
        .map(|link| (link.interface.as_str(), link.peer, link.line))
        .collect();
    assert_eq!(links, [("eth0", IpAddr::V4(Ipv4Addr::new(198, 51, 100, 6)), 4)]);
    assert_eq!((ha_cf.udp_port, ha_cf.auto_failback), (694, AutoFailback::Legacy));
    let warnings: Vec<&str> = ha_cf.warnings.iter().map(|warning| warning.origin.as_str()).collect();
    assert_eq!(warnings, ["ha.cf"], "of auto_failback legacy");
    assert_eq!(
        shown(&ha_cf),
        "keepalive 100ms default, deadtime 500ms default, warntime 250ms default, initdead 2s default, \
         udpport 694 default, auto_failback legacy default, logfile none default, watchdog none default, \
         realtime on default, rtprio 50 default, logfacility none default, debug 0 default, deadping 500ms default"
    );
    assert_eq!(
        directives(&ha_cf),
        "keepalive=100ms deadtime=500ms udpport=694 auto_failback=legacy"
    );
}

#[test]
fn real_time_is_as_heartbeat_has_it() {
    for (lines, realtime, rtprio) in [
        ("", true, 50),
        ("realtime off\n", false, 50),
        ("realtime No\nrtprio 99\n", false, 99),
        ("realtime off on\nrtprio 1\n", true, 1),
        ("rtprio 3 07\n", true, 7),
    ] {
        let ha_cf = read(&format!("{lines}{TUTORIAL}")).expect(lines);
        assert_eq!(
            (ha_cf.realtime, ha_cf.rtprio.to_string()),
            (realtime, rtprio.to_string()),
            "{lines}"
        );
    }
    for (line, expected) in [
        ("rtprio 0", "rtprio \"0\": expected a priority from 1 to 99"),
        ("rtprio 100", "rtprio \"100\": expected a priority from 1 to 99"),
        ("rtprio 300", "rtprio \"300\": expected a priority from 1 to 99"),
        ("rtprio -1", "rtprio \"-1\": expected a priority from 1 to 99"),
        ("rtprio", "rtprio: expected a value"),
        ("realtime", "realtime: expected a value"),
        ("realtime maybe", "realtime \"maybe\": expected on or off"),
    ] {
        let fault = read(&format!("{line}\n{TUTORIAL}")).expect_err(line);
        assert_eq!((fault.line, fault.message.as_str()), (Some(1), expected));
    }
}

#[test]
fn the_other_host_skips_the_other_line() {
    let host = Host {
        name: "Secondary".to_owned(),
        addresses: vec![IpAddr::V4(Ipv4Addr::new(198, 51, 100, 6))],
    };
    let ha_cf = parse(TUTORIAL.as_bytes(), &host, &resolve).expect("accepted");
    assert_eq!((ha_cf.me, ha_cf.ucasts[0].line), (1, 2));
}

/// Lines before the tutorial's four, and the settings that they change.
#[test]
fn accepts_what_heartbeat_accepts() {
    let table = [
        (
            "keepalive 2\ndeadtime 32\nwarntime 10\ninitdead 60",
            "keepalive 2s ha.cf:1, deadtime 32s ha.cf:2, \
            warntime 10s ha.cf:3, initdead 60s ha.cf:4",
        ),
        (
            "keepalive 20ms\ndeadtime 100ms",
            "keepalive 20ms ha.cf:1, deadtime 100ms ha.cf:2",
        ),
        (
            "keepalive 1ms\ndeadtime 3ms\ninitdead 3ms",
            "keepalive 1ms ha.cf:1, deadtime 3ms ha.cf:2, initdead 3ms ha.cf:3",
        ),
        ("deadtime 30\ndeadtime 10", "deadtime 10s ha.cf:2"),
        ("deadtime 30 10", "deadtime 10s ha.cf:1"),
        ("udpport 1", "udpport 1 ha.cf:1"),
        ("udpport 65535", "udpport 65535 ha.cf:1"),
        ("auto_failback on", "auto_failback on ha.cf:1"),
        ("auto_failback TRUE", "auto_failback on ha.cf:1"),
        ("auto_failback y", "auto_failback on ha.cf:1"),
        ("auto_failback yes", "auto_failback on ha.cf:1"),
        ("auto_failback 1", "auto_failback on ha.cf:1"),
        ("auto_failback Off", "auto_failback off ha.cf:1"),
        ("auto_failback false", "auto_failback off ha.cf:1"),
        ("auto_failback no", "auto_failback off ha.cf:1"),
        ("auto_failback N", "auto_failback off ha.cf:1"),
        ("auto_failback 0", "auto_failback off ha.cf:1"),
        ("auto_failback legacy", "auto_failback legacy ha.cf:1"),
        ("logfile /var/log/ha-log", "logfile /var/log/ha-log ha.cf:1"),
        ("logfacility local0", "logfacility local0 ha.cf:1"),
        ("logfacility none", "logfacility none ha.cf:1"),
        ("debug 255", "debug 255 ha.cf:1"),
        (
            "\t keepalive \t 1 # every second\r\n# a comment\r\n\r\n  #another",
            "keepalive 1s ha.cf:1",
        ),
        ("keepalive 1#every second", "keepalive 1s ha.cf:1"),
        ("node PRIMARY primary", ""),
    ];
    for (lines, expected) in table {
        let ha_cf = read(&format!("{lines}\n{TUTORIAL}")).expect(lines);
        let given: Vec<_> = ha_cf.settings.iter().filter(|setting| !setting.is_default()).collect();
        let shown: Vec<String> = given
            .iter()
            .map(|it| format!("{} {} {}", it.name, it.value, it.origin))
            .collect();
        assert_eq!(shown.join(", "), expected, "{lines}");
        assert_eq!(ha_cf.nodes, ["primary", "secondary"], "{lines}");
        assert_eq!(ha_cf.ucasts.len(), 1, "{lines}");
    }
}

/// Lines before the tutorial's four, the line at fault, and the message.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn refuses_with_the_reason() {
    let table = [
        (
            r"keepalive 2s",
            1,
            r#"keepalive "2s": expected seconds (2, 0.5) or milliseconds (100ms)"#,
        ),
        (
            "keepalive abc",
            1,
            r#"keepalive "abc": expected seconds (2, 0.5) or milliseconds (100ms)"#,
        ),
        (
            "\nkeepalive 100 ms",
            2,
            r#"keepalive "ms": expected seconds (2, 0.5) or milliseconds (100ms)"#,
        ),
        (
            "keepalive 0",
            1,
            r#"keepalive "0": expected at least 1ms, and this rounds to 0: in no time nothing can be heard or done"#,
        ),
        (
            "keepalive 400us",
            1,
            r#"keepalive "400us": expected at least 1ms, and this rounds to 0: in no time nothing can be heard or done"#,
        ),
        ("keepalive", 1, "keepalive: expected a value"),
        (
            "keepalive 1\ndeadtime 2",
            2,
            r#"deadtime "2": expected more than twice keepalive, which is 1s"#,
        ),
        (
            "deadtime 10\ninitdead 5",
            2,
            r#"initdead "5": expected at least deadtime, which is 10s"#,
        ),
        (
            "KeepAlive 1",
            1,
            r#"illegal directive "KeepAlive": expected lower case (keepalive)"#,
        ),
        (
            "keepalive=1",
            1,
            r#"illegal directive "keepalive=1": expected a blank and no `=` (keepalive 1)"#,
        ),
        ("frobnicate on", 1, r#"illegal directive "frobnicate""#),
        (
            "keepalife 1",
            1,
            r#"illegal directive "keepalife": did you mean `keepalive`?"#,
        ),
        (
            "UCASTT eth0 192.0.2.9",
            1,
            r#"illegal directive "UCASTT": did you mean `ucast`?"#,
        ),
        (
            "\u{feff}node primary",
            1,
            r#"illegal directive "\u{feff}node": did you mean `node`?"#,
        ),
        (
            "bcast eth0",
            1,
            "bcast: not supported: beats go from one address to another: use ucast, one line for each host's address",
        ),
        (
            "respawn hacluster /usr/lib/heartbeat/ipfail",
            1,
            "respawn: not supported: ipfail is not needed, the ping and ping_group lines do it: leave it out",
        ),
        (
            "respawn root /usr/bin/other",
            1,
            "respawn: not supported: no other program is started, or may connect: leave it out",
        ),
        ("udpport 0", 1, r#"udpport "0": expected a port from 1 to 65535"#),
        (
            "udpport 70000",
            1,
            r#"udpport "70000": expected a port from 1 to 65535"#,
        ),
        ("udpport +694", 1, r#"udpport "+694": expected a port from 1 to 65535"#),
        (
            "ucast eth0 192.0.2.9\nudpport 695",
            2,
            r#"udpport "695": expected before the first ucast line"#,
        ),
        (
            "auto_failback maybe",
            1,
            r#"auto_failback "maybe": expected on, off or legacy"#,
        ),
        ("logfile log", 1, r#"logfile "log": expected an absolute path"#),
        (
            "logfacility bogus",
            1,
            r#"logfacility "bogus": expected a syslog facility (daemon, local0, ...) or none"#,
        ),
        ("debug 256", 1, r#"debug "256": expected a level from 0 to 255"#),
        ("debug -1", 1, r#"debug "-1": expected a level from 0 to 255"#),
        ("node", 1, "node: expected a host's name (`uname -n`)"),
        (
            "node primary secondary c d e f g h i j k l m n o p q",
            1,
            r#"node "q": expected at most 16 nodes"#,
        ),
        (
            "ucast eth0",
            1,
            r#"ucast "eth0": expected an interface and an address (ucast eth0 192.0.2.1)"#,
        ),
        (
            "ucast",
            1,
            r#"ucast "": expected an interface and an address (ucast eth0 192.0.2.1)"#,
        ),
        (
            "ucast eth0 a b",
            1,
            r#"ucast "eth0 a b": expected an interface and an address (ucast eth0 192.0.2.1)"#,
        ),
        (
            "ucast eth0:1 192.0.2.9",
            1,
            r#"ucast "eth0:1": expected the name of an interface (`ip link`)"#,
        ),
        (
            "ucast ../../eth0 192.0.2.9",
            1,
            r#"ucast "../../eth0": expected the name of an interface (`ip link`)"#,
        ),
        (
            "ucast sixteen-letters. 192.0.2.9",
            1,
            r#"ucast "sixteen-letters.": expected the name of an interface (`ip link`)"#,
        ),
        (
            "ucast eth0 nowhere",
            1,
            r#"ucast "nowhere": cannot resolve this host name: no such host"#,
        ),
        (
            "ucast eth0 six",
            1,
            r#"ucast "six": expected a host name with an IPv4 address"#,
        ),
        (
            "ucast eth0 2001:db8::1",
            1,
            r#"ucast "2001:db8::1": expected an IPv4 address: beats go by IPv4 only"#,
        ),
        (
            "ucast eth0 198.51.100.300",
            1,
            r#"ucast "198.51.100.300": this is no IPv4 address: expected four numbers from 0 to 255"#,
        ),
        (
            "ping 198.51.100",
            1,
            r#"ping "198.51.100": this is no IPv4 address: expected four numbers from 0 to 255"#,
        ),
        (
            "ucast eth0 0.0.0.0",
            1,
            r#"ucast "0.0.0.0": expected the address of one host"#,
        ),
        (
            "ucast eth0 225.0.0.1",
            1,
            r#"ucast "225.0.0.1": expected the address of one host"#,
        ),
        (
            "ucast eth0 255.255.255.255",
            1,
            r#"ucast "255.255.255.255": expected the address of one host"#,
        ),
        ("\nnode a\0b", 2, "contains a NUL byte: expected plain text"),
    ];
    for (lines, line, message) in table {
        let fault = read(&format!("{lines}\n{TUTORIAL}")).expect_err(lines);
        assert_eq!((fault.line, fault.message.as_str()), (Some(line), message), "{lines}");
    }
}

#[test]
fn names_every_line_that_it_refuses() {
    let faults = |text: &str| {
        let faults = read_all(text).expect_err(text).0.into_iter();
        faults.map(|fault| (fault.line, fault.message)).collect::<Vec<_>>()
    };
    // That no ucast line is left, and this host is no node, would only follow from it.
    let text = "deadtme 10\nkeepalive 2s\nkeepalive 1\nnode\nucast eth0\n";
    let expected = [
        (Some(1), r#"illegal directive "deadtme": did you mean `deadtime`?"#),
        (
            Some(2),
            r#"keepalive "2s": expected seconds (2, 0.5) or milliseconds (100ms)"#,
        ),
        (Some(4), "node: expected a host's name (`uname -n`)"),
        (
            Some(5),
            r#"ucast "eth0": expected an interface and an address (ucast eth0 192.0.2.1)"#,
        ),
    ];
    assert_eq!(faults(text), expected.map(|(line, message)| (line, message.to_owned())));
    assert_eq!(faults(&"what is this\n".repeat(100)).len(), 20, "enough");
}

#[test]
fn refuses_a_file_that_lacks_something() {
    let table = [
        (
            "ucast eth0 192.0.2.9",
            "no nodes defined: expected a line `node NAME` for every host (`uname -n`)",
        ),
        (
            "node primary",
            "no heartbeat media defined: expected a line `ucast INTERFACE ADDRESS`",
        ),
        (
            "node alpha beta\nucast eth0 192.0.2.9",
            r#"this host is "primary" (`uname -n`): expected it among the nodes (alpha, beta)"#,
        ),
        (
            "node primary secondary\nucast eth0 198.51.100.5\nucast eth0 127.0.1.1",
            "every ucast line names this host: expected one with the other host's address",
        ),
    ];
    for (text, message) in table {
        let fault = read(text).expect_err(text);
        assert_eq!((fault.line, fault.message.as_str()), (None, message), "{text}");
    }
}

#[test]
fn refuses_every_other_directive_of_heartbeat_by_name() {
    for (directive, advice) in NOT_READ {
        let fault = read(&format!("{directive} value")).expect_err(directive);
        assert_eq!(fault.message, format!("{directive}: not supported: {advice}"));
        // Each has a way out.
        let ways = ["leave it out", "use ", "expected ", "set it "];
        assert!(ways.iter().any(|way| advice.contains(way)), "{directive}: {advice}");
    }
    let names: std::collections::HashSet<_> = NOT_READ.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), NOT_READ.len());
    assert_eq!(
        refusal(1, "Bcast", &[]).message,
        "illegal directive \"Bcast\": expected lower case (bcast)"
    );
}

#[test]
fn refuses_what_is_not_text() {
    let fault = parse(b"node primary\nnode \xff\n", &primary(), &resolve).map_err(only);
    let fault = fault.expect_err("refused");
    assert_eq!(
        (fault.line, fault.message.as_str()),
        (Some(2), "not UTF-8 text: expected plain text")
    );
}

#[test]
fn refuses_nodes_with_the_same_id() {
    assert_eq!(node_id(TWINS.0), node_id(TWINS.1));
    let fault = read(&format!("node {} {}", TWINS.0, TWINS.1)).expect_err("refused");
    let expected = format!(
        "node \"{}\": its 32-bit id is the same as that of \"{}\": rename one of the hosts",
        TWINS.1, TWINS.0
    );
    assert_eq!(fault.message, expected);
}

#[test]
fn a_long_value_is_cut_and_escaped() {
    let fault = read(&format!("debug \u{1b}[31m{}", "9".repeat(200))).expect_err("refused");
    let expected = format!(
        "debug \"\\u{{1b}}[31m{}...\": expected a level from 0 to 255",
        "9".repeat(59)
    );
    assert_eq!(fault.message, expected);
}

#[test]
fn a_name_is_resolved_to_its_ipv4_address() {
    let ha_cf = read("node primary secondary\nucast eth0 both").expect("accepted");
    assert_eq!(ha_cf.ucasts[0].peer, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
}

#[test]
fn warns_of_a_link_given_twice_and_of_a_lone_node() {
    let ha_cf =
        read("node primary\nucast eth0 192.0.2.9\nucast eth1 192.0.2.8\nucast eth0 192.0.2.9").expect("accepted");
    assert_eq!(ha_cf.ucasts.len(), 2);
    let warnings: Vec<String> = ha_cf.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings[..2],
        [
            "ha.cf:4: the same link as in line 2: ignored",
            "ha.cf: this host is the only node: nobody can take over from it",
        ]
    );
}

#[test]
fn refuses_links_that_cannot_be_told_apart() {
    let twice = read("node primary\nucast eth0 192.0.2.9\nucast eth1 192.0.2.9").expect_err("one address, two links");
    assert!(twice.message.contains("expected another address"), "{twice:?}");
}

#[test]
fn takes_sixteen_nodes_in_the_files_order() {
    let ha_cf = read("node p o Primary n m l\nnode k j i h g f e d c b\nucast eth0 192.0.2.9").expect("accepted");
    assert_eq!((ha_cf.nodes.join("").as_str(), ha_cf.me), ("poprimarynmlkjihgfedcb", 2));
}

#[test]
fn legacy_is_warned_of() {
    let table = [
        ("", Some("ha.cf")),
        ("auto_failback legacy", Some("ha.cf:1")),
        ("auto_failback on", None),
    ];
    for (line, origin) in table {
        let ha_cf = read(&format!("{line}\n{TUTORIAL}")).expect(line);
        let warning = ha_cf.warnings.first();
        assert_eq!(warning.map(|warning| warning.origin.as_str()), origin, "{line}");
        assert!(warning.is_none_or(|warning| warning.message.starts_with("auto_failback is legacy")));
    }
}

#[test]
fn scripts_see_directives_with_the_text_given() {
    let ha_cf = read(&format!(
        "deadtime 0.90\nkeepalive .1\nkeepalive .10\nudpport 0694\ndebug 1\n{TUTORIAL}"
    ))
    .expect("accepted");
    assert_eq!(
        directives(&ha_cf),
        "deadtime=0.90 keepalive=.10 udpport=0694 debug=1 auto_failback=legacy"
    );
}

#[test]
fn logging_is_as_given() {
    let ha_cf = read(&format!("logfile /var/log/hb\nlogfacility local3\ndebug 2\n{TUTORIAL}")).expect("accepted");
    assert_eq!(ha_cf.logging.logfile.as_deref(), Some(Path::new("/var/log/hb")));
    assert_eq!(ha_cf.logging.facility.map(Facility::code), Some(19));
    assert_eq!(ha_cf.logging.debug, 2);
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes: Vec<u8>) {
        let _ = parse(&bytes, &primary(), &resolve);
    }

    #[test]
    fn anything_like_a_file_is_judged(
        lines in "((node|ucast|keepalive|deadtime|udpport|debug|logfile|auto_failback|ping|ping_group|deadping|stonith|stonith_host|watchdog|realtime|rtprio) ?(primary|eth0|[0-9.]{1,8}|ms|#|on|\t| ){0,4}\n){0,12}"
    ) {
        let _ = parse(format!("{lines}{TUTORIAL}").as_bytes(), &primary(), &resolve);
    }
}

fn read(text: &str) -> Result<HaCf, Fault> {
    read_all(text).map_err(only)
}

fn read_all(text: &str) -> Result<HaCf, Faults> {
    parse(text.as_bytes(), &primary(), &resolve)
}

/// The one thing that is refused.
pub(super) fn only(faults: Faults) -> Fault {
    let [fault] = <[Fault; 1]>::try_from(faults.0).expect("one fault");
    fault
}

fn primary() -> Host {
    Host {
        name: "primary".to_owned(),
        addresses: vec![
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V4(Ipv4Addr::new(198, 51, 100, 5)),
        ],
    }
}

fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    let six = IpAddr::V6(Ipv6Addr::LOCALHOST);
    match name {
        "six" => Ok(vec![six]),
        "both" => Ok(vec![six, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))]),
        _ => Err(io::Error::other("no such host")),
    }
}

fn shown(ha_cf: &HaCf) -> String {
    let settings = ha_cf.settings.iter();
    settings
        .map(|it| format!("{} {} {}", it.name, it.value, it.origin))
        .collect::<Vec<_>>()
        .join(", ")
}

fn directives(ha_cf: &HaCf) -> String {
    ha_cf
        .directives
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}
