//! The tables of docs/BENCHMARKS.md, as Markdown.

use std::fmt::Write as _;

use super::{
    packet::PacketReport,
    report::{Figure, Report, Unit},
    results::{Part, Results},
};

/// All tables: a section each part, and in it a table each event and figure.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let mut text = format!(
        "Measured {} on {}: {}.\n",
        results.date, results.machine, results.programs
    );
    for part in &results.parts {
        text += &section(part);
    }
    text
}

fn section(part: &Part) -> String {
    let mut text = format!("\n## {} ({:.0} s)\n", part.name, part.seconds);
    if let Some(packets) = &part.packets {
        text += &costs(packets);
    }
    let (compared, alone): (Vec<_>, Vec<_>) = part.reports.iter().partition(|report| report.subject.is_some());
    for report in alone {
        text += &lone(report);
    }
    for event in distinct(compared.iter().map(|report| event_of(report))) {
        let of_event = compared.iter().filter(|report| event_of(report) == event).copied();
        text += &compare(&part.name, event, &of_event.collect::<Vec<_>>());
    }
    text
}

/// A table each figure, in which a row is one contender on one step, and a last one of what was counted.
fn compare(part: &str, event: &str, reports: &[&Report]) -> String {
    let mut text = String::new();
    let figures = reports.iter().flat_map(|report| &report.figures);
    for name in distinct(figures.map(Figure::name)) {
        let having = || reports.iter().filter_map(|report| Some((report, report.figure(name)?)));
        let units = distinct(having().map(|(_, figure)| figure.unit().name()));
        let _ = write!(
            text,
            "\n**{part}, {event}: {name}** ({})\n\n\
             | step | who | runs | min | median | p99 | max | goal |\n|---|---|---|---|---|---|---|---|\n",
            units.join(", ")
        );
        for step in steps(reports) {
            for (report, figure) in having().filter(|(report, _)| step_of(report) == step) {
                let _ = writeln!(text, "| {step} | {} | {} |", who(report), spread(figure));
            }
        }
    }
    let counted: Vec<_> = reports.iter().flat_map(|report| report.counts.0.keys()).collect();
    let mut names = distinct(counted.into_iter());
    names.retain(|name| {
        reports
            .iter()
            .any(|report| report.counts.0.get(*name).is_some_and(|count| *count > 0))
    });
    if !names.is_empty() {
        let _ = write!(text, "\n**{part}, {event}: counted**\n\n| step | who |");
        for name in &names {
            let _ = write!(text, " {name} |");
        }
        let _ = writeln!(text, "\n|---|---|{}", "---|".repeat(names.len()));
        for step in steps(reports) {
            for report in reports.iter().filter(|report| step_of(report) == step) {
                let _ = write!(text, "| {step} | {} |", who(report));
                for name in &names {
                    let count = report
                        .counts
                        .0
                        .get(*name)
                        .map_or_else(|| "-".to_owned(), u64::to_string);
                    let _ = write!(text, " {count} |");
                }
                text.push('\n');
            }
        }
    }
    let _ = write!(
        text,
        "\n**{part}, {event}: the machine meanwhile**\n\n| step | who | busy, % | stolen, % |\n|---|---|---|---|\n"
    );
    for step in steps(reports) {
        for report in reports.iter().filter(|report| step_of(report) == step) {
            let (busy, stolen) = report.load.percentages();
            let _ = writeln!(text, "| {step} | {} | {busy:.1} | {stolen:.1} |", who(report));
        }
    }
    text
}

/// A report that is compared with nothing: a row each figure.
fn lone(report: &Report) -> String {
    let mut text = format!("\n**{}** ({})\n\n", report.title, report.load);
    text += "| | unit | runs | min | median | p99 | max | goal |\n|---|---|---|---|---|---|---|---|\n";
    for figure in &report.figures {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            figure.name(),
            figure.unit().name(),
            spread(figure)
        );
    }
    for (name, count) in &report.counts.0 {
        let _ = write!(text, "\n- {name}: {count}");
    }
    text.push('\n');
    text
}

fn costs(packets: &PacketReport) -> String {
    let mut text =
        "\n| | min, ns | median, ns | max, ns | times the empty program | goal |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for cost in &packets.repeated {
        let goal = cost
            .goal()
            .map_or_else(String::new, |(goal, met)| format!("{goal}: {}", verdict(met)));
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.0} | {:.1} | {goal} |",
            cost.what, cost.min_ns, cost.median_ns, cost.max_ns, cost.times_floor
        );
    }
    let instructions = packets
        .verified_instructions
        .map_or("unknown".to_owned(), |count| count.to_string());
    let _ = write!(
        text,
        "\nInstructions verified: {instructions}; machine code: {} bytes; loading: {:.1} ms, of which {:.1} ms are the \
         reading of the kernel's BTF.\n",
        packets.jited_bytes, packets.load_ms, packets.kernel_btf_ms
    );
    text
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

/// `runs | min | median | p99 | max | goal`.
fn spread(figure: &Figure) -> String {
    let digits = figure.unit().digits();
    let ranks = figure.ranks().map(|value| format!("{value:.digits$}"));
    let goals = figure.verdicts().map(|(goal, met)| format!("{goal}: {}", verdict(met)));
    format!(
        "{} | {} | {}",
        figure.runs(),
        ranks.join(" | "),
        goals.collect::<Vec<_>>().join(", ")
    )
}

/// A figure's median and maximum, in a unit that reads well: `0.12 / 0.9 ms`.
pub(super) fn median_and_max(figure: &Figure) -> String {
    let (median, max) = figure.median_and_max();
    let (factor, unit) = match figure.unit() {
        Unit::Nanos => (1.0, "ns"),
        Unit::Micros => (1e-3, "ms"),
        Unit::Millis => (1.0, "ms"),
        Unit::Seconds => (1e3, "ms"),
        unit @ (Unit::Percent | Unit::Megabytes | Unit::PerSecond | Unit::Calls) => (1.0, unit.name()),
    };
    format!("{} / {} {unit}", short(median * factor), short(max * factor))
}

/// Three digits, as far as they mean something.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        ..1.0 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

pub(super) fn who(report: &Report) -> String {
    let subject = report.subject.as_ref();
    subject.map_or_else(String::new, |subject| {
        format!("{} {}", subject.contender, subject.timers)
    })
}

fn event_of(report: &Report) -> &str {
    report.subject.as_ref().map_or("", |subject| &subject.event)
}

fn step_of(report: &Report) -> &str {
    report.subject.as_ref().map_or("", |subject| &subject.step)
}

fn steps<'a>(reports: &[&'a Report]) -> Vec<&'a str> {
    distinct(reports.iter().map(|report| step_of(report)))
}

/// Each once, in the order of their first appearance.
pub(super) fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

#[cfg(test)]
mod tests;
