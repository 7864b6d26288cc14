//! bpf-linker, built for the LLVM major of the compiler whose bitcode it reads, and llvm-strip.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::apt::Apt;
use super::report;
use crate::process;
use crate::workspace;

const VERSION: &str = "0.13.0";

/// The features of that version.
const LLVMS: std::ops::RangeInclusive<u32> = 21..=23;

pub struct Linker {
    pub path: PathBuf,
    pub strip: PathBuf,
    llvm: u32,
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "bpf-linker {VERSION} for LLVM {} ({})",
            self.llvm,
            self.path.display()
        )
    }
}

pub fn missing(llvm: u32) -> String {
    format!("bpf-linker {VERSION} for LLVM {llvm}, with that LLVM's llvm-strip")
}

/// The linker in our cache, if it is there and runs: it stops when its LLVM is removed.
pub fn find(llvm: u32) -> Option<Linker> {
    let path = cache(llvm).ok()?.join("bin/bpf-linker");
    if !process::is_executable(&path) {
        return None;
    }
    let version = process::quietly(Command::new(&path).arg("--version")).ok()?;
    (version.trim() == format!("bpf-linker {VERSION}")).then_some(())?;
    Some(Linker {
        strip: find_strip(llvm)?,
        path,
        llvm,
    })
}

pub fn install(llvm: u32, apt: &mut Apt) -> Result<Linker> {
    ensure!(
        LLVMS.contains(&llvm),
        "bpf-linker {VERSION} knows LLVM {} to {} only",
        LLVMS.start(),
        LLVMS.end()
    );
    if !process::is_executable(&prefix(llvm).join("bin/llvm-config")) || find_strip(llvm).is_none() {
        apt.install(&[&format!("llvm-{llvm}-dev")])?;
    }
    if let Some(linker) = find(llvm) {
        return Ok(linker);
    }
    let root = cache(llvm)?;
    report(
        "installing",
        &format!("bpf-linker {VERSION} for LLVM {llvm} (takes minutes, once)"),
    );
    let mut command = Command::new(workspace::cargo_program());
    command
        .args(["install", "bpf-linker", "--locked", "--force", "--version", VERSION])
        .args(["--no-default-features", "--features", &format!("llvm-{llvm}"), "--root"])
        .arg(root)
        .env("LLVM_PREFIX", prefix(llvm))
        // It is built beside the cache's way, not among the user's artefacts.
        .env_remove("CARGO_TARGET_DIR");
    process::quietly(&mut command)?;
    find(llvm).context("the installed bpf-linker does not run")
}

/// Where Debian's llvm-N-dev installs.
fn prefix(llvm: u32) -> PathBuf {
    Path::new("/usr/lib").join(format!("llvm-{llvm}"))
}

fn find_strip(llvm: u32) -> Option<PathBuf> {
    let own = prefix(llvm).join("bin/llvm-strip");
    if process::is_executable(&own) {
        return Some(own);
    }
    process::which(&format!("llvm-strip-{llvm}")).or_else(|| process::which("llvm-strip"))
}

/// Outside the target directory, so that a fresh clone need not build it again.
fn cache(llvm: u32) -> Result<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME says where a cache may be")?;
    Ok(base.join("hb").join(format!("bpf-linker-{VERSION}-llvm-{llvm}")))
}
