//! Packets of Linux-HA Heartbeat 3, as its nodes send them: a status message, authenticated with SHA-1.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// The fields of a status message: the state, the deadtime in milliseconds, who, which message of which life, when, the
/// load, and over how many hops. Numbers are hexadecimal, but for the last.
fn status(node: &str, sequence: u32) -> Vec<(&'static str, String)> {
    vec![
        ("t", "status".to_owned()),
        ("st", "active".to_owned()),
        ("dt", "7d0".to_owned()),
        ("protocol", "1".to_owned()),
        ("src", node.to_owned()),
        ("seq", format!("{sequence:x}")),
        ("hg", "6b02d165".to_owned()),
        ("ts", "6b02d173".to_owned()),
        ("ld", "2.15 1.71 1.06 1/127 1372".to_owned()),
        ("ttl", "3".to_owned()),
    ]
}

/// The form that goes over the network: each field as `LENGTH:(TYPE)NAME=VALUE,`, and a tag over all of it.
#[must_use]
pub fn netstring(node: &str, sequence: u32, key: &[u8]) -> Vec<u8> {
    let mut fields = status(node, sequence);
    fields.push(("auth", format!("1 {}", tag(key, &lines(&fields)))));
    let mut packet = "###\n".to_owned();
    for (name, value) in fields {
        let field = format!("(0){name}={value}");
        let _ = write!(packet, "{}:{field},", field.len());
    }
    packet += "%%%\n";
    let trailer = format!("1 {}", tag(key, &packet));
    let _ = writeln!(packet, "{}:{trailer},", trailer.len());
    packet.into_bytes()
}

/// The older form, which is still accepted: a line for each field.
#[must_use]
pub fn classic(node: &str, sequence: u32, key: &[u8]) -> Vec<u8> {
    let lines = lines(&status(node, sequence));
    format!(">>>\n{lines}auth=1 {}\n<<<\n", tag(key, &lines)).into_bytes()
}

fn lines(fields: &[(&str, String)]) -> String {
    fields.iter().fold(String::new(), |mut lines, (name, value)| {
        let _ = writeln!(lines, "{name}={value}");
        lines
    })
}

fn tag(key: &[u8], text: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut keyed) = Hmac::<Sha1>::new_from_slice(key) else {
        return String::new();
    };
    keyed.update(text.as_bytes());
    let digits = keyed.finalize().into_bytes();
    digits.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
