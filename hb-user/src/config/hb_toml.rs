//! hb.toml: the options that Heartbeat does not have. The file is optional.

use std::time::Duration;

use serde::Deserialize;

use super::error::{Fault, Quoted};
use super::{text, time};

#[cfg(test)]
mod tests;

/// What hb.toml sets.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct HbToml {
    /// `[scripts] timeout`.
    pub(super) script_timeout: Option<Duration>,
}

/// Reads hb.toml.
pub(super) fn parse(bytes: &[u8]) -> Result<HbToml, Fault> {
    let file: File = toml::from_str(text::checked(bytes)?).map_err(|error| Fault {
        line: error.span().map(|span| text::line_of(bytes, span.start)),
        message: error.message().replace('\n', ", "),
    })?;
    let Some(timeout) = file.scripts.timeout else {
        return Ok(HbToml::default());
    };
    let script_timeout = time::parse_toml(timeout.get_ref()).map_err(|expected| {
        let line = text::line_of(bytes, timeout.span().start);
        Fault::at(
            line,
            format!("scripts.timeout {}: {expected}", Quoted(timeout.get_ref())),
        )
    })?;
    Ok(HbToml {
        script_timeout: Some(script_timeout),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    scripts: Scripts,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scripts {
    timeout: Option<toml::Spanned<String>>,
}
