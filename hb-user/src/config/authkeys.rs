//! authkeys: the keys that sign and verify beats. No message here shows anything that could be a key.

use super::error::Fault;
use super::{Warning, text};
use crate::secret::Secret;

#[cfg(test)]
mod tests;

/// Below this a key can be guessed from one recorded beat.
const SHORT_KEY: usize = 16;
const SYNTAX: &str = "expected `auth NUMBER` or `NUMBER sha1 KEY`";

/// The keys that sign and verify beats.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Keys {
    /// The number of the key that signs.
    pub signing: u8,
    /// All of them, by number; each is good for verifying.
    pub all: Vec<Key>,
}

/// One key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Key {
    /// Its number, 1 to 15.
    pub id: u8,
    /// The word of authkeys, as it stands there: hexadecimal digits are not decoded.
    pub secret: Secret,
}

/// Reads authkeys.
pub(super) fn parse(bytes: &[u8]) -> Result<(Keys, Vec<Warning>), Fault> {
    let mut signing: Option<(u8, u32)> = None;
    let mut all: Vec<Key> = Vec::new();
    let mut warnings = Vec::new();

    for (line, text) in text::lines(text::checked(bytes)?) {
        let text = text.trim_ascii();
        // A `#` further on is part of a key.
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(number) = text.strip_prefix("auth") {
            if let Some((_, first)) = signing {
                return Err(Fault::at(
                    line,
                    format!("auth: already given in line {first}: expected one"),
                ));
            }
            signing = Some((signing_number(line, number)?, line));
            continue;
        }
        let key = parse_key(line, text, &mut warnings)?;
        if all.iter().any(|other| other.id == key.id) {
            return Err(Fault::at(
                line,
                format!("key {}: given twice: expected each number once", key.id),
            ));
        }
        all.push(key);
    }

    let Some((signing, line)) = signing else {
        return Err(Fault::file("no auth line: expected `auth NUMBER`, the key that signs"));
    };
    if !all.iter().any(|key| key.id == signing) {
        return Err(Fault::at(
            line,
            format!("auth {signing}: expected a line `{signing} sha1 KEY` as well"),
        ));
    }
    all.sort_by_key(|key| key.id);
    Ok((Keys { signing, all }, warnings))
}

/// What follows `auth`; Heartbeat does not ask for a blank between.
fn signing_number(line: u32, text: &str) -> Result<u8, Fault> {
    let number = text.split_ascii_whitespace().next().unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::at(line, "auth: expected the number of a key (auth 1)"));
    }
    key_number(line, number)
}

fn parse_key(line: u32, text: &str, warnings: &mut Vec<Warning>) -> Result<Key, Fault> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        return Err(Fault::at(line, SYNTAX));
    }
    let id = key_number(line, number)?;
    let mut words = rest.split_ascii_whitespace();
    let Some(method) = words.next() else {
        return Err(Fault::at(line, SYNTAX));
    };
    check_method(line, id, method)?;
    let Some(secret) = words.next() else {
        return Err(Fault::at(
            line,
            format!("key {id}: sha1 requires a key: expected `{id} sha1 KEY`"),
        ));
    };

    let mut warn = |message| {
        warnings.push(Warning {
            origin: format!("authkeys:{line}"),
            message,
        });
    };
    if words.next().is_some_and(|word| !word.starts_with('#')) {
        warn(format!(
            "key {id} contains a blank: only the part before it is used, as in Heartbeat"
        ));
    }
    if secret.len() < SHORT_KEY {
        warn(format!(
            "key {id} is short: `hb keygen` makes one that cannot be guessed"
        ));
    }
    Ok(Key {
        id,
        secret: Secret::new(secret.as_bytes().to_vec()),
    })
}

fn key_number(line: u32, number: &str) -> Result<u8, Fault> {
    let id = number.parse().ok().filter(|id| (1..=15).contains(id));
    // A long row of digits may be a key at the wrong place.
    id.ok_or_else(|| Fault::at(line, "the number of a key: expected 1 to 15"))
}

fn check_method(line: u32, id: u8, method: &str) -> Result<(), Fault> {
    let reason = match method {
        "sha1" => return Ok(()),
        "crc" => "crc does not authenticate anything, beats are signed with HMAC-SHA1: expected sha1",
        "md5" => "md5 is not supported, beats are signed with HMAC-SHA1: expected sha1",
        // Not shown: where the method was forgotten, this word is the key.
        _ => "unknown method: expected sha1, in lower case, before the key",
    };
    Err(Fault::at(line, format!("key {id}: {reason}")))
}
