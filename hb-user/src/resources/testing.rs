//! Scripts on disk, for the tests of this directory.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::scripts::ScriptDirs;

/// `resource.d`, `init.d` and a journal that scripts write to, in a directory of their own.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["resource.d", "init.d"] {
            std::fs::create_dir(dir.path().join(name)).expect(name);
        }
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn dirs(&self) -> ScriptDirs {
        ScriptDirs {
            resource_d: self.path("resource.d"),
            init_d: self.path("init.d"),
        }
    }

    /// Writes an executable script, `$P` in which is this place.
    ///
    /// Another process writes it: a file descriptor open for writing here would be inherited by whatever another test
    /// forks just then, and the script's start fail with ETXTBSY.
    pub(crate) fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let text = format!("#!/bin/sh\nP='{}'\n{body}\n", self.dir.path().display());
        let mut stdin = shell.stdin.take().expect("its stdin");
        stdin.write_all(text.as_bytes()).expect("a written script");
        drop(stdin);
        assert!(shell.wait().expect("the shell's end").success());
        path
    }

    /// What the scripts wrote to `$P/journal`.
    pub(crate) fn journal(&self) -> Vec<String> {
        lines(&self.path("journal"))
    }
}

pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until `condition` holds, for at most 10 s.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            crate::clock::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(10), wait).await.is_ok(),
        "{what}"
    );
}

/// Whether a process exists and is no zombie.
pub(crate) fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    })
}
