//! Brings the XDP object to where the crate embeds it:
//! `aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/hb-xdp.o"))`, aligned as the ELF parser wants it.
//!
//! `cargo xtask build-ebpf` leaves it as `bpf/hb-xdp.o` in cargo's build directory (`target/`, unless configured
//! otherwise). That directory is above `OUT_DIR`, whatever the profile and the target triple put between them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        return fail("cargo did not set OUT_DIR");
    };
    let Some(object) = out
        .ancestors()
        .map(|dir| dir.join("bpf/hb-xdp.o"))
        .find(|file| file.is_file())
    else {
        return fail("the XDP object is not built; run `cargo xtask build-ebpf` (once, and after changing hb-ebpf)");
    };
    println!("cargo::rerun-if-changed={}", object.display());
    match copy(&object, &out.join("hb-xdp.o")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => fail(&format!("cannot copy {}: {reason}", object.display())),
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    // Not fs::copy, which would keep the mode.
    fs::write(to, fs::read(from)?)
}

fn fail(message: &str) -> ExitCode {
    println!("cargo::error={message}");
    ExitCode::FAILURE
}
