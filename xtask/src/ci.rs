//! `cargo xtask ci`: what a change has to pass. Stops at the first step that fails.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{build_ebpf, process, setup, test};

pub fn run(mut workspace: Workspace) -> Result<()> {
    workspace.locked = true;
    let workspace = &workspace;
    let toolchain = step("setup", || setup::install(workspace))?;
    step("build-ebpf", || build_ebpf::run(workspace, &toolchain))?;
    step("format", || {
        process::loudly(workspace.cargo("fmt").args(["--all", "--check"]))
    })?;
    step("clippy", || {
        process::loudly(
            workspace
                .cargo("clippy")
                .args(["--workspace", "--all-targets", "--", "-Dwarnings"]),
        )
    })?;
    step("clippy of the XDP program", || clippy_xdp(workspace))?;
    step("docs", || {
        process::loudly(
            workspace
                .cargo("doc")
                .args(["--workspace", "--no-deps"])
                .env("RUSTDOCFLAGS", "-Dwarnings"),
        )
    })?;
    step("build", || process::loudly(workspace.cargo("build").arg("--workspace")))?;
    step("test", || test::suite(workspace, &[]))?;
    step("mutations", || test::mutations(workspace))
}

/// Lints the XDP program for the host: not every compiler that can build it for BPF has a clippy, and the lints see the
/// same code.
fn clippy_xdp(workspace: &Workspace) -> Result<()> {
    process::loudly(
        workspace
            .cargo("clippy")
            .args([
                "--package=hb-ebpf",
                "--bin=hb-xdp",
                "--features=xdp",
                "--",
                "-Dwarnings",
            ])
            // As on BPF; a program without std cannot unwind.
            .arg("-Cpanic=abort"),
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "a developer's stopwatch, not the daemon's clock"
)]
fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let start = Instant::now();
    let done = work().with_context(|| format!("step `{name}` failed"))?;
    println!("== {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(done)
}
