//! Why a configuration is refused.

use std::fmt::{self, Display, Write as _};
use std::io;
use std::path::{Path, PathBuf};

/// Why a configuration is refused: the file, the line where there is one, the value, and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file is missing, or may not be read.
    #[error("{}: {advice}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
        /// What that means here, and what to do about it.
        advice: &'static str,
    },
    /// A directory, a pipe or a device stands where a file should.
    #[error("{}: expected a regular file", path.display())]
    NotAFile {
        /// What stands there.
        path: PathBuf,
    },
    /// Nobody writes a configuration of this size.
    #[error("{}: {size} bytes: expected at most {max}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The most that is read.
        max: u64,
    },
    /// What is secret is readable by others than its owner.
    #[error("{}: mode {mode:03o} lets others read the {what}: run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What is secret in it: `keys`.
        what: &'static str,
    },
    /// The text of a file is refused.
    #[error("{}: {message}", place(path, *line))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line at fault, where one is.
        line: Option<u32>,
        /// The value and what was expected.
        message: String,
    },
    /// Several lines of a file are refused, each for its own reason.
    #[error("{}", in_one_line(.0))]
    Several(Vec<ConfigError>),
}

/// For a log; who has more room takes them one by one.
fn in_one_line(errors: &[ConfigError]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
}

/// What a parser refuses; the loader, which knows the file, makes a [`ConfigError`] of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    pub(super) line: Option<u32>,
    pub(super) message: String,
}

impl Fault {
    /// The line at fault has no single value to blame.
    pub(super) fn at(line: u32, message: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            message: message.into(),
        }
    }

    /// `directive "value": expected`.
    pub(super) fn value(line: u32, directive: &str, value: &str, expected: impl Display) -> Self {
        Self::at(line, format!("{directive} {}: {expected}", Quoted(value)))
    }

    /// Something is missing from the file as a whole.
    pub(super) fn file(message: impl Into<String>) -> Self {
        Self {
            line: None,
            message: message.into(),
        }
    }

    pub(super) fn in_file(self, path: &Path) -> ConfigError {
        ConfigError::Invalid {
            path: path.to_owned(),
            line: self.line,
            message: self.message,
        }
    }
}

/// All that a parser refuses of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Faults(pub(super) Vec<Fault>);

impl Faults {
    /// An error if there are any.
    pub(super) fn check(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    pub(super) fn in_file(self, path: &Path) -> ConfigError {
        let mut errors: Vec<ConfigError> = self.0.into_iter().map(|fault| fault.in_file(path)).collect();
        match errors.len() {
            1 => errors.remove(0),
            _ => ConfigError::Several(errors),
        }
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

/// A value in quotes, control characters escaped, cut where it stops being useful in a message.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_CHARS: usize = 64;

        f.write_char('"')?;
        for c in self.0.chars().take(MAX_CHARS) {
            write!(f, "{}", c.escape_debug())?;
        }
        if self.0.chars().nth(MAX_CHARS).is_some() {
            f.write_str("...")?;
        }
        f.write_char('"')
    }
}

fn place(path: &Path, line: Option<u32>) -> String {
    match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    }
}
