//! Reads the files of a configuration directory and makes one value of them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Cluster, ConfigError, Host, Setting, Warning, authkeys, ha_cf, haresources, hb_toml, text};

#[cfg(test)]
mod tests;

const DEFAULT_SCRIPT_TIMEOUT: Duration = Duration::from_mins(1);
const READABLE_BY_OTHERS: u32 = 0o044;

/// A configuration, and what is worth telling about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub cluster: Cluster,
    /// What was accepted and is odd.
    pub warnings: Vec<Warning>,
    /// The settings in force, and where they come from.
    pub settings: Vec<Setting>,
}

impl Cluster {
    /// Reads the files in `dir` as `host` would, and refuses what does not fit together.
    pub fn load(dir: &Path, host: &Host) -> Result<Loaded, ConfigError> {
        let ha_cf_path = dir.join("ha.cf");
        let (mut file, _) = open(
            &ha_cf_path,
            "not found, create it, with a `node` and a `ucast` line for each host",
        )?;
        let ha_cf =
            ha_cf::parse(&read(&ha_cf_path, &mut file)?, host, &resolve).map_err(|fault| fault.in_file(&ha_cf_path))?;

        let authkeys_path = dir.join("authkeys");
        let (mut file, mode) = open(
            &authkeys_path,
            "not found, run `hb keygen` on one node and copy the file to the other",
        )?;
        if mode & READABLE_BY_OTHERS != 0 {
            return Err(ConfigError::Exposed {
                path: authkeys_path,
                mode: mode & 0o7777,
            });
        }
        let (keys, key_warnings) =
            authkeys::parse(&read(&authkeys_path, &mut file)?).map_err(|fault| fault.in_file(&authkeys_path))?;

        let haresources_path = dir.join("haresources");
        let (mut file, _) = open(
            &haresources_path,
            "not found, create it, with a line `NODE RESOURCE` for each resource group",
        )?;
        let (groups, group_warnings) = haresources::parse(&read(&haresources_path, &mut file)?, &ha_cf.nodes)
            .map_err(|fault| fault.in_file(&haresources_path))?;

        let script_timeout = load_hb_toml(&dir.join("hb.toml"))?.script_timeout;

        let mut settings = ha_cf.settings;
        settings.push(Setting {
            name: "scripts.timeout",
            value: format!("{:?}", script_timeout.unwrap_or(DEFAULT_SCRIPT_TIMEOUT)),
            origin: script_timeout.map_or("default", |_| "hb.toml").to_owned(),
        });
        let mut warnings = ha_cf.warnings;
        warnings.extend(key_warnings);
        warnings.extend(group_warnings);
        Ok(Loaded {
            cluster: Cluster {
                dir: dir.to_owned(),
                nodes: ha_cf.nodes,
                me: ha_cf.me,
                links: ha_cf.links,
                timers: ha_cf.timers,
                udp_port: ha_cf.udp_port,
                auto_failback: ha_cf.auto_failback,
                logging: ha_cf.logging,
                keys,
                groups,
                script_timeout: script_timeout.unwrap_or(DEFAULT_SCRIPT_TIMEOUT),
                directives: ha_cf.directives,
            },
            warnings,
            settings,
        })
    }
}

fn load_hb_toml(path: &Path) -> Result<hb_toml::HbToml, ConfigError> {
    let mut file = match open(path, "") {
        Ok((file, _)) => file,
        Err(ConfigError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(hb_toml::HbToml::default());
        }
        Err(error) => return Err(error),
    };
    hb_toml::parse(&read(path, &mut file)?).map_err(|fault| fault.in_file(path))
}

/// Opens a regular file, and returns its mode; `advice` is for the reader whose file is missing.
fn open(path: &Path, advice: &'static str) -> Result<(File, u32), ConfigError> {
    let unreadable = |source: io::Error| ConfigError::Unreadable {
        path: path.to_owned(),
        advice: if source.kind() == io::ErrorKind::NotFound {
            advice
        } else if source.kind() == io::ErrorKind::PermissionDenied {
            "not readable, run as root or as its owner"
        } else {
            "not readable"
        },
        source,
    };
    // O_NONBLOCK: opening a pipe for reading would wait for a writer.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ConfigError::NotAFile { path: path.to_owned() });
    }
    if metadata.len() > text::MAX_BYTES {
        return Err(too_large(path, metadata.len()));
    }
    Ok((file, metadata.permissions().mode()))
}

/// The whole file; wiped when dropped, for one of them holds keys.
fn read(path: &Path, file: &mut File) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    // Room for all of it from the start: a growing vector leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(text::MAX_BYTES).unwrap_or(0) + 1));
    file.take(text::MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
            advice: "not readable",
        })?;
    let size = bytes.len() as u64;
    if size > text::MAX_BYTES {
        return Err(too_large(path, size));
    }
    Ok(bytes)
}

fn too_large(path: &Path, size: u64) -> ConfigError {
    ConfigError::TooLarge {
        path: path.to_owned(),
        size,
        max: text::MAX_BYTES,
    }
}

fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}
