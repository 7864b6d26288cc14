//! `stonith` and `stonith_host`: the devices that turn a node off.

use std::fmt::{self, Debug};
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{Line, values};
use crate::config::error::Fault;

#[cfg(test)]
mod tests;

/// One fencing device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stonith {
    /// The node that can use it, an index into the cluster's nodes; any node where there is none. The others keep it,
    /// too, to know who can fence.
    pub from: Option<usize>,
    /// The plug-in of cluster-glue's `stonith`, such as `external/ipmi`.
    pub kind: String,
    /// What the plug-in needs to know.
    pub parameters: StonithParameters,
    /// The line of ha.cf.
    pub line: u32,
}

/// What a plug-in needs to know.
#[derive(Clone, Eq, PartialEq)]
pub enum StonithParameters {
    /// It is in this file.
    File(PathBuf),
    /// It is this text, which may hold a password.
    Inline(Zeroizing<String>),
}

impl Debug for StonithParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Inline(_) => f.write_str("Inline"),
        }
    }
}

/// A line as it was read: which names are nodes is known at the end of the file.
#[derive(Debug)]
pub(super) struct Draft {
    from: Option<String>,
    kind: String,
    parameters: StonithParameters,
    line: u32,
}

/// Reads `stonith TYPE CONFIGFILE`.
pub(super) fn read_device(line: &Line<'_>) -> Result<Draft, Fault> {
    let [kind, file] = line.values[..] else {
        // Not shown: who meant stonith_host may have written a password here.
        let expected = "stonith: expected a type and a file (stonith external/ipmi /etc/ha.d/ipmi.conf)";
        return Err(Fault::at(line.number, expected));
    };
    let path = values::absolute_path(file).map_err(|expected| line.refuse(file, expected))?;
    Ok(Draft {
        from: None,
        kind: plug_in(line, kind)?,
        parameters: StonithParameters::File(path),
        line: line.number,
    })
}

/// Reads `stonith_host FROM TYPE PARAMETERS`.
pub(super) fn read_host(line: &Line<'_>) -> Result<Draft, Fault> {
    let parameters = after_words(line.text, 3);
    let [from, kind, _, ..] = line.values[..] else {
        let expected = "stonith_host: expected the node that can use the device or *, a type, and its parameters \
                        (stonith_host * external/ssh primary secondary)";
        return Err(Fault::at(line.number, expected));
    };
    Ok(Draft {
        from: (from != "*").then(|| from.to_ascii_lowercase()),
        kind: plug_in(line, kind)?,
        parameters: StonithParameters::Inline(Zeroizing::new(parameters.to_owned())),
        line: line.number,
    })
}

impl Draft {
    pub(super) fn finish(self, nodes: &[String]) -> Result<Stonith, Fault> {
        let from = self.from.map(|name| {
            let position = nodes.iter().position(|node| *node == name);
            position.ok_or_else(|| {
                let expected = format!("expected * or a node of ha.cf ({})", nodes.join(", "));
                Fault::value(self.line, "stonith_host", &name, expected)
            })
        });
        Ok(Stonith {
            from: from.transpose()?,
            kind: self.kind,
            parameters: self.parameters,
            line: self.line,
        })
    }
}

fn plug_in(line: &Line<'_>, kind: &str) -> Result<String, Fault> {
    // It becomes an argument of a program: no option, and nothing outside the plug-ins' directory.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let good = kind.starts_with(|c: char| c.is_ascii_alphanumeric()) && kind.chars().all(plain) && !kind.contains("..");
    if !good {
        return Err(line.refuse(kind, "expected a plug-in (`stonith -L` lists them)"));
    }
    Ok(kind.to_owned())
}

/// What follows the first words of a text, inner blanks as they are.
fn after_words(text: &str, count: usize) -> &str {
    let mut rest = text.trim_ascii();
    for _ in 0..count {
        let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
        rest = rest[end..].trim_ascii_start();
    }
    rest
}
