//! Whom hb is measured beside, and under what: which of them this machine has, and in which version.

use std::{fmt, path::Path, process::Command};

use serde::{Deserialize, Serialize};

/// A program and its version.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Program {
    /// Its name, as in `--contender`.
    pub name: String,
    /// Its version; `None` where it is not installed.
    pub version: Option<String>,
}

/// What there is on this machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Programs(pub Vec<Program>);

/// Programs whose versions are of interest: a name, where distributions put it, and what makes it tell.
const KNOWN: [(&str, &[&str], &str); 4] = [
    (
        "heartbeat",
        &["/usr/libexec/heartbeat/heartbeat", "/usr/lib/heartbeat/heartbeat"],
        "-V",
    ),
    ("keepalived", &["/usr/sbin/keepalived"], "--version"),
    ("bfdd", &["/usr/lib/frr/bfdd"], "--version"),
    ("stress-ng", &["/usr/bin/stress-ng"], "--version"),
];

impl Programs {
    /// Those of this machine, with the hb that is to be measured.
    #[must_use]
    pub fn find(hb: &Path) -> Self {
        let rivals = KNOWN.iter().map(|(name, paths, option)| Program {
            name: (*name).to_owned(),
            version: paths.iter().find_map(|path| version(Path::new(path), option)),
        });
        let hb = Program {
            name: "hb".to_owned(),
            version: version(hb, "--version"),
        };
        Self([hb].into_iter().chain(rivals).collect())
    }

    /// The version of one, where it is there.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|program| program.name == name)?;
        found.version.as_deref()
    }
}

/// What a program says when it is asked for its version.
fn version(program: &Path, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).output().ok()?;
    // keepalived says it on its stderr.
    let text = [output.stdout, output.stderr].concat();
    parse(&String::from_utf8_lossy(&text))
}

/// The first word that begins with a number, or with a `v` and one.
fn parse(text: &str) -> Option<String> {
    let mut words = text.split([' ', '\n', '\t', ',']);
    words.find_map(|word| {
        let word = word.strip_prefix('v').unwrap_or(word);
        word.starts_with(|first: char| first.is_ascii_digit())
            .then(|| word.to_owned())
    })
}

impl fmt::Display for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (there, missing): (Vec<_>, Vec<_>) = self.0.iter().partition(|program| program.version.is_some());
        let named = |program: &&Program| match &program.version {
            Some(version) => format!("{} {version}", program.name),
            None => program.name.clone(),
        };
        let list = |programs: &[&Program]| programs.iter().map(named).collect::<Vec<_>>().join(", ");
        write!(f, "{}", list(&there))?;
        if missing.is_empty() {
            return Ok(());
        }
        write!(
            f,
            "\nnot installed, and left out: {} (`cargo xtask setup --rivals` installs what is missing)",
            list(&missing)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let found = [
            "Keepalived v2.2.7 (01/16,2022)\n\nCopyright(C) 2001-2022",
            "3.0.6 958e11be8686",
            "bfdd version 8.4.4\nCopyright 1996-2005 Kunihiro Ishiguro, et al.",
            "stress-ng, version 0.15.06 (gcc 12.2.0, x86_64 Linux 6.18.44)",
            "no version",
        ];
        let expected = [Some("2.2.7"), Some("3.0.6"), Some("8.4.4"), Some("0.15.06"), None];
        assert_eq!(found.map(parse), expected.map(|version| version.map(str::to_owned)));
    }

    #[test]
    fn who_is_missing_is_named_with_what_helps() {
        let program = |name: &str, version: Option<&str>| Program {
            name: name.to_owned(),
            version: version.map(str::to_owned),
        };
        let all = Programs(vec![program("hb", Some("0.1.0")), program("keepalived", Some("2.2.7"))]);
        assert_eq!(all.to_string(), "hb 0.1.0, keepalived 2.2.7");
        let some = Programs(vec![program("hb", Some("0.1.0")), program("bfdd", None)]);
        let shown = some.to_string();
        assert!(
            shown.contains("left out: bfdd (`cargo xtask setup --rivals`"),
            "{shown}"
        );
        assert_eq!(some.version("bfdd"), None);
        assert_eq!(some.version("hb"), Some("0.1.0"));
    }
}
