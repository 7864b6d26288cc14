//! Runs a recording again, and prints the decisions with reasons.

mod rerun;
mod words;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::Failure;
use crate::core::{Action, Event};
use crate::recorder::{Flaw, Names, Reader, Why};
use rerun::{Handled, Rerun, Started, Step};

#[cfg(test)]
mod tests;

/// The version that decides here.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recording: the file of hb.toml's [recorder], or its predecessor, FILE.1
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let name = args.file.display().to_string();
    let file = File::open(&args.file).with_context(|| name.clone())?;
    let out = BufWriter::new(io::stdout().lock());
    match replay(BufReader::new(file), Printer::new(out, args.json)) {
        // Whoever reads it has seen enough.
        Err(ReplayError::Print(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result.context(name)?),
    }
}

/// Why a replay ends before the recording does.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error(transparent)]
    Flaw(#[from] Flaw),
    #[error("cannot print")]
    Print(#[from] io::Error),
}

/// Replays all of it, or up to the first line that cannot be true.
fn replay(input: impl BufRead, mut printer: Printer<impl Write>) -> Result<(), ReplayError> {
    let mut reader = Reader::new(input);
    let mut rerun = Rerun::default();
    let result = loop {
        let located = match reader.next_line() {
            Ok(Some(located)) => located,
            Ok(None) => break Ok(()),
            Err(flaw) => break Err(flaw),
        };
        let number = located.number;
        match rerun.take(located.line) {
            Ok(step) => printer.print(number, &step)?,
            Err(message) => break Err(Flaw::Line { number, message }),
        }
    };
    printer.finish()?;
    Ok(result?)
}

/// Prints steps for people, or for programs.
struct Printer<W> {
    out: W,
    is_json: bool,
    /// The beats that were not printed since the last line, by the name of the node.
    repeats: BTreeMap<String, u64>,
}

impl<W: Write> Printer<W> {
    fn new(out: W, is_json: bool) -> Self {
        Self {
            out,
            is_json,
            repeats: BTreeMap::new(),
        }
    }

    fn print(&mut self, number: u64, step: &Step) -> io::Result<()> {
        if self.is_json {
            return writeln!(self.out, "{}", json(number, step));
        }
        if let Step::Handled(handled) = step
            && let (Event::Peer { node, .. }, true) = (&handled.event, handled.is_repeat)
        {
            *self.repeats.entry(handled.names.node(*node).into_owned()).or_default() += 1;
            return Ok(());
        }
        self.print_repeats()?;
        match step {
            Step::Started(started) => self.print_start(started),
            Step::Handled(handled) => self.print_event(handled),
            Step::Lost(lost) => writeln!(
                self.out,
                "warning: line {number}: {lost} events were lost here; what is decided after them may differ from what \
                 was, until the recorded state follows"
            ),
            Step::Torn => writeln!(
                self.out,
                "note: line {number} is torn: the daemon ended while it wrote it"
            ),
        }
    }

    fn print_start(&mut self, started: &Started) -> io::Result<()> {
        let Started {
            start,
            groups,
            is_other,
        } = started;
        if *is_other {
            writeln!(
                self.out,
                "warning: the state recorded here is not the one that these events lead this hb to: what it decided above \
                 may differ from what was decided"
            )?;
        }
        let me = start.names.node(start.node.settings().me);
        match start.why {
            Why::Start => writeln!(
                self.out,
                "{me} starts at {} (seconds since 1970), recorded by hb {}",
                start.started_unix, start.hb
            )?,
            Why::NewFile => writeln!(self.out, "{me} goes on in a new file, recorded by hb {}", start.hb)?,
            Why::Lost => writeln!(self.out, "{me} goes on from the recorded state")?,
            Why::Reconfigured => writeln!(self.out, "{me} goes on with the new configuration")?,
        }
        if start.hb != VERSION {
            writeln!(self.out, "note: this is hb {VERSION}, which may decide otherwise")?;
        }
        let states = words::states(groups.iter().cloned());
        if !states.is_empty() {
            writeln!(self.out, "  {}", states.join(", "))?;
        }
        Ok(())
    }

    fn print_event(&mut self, handled: &Handled) -> io::Result<()> {
        let Handled { time, event, names, .. } = handled;
        let (seconds, micros) = (time.as_micros() / 1_000_000, time.as_micros() % 1_000_000);
        writeln!(self.out, "{seconds:>8}.{micros:06}  {}", words::event(event, names))?;
        for (_, words) in decisions(handled) {
            writeln!(self.out, "{:17}-> {words}", "")?;
        }
        Ok(())
    }

    fn print_repeats(&mut self) -> io::Result<()> {
        for (node, count) in std::mem::take(&mut self.repeats) {
            writeln!(self.out, "{:17}({node} said the same {count} times more)", "")?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.print_repeats()?;
        self.out.flush()
    }
}

/// What was decided, for programs and in words.
fn decisions(handled: &Handled) -> Vec<(Value, String)> {
    let Handled {
        advert,
        old_names,
        names,
        ..
    } = handled;
    let actions = handled.actions.iter();
    let actions = actions.map(|action| (json!(action), words::action(action, advert, old_names, names)));
    // That what is acquired waits no longer goes without saying.
    let is_acquired = |index: usize| {
        let is_it = |action: &Action| matches!(action, Action::Acquire { group, .. } if *group == index);
        handled.actions.iter().any(is_it)
    };
    let waits = handled.waits.iter().filter(|(group, _)| !is_acquired(*group));
    let waits = waits.map(|(group, waiting)| {
        let value = json!({ "wait": { "group": group, "for": waiting } });
        (value, words::waiting(*group, *waiting, names))
    });
    actions.chain(waits).collect()
}

fn json(number: u64, step: &Step) -> Value {
    match step {
        Step::Started(started) => {
            let Started { start, is_other, .. } = &**started;
            let Names { nodes, groups } = &start.names;
            json!({
                "line": number,
                "start": {
                    "hb": start.hb,
                    "why": start.why,
                    "started_unix": start.started_unix,
                    "me": start.node.settings().me,
                    "nodes": nodes,
                    "groups": groups,
                    "differs_from_replay": is_other,
                },
            })
        }
        Step::Handled(handled) => {
            let decisions = decisions(handled);
            let decisions = decisions
                .into_iter()
                .map(|(value, words)| json!({ "decision": value, "words": words }));
            json!({
                "line": number,
                "time_ns": handled.time,
                "event": handled.event,
                "words": words::event(&handled.event, &handled.names),
                "decisions": decisions.collect::<Vec<_>>(),
            })
        }
        Step::Lost(lost) => json!({ "line": number, "lost": lost }),
        Step::Torn => json!({ "line": number, "torn": true }),
    }
}
