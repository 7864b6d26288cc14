//! Validates the configuration and prints what is in effect.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use self::places::Place;
use super::{Exit, Failure};
use crate::config::differences::DIFFERENCES;
use crate::config::{Cluster, Group, Host, Loaded, Stonith, StonithParameters, StuckPolicy, Warning, is_executable};
use crate::resources::cloud::{self, CloudError};

mod places;
#[cfg(test)]
mod tests;

/// What `--help` says.
const EXITS: &str = "\
Exit codes:
  0  `hb run` would accept it; there may be warnings
  2  wrong usage
  6  the configuration is missing or refused; the message says which file, line and value";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXITS)]
pub struct Args {
    /// The directory with ha.cf, authkeys, haresources and, where there is one, hb.toml
    #[arg(long, value_name = "DIR", default_value = "/etc/ha.d", value_parser = super::directory())]
    config_dir: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let host = Host::this().context("cannot read this host's name and addresses")?;
    let mut loaded = Cluster::load(&args.config_dir, &host)?;
    let surroundings = Surroundings {
        init_d: Path::new("/etc/init.d"),
        interfaces: Path::new("/sys/class/net"),
    };
    surroundings.warn(&mut loaded);
    let refused = refused_accounts(&loaded.cluster);
    let places = places::all(&loaded.cluster);
    loaded.warnings.extend(places.iter().filter_map(Place::warning));
    let report = Report {
        loaded: &loaded,
        places: &places,
    };
    super::print(&report.to_string())?;
    super::print(&verdict(&loaded, &refused)?)
}

/// What the exit code says, in words: the last line, on whichever stream.
fn verdict(loaded: &Loaded, refused: &[String]) -> Result<String, Failure> {
    if !refused.is_empty() {
        let complaint = format!("`hb run` would refuse to start: {}", refused.join("; "));
        return Err(Failure::new(Exit::NotConfigured, anyhow::anyhow!(complaint)));
    }
    let warnings = match loaded.warnings.len() {
        0 => String::new(),
        1 => ", with 1 warning".to_owned(),
        count => format!(", with {count} warnings"),
    };
    let dir = loaded.cluster.dir.display();
    Ok(format!("\nconfiguration in {dir} is valid{warnings}\n"))
}

/// Why providers of floating IPs cannot be asked. Who checks by hand has not the credentials of the service: these do not count.
fn refused_accounts(cluster: &Cluster) -> Vec<String> {
    let errors = cloud::probe(cluster).into_iter();
    let counts = |error: &CloudError| !matches!(error, CloudError::NoCredentials { .. });
    errors
        .filter(counts)
        .map(|error| crate::causes::causes(&error))
        .collect()
}

/// What the configuration names on this host, and Heartbeat looks for only when it is needed.
struct Surroundings<'a> {
    init_d: &'a Path,
    interfaces: &'a Path,
}

impl Surroundings<'_> {
    fn warn(&self, loaded: &mut Loaded) {
        let cluster = &loaded.cluster;
        let Cluster { dir, links, groups, .. } = cluster;
        for link in links
            .iter()
            .filter(|link| !self.interfaces.join(&link.interface).exists())
        {
            loaded.warnings.push(Warning {
                origin: format!("ha.cf:{}", link.line),
                message: format!("this host has no interface {}", link.interface),
            });
        }
        for device in &cluster.stonith {
            if let StonithParameters::File(path) = &device.parameters
                && !path.is_file()
            {
                loaded.warnings.push(Warning {
                    origin: format!("ha.cf:{}", device.line),
                    message: format!("there is no file {}", path.display()),
                });
            }
        }
        let programs = [
            (!cluster.stonith.is_empty(), &cluster.fencing.program, "fencing.program"),
            (
                cluster.policy.stuck == StuckPolicy::Reboot && !groups.is_empty(),
                &PathBuf::from(&cluster.policy.reboot_command[0]),
                "cluster.reboot_command",
            ),
        ];
        for (_, path, key) in programs.iter().filter(|(used, path, _)| *used && !is_executable(path)) {
            loaded.warnings.push(Warning {
                origin: "hb.toml".to_owned(),
                message: format!("{key}: no executable program {}", path.display()),
            });
        }
        if let Some(device) = cluster.watchdog.as_ref().filter(|device| !device.exists()) {
            loaded.warnings.push(Warning {
                origin: "ha.cf".to_owned(),
                message: format!("there is no watchdog device {}", device.display()),
            });
        }
        let resource_d = dir.join("resource.d");
        for group in groups {
            for resource in group.resources.iter().filter(|resource| !resource.is_built_in()) {
                let places = [resource_d.join(&resource.name), self.init_d.join(&resource.name)];
                if places.iter().any(|path| is_executable(path)) {
                    continue;
                }
                let plain = places.iter().find(|path| path.is_file());
                let message = if let Some(path) = plain {
                    let path = path.display();
                    format!("{}: {path} is not executable: run `chmod +x {path}`", resource.name)
                } else {
                    let meant = resource.nearly().map(|name| format!(": did you mean `{name}`?"));
                    format!(
                        "{}: no executable script in {} or {}{}",
                        resource.name,
                        resource_d.display(),
                        self.init_d.display(),
                        meant.unwrap_or_default()
                    )
                };
                loaded.warnings.push(Warning {
                    origin: format!("haresources:{}", group.line),
                    message,
                });
            }
        }
    }
}

/// Everything that `hb check` prints before its verdict.
struct Report<'a> {
    loaded: &'a Loaded,
    places: &'a [Place],
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loaded {
            cluster,
            warnings,
            settings,
        } = self.loaded;

        writeln!(
            f,
            "configuration in {}, digest {:08x}",
            cluster.dir.display(),
            cluster.digest()
        )?;

        let settings = settings
            .iter()
            .map(|it| [it.name.clone(), it.value.clone(), it.origin.clone()]);
        table(f, "settings", settings)?;

        let nodes = cluster.nodes.iter().enumerate().map(|(index, node)| {
            let note = if index == cluster.me { "this host" } else { "" };
            [node.clone(), note.to_owned(), String::new()]
        });
        table(f, "nodes", nodes)?;

        let links = cluster.links.iter();
        let links = links.map(|link| {
            [
                link.interface.clone(),
                link.peer.to_string(),
                node_name(cluster, link.node),
                format!("ha.cf:{}", link.line),
            ]
        });
        table(f, "links", links)?;

        let keys = cluster.keys.all.iter().map(|key| {
            let note = if key.id == cluster.keys.signing {
                "signs"
            } else {
                "verifies only"
            };
            [key.id.to_string(), note.to_owned(), "authkeys".to_owned()]
        });
        table(f, "keys", keys)?;

        let groups = cluster.groups.iter();
        let groups = groups.map(|group| {
            [
                node_name(cluster, group.preferred),
                resources(group),
                monitor(group),
                format!("haresources:{}", group.line),
            ]
        });
        table(f, "groups", groups)?;

        optional_table(f, "addresses", self.places.iter().map(Place::row))?;

        let pings = cluster.pings.targets.iter().map(|target| {
            let members: Vec<String> = target.members.iter().map(ToString::to_string).collect();
            [target.name.clone(), members.join(" "), format!("ha.cf:{}", target.line)]
        });
        optional_table(f, "ping nodes", pings)?;

        let devices = cluster.stonith.iter().map(|device| {
            [
                device
                    .from
                    .map_or("any node".to_owned(), |node| node_name(cluster, node)),
                device.kind.clone(),
                parameters(device),
                format!("ha.cf:{}", device.line),
            ]
        });
        optional_table(f, "fencing", devices)?;

        writeln!(f, "\nwhat follows")?;
        cluster.facts().iter().try_for_each(|fact| writeln!(f, "  {fact}"))?;

        writeln!(f, "\ndifferent from Heartbeat")?;
        for difference in DIFFERENCES.iter().filter(|difference| difference.applies(self.loaded)) {
            writeln!(f, "  {}", difference.topic)?;
            writeln!(f, "    Heartbeat: {}", difference.heartbeat)?;
            writeln!(f, "    here:      {}", difference.here)?;
        }

        // Near the end, where a person looks first.
        if !warnings.is_empty() {
            writeln!(f, "\nwarnings")?;
            warnings.iter().try_for_each(|warning| writeln!(f, "  {warning}"))?;
        }
        Ok(())
    }
}

/// A table where there is something to say.
fn optional_table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    table(f, title, rows)
}

/// A title and, indented, its rows, their columns aligned.
fn table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let rows: Vec<_> = rows.collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    writeln!(f, "\n{title}")?;
    if rows.is_empty() {
        writeln!(f, "  none")?;
    }
    for row in rows {
        // A column that is empty in every row takes no room.
        let cells = row.iter().zip(widths).filter(|(_, width)| *width > 0);
        let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(f, "  {}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn node_name(cluster: &Cluster, node: usize) -> String {
    cluster.nodes.get(node).cloned().unwrap_or_default()
}

fn monitor(group: &Group) -> String {
    let monitor = group.monitor.as_ref();
    monitor
        .map(|monitor| format!("monitored every {:?}", monitor.interval))
        .unwrap_or_default()
}

/// Never those of the line itself, which may be passwords.
fn parameters(device: &Stonith) -> String {
    match &device.parameters {
        StonithParameters::File(path) => path.display().to_string(),
        StonithParameters::Inline(_) => "parameters not shown".to_owned(),
    }
}

fn resources(group: &Group) -> String {
    group
        .resources
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}
