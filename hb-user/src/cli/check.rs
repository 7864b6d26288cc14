//! Validates the configuration and prints what is in effect.

use std::fmt::{self, Display};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Failure;
use crate::config::differences::DIFFERENCES;
use crate::config::{Cluster, Group, Host, Loaded, Warning};

#[cfg(test)]
mod tests;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory with ha.cf, authkeys, haresources and, where there is one, hb.toml
    #[arg(long, default_value = "/etc/ha.d")]
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
    super::print(&Report(&loaded).to_string())
}

/// What the configuration names on this host, and Heartbeat looks for only when it is needed.
struct Surroundings<'a> {
    init_d: &'a Path,
    interfaces: &'a Path,
}

impl Surroundings<'_> {
    fn warn(&self, loaded: &mut Loaded) {
        let Cluster { dir, links, groups, .. } = &loaded.cluster;
        for link in links
            .iter()
            .filter(|link| !self.interfaces.join(&link.interface).exists())
        {
            loaded.warnings.push(Warning {
                origin: format!("ha.cf:{}", link.line),
                message: format!("this host has no interface {}", link.interface),
            });
        }
        let resource_d = dir.join("resource.d");
        for group in groups {
            for resource in &group.resources {
                let places = [resource_d.join(&resource.name), self.init_d.join(&resource.name)];
                if places.iter().any(|path| is_executable(path)) {
                    continue;
                }
                loaded.warnings.push(Warning {
                    origin: format!("haresources:{}", group.line),
                    message: format!(
                        "{}: no executable script in {} or {}",
                        resource.name,
                        resource_d.display(),
                        self.init_d.display()
                    ),
                });
            }
        }
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Everything that `hb check` prints.
struct Report<'a>(&'a Loaded);

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loaded {
            cluster,
            warnings,
            settings,
        } = self.0;

        writeln!(
            f,
            "configuration in {} is valid, digest {:08x}",
            cluster.dir.display(),
            cluster.digest()
        )?;

        let settings = settings
            .iter()
            .map(|it| [it.name.to_owned(), it.value.clone(), it.origin.clone()]);
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
                preferred(cluster, group),
                resources(group),
                format!("haresources:{}", group.line),
            ]
        });
        table(f, "groups", groups)?;

        if !warnings.is_empty() {
            writeln!(f, "\nwarnings")?;
            warnings.iter().try_for_each(|warning| writeln!(f, "  {warning}"))?;
        }

        writeln!(f, "\ndifferent from Heartbeat")?;
        for difference in DIFFERENCES.iter().filter(|difference| difference.applies(self.0)) {
            writeln!(f, "  {}", difference.topic)?;
            writeln!(f, "    Heartbeat: {}", difference.heartbeat)?;
            writeln!(f, "    here:      {}", difference.here)?;
        }
        Ok(())
    }
}

/// A title and, indented, its rows, their columns aligned.
fn table(f: &mut fmt::Formatter<'_>, title: &str, rows: impl Iterator<Item = [String; 3]>) -> fmt::Result {
    let rows: Vec<_> = rows.collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    writeln!(f, "\n{title}")?;
    if rows.is_empty() {
        writeln!(f, "  none")?;
    }
    for [a, b, c] in rows {
        let row = format!("  {a:first$}  {b:second$}  {c}");
        writeln!(f, "{}", row.trim_end())?;
    }
    Ok(())
}

fn preferred(cluster: &Cluster, group: &Group) -> String {
    cluster.nodes.get(group.preferred).cloned().unwrap_or_default()
}

fn resources(group: &Group) -> String {
    group
        .resources
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}
