//! Running other programs: loudly, quietly, or as root.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs it with our own output, and fails when it does.
pub fn loudly(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs it silently and returns its standard output; a failure carries what it printed.
pub fn quietly(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null());
    let output = command
        .output()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    if !output.status.success() {
        bail!(
            "`{}` failed ({})\n{}{}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command that runs `program` as root: itself, or through sudo.
pub fn as_root(program: impl AsRef<OsStr>) -> Result<Command> {
    let program = program.as_ref();
    if is_root() {
        return Ok(Command::new(program));
    }
    let Some(sudo) = which("sudo") else {
        bail!("`{}` needs root, and there is no sudo", program.display());
    };
    let mut command = Command::new(sudo);
    // The environment says where the caches and the target directory are.
    command.arg("-E").arg(program);
    Ok(command)
}

pub fn is_root() -> bool {
    // /proc/self belongs to the effective user (proc(5)).
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Finds a program in PATH, or in the system directories that an ordinary user's PATH leaves out on Debian.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| is_executable(file))
}

pub fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Removes from `command` every variable that chooses or configures a compiler, so that it runs as from a fresh shell.
/// What says where caches are and how the network is reached stays. (`LD_LIBRARY_PATH`: `cargo run` puts its own
/// compiler's libraries there, which another compiler must not load.)
pub fn forget_toolchain(command: &mut Command) {
    const CHOOSES: [&str; 6] = [
        "CARGO",
        "RUSTUP_TOOLCHAIN",
        "RUSTC",
        "RUSTFLAGS",
        "RUSTDOC",
        "LD_LIBRARY_PATH",
    ];
    const KEPT: [&str; 5] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_TERM_",
    ];
    for (name, _) in env::vars_os() {
        let starts_with = |prefix: &&str| name.as_bytes().starts_with(prefix.as_bytes());
        if CHOOSES.iter().any(starts_with) && !KEPT.iter().any(starts_with) {
            command.env_remove(&name);
        }
    }
}

/// The command line as one would type it.
pub fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
