//! A compiler that can build `core` for BPF: `-Zbuild-std=core` needs the compiler's own library source, to the commit.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Error, Result, bail, ensure};

use super::apt::Apt;
use super::report;
use crate::process;

/// Where Debian's packages install it; `~/.cargo/bin` usually hides it in PATH.
const SYSTEM: &str = "/usr/bin";

/// Debian keeps a compiler for its browsers that is newer than its `rustc`.
const SYSTEM_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Rustup waits long for a server that does not answer; these bound it. The first brings 3 MB, the second 150 MB.
const COMPONENT_SECONDS: &str = "90";
const TOOLCHAIN_SECONDS: &str = "300";

pub struct Compiler {
    pub rustc: PathBuf,
    pub cargo: PathBuf,
    pub llvm: u32,
    /// Takes `-Z` without being asked twice.
    pub nightly: bool,
    release: String,
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rustc {} with library source, LLVM {} ({})",
            self.release,
            self.llvm,
            self.rustc.display()
        )
    }
}

/// The installed compilers that can build for BPF, best first, and why the others cannot.
pub fn installed() -> (Vec<Compiler>, Vec<Error>) {
    let mut fit = Vec::new();
    let mut unfit = Vec::new();
    let system = process::is_executable(&Path::new(SYSTEM).join("rustc")).then(|| PathBuf::from(SYSTEM));
    for bin in rustup_nightlies().into_iter().map(|nightly| nightly.bin).chain(system) {
        match inspect(&bin) {
            Ok(compiler) => fit.push(compiler),
            Err(reason) => unfit.push(reason),
        }
    }
    if fit.is_empty() && unfit.is_empty() {
        unfit.push(Error::msg("neither a rustup nightly nor a rustc of the distribution"));
    }
    (fit, unfit)
}

pub fn install_with_rustup(_: &mut Apt) -> Result<Compiler> {
    ensure!(process::which("rustup").is_some(), "there is no rustup");
    // A nightly that only lacks its source needs 3 MB; one that is too old needs its successor.
    let patchable = rustup_nightlies()
        .into_iter()
        .find(|nightly| answers(&nightly.bin).is_ok_and(|about| about.is_new_enough()));
    let (seconds, args) = match &patchable {
        Some(nightly) => (
            COMPONENT_SECONDS,
            vec!["component", "add", "rust-src", "--toolchain", &nightly.name],
        ),
        None => (
            TOOLCHAIN_SECONDS,
            vec![
                "toolchain",
                "install",
                "nightly",
                "--profile",
                "minimal",
                "--component",
                "rust-src",
            ],
        ),
    };
    report("installing", &format!("rustup {}", args.join(" ")));
    let mut command = Command::new("timeout");
    command.args([seconds, "rustup"]).args(args);
    process::forget_toolchain(&mut command);
    process::quietly(&mut command).context("rustup cannot help")?;
    let nightly = match patchable {
        Some(nightly) => nightly,
        None => rustup_nightlies()
            .into_iter()
            .next()
            .context("rustup installed no nightly")?,
    };
    inspect(&nightly.bin)
}

pub fn install_with_apt(apt: &mut Apt) -> Result<Compiler> {
    apt.install(&SYSTEM_PACKAGES)?;
    inspect(Path::new(SYSTEM))
}

struct Nightly {
    name: String,
    bin: PathBuf,
}

fn rustup_nightlies() -> Vec<Nightly> {
    if process::which("rustup").is_none() {
        return Vec::new();
    }
    let list = process::quietly(Command::new("rustup").args(["toolchain", "list", "--verbose"]));
    list.unwrap_or_default().lines().filter_map(parse_nightly).collect()
}

/// `nightly-x86_64-unknown-linux-gnu (default) /home/me/.rustup/toolchains/nightly-x86_64-unknown-linux-gnu`
fn parse_nightly(line: &str) -> Option<Nightly> {
    let (name, rest) = line.split_once(char::is_whitespace)?;
    let path = rest
        .split_once('/')
        .map(|(_, path)| Path::new("/").join(path.trim_end()))?;
    name.starts_with("nightly").then(|| Nightly {
        name: name.to_owned(),
        bin: path.join("bin"),
    })
}

/// Judges the compiler in `bin`.
fn inspect(bin: &Path) -> Result<Compiler> {
    let rustc = bin.join("rustc");
    let about = answers(bin)?;
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    ensure!(
        about.is_new_enough(),
        "{} is {}, and hb needs {wanted}",
        rustc.display(),
        about.release
    );
    let sysroot = process::quietly(bare(&rustc).args(["--print", "sysroot"]))?;
    find_source(Path::new(sysroot.trim_end()), &about.release).with_context(|| rustc.display().to_string())?;
    let cargo = bin.join("cargo");
    ensure!(
        process::is_executable(&cargo),
        "{} has no cargo beside it",
        rustc.display()
    );
    Ok(Compiler {
        nightly: about.release.contains("nightly"),
        rustc,
        cargo,
        llvm: about.llvm,
        release: about.release,
    })
}

/// Checks that the library source is there and is this compiler's.
fn find_source(sysroot: &Path, release: &str) -> Result<()> {
    let rustlib = sysroot.join("lib/rustlib");
    let source = rustlib.join("src/rust");
    ensure!(
        source.join("library/core/src/lib.rs").exists(),
        "its library source (rust-src) is not installed in {}",
        source.display()
    );
    // Rustup installs the component of the same build; a distribution's source package carries its version.
    let components = fs::read_to_string(rustlib.join("components")).unwrap_or_default();
    if components.lines().any(|component| component == "rust-src") {
        return Ok(());
    }
    let version = fs::read_to_string(source.join("src/version")).context("its library source has no version")?;
    ensure!(
        version.trim() == release,
        "it is {release}, and the library source in {} is of {}",
        source.display(),
        version.trim()
    );
    Ok(())
}

/// What a compiler says about itself.
#[derive(Debug, PartialEq)]
struct About {
    release: String,
    llvm: u32,
}

impl About {
    fn is_new_enough(&self) -> bool {
        minor(&self.release) >= minor(env!("CARGO_PKG_RUST_VERSION"))
    }
}

fn answers(bin: &Path) -> Result<About> {
    let rustc = bin.join("rustc");
    let text = process::quietly(bare(&rustc).arg("-vV"))?;
    parse_about(&text).with_context(|| format!("cannot read what `{} -vV` says", rustc.display()))
}

fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    process::forget_toolchain(&mut command);
    command
}

fn parse_about(text: &str) -> Result<About> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let release = field("release:").context("no release")?.to_owned();
    let Some(llvm) = field("LLVM version:").and_then(|version| version.split('.').next()?.parse().ok()) else {
        bail!("no LLVM version");
    };
    Ok(About { release, llvm })
}

/// `1.97.0-nightly` is 97: there is no Rust 2 in sight.
fn minor(release: &str) -> Option<u32> {
    release.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests;
