//! Where things are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

pub struct Workspace {
    pub root: PathBuf,
    /// Where cargo puts what it finished.
    pub target: PathBuf,
    /// Where cargo puts what it needs on the way; the same directory unless configured otherwise.
    build: PathBuf,
    /// Refuse to touch Cargo.lock.
    pub locked: bool,
}

impl Workspace {
    /// Asks cargo, which knows `CARGO_TARGET_DIR` and the user's configuration.
    pub fn find() -> Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            workspace_root: PathBuf,
            target_directory: PathBuf,
            build_directory: PathBuf,
        }
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let mut command = Command::new(cargo_program());
        command
            .args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"])
            .arg(manifest);
        let found: Metadata = serde_json::from_str(&process::quietly(&mut command)?)
            .context("cannot read the output of `cargo metadata`")?;
        Ok(Self {
            root: found.workspace_root,
            target: found.target_directory,
            build: found.build_directory,
            locked: false,
        })
    }

    /// What builds the object, apart from what builds everything else: its flags must not invalidate the user's build.
    ///
    /// hb-user/build.rs finds it from the other end, as `bpf` in an ancestor of its `OUT_DIR`: cargo's *build*
    /// directory is the one place that a build script can tell.
    pub fn bpf_dir(&self) -> PathBuf {
        self.build.join("bpf")
    }

    /// The finished object.
    pub fn object(&self) -> PathBuf {
        self.bpf_dir().join("hb-xdp.o")
    }

    /// `cargo SUBCOMMAND` with the user's compiler, in the workspace.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new(cargo_program());
        command.current_dir(&self.root).arg(subcommand);
        if self.locked && subcommand != "fmt" {
            command.arg("--locked");
        }
        if env::var_os("CARGO_TARGET_DIR").is_some() {
            // It may be relative to the directory we were called in.
            command.env("CARGO_TARGET_DIR", &self.target);
        }
        // What `cargo run` told about the package xtask.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&*name);
            }
        }
        command
    }
}

/// The cargo that runs us.
pub fn cargo_program() -> PathBuf {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into()
}
