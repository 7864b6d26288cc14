//! Runs a recording through a real node.

use hb_ebpf::Nanos;

use crate::core::{Action, Advert, Contact, Event, GroupState, Node, Sight, Waiting};
use crate::recorder::{Line, Names, Start, Why};

/// What came of one line.
#[derive(Debug)]
pub(super) enum Step {
    /// The replay begins here, or goes on from a state that was recorded.
    Started(Box<Started>),
    /// An event was handled.
    Handled(Box<Handled>),
    /// So many events are missing.
    Lost(u64),
    /// The daemon ended while it wrote this line.
    Torn,
}

/// A header.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) start: Start,
    /// The names and states of the groups.
    pub(super) groups: Vec<(String, GroupState)>,
    /// The recorded state is another than what the events before led to here.
    pub(super) is_other: bool,
}

/// An event, and what the node made of it.
#[derive(Debug)]
pub(super) struct Handled {
    /// Since the first event of this life of the daemon.
    pub(super) time: Nanos,
    pub(super) event: Event,
    /// A peer said what it had said before, and nothing followed.
    pub(super) is_repeat: bool,
    pub(super) actions: Vec<Action>,
    /// What had been said to the peers before.
    pub(super) advert: Advert,
    /// For whom each group waits now, where that has changed.
    pub(super) waits: Vec<(usize, Option<Waiting>)>,
    /// What the numbers stood for before, and from here on.
    pub(super) old_names: Names,
    pub(super) names: Names,
}

/// A node that lives through a recording.
#[derive(Debug, Default)]
pub(super) struct Rerun {
    life: Option<Life>,
}

#[derive(Debug)]
struct Life {
    node: Node,
    names: Names,
    /// The time of the first event.
    origin: Nanos,
    newest: Nanos,
    /// Every event since the state was recorded is known.
    is_complete: bool,
}

impl Rerun {
    /// Takes the next line; an error says what was expected.
    pub(super) fn take(&mut self, line: Line) -> Result<Step, String> {
        match (line, &mut self.life) {
            (Line::Start(start), _) => Ok(self.start(*start)),
            (Line::Torn, _) => Ok(Step::Torn),
            (Line::Event { .. } | Line::Lost(_), None) => {
                Err("expected a header, with which a recording begins".to_owned())
            }
            (Line::Lost(lost), Some(running)) => {
                running.is_complete = false;
                Ok(Step::Lost(lost))
            }
            (Line::Event { at, event, names }, Some(running)) => running.handle(at, event, names),
        }
    }

    fn start(&mut self, start: Start) -> Step {
        let old = self.life.take().filter(|_| start.why != Why::Start);
        let is_other = old
            .as_ref()
            .is_some_and(|old| old.is_complete && old.node != start.node);
        let origin = old.map_or(start.at, |old| old.origin.min(start.at));
        self.life = Some(Life {
            node: start.node.clone(),
            names: start.names.clone(),
            origin,
            newest: start.at,
            is_complete: true,
        });
        let states = (0..).map_while(|index| start.node.group(index));
        let names = start.names.groups.iter().cloned();
        Step::Started(Box::new(Started {
            groups: names.zip(states.map(|group| group.state)).collect(),
            is_other,
            start,
        }))
    }
}

impl Life {
    fn handle(&mut self, at: Nanos, event: Event, names: Option<Names>) -> Result<Step, String> {
        if at < self.newest {
            return Err(format!("at {}: expected {} or later", at.0, self.newest.0));
        }
        self.newest = at;
        let (advert, before) = (self.node.advert(), waits(&self.node));
        let says_nothing_new = self.says_nothing_new(&event);
        let actions = self.node.handle(&event, at);
        let old_names = self.names.clone();
        if let Event::Reconfigure(new) = &event {
            // Names that do not fit would be worse than none.
            self.names = names.unwrap_or_else(|| Names {
                nodes: self.names.nodes.clone().into_iter().take(new.settings.nodes).collect(),
                groups: Vec::new(),
            });
        }
        let waits = waits(&self.node).into_iter().enumerate();
        let waits = waits.filter(|(index, waiting)| before.get(*index).copied().flatten() != *waiting);
        let waits: Vec<_> = waits.collect();
        Ok(Step::Handled(Box::new(Handled {
            time: at.since(self.origin),
            is_repeat: says_nothing_new && actions.is_empty() && waits.is_empty(),
            waits,
            event,
            actions,
            advert,
            old_names,
            names: self.names.clone(),
        })))
    }

    /// Whether it is a beat that says no more than what it heard of ours.
    fn says_nothing_new(&self, event: &Event) -> bool {
        let Event::Peer { node, sight } = event else {
            return false;
        };
        let before = self.node.peer(*node);
        let same = Sight {
            confirmed: sight.confirmed,
            heard_us: sight.heard_us,
            ..before.sight
        };
        before.contact == Contact::Up && same == *sight
    }
}

fn waits(node: &Node) -> Vec<Option<Waiting>> {
    let groups = (0..).map_while(|index| node.group(index));
    groups.map(|group| group.waiting).collect()
}
