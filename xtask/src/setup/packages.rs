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
    /// The services it brings, which we leave stopped.
    services: &'static [&'static str],
}

const PACKAGES: [Package; 11] = [
    package("cc", "gcc", "links programs, builds ring"),
    package("/usr/include/stdlib.h", "libc6-dev", "links programs, builds ring"),
    package(
        "/etc/ssl/certs/ca-certificates.crt",
        "ca-certificates",
        "downloads crates, calls cloud APIs",
    ),
    package("ip", "iproute2", "lays the networks of the test hosts"),
    package("nft", "nftables", "cuts any test host off from any other"),
    package("pgrep", "procps", "finds what runs on a test host"),
    package("unshare", "util-linux", "makes the test hosts"),
    package("nsenter", "util-linux", "runs a program on a test host"),
    package("mount", "mount", "gives a test host its own files"),
    Package {
        proof: "nginx",
        name: "nginx-light",
        why: "serves the tutorial's page on the test hosts",
        services: &["nginx"],
    },
    Package {
        proof: "/usr/sbin/stonith",
        name: "cluster-glue",
        why: "fences nodes in tests, as it does in production",
        services: &["logd"],
    },
];

/// What hb is measured beside, and what it is measured under. Only who asks for it gets it.
const RIVALS: [Package; 4] = [
    Package {
        proof: "/usr/share/heartbeat/ResourceManager",
        name: "heartbeat",
        why: "Linux-HA Heartbeat, measured beside hb",
        services: &["heartbeat", "logd"],
    },
    Package {
        proof: "keepalived",
        name: "keepalived",
        why: "VRRP, measured beside hb",
        services: &["keepalived"],
    },
    Package {
        proof: "/usr/lib/frr/bfdd",
        name: "frr",
        why: "its bfdd is measured beside hb",
        services: &["frr"],
    },
    package(
        "stress-ng",
        "stress-ng",
        "keeps the machine busy in every way, while it is measured",
    ),
];

const fn package(proof: &'static str, name: &'static str, why: &'static str) -> Package {
    Package {
        proof,
        name,
        why,
        services: &[],
    }
}

/// Installs what is missing, with what hb is measured beside if that is wanted.
pub fn install(apt: &mut Apt, rivals: bool) -> Result<()> {
    let (services, mut plain): (Vec<_>, Vec<_>) = missing(rivals).partition(|package| !package.services.is_empty());
    plain.dedup_by_key(|package| package.name);
    if !plain.is_empty() {
        apt.install(&plain.iter().map(|package| package.name).collect::<Vec<_>>())?;
    }
    for package in services {
        apt.install_without_starting(&[package.name], package.services)?;
    }
    wanted(rivals).for_each(Package::report);
    Ok(())
}

/// Reports on every package and returns how many are missing.
pub fn check(rivals: bool) -> usize {
    wanted(rivals).for_each(Package::report);
    missing(rivals).count()
}

fn wanted(rivals: bool) -> impl Iterator<Item = &'static Package> {
    PACKAGES.iter().chain(RIVALS.iter().filter(move |_| rivals))
}

fn missing(rivals: bool) -> impl Iterator<Item = &'static Package> {
    wanted(rivals).filter(|package| !package.is_there())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rival_is_only_for_who_asks_for_it() {
        let names = |rivals: bool| wanted(rivals).map(|package| package.name).collect::<Vec<_>>();
        for rival in ["heartbeat", "keepalived", "frr", "stress-ng"] {
            assert!(!names(false).contains(&rival), "{rival}");
            assert!(names(true).contains(&rival), "{rival}");
        }
        assert_eq!(names(true)[..PACKAGES.len()], names(false)[..]);
    }
}
