//! Reads a recording. It may come from anybody: whatever is in it, this says where and what is wrong.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read as _};

use hb_ebpf::Nanos;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::format::{FORMAT, Lost, Names, OLDEST, OwnedEvent, Start, Why};
use crate::core::{Event, Settings};

/// How long a line may be. The longest real one, a header of 16 nodes and 32 groups, is far below.
const MAX_LINE: u64 = 1 << 20;

/// A line of a recording.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// All that a replay has to know to begin here.
    Start(Box<Start>),
    /// An event.
    Event {
        /// When the core was told.
        at: Nanos,
        /// What.
        event: Event,
        /// What the numbers stand for from here on, if that changes.
        names: Option<Names>,
    },
    /// So many events are missing here.
    Lost(u64),
    /// The daemon ended while it wrote this line.
    Torn,
}

/// A line, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// Its number, from 1.
    pub number: u64,
    /// What it says.
    pub line: Line,
}

/// Why a recording cannot be read on.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Flaw {
    #[error("line {number}: {message}")]
    Line { number: u64, message: String },
    #[error("cannot read it")]
    Io(#[from] io::Error),
}

/// Reads line by line, and no more than that into memory.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    number: u64,
    /// Read already, to know what to make of what came before.
    ahead: VecDeque<Located>,
}

impl<R: BufRead> Reader<R> {
    /// A reader of a whole file.
    pub fn new(input: R) -> Self {
        Self {
            input,
            number: 0,
            ahead: VecDeque::new(),
        }
    }

    /// The next line; `None` at the end.
    pub fn next_line(&mut self) -> Result<Option<Located>, Flaw> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let Some(raw) = self.read()? else { return Ok(None) };
        let number = self.number;
        let message = match raw.parse() {
            Ok(line) => return Ok(Some(Located { number, line })),
            Err(message) => message,
        };
        // What was being written when the daemon died is followed by nothing, or by its next life.
        if raw.is_terminated {
            let next = self.read()?.and_then(|next| next.parse().ok());
            match next {
                Some(Line::Start(start)) if start.why == Why::Start => self.ahead.push_back(Located {
                    number: self.number,
                    line: Line::Start(start),
                }),
                _ => return Err(Flaw::Line { number, message }),
            }
        }
        let line = Line::Torn;
        Ok(Some(Located { number, line }))
    }

    fn read(&mut self) -> Result<Option<Raw>, Flaw> {
        self.number += 1;
        let mut bytes = Vec::new();
        self.input.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut bytes)?;
        if bytes.len() as u64 > MAX_LINE {
            let number = self.number;
            let message = format!("longer than {MAX_LINE} bytes: expected a line of a recording");
            return Err(Flaw::Line { number, message });
        }
        let is_terminated = bytes.last() == Some(&b'\n');
        Ok((!bytes.is_empty()).then_some(Raw { bytes, is_terminated }))
    }
}

struct Raw {
    bytes: Vec<u8>,
    is_terminated: bool,
}

/// What tells the kinds of lines apart.
#[derive(Deserialize)]
struct Kind {
    format: Option<u64>,
    event: Option<IgnoredAny>,
    lost: Option<IgnoredAny>,
}

impl Raw {
    /// The line, or what was expected instead.
    fn parse(&self) -> Result<Line, String> {
        let kind: Kind = self.json("a line of a recording")?;
        match kind {
            Kind {
                format: Some(OLDEST..=FORMAT),
                ..
            } => self.start(),
            Kind {
                format: Some(other), ..
            } => Err(format!(
                "format {other}: expected {OLDEST} to {FORMAT}, which this hb reads; replay it with the version that recorded it"
            )),
            Kind { event: Some(_), .. } => self.event(),
            Kind { lost: Some(_), .. } => self
                .json("a number of lost events")
                .map(|Lost { lost }| Line::Lost(lost)),
            Kind { .. } => Err("expected a header, an event or a number of lost events".to_owned()),
        }
    }

    fn start(&self) -> Result<Line, String> {
        let mut start: Start = self.json("a header")?;
        start.node.check()?;
        let settings = start.node.settings();
        start.names = shown_names(&start.names, settings.nodes, settings.groups.len())?;
        start.hb = shown(&start.hb);
        Ok(Line::Start(Box::new(start)))
    }

    fn event(&self) -> Result<Line, String> {
        let OwnedEvent { at, event, names } = self.json("an event")?;
        let names = match (&event, names) {
            (Event::Reconfigure(new), names) => {
                let Settings { nodes, ref groups, .. } = new.settings;
                new.settings.check()?;
                names
                    .map(|names| shown_names(&names, nodes, groups.len()))
                    .transpose()?
            }
            (_, None) => None,
            (_, Some(_)) => return Err("names: expected them with Reconfigure only".to_owned()),
        };
        Ok(Line::Event { at, event, names })
    }

    fn json<T: DeserializeOwned>(&self, expected: &str) -> Result<T, String> {
        serde_json::from_slice(&self.bytes).map_err(|error| {
            let text = error.to_string();
            // It knows of this line only.
            let reason = text
                .rsplit_once(" at line ")
                .map_or(text.as_str(), |(reason, _)| reason);
            format!("column {}: {}: expected {expected}", error.column(), shown(reason))
        })
    }
}

/// As many names as there are things.
fn shown_names(names: &Names, nodes: usize, groups: usize) -> Result<Names, String> {
    for (what, found, expected) in [
        ("nodes", names.nodes.len(), nodes),
        ("groups", names.groups.len(), groups),
    ] {
        if found != expected {
            return Err(format!("names of {found} {what}: expected {expected}"));
        }
    }
    Ok(Names {
        nodes: names.nodes.iter().map(|name| shown(name)).collect(),
        groups: names.groups.iter().map(|name| shown(name)).collect(),
    })
}

/// Escapes what does not show: a terminal would obey it.
fn shown(text: &str) -> String {
    let show = |c: char| match c {
        '\'' | '"' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    };
    text.chars().map(show).collect()
}
