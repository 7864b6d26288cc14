//! `cargo xtask setup`: installs whatever is missing to build and test.
//!
//! It asks before it acts, so that it takes a moment when nothing is missing; it never changes the user's default
//! toolchain; and it writes nowhere but through the package manager, rustup, and into its own cache.

mod apt;
mod compiler;
mod linker;
mod packages;

use anyhow::{Result, anyhow, bail};

pub use compiler::Compiler;
pub use linker::Linker;

use crate::workspace::Workspace;

#[derive(clap::Args)]
pub struct Args {
    /// Only report; exit with 1 when something is missing
    #[arg(long)]
    check: bool,
    /// Also what `cargo xtask bench` measures hb beside and under: heartbeat, keepalived, frr and stress-ng, from the
    /// distribution, left disabled
    #[arg(long)]
    rivals: bool,
}

/// What builds the object.
pub struct Toolchain {
    pub compiler: Compiler,
    pub linker: Linker,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if args.check {
        check(args.rivals)
    } else {
        install_all(workspace, args.rivals).map(drop)
    }
}

/// Installs what is missing to build and test, and returns what builds the object.
pub fn install(workspace: &Workspace) -> Result<Toolchain> {
    install_all(workspace, false)
}

fn install_all(workspace: &Workspace, rivals: bool) -> Result<Toolchain> {
    let mut apt = apt::Apt::new(workspace);
    packages::install(&mut apt, rivals)?;
    let toolchain = match complete() {
        Some(toolchain) => toolchain,
        None => install_toolchain(&mut apt)?,
    };
    toolchain.report();
    Ok(toolchain)
}

/// What builds the object, if it is all there.
pub fn toolchain() -> Result<Toolchain> {
    complete().ok_or_else(|| anyhow!("what builds the XDP object is not complete; run `cargo xtask setup`"))
}

fn check(rivals: bool) -> Result<()> {
    let mut missing = packages::check(rivals);
    if let Some(toolchain) = complete() {
        toolchain.report();
    } else {
        missing += 1;
        let (fit, unfit) = compiler::installed();
        for reason in unfit {
            report("missing", &format!("compiler: {reason:#}"));
        }
        for compiler in fit {
            report("ok", &compiler.to_string());
            report("missing", &linker::missing(compiler.llvm));
        }
    }
    if missing > 0 {
        let command = if rivals { "setup --rivals" } else { "setup" };
        bail!("something is missing; `cargo xtask {command}` installs it");
    }
    Ok(())
}

/// The first compiler that has all it needs: the order of preference only counts for what is already there.
fn complete() -> Option<Toolchain> {
    let (compilers, _) = compiler::installed();
    compilers.into_iter().find_map(|compiler| {
        let linker = linker::find(compiler.llvm)?;
        Some(Toolchain { compiler, linker })
    })
}

/// Tries each way to a compiler until one gets a linker as well: what is there, then rustup, then the distribution.
fn install_toolchain(apt: &mut apt::Apt) -> Result<Toolchain> {
    let (fit, mut reasons) = compiler::installed();
    for compiler in fit {
        match linker::install(compiler.llvm, apt) {
            Ok(linker) => return Ok(Toolchain { compiler, linker }),
            Err(reason) => reasons.push(reason.context(compiler.to_string())),
        }
    }
    for way in [compiler::install_with_rustup, compiler::install_with_apt] {
        let reason = match way(apt) {
            Ok(compiler) => match linker::install(compiler.llvm, apt) {
                Ok(linker) => return Ok(Toolchain { compiler, linker }),
                Err(reason) => reason.context(compiler.to_string()),
            },
            Err(reason) => reason,
        };
        report("failed", &format!("{reason:#}"));
        reasons.push(reason);
    }
    let reasons: Vec<String> = reasons.iter().map(|reason| format!("- {reason:#}")).collect();
    bail!(
        "no compiler can build for BPF here:\n{}\n\
         what helps: `rustup toolchain install nightly --profile minimal --component rust-src`, the development files \
         of its LLVM (`rustc +nightly -vV` names the version), and `cargo xtask setup` again",
        reasons.join("\n")
    );
}

impl Toolchain {
    fn report(&self) {
        report("ok", &self.compiler.to_string());
        report("ok", &self.linker.to_string());
    }
}

/// One line for each item: what became of it, and what it is.
fn report(state: &str, item: &str) {
    println!("{state:<10} {item}");
}
