//! Which drawings are made of what was measured.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    detect,
    failover::tell,
    plot::{self, Curve, Drawing, Panel},
    report::{Figure, Report, Unit},
    results::Results,
    table::{distinct, who},
};

/// A drawing that can be made: a panel each step, or each event.
struct Sketch {
    /// The file's name.
    file: &'static str,
    title: &'static str,
    axis: &'static str,
    part: &'static str,
    figure: &'static str,
    panels: Panels,
    curves: Curves,
}

/// What there is a panel for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Panels {
    /// Each step of the ladder, after this event.
    Steps(&'static str),
    /// Each of these events, on an idle machine.
    Events(&'static [&'static str]),
}

/// Whose curves there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Curves {
    /// Everybody's, each with those of its timers for which there are most panels.
    Contenders,
    /// hb's, with all its timers.
    TimersOfHb,
}

const SKETCHES: [Sketch; 6] = [
    Sketch {
        file: "detect-verdict.svg",
        title: "How late a death is noticed",
        axis: "ms from the deadline to the verdict",
        part: "detect",
        figure: detect::VERDICT,
        panels: Panels::Steps("crash"),
        curves: Curves::Contenders,
    },
    Sketch {
        file: "detect-action.svg",
        title: "How late something is done about a death",
        axis: "ms from the deadline to the action",
        part: "detect",
        figure: detect::ACTION,
        panels: Panels::Steps("crash"),
        curves: Curves::Contenders,
    },
    Sketch {
        file: "detect-timers.svg",
        title: "How late hb notices a death, with short and long timers",
        axis: "ms from the deadline to the verdict",
        part: "detect",
        figure: detect::VERDICT,
        panels: Panels::Steps("crash"),
        curves: Curves::TimersOfHb,
    },
    Sketch {
        file: "failover-start.svg",
        title: "From a crash to the other's start",
        axis: "ms from the crash to the script",
        part: "failover",
        figure: tell::START,
        panels: Panels::Steps("crash"),
        curves: Curves::Contenders,
    },
    Sketch {
        file: "failover-client.svg",
        title: "From a crash to an answer for the client",
        axis: "ms from the crash to the answer",
        part: "failover",
        figure: tell::ANSWERED,
        panels: Panels::Steps("crash"),
        curves: Curves::Contenders,
    },
    Sketch {
        file: "failover-two-owners.svg",
        title: "Two owners, after a cut heals and in an orderly stop",
        axis: "ms with two owners",
        part: "failover",
        figure: tell::TWO_OWNERS,
        panels: Panels::Events(&["heal", "stop"]),
        curves: Curves::Contenders,
    },
];

/// Writes what can be drawn of these results to a directory, and gives the files' names.
pub fn write(results: &Results, directory: &Path) -> Result<Vec<&'static str>> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut files = Vec::new();
    for sketch in &SKETCHES {
        let Some(drawing) = sketch.drawing(results) else {
            continue;
        };
        let path = directory.join(sketch.file);
        fs::write(&path, plot::svg(&drawing)?).with_context(|| format!("cannot write {}", path.display()))?;
        files.push(sketch.file);
    }
    Ok(files)
}

impl Sketch {
    /// `None` if nothing of it was measured.
    fn drawing(&self, results: &Results) -> Option<Drawing> {
        let having = |report: &&Report| report.subject.is_some() && report.figure(self.figure).is_some();
        let reports: Vec<_> = results.reports(self.part).filter(having).collect();
        let chosen: Vec<_> = reports
            .iter()
            .copied()
            .filter(|report| self.has_panel(report) && self.has_curve(report, &reports))
            .collect();
        let panels = distinct(chosen.iter().map(|report| self.panel_of(report)));
        let panels: Vec<_> = panels
            .into_iter()
            .map(|title| Panel {
                title: shown(title).to_owned(),
                curves: chosen
                    .iter()
                    .filter(|report| self.panel_of(report) == title)
                    .filter_map(|report| curve(report, report.figure(self.figure)?))
                    .collect(),
            })
            .collect();
        if panels.is_empty() {
            return None;
        }
        Some(Drawing {
            title: self.title.to_owned(),
            axis: self.axis.to_owned(),
            panels,
            caption: caption(results, &chosen, self.figure),
        })
    }

    fn has_panel(&self, report: &Report) -> bool {
        let subject = report.subject.as_ref();
        subject.is_some_and(|subject| match self.panels {
            Panels::Steps(event) => subject.event == event,
            Panels::Events(events) => subject.step == "idle" && events.contains(&subject.event.as_str()),
        })
    }

    fn has_curve(&self, report: &Report, all: &[&Report]) -> bool {
        let Some(subject) = &report.subject else {
            return false;
        };
        match self.curves {
            Curves::TimersOfHb => subject.contender == "hb",
            Curves::Contenders => {
                let of_it = || {
                    let subjects = all.iter().filter_map(|report| report.subject.as_ref());
                    subjects.filter(|other| other.contender == subject.contender)
                };
                let count = |timers: &str| of_it().filter(|other| other.timers == timers).count();
                let timers = distinct(of_it().map(|other| other.timers.as_str()));
                // Beside the rivals hb stands with the timers of the fastest of them.
                let beside = detect::BESIDE.to_string();
                let most = timers
                    .iter()
                    .copied()
                    .max_by_key(|timers| (count(timers), *timers == beside));
                most == Some(&subject.timers)
            }
        }
    }

    fn panel_of<'a>(&self, report: &'a Report) -> &'a str {
        let subject = report.subject.as_ref();
        subject.map_or("", |subject| match self.panels {
            Panels::Steps(_) => &subject.step,
            Panels::Events(_) => &subject.event,
        })
    }
}

/// A panel's name in words.
fn shown(name: &str) -> &str {
    match name {
        "hogs" => "fair hogs",
        "churn" => "context-switch churn",
        "timers" => "timer storm",
        "hrtimers" => "high-resolution timers",
        "memory" => "memory pressure",
        "fifo40" => "real-time hogs, FIFO 40",
        "fifo99" => "real-time hogs, FIFO 99",
        "frozen-briefly" => "survivor frozen for half a deadtime",
        "frozen" => "survivor frozen for three deadtimes",
        "heal" => "after a cut has healed",
        "stop" => "in an orderly stop",
        other => other,
    }
}

/// `None` if it is no time.
fn curve(report: &Report, figure: &Figure) -> Option<Curve> {
    let factor = match figure.unit() {
        Unit::Nanos => 1e-6,
        Unit::Micros => 1e-3,
        Unit::Millis => 1.0,
        Unit::Seconds => 1e3,
        Unit::Percent | Unit::Megabytes | Unit::PerSecond | Unit::Calls => return None,
    };
    Some(Curve {
        name: who(report),
        millis: figure.values().iter().map(|value| value * factor).collect(),
    })
}

fn caption(results: &Results, reports: &[&Report], figure: &str) -> Vec<String> {
    let runs = |name: &str| {
        let of_it = reports.iter().filter(|report| who(report) == name);
        let runs = distinct(of_it.filter_map(|report| Some(report.figure(figure)?.runs())));
        let (least, most) = (runs.iter().min().copied(), runs.iter().max().copied());
        match (least, most) {
            (Some(least), Some(most)) if least != most => format!("{name}: {least} to {most}"),
            (Some(runs), _) => format!("{name}: {runs}"),
            (None, _) => name.to_owned(),
        }
    };
    let names = distinct(reports.iter().map(|report| who(report)));
    let each: Vec<_> = names.iter().map(|name| runs(name)).collect();
    let day = results.date.split('T').next().unwrap_or_default();
    vec![
        format!("Runs a panel: {}.", each.join(", ")),
        format!(
            "{day}, {}. Both hosts on this machine. The dot is the worst run; what is less than 0.01 ms stands at the left.",
            results.machine
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        machine::{Load, Machine},
        report::{Counts, Subject},
        results::Part,
        rivals::Programs,
    };

    fn report(contender: &str, timers: &str, step: &str) -> Result<Report> {
        Ok(Report {
            title: String::new(),
            subject: Some(Subject {
                contender: contender.into(),
                timers: timers.into(),
                event: "crash".into(),
                step: step.into(),
            }),
            figures: vec![Figure::new(detect::VERDICT, Unit::Micros, vec![80.0, 1200.0])?],
            counts: Counts::default(),
            load: Load::default(),
        })
    }

    fn results() -> Result<Results> {
        Ok(Results {
            date: "2026-01-01T00:00:00Z".into(),
            machine: Machine::this()?,
            programs: Programs(Vec::new()),
            parts: vec![Part {
                name: "detect".into(),
                seconds: 1.0,
                packets: None,
                reports: vec![
                    report("hb", "100/500 ms", "idle")?,
                    report("hb", "50/200 ms", "idle")?,
                    report("hb", "50/200 ms", "churn")?,
                    report("hb", "10/30 ms", "idle")?,
                    report("hb", "10/30 ms", "churn")?,
                    report("keepalived", "10/30 ms", "idle")?,
                ],
            }],
        })
    }

    #[test]
    fn everybody_has_one_curve_a_panel_with_the_timers_that_compare_best() -> Result<()> {
        let drawing = SKETCHES[0].drawing(&results()?).context("no drawing")?;
        let names = |panel: &Panel| panel.curves.iter().map(|curve| curve.name.clone()).collect::<Vec<_>>();
        assert_eq!(drawing.panels.len(), 2);
        assert_eq!(drawing.panels[0].title, "idle");
        assert_eq!(names(&drawing.panels[0]), ["hb 10/30 ms", "keepalived 10/30 ms"]);
        assert_eq!(names(&drawing.panels[1]), ["hb 10/30 ms"]);
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&drawing.panels[0].curves[0].millis), bits(&[0.08, 1.2]));
        assert_eq!(
            drawing.caption[0],
            "Runs a panel: hb 10/30 ms: 2, keepalived 10/30 ms: 2."
        );
        let timers = SKETCHES[2].drawing(&results()?).context("no drawing")?;
        assert_eq!(
            names(&timers.panels[0]),
            ["hb 100/500 ms", "hb 50/200 ms", "hb 10/30 ms"]
        );
        Ok(())
    }

    #[test]
    fn only_what_was_measured_is_drawn() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let plots = directory.path().join("plots");
        assert_eq!(write(&results()?, &plots)?, ["detect-verdict.svg", "detect-timers.svg"]);
        assert_eq!(fs::read_dir(&plots)?.count(), 2);
        Ok(())
    }
}
