//! Checks the signature of a request, as the service would: Signature Version 4, after
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
//!
//! Written for itself, so that it shares no mistake with the crate that signs.

use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::clock::days_from_civil;

/// How far a request's time may be from the service's, in seconds.
const SKEW: u64 = 5 * 60;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a signature is made over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Decoded.
    pub query: &'a [(String, String)],
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// A key that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub secret: &'a str,
    /// The token that has to come with it.
    pub session: Option<&'a str>,
}

/// Why a request is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Wrong {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
}

/// Refuses what was not signed with a known key, for this region and service, over all that counts, and just now.
pub(super) fn verify<'a>(
    asked: &Asked<'_>,
    scope: [&str; 2],
    now: u64,
    keys: impl FnOnce(&str) -> Option<Key<'a>>,
) -> Result<(), Wrong> {
    let claim = Claim::of(asked.headers).ok_or_else(|| {
        wrong(
            StatusCode::BAD_REQUEST,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        )
    })?;
    let time = header(asked.headers, "x-amz-date");
    let moment = seconds(&time)
        .filter(|_| time.starts_with(claim.date))
        .ok_or_else(|| incomplete("x-amz-date is missing, or not of the credential's day"))?;
    if now.abs_diff(moment) > SKEW {
        let message = format!("Request has expired. Timestamp date is {time}");
        return Err(wrong(StatusCode::BAD_REQUEST, "RequestExpired", &message));
    }
    if [claim.region, claim.service] != scope {
        let message = format!("Credential should be scoped to {}/{}", scope[0], scope[1]);
        return Err(wrong(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", &message));
    }
    let key = keys(claim.key).ok_or_else(not_validated)?;
    let session = asked.headers.get("x-amz-security-token").map(HeaderValue::as_bytes);
    if session != key.session.map(str::as_bytes) {
        return Err(not_validated());
    }
    claim.covers(asked.headers)?;
    if signature(asked, &claim, &time, key.secret) != claim.signature {
        let message = "The request signature we calculated does not match the signature you provided.";
        return Err(wrong(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message));
    }
    Ok(())
}

/// What the header Authorization says.
#[derive(Debug)]
struct Claim<'a> {
    key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn of(headers: &'a HeaderMap) -> Option<Self> {
        let value = headers.get("authorization")?.to_str().ok()?;
        let rest = value.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let field = |name: &str| {
            let fields = rest.split(',').map(str::trim);
            fields
                .filter_map(|field| field.strip_prefix(name))
                .find_map(|field| field.strip_prefix('='))
        };
        let credential: Vec<&str> = field("Credential")?.split('/').collect();
        let [key, date, region, service, "aws4_request"] = credential[..] else {
            return None;
        };
        Some(Self {
            key,
            date,
            region,
            service,
            signed: field("SignedHeaders")?.split(';').collect(),
            signature: field("Signature")?,
        })
    }

    /// Insists that what must not be altered was signed: the host, and everything of Amazon's own.
    fn covers(&self, headers: &HeaderMap) -> Result<(), Wrong> {
        let mut wanted = headers.keys().map(HeaderName::as_str);
        if !self.signed.contains(&"host") || !self.signed.is_sorted() {
            return Err(incomplete("'Host' must be a 'SignedHeader', and they must be sorted"));
        }
        match wanted.find(|name| name.starts_with("x-amz-") && !self.signed.contains(name)) {
            None => Ok(()),
            Some(name) => Err(incomplete(&format!("'{name}' must be a 'SignedHeader'"))),
        }
    }
}

fn signature(asked: &Asked<'_>, claim: &Claim<'_>, time: &str, secret: &str) -> String {
    let mut headers = String::new();
    for name in &claim.signed {
        let _ = writeln!(headers, "{name}:{}", header(asked.headers, name));
    }
    let request = format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        asked.method,
        asked.path,
        canonical(asked.query),
        claim.signed.join(";"),
        hex(&Sha256::digest(asked.body)),
    );
    let scope = format!("{}/{}/{}/aws4_request", claim.date, claim.region, claim.service);
    let to_sign = format!(
        "{ALGORITHM}\n{time}\n{scope}\n{}",
        hex(&Sha256::digest(request.as_bytes()))
    );
    let mut key = keyed(format!("AWS4{secret}").as_bytes(), claim.date);
    for part in [claim.region, claim.service, "aws4_request"] {
        key = keyed(&key, part);
    }
    hex(&keyed(&key, &to_sign))
}

/// A header's values, without the blanks that do not count.
fn header(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter();
    let values: Vec<String> = values
        .map(|value| {
            let value = String::from_utf8_lossy(value.as_bytes());
            value.split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect();
    values.join(",")
}

/// A query, encoded and sorted.
fn canonical(query: &[(String, String)]) -> String {
    let mut pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

fn keyed(key: &[u8], data: &str) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of every length");
    };
    mac.update(data.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Seconds after 1970 of a time such as `20150830T123600Z`.
fn seconds(time: &str) -> Option<u64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 8 || clock.len() != 6 || !time.is_ascii() {
        return None;
    }
    let number = |text: &str| text.parse::<u64>().ok();
    let days = days_from_civil(number(&date[..4])?, number(&date[4..6])?, number(&date[6..])?);
    Some(days * 86_400 + number(&clock[..2])? * 3600 + number(&clock[2..4])? * 60 + number(&clock[4..])?)
}

fn not_validated() -> Wrong {
    let message = "AWS was not able to validate the provided access credentials";
    wrong(StatusCode::UNAUTHORIZED, "AuthFailure", message)
}

fn incomplete(message: &str) -> Wrong {
    wrong(StatusCode::BAD_REQUEST, "IncompleteSignature", message)
}

fn wrong(status: StatusCode, code: &'static str, message: &str) -> Wrong {
    Wrong {
        status,
        code,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
