//! What the line-based files have in common: bytes to numbered lines.

use super::error::Fault;

/// The most that is read of any configuration file.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// The bytes as text, or the line that is not text.
pub(super) fn checked(bytes: &[u8]) -> Result<&str, Fault> {
    let text = str::from_utf8(bytes).map_err(|error| {
        Fault::at(
            line_of(bytes, error.valid_up_to()),
            "not UTF-8 text: expected plain text",
        )
    })?;
    match bytes.iter().position(|&byte| byte == 0) {
        Some(nul) => Err(Fault::at(
            line_of(bytes, nul),
            "contains a NUL byte: expected plain text",
        )),
        None => Ok(text),
    }
}

/// The lines without their ends (LF or CRLF), numbered from 1.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1..).zip(text.lines())
}

/// The line up to its first `#`.
pub(super) fn without_comment(line: &str) -> &str {
    line.split_once('#').map_or(line, |(before, _)| before)
}

/// The number of the line on which the byte at `offset` stands.
pub(super) fn line_of(bytes: &[u8], offset: usize) -> u32 {
    let ends = bytes.iter().take(offset).filter(|&&byte| byte == b'\n').count();
    u32::try_from(ends).unwrap_or(u32::MAX).saturating_add(1)
}
