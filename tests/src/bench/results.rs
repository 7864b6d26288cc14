//! All that was measured in one go, as `--json` writes it, and as tables and plots are made of.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use anyhow::{Context, Result};
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

    /// To a file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let write = || -> Result<()> {
            let mut file = File::create(path)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            Ok(writeln!(file)?)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// The reports of a part, if it was measured.
    pub fn reports(&self, part: &str) -> impl Iterator<Item = &Report> {
        let parts = self.parts.iter().filter(move |measured| measured.name == part);
        parts.flat_map(|part| &part.reports)
    }
}
