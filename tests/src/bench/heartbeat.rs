//! Linux-HA Heartbeat itself, from the distribution, on a host.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::host::Host;

/// Where distributions put the daemon.
const DAEMONS: [&str; 2] = ["/usr/libexec/heartbeat/heartbeat", "/usr/lib/heartbeat/heartbeat"];

/// What a member needs of the package's configuration: a host starts without the machine's.
const COPIED: &str = "/etc/ha.d";

/// The directories that it expects: the package's own in /var, which a host may not have, and those that its init script
/// makes in /run.
const DIRECTORIES: &str = "\
mkdir -p /var/lib/heartbeat/cores/root /var/lib/heartbeat/cores/nobody /var/lib/heartbeat/cores/hacluster \
    /run/heartbeat/ccm /run/heartbeat/dopd /run/heartbeat/crm /run/heartbeat/rsctmp /run/lock/subsys &&
chown -R hacluster:haclient /run/heartbeat/ccm /run/heartbeat/dopd /run/heartbeat/crm /var/lib/heartbeat/cores/hacluster &&
rm -f /var/lib/heartbeat/hb_uuid /var/lib/heartbeat/hb_generation";

/// An installed Heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    daemon: PathBuf,
}

impl Heartbeat {
    /// The machine's own.
    pub fn find() -> Result<Self> {
        Self::among(&DAEMONS)
    }

    fn among(paths: &[&str]) -> Result<Self> {
        let daemon = paths.iter().map(PathBuf::from).find(|path| path.is_file());
        daemon
            .map(|daemon| Self { daemon })
            .context("heartbeat is not installed: run `cargo xtask setup --rivals`")
    }

    /// What it calls its version.
    pub fn version(&self, host: &Host) -> Result<String> {
        let text = host.run_ok(self.path()?, &["-V"])?;
        // What follows is the revision of its source.
        Ok(text.split_whitespace().next().unwrap_or("of no version").to_owned())
    }

    /// Gives a host, which has its ha.cf, authkeys and haresources, what else it needs.
    pub fn prepare(&self, host: &Host) -> Result<()> {
        copy(Path::new(COPIED), host)?;
        host.run_ok("sh", &["-c", DIRECTORIES]).map(|_| ())
    }

    /// Starts it on a host that is prepared, in a session of its own. Whoever was killed there before has left a note of
    /// its process id.
    pub fn launch(&self, host: &Host) -> Result<()> {
        host.run_ok("rm", &["-f", "/run/heartbeat.pid"])?;
        host.run_ok(self.path()?, &[]).map(|_| ())
    }

    fn path(&self) -> Result<&str> {
        self.daemon.to_str().context("its path is no text")
    }
}

/// Copies a directory of the machine's to the same place on a host, with its modes. What the host has there stays.
fn copy(directory: &Path, host: &Host) -> Result<()> {
    let list = std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in list {
        let source = entry?.path();
        let Some(path) = source.to_str() else {
            bail!("{} is no text", source.display());
        };
        if source.is_dir() {
            copy(&source, host)?;
        } else if host.enter(|| !Path::new(path).exists())? {
            let mode = if is_executable(&source)? { 0o755 } else { 0o644 };
            host.install_file(&source, path, mode)?;
        }
    }
    Ok(())
}

fn is_executable(file: &Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_missing_the_error_says_what_helps() -> Result<()> {
        let missing = Heartbeat::among(&["/nowhere/heartbeat", "/etc"]).expect_err("there is none");
        assert_eq!(
            missing.to_string(),
            "heartbeat is not installed: run `cargo xtask setup --rivals`"
        );
        assert_eq!(Heartbeat::among(&["/nowhere/heartbeat", "/bin/sh"])?.path()?, "/bin/sh");
        Ok(())
    }

    #[test]
    fn a_copy_keeps_what_the_host_has_and_the_modes() -> Result<()> {
        let source = tempfile::tempdir_in("/opt")?;
        let path = |name: &str| source.path().join(name).to_string_lossy().into_owned();
        std::fs::create_dir(path("inner"))?;
        std::fs::write(path("inner/plain"), "plain")?;
        std::fs::write(path("mine"), "the machine's")?;
        std::fs::copy("/bin/true", path("program"))?;
        let host = Host::create("n1")?;
        // The host sees the machine's files there, so it is hidden first.
        host.run_ok("mount", &["-t", "tmpfs", "tmpfs", "/opt"])?;
        host.write_file(&path("mine"), 0o600, "the host's")?;
        copy(source.path(), &host)?;
        assert_eq!(host.read_file(&path("inner/plain"))?, "plain");
        assert_eq!(host.read_file(&path("mine"))?, "the host's");
        host.run_ok(&path("program"), &[])?;
        host.run_ok("test", &["!", "-x", &path("inner/plain")])?;
        Ok(())
    }
}
