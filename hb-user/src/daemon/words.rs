//! What operators are told of their orders.

use hb_ebpf::Nanos;

use crate::config::Group;
use crate::core::{Command, GroupState, GroupView, Node, Refusal};

/// The node, with names for what it numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    pub(super) node: &'a Node,
    pub(super) nodes: &'a [String],
    pub(super) groups: &'a [Group],
    /// What went wrong last with each group.
    pub(super) problems: &'a [Option<String>],
}

impl Words<'_> {
    /// The group of a name.
    pub(super) fn find(&self, name: &str) -> Result<usize, String> {
        let found = self.groups.iter().position(|group| group.name() == name);
        found.ok_or_else(|| {
            let all: Vec<_> = (0..self.groups.len()).collect();
            format!(
                "there is no group {}; haresources has: {}",
                name.escape_debug(),
                self.list(&all)
            )
        })
    }

    pub(super) fn list(&self, groups: &[usize]) -> String {
        let names: Vec<_> = groups.iter().map(|index| self.group(*index)).collect();
        names.join(", ")
    }

    pub(super) fn refusal(&self, refusal: Refusal) -> String {
        match refusal {
            Refusal::NotUp => "this node has not settled with its peers yet, or is leaving".into(),
            Refusal::Maintenance => format!(
                "maintenance is on ({}): nothing is touched before `hb maintenance off`",
                self.maintainers()
            ),
            Refusal::Lease => "too few others hear this node, so it may own nothing".into(),
            Refusal::NobodyElse(index) => format!("{}: no other node is there to have it", self.group(index)),
            Refusal::Busy(index) => format!(
                "{}: {} here just now; try again when that has ended",
                self.group(index),
                self.state(index).name()
            ),
            Refusal::NoGroup(index) => format!("there is no group of the number {index}"),
            Refusal::NothingWrong(index) => format!("{}: there is nothing wrong with it here", self.group(index)),
        }
    }

    /// It was begun, and nobody waits for it.
    pub(super) fn begun(&self, command: Command, groups: &[usize]) -> String {
        match command {
            Command::Standby(_) => format!("{}: being given up", self.list(groups)),
            Command::Takeover(_) => format!("{}: being taken over", self.list(groups)),
            Command::Withdraw => "withdrawn".into(),
            Command::Maintenance(true) => "maintenance is on here; the other nodes are being told".into(),
            Command::Maintenance(false) => "maintenance is off here; the other nodes are being told".into(),
            Command::Cleanup(_) => format!("{}: being cleaned up", self.list(groups)),
        }
    }

    pub(super) fn done(&self, command: Command, groups: &[usize], took: Nanos) -> String {
        let each = |say: &dyn Fn(usize) -> String| {
            let lines: Vec<_> = groups.iter().map(|index| say(*index)).collect();
            lines.join("\n")
        };
        let what = match command {
            Command::Standby(_) => each(&|index| {
                let owner = self.view(index).and_then(|group| group.owner);
                let owner = owner.map_or("nobody".into(), |node| self.name(node));
                format!("{}: given up, now on {owner}", self.group(index))
            }),
            Command::Takeover(_) => {
                each(&|index| format!("{}: taken over, now on {}", self.group(index), self.name(self.me())))
            }
            Command::Withdraw => "withdrawn".into(),
            Command::Maintenance(true) => "maintenance is on: nothing is touched on any node".into(),
            Command::Maintenance(false) => "maintenance is off".into(),
            Command::Cleanup(_) => each(&|index| format!("{}: cleaned up", self.group(index))),
        };
        match groups.len() {
            0 | 1 => format!("{what} (took {})", shown(took)),
            count => format!("{what}\n{count} groups took {}", shown(took)),
        }
    }

    pub(super) fn failed(&self, command: Command, index: usize) -> String {
        let what = match (command, self.state(index)) {
            (_, GroupState::Stuck) => "it cannot be stopped here",
            (_, GroupState::Failed) => "it could not be started here",
            (Command::Standby(_), GroupState::Acquiring | GroupState::Running | GroupState::Claimed) => {
                "no other node could have it, so it is started here again"
            }
            (
                Command::Takeover(_),
                GroupState::Released
                | GroupState::Wanting
                | GroupState::Asking
                | GroupState::Acquiring
                | GroupState::Running
                | GroupState::Claimed
                | GroupState::Releasing
                | GroupState::Declined,
            ) => "it was given up again, or is no longer asked for",
            (
                Command::Standby(_),
                GroupState::Released
                | GroupState::Wanting
                | GroupState::Asking
                | GroupState::Releasing
                | GroupState::Declined,
            )
            | (
                Command::Withdraw | Command::Maintenance(_) | Command::Cleanup(_),
                GroupState::Released
                | GroupState::Wanting
                | GroupState::Asking
                | GroupState::Acquiring
                | GroupState::Running
                | GroupState::Claimed
                | GroupState::Releasing
                | GroupState::Declined,
            ) => "it did not work",
        };
        let problem = self.problems.get(index).and_then(Option::as_ref);
        let problem = problem.map(|problem| format!(" ({problem})")).unwrap_or_default();
        format!("{}: {what}{problem}", self.group(index))
    }

    pub(super) fn overruled(&self, node: usize) -> String {
        let name = self.name(node);
        format!("maintenance is off here, but {name} wants it on: give `hb maintenance off` there")
    }

    pub(super) fn late(&self, command: Command, groups: &[usize], took: Nanos) -> String {
        let mut lines = vec![format!("it has not happened within {}", shown(took))];
        lines.extend(groups.iter().map(|index| self.standing(*index)));
        match command {
            Command::Takeover(_) => lines.push("no longer asked for".into()),
            Command::Maintenance(_) => {
                let unaware = (0..self.nodes.len()).filter(|node| *node != self.me());
                let names: Vec<_> = unaware.map(|node| self.name(node)).collect();
                lines.push(format!("not every node has heard of it yet: {}", names.join(", ")));
            }
            Command::Standby(_) | Command::Cleanup(_) => lines.push("it goes on: see `hb status`".into()),
            Command::Withdraw => {}
        }
        lines.join("\n")
    }

    fn standing(&self, index: usize) -> String {
        let view = self.view(index);
        let owner = view.and_then(|group| group.owner);
        let owner = owner.map_or("nobody".into(), |node| self.name(node));
        let waiting = view.and_then(|group| group.waiting).map(|waiting| {
            let node = waiting.peer().map(|node| format!(" {}", self.name(node)));
            format!(", waiting: {}{}", waiting.name(), node.unwrap_or_default())
        });
        format!(
            "{}: {} here, owner {owner}{}",
            self.group(index),
            self.state(index).name(),
            waiting.unwrap_or_default()
        )
    }

    fn maintainers(&self) -> String {
        let names: Vec<_> = self.node.maintainers().map(|node| self.name(node)).collect();
        format!("by {}", names.join(", "))
    }

    fn view(&self, index: usize) -> Option<GroupView> {
        self.node.group(index)
    }

    fn state(&self, index: usize) -> GroupState {
        self.view(index).map_or(GroupState::Released, |group| group.state)
    }

    fn me(&self) -> usize {
        self.node.settings().me
    }

    pub(super) fn group(&self, index: usize) -> String {
        self.groups
            .get(index)
            .map_or_else(|| format!("group {index}"), Group::name)
    }

    pub(super) fn name(&self, node: usize) -> String {
        self.nodes.get(node).cloned().unwrap_or_else(|| format!("node {node}"))
    }
}

/// None of its groups is meant.
pub(super) fn nothing_to_do(command: Command) -> String {
    match command {
        Command::Standby(_) => "nothing to do: none of these groups runs here".into(),
        Command::Takeover(_) => "nothing to do: all of these groups run here".into(),
        Command::Withdraw | Command::Maintenance(_) | Command::Cleanup(_) => "nothing to do".into(),
    }
}

fn shown(span: Nanos) -> String {
    let millis = span.0 / 1_000_000;
    match millis {
        0..10_000 => format!("{millis} ms"),
        10_000.. => format!("{} s", millis / 1000),
    }
}

#[cfg(test)]
pub(super) mod tests;
