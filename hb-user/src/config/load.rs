//! Reads the files of a configuration directory and makes one value of them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::ha_cf::{self, Owners, Resolve, Stonith, StonithParameters};
use super::hb_toml::{self, Claim};
use super::{
    CloudSettings, Cluster, ConfigError, Group, Host, Keys, Link, Realtime, Scheduling, Setting, Warning, authkeys,
    haresources, text,
};

mod own;
#[cfg(test)]
mod tests;

pub(crate) use own::outer_name;

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
        load(dir, host, &resolve)
    }
}

fn load(dir: &Path, host: &Host, resolve: Resolve<'_>) -> Result<Loaded, ConfigError> {
    let ha_cf_path = dir.join("ha.cf");
    let (mut file, ha_cf_mode) = open(
        &ha_cf_path,
        "not found, create it, with a `node` and a `ucast` line for each host",
    )?;
    let ha_cf =
        ha_cf::parse(&read(&ha_cf_path, &mut file)?, host, resolve).map_err(|fault| fault.in_file(&ha_cf_path))?;

    let hb_toml_path = dir.join("hb.toml");
    let hb_toml = load_hb_toml(&hb_toml_path)?;
    let claims = hb_toml
        .claims(&ha_cf.nodes, ha_cf.me, host)
        .map_err(|fault| fault.in_file(&hb_toml_path))?;
    let owners = Owners {
        nodes: &ha_cf.nodes,
        me: ha_cf.me,
        claims: &claims,
        resolve,
    };
    let slips = owners.slips(&ha_cf.ucasts, &ha_cf.own_interfaces);
    let links = owners
        .assign(ha_cf.ucasts)
        .map_err(|fault| fault.in_file(&ha_cf_path))?;
    let checked = ha_cf.pings.check_links(&links, &ha_cf.nodes);
    checked.map_err(|fault| fault.in_file(&ha_cf_path))?;

    let promised = hb_toml.check_promise(ha_cf.timers.deadtime);
    promised.map_err(|fault| fault.in_file(&hb_toml_path))?;

    let (keys, key_warnings) = load_authkeys(&dir.join("authkeys"))?;

    let haresources_path = dir.join("haresources");
    let (mut file, _) = open(
        &haresources_path,
        "not found, create it, with a line `NODE RESOURCE` for each resource group",
    )?;
    let resource_d = dir.join("resource.d");
    let has_script = |name: &str| is_executable(&resource_d.join(name));
    let (mut groups, group_warnings) =
        haresources::parse(&read(&haresources_path, &mut file)?, &ha_cf.nodes, &has_script)
            .map_err(|fault| fault.in_file(&haresources_path))?;
    let monitored = hb_toml.set_monitors(&mut groups);
    monitored.map_err(|fault| fault.in_file(&hb_toml_path))?;

    let with_token = haresources::check_clouds(&groups, &hb_toml.clouds);
    with_token.map_err(|fault| fault.in_file(&haresources_path))?;
    let free = own::check(&groups, &ha_cf.all_ucasts);
    free.map_err(|fault| fault.in_file(&haresources_path))?;

    let mut settings = ha_cf.settings;
    settings.extend(hb_toml.settings);
    let mut warnings = ha_cf.warnings;
    warnings.extend(slips);
    warnings.extend(exposed_parameters(&ha_cf.stonith, ha_cf_mode));
    warnings.extend(unused_claims(&claims, &links, &ha_cf.nodes, ha_cf.me));
    warnings.extend(pinned(&hb_toml.realtime, hb_toml.cpus_line));
    warnings.extend(key_warnings);
    warnings.extend(group_warnings);
    warnings.extend(nothing_to_own(&groups));
    let cluster = Cluster {
        dir: dir.to_owned(),
        nodes: ha_cf.nodes,
        me: ha_cf.me,
        links,
        timers: ha_cf.timers,
        udp_port: ha_cf.udp_port,
        auto_failback: ha_cf.auto_failback,
        logging: ha_cf.logging,
        keys,
        groups,
        pings: ha_cf.pings,
        stonith: ha_cf.stonith,
        fencing: hb_toml.fencing,
        watchdog: ha_cf.watchdog,
        clouds: hb_toml.clouds,
        scripts: hb_toml.scripts,
        realtime: Realtime {
            enabled: ha_cf.realtime,
            priority: ha_cf.rtprio,
            ..hb_toml.realtime
        },
        policy: hb_toml.policy,
        recorder: hb_toml.recorder,
        restart: hb_toml.restart,
        addresses: hb_toml.addresses,
        directives: ha_cf.directives,
    };
    warnings.extend(cluster.dangers());
    warnings.extend(cluster.cloud_oddities());
    Ok(Loaded {
        cluster,
        warnings,
        settings,
    })
}

fn load_authkeys(path: &Path) -> Result<(Keys, Vec<Warning>), ConfigError> {
    let (mut file, mode) = open(
        path,
        "not found, run `hb keygen` on one node and copy the file to the other",
    )?;
    if mode & READABLE_BY_OTHERS != 0 {
        return Err(ConfigError::Exposed {
            path: path.to_owned(),
            mode: mode & 0o7777,
            what: "keys",
        });
    }
    let owner = file.metadata().map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
        advice: "not readable",
    })?;
    let (keys, mut warnings) = authkeys::parse(&read(path, &mut file)?).map_err(|fault| fault.in_file(path))?;
    warnings.extend(foreign(path, owner.uid(), nix::unistd::geteuid().as_raw()));
    Ok((keys, warnings))
}

/// Who owns a file can read it, whatever its mode, and write other keys into it. It is not refused: root may check what a daemon
/// reads that runs as another user.
fn foreign(path: &Path, owner: u32, me: u32) -> Option<Warning> {
    (owner != 0 && owner != me).then(|| Warning {
        origin: "authkeys".to_owned(),
        message: format!(
            "belongs to user {owner}, who can read and change the keys: unless hb runs as that user, run `chown root {}`",
            path.display()
        ),
    })
}

/// The providers' tables of the hb.toml in `dir`, without the other files: for who asks a provider by hand.
pub fn load_clouds(dir: &Path) -> Result<Vec<CloudSettings>, ConfigError> {
    Ok(load_hb_toml(&dir.join("hb.toml"))?.clouds)
}

/// Reads a file that holds a provider's token, which only its owner may read.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let (mut file, mode) = open(path, "not found, put the provider's token there, readable by root only")?;
    if mode & READABLE_BY_OTHERS != 0 {
        return Err(ConfigError::Exposed {
            path: path.to_owned(),
            mode: mode & 0o7777,
            what: "token",
        });
    }
    read(path, &mut file)
}

/// The same of a credential of systemd's, which sees to it itself that only the service can read it.
pub(crate) fn read_credential(path: &Path) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let (mut file, _) = open(
        path,
        "not found, hand it over in the service's unit (LoadCredential=NAME:FILE)",
    )?;
    read(path, &mut file)
}

fn exposed_parameters(stonith: &[Stonith], mode: u32) -> Option<Warning> {
    if mode & READABLE_BY_OTHERS == 0 {
        return None;
    }
    let inline = |device: &&Stonith| matches!(device.parameters, StonithParameters::Inline(_));
    let device = stonith.iter().find(inline)?;
    Some(Warning {
        origin: format!("ha.cf:{}", device.line),
        message: format!(
            "mode {:03o} of ha.cf lets others read the parameters of stonith_host, among them passwords: make it 600, or \
             put them into a file (stonith TYPE FILE)",
            mode & 0o7777
        ),
    })
}

fn nothing_to_own(groups: &[Group]) -> Option<Warning> {
    groups.is_empty().then(|| Warning {
        origin: "haresources".to_owned(),
        message: "no line names a resource: there is nothing to own, and nothing will be taken over".to_owned(),
    })
}

/// An address of another node that no `ucast` line has may be a slip of the pen.
fn unused_claims(claims: &[Claim], links: &[Link], nodes: &[String], me: usize) -> Vec<Warning> {
    let unused = |claim: &&Claim| claim.node != me && links.iter().all(|link| link.peer != claim.address);
    let warnings = claims.iter().filter(unused).map(|claim| Warning {
        origin: format!("hb.toml:{}", claim.line),
        message: format!("no ucast line has {} of {}", claim.address, nodes[claim.node]),
    });
    warnings.collect()
}

/// The kernel admits `SCHED_DEADLINE` by all processors of a cpuset (sched(7)).
fn pinned(realtime: &Realtime, line: Option<u32>) -> Option<Warning> {
    let is_lost = !realtime.cpus.is_empty() && realtime.preferred == Scheduling::Deadline;
    is_lost.then(|| Warning {
        origin: line.map_or("hb.toml".to_owned(), |line| format!("hb.toml:{line}")),
        message:
            "realtime.cpus: a thread that is pinned to processors cannot be SCHED_DEADLINE, so the one that beats will \
                  be SCHED_FIFO"
                .to_owned(),
    })
}

fn load_hb_toml(path: &Path) -> Result<hb_toml::HbToml, ConfigError> {
    let mut file = match open(path, "") {
        Ok((file, _)) => file,
        Err(ConfigError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return hb_toml::parse(b"").map_err(|fault| fault.in_file(path));
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

/// Whether this is a file that may be run.
pub(crate) fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
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
