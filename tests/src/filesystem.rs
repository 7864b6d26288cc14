//! The file system of a host: the machine's own, with private and writable copies of what a cluster member changes.

use std::{fs, io::ErrorKind, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
};

/// Directories whose content a host starts with, and changes for itself alone.
const OVERLAID: [&str; 2] = ["/etc", "/var"];

/// Directories that start empty, as on a machine fresh from its distribution.
const EMPTY: [(&str, &str); 5] = [
    ("/run", "mode=755"),
    ("/usr/local/bin", "mode=755"),
    ("/usr/local/sbin", "mode=755"),
    ("/tmp", "mode=1777"),
    ("/dev/shm", "mode=1777"),
];

/// What the machine's own cluster member, if there is one, must not lend to a host.
const FORGOTTEN: [&str; 3] = ["/etc/ha.d", "/etc/init.d/floatip", "/var/lib/hb"];

/// Gives the calling thread's mount namespace, which must be its own, the file system of a host.
///
/// /proc is left to the host's first process: it shows the PID namespace of whoever mounts it.
pub(crate) fn make_private() -> Result<()> {
    mount_on("/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None).context("cannot detach the mounts")?;
    // Held by the overlays only, so it needs a place just until they stand.
    mount_on("/tmp", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    for directory in OVERLAID {
        overlay(directory).with_context(|| format!("cannot give the host a {directory} of its own"))?;
    }
    umount2("/tmp", MntFlags::MNT_DETACH).context("cannot unmount /tmp")?;
    for (directory, mode) in EMPTY {
        mount_on(directory, Some("tmpfs"), MsFlags::empty(), Some(mode))?;
    }
    fs::create_dir_all("/run/lock")?;
    for path in FORGOTTEN {
        forget(Path::new(path)).with_context(|| format!("cannot remove {path} inside the host"))?;
    }
    // A new sysfs shows the interfaces of the caller's network namespace.
    mount_on("/sys", Some("sysfs"), MsFlags::empty(), None)?;
    match mount_on("/sys/fs/bpf", Some("bpf"), MsFlags::empty(), None) {
        Err(error) if error.downcast_ref() != Some(&Errno::ENOENT) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn overlay(directory: &str) -> Result<()> {
    let private = format!("/tmp{directory}");
    let (upper, work) = (format!("{private}/upper"), format!("{private}/work"));
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    let options = format!("lowerdir={directory},upperdir={upper},workdir={work}");
    match mount_on(directory, Some("overlay"), MsFlags::empty(), Some(&options)) {
        Ok(()) => Ok(()),
        Err(_) => replace(directory, &upper),
    }
}

/// What does where there is no overlayfs: a copy, and of what grows without bounds only the directories at its top.
fn replace(directory: &str, copy: &str) -> Result<()> {
    if directory == "/var" {
        for entry in fs::read_dir(directory)?.flatten() {
            let (path, copied) = (entry.path(), Path::new(copy).join(entry.file_name()));
            match fs::read_link(&path) {
                Ok(target) => symlink(target, copied)?,
                Err(_) if path.is_dir() => fs::create_dir_all(copied)?,
                Err(_) => {}
            }
        }
        fs::create_dir_all(Path::new(copy).join("lib/nginx"))?;
        fs::create_dir_all(Path::new(copy).join("log/nginx"))?;
    } else {
        let status = Command::new("cp")
            .args(["-a", "--", &format!("{directory}/."), copy])
            .status()?;
        ensure!(status.success(), "cp -a {directory} failed: {status}");
    }
    mount_with(Some(copy), directory, None, MsFlags::MS_BIND, None)
}

fn forget(path: &Path) -> Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn mount_on(target: &str, kind: Option<&str>, flags: MsFlags, options: Option<&str>) -> Result<()> {
    mount_with(kind, target, kind, flags, options)
}

fn mount_with(
    source: Option<&str>,
    target: &str,
    kind: Option<&str>,
    flags: MsFlags,
    options: Option<&str>,
) -> Result<()> {
    mount(source, target, kind, flags, options)
        .with_context(|| format!("cannot mount {} on {target}", source.unwrap_or("nothing")))
}
