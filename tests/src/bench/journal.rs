//! What was measured so far: shown as soon as it is known, and kept in a file, so that nothing is lost when it is stopped.

use std::path::PathBuf;

use anyhow::Result;

use super::{
    packet::PacketReport,
    report::Report,
    results::{Part, Results},
};
use crate::clock::Moment;

/// What takes each report.
pub type Show<'a> = dyn FnMut(Report) -> Result<()> + 'a;

/// The results so far, and their file.
#[derive(Debug)]
pub struct Journal {
    results: Results,
    path: Option<PathBuf>,
    part_began: Moment,
}

impl Journal {
    /// Keeps results in a file, if there is to be one. That it can be written shows at once and not after an hour.
    pub fn begin(results: Results, path: Option<PathBuf>) -> Result<Self> {
        let journal = Self {
            results,
            path,
            part_began: Moment::now(),
        };
        journal.write()?;
        Ok(journal)
    }

    /// What comes from now on belongs to this part.
    pub fn begin_part(&mut self, name: &str) {
        self.part_began = Moment::now();
        self.results.parts.push(Part {
            name: name.to_owned(),
            seconds: 0.0,
            packets: None,
            reports: Vec::new(),
        });
    }

    /// Shows a report and keeps it.
    pub fn report(&mut self, report: Report) -> Result<()> {
        println!("{report}");
        self.keep(|part| part.reports.push(report))
    }

    /// Shows what frames cost and keeps it.
    pub fn packets(&mut self, packets: PacketReport) -> Result<()> {
        println!("{packets}");
        self.keep(|part| part.packets = Some(packets))
    }

    /// The part has ended.
    pub fn end_part(&mut self) -> Result<()> {
        self.keep(|_| {})
    }

    /// All of it.
    #[must_use]
    pub fn results(&self) -> &Results {
        &self.results
    }

    fn keep(&mut self, add: impl FnOnce(&mut Part)) -> Result<()> {
        if let Some(part) = self.results.parts.last_mut() {
            add(part);
            part.seconds = self.part_began.elapsed().as_secs_f64();
        }
        self.write()
    }

    fn write(&self) -> Result<()> {
        match &self.path {
            Some(path) => self.results.write(path),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::bench::machine::Load;

    #[test]
    fn each_report_is_in_the_file_at_once() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("results.json");
        let mut journal = Journal::begin(Results::begin(Path::new("/nowhere/hb"))?, Some(path.clone()))?;
        assert!(Results::read(&path)?.parts.is_empty());
        journal.begin_part("detect");
        for count in 1..=2 {
            journal.report(Report {
                title: "a title".into(),
                subject: None,
                figures: Vec::new(),
                counts: [("false deaths", 0)].into(),
                load: Load::default(),
            })?;
            assert_eq!(Results::read(&path)?.reports("detect").count(), count);
        }
        // Nothing else is left beside it.
        assert_eq!(std::fs::read_dir(directory.path())?.count(), 1);
        Ok(())
    }
}
