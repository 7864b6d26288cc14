//! Debian's package manager, on Debian and what descends from it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::report;
use crate::process;
use crate::workspace::Workspace;

pub struct Apt {
    updated: bool,
    stubs: PathBuf,
}

impl Apt {
    pub fn new(workspace: &Workspace) -> Self {
        Self {
            updated: false,
            stubs: workspace.bpf_dir().with_file_name("xtask").join("no-start"),
        }
    }

    pub fn install(&mut self, packages: &[&str]) -> Result<()> {
        self.run_install(packages, &[])
    }

    /// Installs packages that bring services, and leaves these stopped and disabled.
    ///
    /// Maintainer scripts start services with two programs that they find in PATH; apt lets us say which PATH that is.
    /// A policy-rc.d would do as well, but is a file in /usr/sbin that holds for everybody while it is there.
    pub fn install_without_starting(&mut self, packages: &[&str], services: &[&str]) -> Result<()> {
        fs::create_dir_all(&self.stubs)?;
        for name in ["invoke-rc.d", "deb-systemd-invoke"] {
            let stub = self.stubs.join(name);
            fs::write(&stub, "#!/bin/sh\nexit 0\n")?;
            fs::set_permissions(&stub, fs::Permissions::from_mode(0o755))?;
        }
        let path = format!("DPkg::Path={}:/usr/sbin:/usr/bin:/sbin:/bin", self.stubs.display());
        self.run_install(packages, &["-o", &path])?;
        for service in services {
            process::quietly(process::as_root("update-rc.d")?.args([service, "disable"]))?;
        }
        Ok(())
    }

    fn run_install(&mut self, packages: &[&str], options: &[&str]) -> Result<()> {
        let by_hand = format!("apt-get install {}", packages.join(" "));
        if process::which("apt-get").is_none() {
            bail!(
                "this system has no apt-get; install what Debian calls {}",
                packages.join(", ")
            );
        }
        self.update_once();
        report("installing", &by_hand);
        let mut command = process::as_root("env").with_context(|| format!("run as root: {by_hand}"))?;
        command
            .args([
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "-qq",
                "-y",
                "--no-install-recommends",
            ])
            // A conflict must not cost the user a package that was there before.
            .args(["--no-remove", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"])
            .args(options)
            .arg("install")
            .args(packages);
        process::quietly(&mut command)
            .with_context(|| format!("run as root: {by_hand}"))
            .map(drop)
    }

    /// Stale lists name files that the mirror has dropped, and compilers that are too old.
    fn update_once(&mut self) {
        if self.updated {
            return;
        }
        self.updated = true;
        report("updating", "apt's package lists");
        let updated = process::as_root("apt-get")
            .and_then(|mut command| process::quietly(command.args(["-qq", "-o", "DPkg::Lock::Timeout=300", "update"])));
        if let Err(reason) = updated {
            // One broken source must not keep us from what the others have.
            report("failed", &format!("{reason:#}"));
        }
    }
}
