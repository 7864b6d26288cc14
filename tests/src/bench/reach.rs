//! The figures to reach: what hb has, what its rivals have in the same run, and whether that is enough.

use std::fmt::Write as _;

use super::{
    address, detect,
    failover::tell,
    flood, quiet,
    report::{Figure, Report},
    results::Results,
    table::{distinct, median_and_max, who},
};

/// A row.
struct Aim {
    what: &'static str,
    /// In words, as the goals of the figures say it in numbers.
    goal: &'static str,
    part: &'static str,
    event: &'static str,
    steps: &'static [&'static str],
    /// The timers of hb.
    timers: &'static str,
    of: Of,
}

/// Where its numbers come from.
enum Of {
    /// A figure: median and maximum.
    Figure(&'static str),
    /// Something that was counted.
    Count(&'static str),
}

const BESIDE: &str = "10/30 ms";
const LADDER: &[&str] = &[
    "idle",
    "hogs",
    "churn",
    "timers",
    "hrtimers",
    "memory",
    "fifo40",
    "fifo99",
    "frozen-briefly",
    "frozen",
];

const AIMS: [Aim; 25] = [
    Aim {
        what: "verdict after the deadline, idle",
        goal: "0.10 / 1 ms",
        part: "detect",
        event: "crash",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(detect::VERDICT),
    },
    Aim {
        what: "action after the deadline, idle",
        goal: "0.5 / 3 ms",
        part: "detect",
        event: "crash",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(detect::ACTION),
    },
    Aim {
        what: "decision to the first gratuitous ARP at a third host",
        goal: "median 2 ms",
        part: "address",
        event: "IPv4",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(address::ANNOUNCED),
    },
    Aim {
        what: "decision to the first neighbour advertisement at a third host",
        goal: "median 2 ms",
        part: "address",
        event: "IPv6",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(address::ANNOUNCED),
    },
    Aim {
        what: "crash to action",
        goal: "median 31 / 31 / 33 ms",
        part: "detect",
        event: "crash",
        steps: &["idle", "hogs", "churn"],
        timers: BESIDE,
        of: Of::Figure(detect::FROM_CRASH),
    },
    Aim {
        what: "crash to the other's start, with an address to move",
        goal: "median 31 / 31 / 33 ms",
        part: "failover",
        event: "crash",
        steps: &["idle", "hogs", "churn"],
        timers: BESIDE,
        of: Of::Figure(tell::START),
    },
    Aim {
        what: "verdict after the deadline, under real-time hogs",
        goal: "max 1 ms",
        part: "detect",
        event: "crash",
        steps: &["fifo40", "fifo99"],
        timers: BESIDE,
        of: Of::Figure(detect::VERDICT),
    },
    Aim {
        what: "action after the deadline, under real-time hogs",
        goal: "max 5 ms",
        part: "detect",
        event: "crash",
        steps: &["fifo40", "fifo99"],
        timers: BESIDE,
        of: Of::Figure(detect::ACTION),
    },
    Aim {
        what: "crash to the address announced, under real-time hogs",
        goal: "median 35 ms",
        part: "failover",
        event: "crash",
        steps: &["fifo40", "fifo99"],
        timers: BESIDE,
        of: Of::Figure(tell::ANNOUNCED),
    },
    Aim {
        what: "false deaths",
        goal: "0",
        part: "quiet",
        event: "none",
        steps: LADDER,
        timers: BESIDE,
        of: Of::Count("false deaths"),
    },
    Aim {
        what: "longest gap between own beats",
        goal: "under 20 ms",
        part: "quiet",
        event: "none",
        steps: &["timers", "hrtimers", "fifo40", "fifo99", "memory"],
        timers: BESIDE,
        of: Of::Figure(quiet::GAP),
    },
    Aim {
        what: "orderly stop: from stop to start",
        goal: "the script's own time + 3 ms",
        part: "failover",
        event: "stop",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(tell::HANDOVER),
    },
    Aim {
        what: "of that beyond the script itself",
        goal: "median 3 ms",
        part: "failover",
        event: "stop",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(tell::BEYOND),
    },
    Aim {
        what: "two owners after a heal",
        goal: "one interval + stop",
        part: "failover",
        event: "heal",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(tell::TWO_OWNERS),
    },
    Aim {
        what: "no owner after a heal",
        goal: "start",
        part: "failover",
        event: "heal",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(tell::NO_OWNER),
    },
    Aim {
        what: "one stable owner after a heal",
        goal: "the sum of the two",
        part: "failover",
        event: "heal",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(tell::SETTLED),
    },
    Aim {
        what: "CPU of the victim in a flood, forged",
        goal: "max 5 % of a core",
        part: "flood",
        event: "flood: forged",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(flood::CPU),
    },
    Aim {
        what: "false deaths in a flood, forged",
        goal: "0",
        part: "flood",
        event: "flood: forged",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Count(flood::FALSE_DEATHS),
    },
    Aim {
        what: "CPU of the victim in a flood, replayed",
        goal: "max 5 % of a core",
        part: "flood",
        event: "flood: replayed",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(flood::CPU),
    },
    Aim {
        what: "false deaths in a flood, replayed",
        goal: "0",
        part: "flood",
        event: "flood: replayed",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Count(flood::FALSE_DEATHS),
    },
    Aim {
        what: "CPU of the victim in a flood, random",
        goal: "max 5 % of a core",
        part: "flood",
        event: "flood: random",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(flood::CPU),
    },
    Aim {
        what: "false deaths in a flood, random",
        goal: "0",
        part: "flood",
        event: "flood: random",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Count(flood::FALSE_DEATHS),
    },
    Aim {
        what: "CPU of a quiet node at 50/200 ms",
        goal: "median 0.3 %",
        part: "quiet",
        event: "none",
        steps: &["idle"],
        timers: "50/200 ms",
        of: Of::Figure(quiet::CPU),
    },
    Aim {
        what: "CPU of a quiet node at 10/30 ms",
        goal: "median 1 %",
        part: "quiet",
        event: "none",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(quiet::CPU),
    },
    Aim {
        what: "memory of a node (PSS)",
        goal: "max 12 MB",
        part: "quiet",
        event: "none",
        steps: &["idle"],
        timers: BESIDE,
        of: Of::Figure(quiet::MEMORY),
    },
];

/// The table, as Markdown. What was not measured says so.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let mut text =
        "| figure (median / max) | step | hb | goal | | rivals in the same run |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for aim in &AIMS {
        for step in aim.steps {
            let (own, rivals): (Vec<_>, Vec<_>) = results
                .reports(aim.part)
                .filter(|report| aim.is_of(report, step))
                .partition(|report| report.subject.as_ref().is_some_and(|subject| subject.contender == "hb"));
            let of_timers = |report: &&&Report| {
                report
                    .subject
                    .as_ref()
                    .is_some_and(|subject| subject.timers == aim.timers)
            };
            let own = own.iter().find(of_timers);
            let shown = own.map_or_else(|| "not measured".to_owned(), |report| aim.value(report));
            let verdict = own.map_or("", |report| aim.verdict(report));
            let rivals = rivals
                .iter()
                .map(|report| format!("{}: {}", who(report), aim.value(report)));
            let rivals = distinct(rivals);
            let _ = writeln!(
                text,
                "| {} | {step} | {shown} | {} | {verdict} | {} |",
                aim.what,
                aim.goal,
                rivals.join("; ")
            );
        }
    }
    for packets in results.parts.iter().filter_map(|part| part.packets.as_ref()) {
        for cost in &packets.repeated {
            if let Some((goal, met)) = cost.goal() {
                let verdict = if met { "met" } else { "**missed**" };
                let _ = writeln!(
                    text,
                    "| cost of a frame: {} | - | {:.0} ns | {goal} | {verdict} |  |",
                    cost.what, cost.median_ns
                );
            }
        }
    }
    text
}

impl Aim {
    fn is_of(&self, report: &Report, step: &str) -> bool {
        let subject = report.subject.as_ref();
        subject.is_some_and(|subject| subject.event == self.event && subject.step == step)
    }

    fn value(&self, report: &Report) -> String {
        match self.of {
            Of::Figure(name) => report.figure(name).map_or_else(|| "none".to_owned(), median_and_max),
            Of::Count(name) => report
                .counts
                .0
                .get(name)
                .map_or_else(|| "none".to_owned(), u64::to_string),
        }
    }

    /// By the goals that the figure itself has; a count has to be zero.
    fn verdict(&self, report: &Report) -> &'static str {
        let met = match self.of {
            Of::Figure(name) => {
                let verdicts: Vec<_> = report.figure(name).into_iter().flat_map(Figure::verdicts).collect();
                (!verdicts.is_empty()).then(|| verdicts.iter().all(|(_, met)| *met))
            }
            Of::Count(name) => report.counts.0.get(name).map(|count| *count == 0),
        };
        match met {
            None => "",
            Some(true) if lacks_runs(report) => "met in the runs that count",
            Some(true) => "met",
            Some(false) => "**missed**",
        }
    }
}

/// Whether runs are missing among the figures that might have been the worst.
fn lacks_runs(report: &Report) -> bool {
    const MISSING: [&str; 4] = [
        "runs spoilt",
        "runs that failed",
        "runs left out",
        "deaths that nobody noticed",
    ];
    let is_missing = |name: &str| MISSING.iter().any(|missing| name.starts_with(missing));
    report
        .counts
        .0
        .iter()
        .any(|(name, count)| *count > 0 && is_missing(name))
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use super::*;
    use crate::bench::{
        machine::{Load, Machine},
        report::{Counts, Goal, Subject, Unit},
        results::Part,
        rivals::Programs,
    };

    fn part(name: &str, reports: Vec<Report>) -> Part {
        Part {
            name: name.into(),
            seconds: 1.0,
            packets: None,
            reports,
        }
    }

    fn report(contender: &str, event: &str, figures: Vec<Figure>, counts: Counts) -> Report {
        Report {
            title: String::new(),
            subject: Some(Subject {
                contender: contender.into(),
                timers: BESIDE.into(),
                event: event.into(),
                step: "idle".into(),
            }),
            figures,
            counts,
            load: Load::default(),
        }
    }

    #[test]
    fn what_was_not_timed_is_not_passed_over() {
        let lacks = |counts: Counts| lacks_runs(&report("hb", "crash", Vec::new(), counts));
        assert!(!lacks(Counts::default()));
        assert!(!lacks(
            [
                ("runs left out, for lack of time", 0),
                ("packets that the observer lost", 3)
            ]
            .into()
        ));
        for name in [
            "runs spoilt by a death declared before there was one",
            "runs that failed, after which both daemons began again",
            "runs left out, for lack of time",
            "deaths that nobody noticed while it was waited",
        ] {
            assert!(lacks([(name, 1)].into()), "{name}");
        }
    }

    #[test]
    fn each_goal_stands_beside_what_was_measured() -> Result<()> {
        let verdict = |values: &[f64]| Figure::new(detect::VERDICT, Unit::Micros, values.to_vec());
        let own = verdict(&[80.0, 90.0, 2000.0])?
            .goal(Goal::Median(100.0))
            .goal(Goal::Max(1000.0));
        let none = Counts::default;
        let results = Results {
            date: String::new(),
            machine: Machine::this()?,
            programs: Programs(Vec::new()),
            parts: vec![
                part(
                    "detect",
                    vec![
                        report("hb", "crash", vec![own], none()),
                        report("bfdd", "crash", vec![verdict(&[200.0, 2900.0])?], none()),
                    ],
                ),
                part(
                    "quiet",
                    vec![
                        report("hb", "none", Vec::new(), [("false deaths", 0)].into()),
                        report("keepalived", "none", Vec::new(), [("false deaths", 7)].into()),
                    ],
                ),
            ],
        };
        let text = markdown(&results);
        let lines: Vec<_> = text.lines().collect();
        let expected = [
            "| verdict after the deadline, idle | idle | 0.090 / 2.00 ms | 0.10 / 1 ms | **missed** | bfdd 10/30 ms: 0.200 / 2.90 ms |",
            "| false deaths | idle | 0 | 0 | met | keepalived 10/30 ms: 7 |",
            "| false deaths | churn | not measured | 0 |  |  |",
        ];
        for line in expected {
            assert!(lines.contains(&line), "{line}\n{text}");
        }
        Ok(())
    }
}
