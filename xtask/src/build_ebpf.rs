//! `cargo xtask build-ebpf`: builds the XDP object, with one set of flags, by the compiler that `setup` found.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::setup::Toolchain;
use crate::workspace::Workspace;

const TARGET: &str = "bpfel-unknown-none";

pub fn run(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    process::loudly(&mut cargo_build(workspace, toolchain))?;
    let linked = workspace.bpf_dir().join(TARGET).join("release/hb-xdp");
    let object = workspace.object();
    strip(toolchain, &linked, &object)?;
    println!("{} ({} bytes)", object.display(), fs::metadata(&object)?.len());
    Ok(())
}

fn cargo_build(workspace: &Workspace, toolchain: &Toolchain) -> Command {
    let flags = [
        format!("-Clinker={}", toolchain.linker.path.display()),
        // aya refuses maps defined by BTF without these two.
        "-Clink-arg=--btf".to_owned(),
        "-Cdebuginfo=2".to_owned(),
        // The first with a 32-bit ALU, which SHA-1's rotations want; in the kernel since 5.1.
        "-Ctarget-cpu=v3".to_owned(),
    ];
    let mut command = Command::new(&toolchain.compiler.cargo);
    process::forget_toolchain(&mut command);
    command
        .current_dir(&workspace.root)
        .env("RUSTC", &toolchain.compiler.rustc)
        // Unlike RUSTFLAGS it takes blanks in paths; like it, it silences the user's configuration.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .args([
            "build",
            "--package=hb-ebpf",
            "--bin=hb-xdp",
            "--features=xdp",
            "--release",
        ])
        .args(["--target", TARGET, "-Zbuild-std=core", "--target-dir"])
        .arg(workspace.bpf_dir());
    if workspace.locked {
        command.arg("--locked");
    }
    if !toolchain.compiler.nightly {
        // -Zbuild-std on a released compiler.
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    command
}

/// Drops DWARF, three quarters of the file, and keeps BTF. Replaces the object only when it differs, so that an
/// unchanged program does not rebuild hb.
fn strip(toolchain: &Toolchain, linked: &Path, object: &Path) -> Result<()> {
    let fresh = object.with_extension("o.new");
    process::loudly(
        Command::new(&toolchain.linker.strip)
            .arg("--strip-debug")
            .arg("-o")
            .arg(&fresh)
            .arg(linked),
    )?;
    let bytes = fs::read(&fresh).with_context(|| format!("cannot read {}", fresh.display()))?;
    for section in [".BTF", ".BTF.ext"] {
        let name = [section.as_bytes(), b"\0"].concat();
        ensure!(
            bytes.windows(name.len()).any(|window| window == name),
            "{} has no section {section}: was it linked with --btf?",
            fresh.display()
        );
    }
    if fs::read(object).is_ok_and(|old| old == bytes) {
        fs::remove_file(&fresh)?;
    } else {
        fs::rename(&fresh, object)?;
    }
    Ok(())
}
