//! All that was measured in one go, as `--json` writes it, and as tables and plots are made of.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{machine::Machine, packet::PacketReport, report::Report, rivals::Programs};
use crate::clock::utc_timestamp;

/// All that was measured.
#[derive(Debug, Deserialize, Serialize)]
pub struct Results {
    /// When it began.
    pub date: String,
    /// Where.
    pub machine: Machine,
    /// Who, in which version.
    pub programs: Programs,
    /// What.
    pub parts: Vec<Part>,
}

/// One part of the benchmark.
#[derive(Debug, Deserialize, Serialize)]
pub struct Part {
    /// Its name, as on the command line.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
    /// The cost of frames; only `packet` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<PacketReport>,
    /// Its figures.
    pub reports: Vec<Report>,
}

impl Results {
    /// With nothing measured yet.
    pub fn begin(hb: &Path) -> Result<Self> {
        Ok(Self {
            date: utc_timestamp(),
            machine: Machine::this()?,
            programs: Programs::find(hb),
            parts: Vec::new(),
        })
    }

    /// From a file that [`write`](Self::write) wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{}: expected what `cargo xtask bench --json` writes", path.display()))
    }

    /// From several such files of one machine, as if all of it had been measured in one go. What stands in two of them is
    /// taken from the later one.
    pub fn read_all(paths: &[PathBuf]) -> Result<Self> {
        let (first, others) = paths.split_first().context("no file")?;
        let mut all = Self::read(first)?;
        for path in others {
            let other = Self::read(path)?;
            ensure!(
                other.machine.to_string() == all.machine.to_string(),
                "{}: measured on {}, expected {} as in {}",
                path.display(),
                other.machine,
                all.machine,
                first.display()
            );
            other.parts.into_iter().for_each(|part| all.add(part));
        }
        Ok(all)
    }

    fn add(&mut self, part: Part) {
        let Some(known) = self.parts.iter_mut().find(|known| known.name == part.name) else {
            self.parts.push(part);
            return;
        };
        known.seconds += part.seconds;
        known.packets = part.packets.or_else(|| known.packets.take());
        for report in part.reports {
            match known.reports.iter_mut().find(|known| known.is_of_the_same(&report)) {
                Some(known) => *known = report,
                None => known.reports.push(report),
            }
        }
    }

    /// To a file, which at any moment is there as a whole: the old one or the new one.
    pub fn write(&self, path: &Path) -> Result<()> {
        let write = || -> Result<()> {
            let directory = path.parent().filter(|parent| *parent != Path::new(""));
            let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
            serde_json::to_writer_pretty(&mut file, self)?;
            writeln!(file)?;
            let for_everybody = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            fs::set_permissions(file.path(), for_everybody)?;
            file.persist(path)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// The reports of a part, if it was measured.
    pub fn reports(&self, part: &str) -> impl Iterator<Item = &Report> {
        let parts = self.parts.iter().filter(move |measured| measured.name == part);
        parts.flat_map(|part| &part.reports)
    }
}

#[cfg(test)]
mod tests;
