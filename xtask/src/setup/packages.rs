//! What building and testing need besides Rust.

use std::path::Path;

use anyhow::Result;

use super::apt::Apt;
use super::report;
use crate::process;

struct Package {
    /// A program in PATH, or an absolute path, whose presence proves the package.
    proof: &'static str,
    /// What Debian calls it.
    name: &'static str,
    why: &'static str,
    /// The service it brings, which we leave stopped.
    service: Option<&'static str>,
}

const PACKAGES: [Package; 9] = [
    package("cc", "gcc", "links programs, builds ring"),
    package("/usr/include/stdlib.h", "libc6-dev", "links programs, builds ring"),
    package(
        "/etc/ssl/certs/ca-certificates.crt",
        "ca-certificates",
        "downloads crates, calls cloud APIs",
    ),
    package("ip", "iproute2", "lays the networks of the test hosts"),
    package("nft", "nftables", "cuts any test host off from any other"),
    package("unshare", "util-linux", "makes the test hosts"),
    package("nsenter", "util-linux", "runs a program on a test host"),
    package("mount", "mount", "gives a test host its own files"),
    Package {
        proof: "nginx",
        name: "nginx-light",
        why: "serves the tutorial's page on the test hosts",
        service: Some("nginx"),
    },
];

const fn package(proof: &'static str, name: &'static str, why: &'static str) -> Package {
    Package {
        proof,
        name,
        why,
        service: None,
    }
}

pub fn install(apt: &mut Apt) -> Result<()> {
    let (services, mut plain): (Vec<_>, Vec<_>) = missing().partition(|package| package.service.is_some());
    plain.dedup_by_key(|package| package.name);
    if !plain.is_empty() {
        apt.install(&plain.iter().map(|package| package.name).collect::<Vec<_>>())?;
    }
    for package in services {
        let Some(service) = package.service else { continue };
        apt.install_without_starting(&[package.name], service)?;
    }
    for package in &PACKAGES {
        package.report();
    }
    Ok(())
}

/// Reports on every package and returns how many are missing.
pub fn check() -> usize {
    for package in &PACKAGES {
        package.report();
    }
    missing().count()
}

fn missing() -> impl Iterator<Item = &'static Package> {
    PACKAGES.iter().filter(|package| !package.is_there())
}

impl Package {
    fn is_there(&self) -> bool {
        if self.proof.starts_with('/') {
            Path::new(self.proof).exists()
        } else {
            process::which(self.proof).is_some()
        }
    }

    fn report(&self) {
        let state = if self.is_there() { "ok" } else { "missing" };
        report(state, &format!("{} ({}): {}", self.proof, self.name, self.why));
    }
}
