//! Heartbeat's time syntax, and the one of hb.toml.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// A month is beyond any use, and leaves the arithmetic that follows far from its limits.
const MAX: Duration = Duration::from_hours(31 * 24);

/// Why a text is not a time: what was expected instead.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TimeError {
    #[error("expected seconds (2, 0.5) or milliseconds (100ms)")]
    Syntax,
    #[error("expected a number and its unit (60s, 500ms, 2m)")]
    TomlSyntax,
    #[error("expected at least 1ms, and this rounds to 0: in no time nothing can be heard or done")]
    Zero,
    #[error("expected at most 31 days")]
    TooLong,
}

/// A time as Heartbeat's files write it: `2`, `0.5`, `.5` are seconds; `100ms`, `100msec`, `5000us` and `5000usec` are
/// what they say, in any case and with no blank. Rounded, half up, to whole milliseconds; 0 is refused.
pub(super) fn parse(text: &str) -> Result<Duration, TimeError> {
    let (number, unit) = split_unit(text);
    let nanos_per_unit = match unit.to_ascii_lowercase().as_str() {
        "" => 1_000_000_000,
        "ms" | "msec" => 1_000_000,
        "us" | "usec" => 1_000,
        _ => return Err(TimeError::Syntax),
    };
    scaled(number, nanos_per_unit, TimeError::Syntax)
}

/// A time as hb.toml and the command line write it: a number and a unit of `ms`, `s` or `m`.
pub fn parse_toml(text: &str) -> Result<Duration, TimeError> {
    let (number, unit) = split_unit(text);
    let nanos_per_unit = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        _ => return Err(TimeError::TomlSyntax),
    };
    scaled(number, nanos_per_unit, TimeError::TomlSyntax)
}

/// As [`parse_toml`], but 0 is a time, too.
pub(super) fn parse_toml_or_zero(text: &str) -> Result<Duration, TimeError> {
    match parse_toml(text) {
        Err(TimeError::Zero) if text.bytes().all(|byte| !matches!(byte, b'1'..=b'9')) => Ok(Duration::ZERO),
        result => result,
    }
}

/// A time as people write it; 0 has a unit that they know.
pub(super) fn shown(time: Duration) -> String {
    if time.is_zero() {
        return "0ms".to_owned();
    }
    format!("{time:?}")
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

fn scaled(number: &str, nanos_per_unit: u128, syntax: TimeError) -> Result<Duration, TimeError> {
    const NANOS_PER_MILLI: u128 = 1_000_000;

    let nanos = nanos(number, nanos_per_unit).ok_or(syntax)?;
    let millis = nanos.saturating_add(NANOS_PER_MILLI / 2) / NANOS_PER_MILLI;
    if millis == 0 {
        return Err(TimeError::Zero);
    }
    u64::try_from(millis)
        .map(Duration::from_millis)
        .ok()
        .filter(|time| *time <= MAX)
        .ok_or(TimeError::TooLong)
}

/// `number` in nanoseconds, saturating; `None` where it is not digits with at most one point among them.
fn nanos(number: &str, nanos_per_unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = digits(whole).saturating_mul(nanos_per_unit);
    // Nine places are exact to the nanosecond of the largest unit but one; what lies beyond cannot reach half a
    // millisecond, which is all that rounding asks.
    let places = &fraction[..fraction.len().min(9)];
    let scale = (0..places.len()).fold(1, |scale: u128, _| scale * 10);
    Some(whole.saturating_add(digits(places) * nanos_per_unit / scale))
}

fn digits(text: &str) -> u128 {
    text.bytes().fold(0, |value: u128, digit| {
        value.saturating_mul(10).saturating_add(u128::from(digit - b'0'))
    })
}
