use std::io;
use std::path::Path;

use super::StonithParameters;
use crate::config::Host;
use crate::config::error::Fault;
use crate::config::ha_cf::tests::only;
use crate::config::ha_cf::{HaCf, parse};

#[test]
fn accepts_what_heartbeat_accepts() {
    let table = [
        (
            "stonith external/ipmi /etc/ha.d/ipmi.conf",
            None,
            "external/ipmi",
            "file /etc/ha.d/ipmi.conf",
        ),
        (
            "stonith_host * external/ssh primary secondary",
            None,
            "external/ssh",
            "primary secondary",
        ),
        (
            "stonith_host Secondary apcsmart /dev/ttyS0 primary",
            Some(1),
            "apcsmart",
            "/dev/ttyS0 primary",
        ),
        (
            "stonith_host primary baytech 192.0.2.3 me  sec  ret # both",
            Some(0),
            "baytech",
            "192.0.2.3 me  sec  ret",
        ),
    ];
    for (line, from, kind, parameters) in table {
        let devices = read(line).expect(line).stonith;
        let [device] = &devices[..] else { panic!("{devices:?}") };
        let shown = match &device.parameters {
            StonithParameters::File(path) => format!("file {}", path.display()),
            StonithParameters::Inline(text) => text.as_str().to_owned(),
        };
        assert_eq!(
            (device.from, device.kind.as_str(), shown.as_str()),
            (from, kind, parameters),
            "{line}"
        );
        assert_eq!(device.line, 1);
    }
}

#[test]
fn devices_keep_their_order() {
    let devices = read("stonith_host secondary b 1\nstonith a /c\nstonith_host * c 2")
        .expect("accepted")
        .stonith;
    let kinds: Vec<&str> = devices.iter().map(|device| device.kind.as_str()).collect();
    assert_eq!(kinds, ["b", "a", "c"]);
}

#[test]
fn refuses_with_the_reason_and_no_password() {
    let device = "stonith: expected a type and a file (stonith external/ipmi /etc/ha.d/ipmi.conf)";
    let host = "stonith_host: expected the node that can use the device or *, a type, and its parameters (stonith_host * \
                external/ssh primary secondary)";
    let table = [
        ("stonith", device),
        ("stonith ssh", device),
        ("stonith ssh hunter2 hunter2", device),
        (
            "stonith ssh ssh.conf",
            r#"stonith "ssh.conf": expected an absolute path"#,
        ),
        ("stonith_host", host),
        ("stonith_host * ssh", host),
        ("stonith_host * ssh # hunter2", host),
        (
            "stonith_host tertiary ssh hunter2",
            r#"stonith_host "tertiary": expected * or a node of ha.cf (primary, secondary)"#,
        ),
        (
            "stonith_host * -F hunter2",
            r#"stonith_host "-F": expected a plug-in (`stonith -L` lists them)"#,
        ),
        (
            "stonith_host * ../x hunter2",
            r#"stonith_host "../x": expected a plug-in (`stonith -L` lists them)"#,
        ),
        (
            "stonith_host * a/../x hunter2",
            r#"stonith_host "a/../x": expected a plug-in (`stonith -L` lists them)"#,
        ),
        ("watchdog watchdog", r#"watchdog "watchdog": expected an absolute path"#),
        ("watchdog", "watchdog: expected a value"),
    ];
    for (line, message) in table {
        let fault = read(line).expect_err(line);
        assert_eq!((fault.line, fault.message.as_str()), (Some(1), message), "{line}");
    }
}

#[test]
fn debug_and_environment_show_no_parameters() {
    let ha_cf = read("stonith_host * ssh hunter2").expect("accepted");
    assert!(!format!("{ha_cf:?}").contains("hunter2"));
    assert!(!ha_cf.directives.iter().any(|(name, _)| name.contains("stonith")));
}

#[test]
fn a_watchdog_is_a_device() {
    let ha_cf = read("watchdog /dev/watchdog").expect("accepted");
    assert_eq!(ha_cf.watchdog.as_deref(), Some(Path::new("/dev/watchdog")));
    assert_eq!(read("").expect("accepted").watchdog, None);
}

fn read(lines: &str) -> Result<HaCf, Fault> {
    let host = Host {
        name: "primary".to_owned(),
        addresses: Vec::new(),
    };
    let text = format!("{lines}\nnode primary secondary\nucast eth0 198.51.100.6\n");
    parse(text.as_bytes(), &host, &|_| Err(io::Error::other("no such host"))).map_err(only)
}
