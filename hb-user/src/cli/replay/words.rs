//! Events, decisions and reasons, in words.

use hb_ebpf::beat::Status;

use crate::core::{Action, Advert, Cause, Command, Event, GroupState, Outcome, Outlook, Sight, Taker, Waiting, Which};
use crate::recorder::Names;

/// What happened.
pub(super) fn event(event: &Event, names: &Names) -> String {
    match event {
        Event::Begin => "begin".to_owned(),
        Event::Peer { node, sight } => format!("peer {}: {}", names.node(*node), self::sight(sight, *node, names)),
        Event::Silent { node } => format!("{} silent", names.node(*node)),
        Event::Lease { held: true } => "lease held".to_owned(),
        Event::Lease { held: false } => "lease ended".to_owned(),
        Event::Pings { reached } => format!("{reached} ping nodes reached"),
        Event::Woke => "woke, having been frozen".to_owned(),
        Event::Finished { work, outcome } => format!("work {work} {}", self::outcome(*outcome)),
        Event::Moved { group, to } => {
            let whose = match to {
                Taker::Node(node) => names.node(*node).into_owned(),
                Taker::Other => "no node".to_owned(),
                Taker::Nobody => "nobody".to_owned(),
                Taker::Unknown => "an unknown instance".to_owned(),
            };
            format!("{}: the floating IP is at {whose}", names.group(*group))
        }
        Event::Witness { answers: true, .. } => "the provider answers".to_owned(),
        Event::Witness { answers: false, .. } => "the provider does not answer".to_owned(),
        Event::Outlook { group, outlook } => {
            let could = match outlook {
                Outlook::Ready => "could be started here",
                Outlook::Unready => "could not be started here",
                Outlook::Unknown => "was not looked at yet",
            };
            format!("{} {could}", names.group(*group))
        }
        Event::Sick { group } => format!("{} sick", names.group(*group)),
        Event::Fenced { node, done: true } => format!("{} fenced", names.node(*node)),
        Event::Fenced { node, done: false } => format!("{} could not be fenced", names.node(*node)),
        Event::Command(command) => format!("command: {}", self::command(*command, names)),
        Event::Tick => "tick".to_owned(),
        Event::Reconfigure(new) => {
            let (nodes, groups) = (new.settings.nodes, new.settings.groups.len());
            format!("configuration changed: {nodes} nodes, {groups} groups")
        }
        Event::Leave => "asked to leave".to_owned(),
    }
}

/// What is done about it. After a change of the configuration the numbers of what is dropped are still the old ones.
pub(super) fn action(action: &Action, advert: &Advert, old_names: &Names, names: &Names) -> String {
    let about = |verb: &str, group: usize, work: u32, cause: Cause| {
        format!(
            "{verb} {}: {} (work {work})",
            names.group(group),
            self::cause(cause, names)
        )
    };
    match *action {
        Action::Advertise(new) => format!("advertise: {}", self::advert(advert, &new, names)),
        Action::Acquire {
            group,
            work,
            cause,
            reassert: false,
        } => about("acquire", group, work, cause),
        Action::Acquire {
            group,
            work,
            cause,
            reassert: true,
        } => about("assert again", group, work, cause),
        Action::Release { group, work, cause } => about("release", group, work, cause),
        Action::Drop { group } => format!("drop {}: no longer configured", old_names.group(group)),
        Action::Fence { node } => format!("fence {}", names.node(node)),
        Action::Reboot { group } => format!("reboot: {} is stuck", names.group(group)),
        Action::Left => "left".to_owned(),
    }
}

/// For what a group waits.
pub(super) fn waiting(group: usize, waiting: Option<Waiting>, names: &Names) -> String {
    let group = names.group(group);
    match waiting.map(|waiting| (waiting.name(), waiting.peer())) {
        None => format!("{group} waits no longer"),
        Some((name, None)) => format!("{group} waits: {name}"),
        Some((name, Some(node))) => format!("{group} waits: {name} ({})", names.node(node)),
    }
}

/// The states of groups, but for those that are released.
pub(super) fn states(states: impl Iterator<Item = (String, GroupState)>) -> Vec<String> {
    states
        .filter(|(_, state)| *state != GroupState::Released)
        .map(|(name, state)| format!("{name} {}", state.name()))
        .collect()
}

fn sight(sight: &Sight, peer: usize, names: &Names) -> String {
    let mut words = vec![life(sight.status).to_owned()];
    if sight.maintenance {
        words.push("maintenance".to_owned());
    }
    if !sight.hears_us {
        words.push("does not hear us".to_owned());
    }
    let groups = names.groups.iter().cloned().enumerate();
    words.extend(states(
        groups.map(|(index, name)| (name, GroupState::from_bits(sight.groups.get(index)))),
    ));
    if sight.pings > 0 {
        words.push(format!("reaches {} ping nodes", sight.pings));
    }
    let gone = names.nodes.iter().enumerate();
    let gone = gone.filter(|(node, _)| *node != peer && !has(sight.present, *node));
    words.extend(gone.map(|(_, name)| format!("without {name}")));
    let differs = [
        (sight.differs.groups, "haresources"),
        (sight.differs.nodes, "nodes"),
        (sight.differs.settings, "timers or rules"),
    ];
    words.extend(
        differs
            .iter()
            .filter(|(differs, _)| *differs)
            .map(|(_, what)| format!("other {what}")),
    );
    words.push(format!("confirmed {}", sight.confirmed));
    words.join(", ")
}

/// What is new in it.
fn advert(old: &Advert, new: &Advert, names: &Names) -> String {
    let mut words = Vec::new();
    if old.status != new.status {
        words.push(life(new.status).to_owned());
    }
    match (old.maintenance, new.maintenance) {
        (false, true) => words.push("maintenance".to_owned()),
        (true, false) => words.push("no maintenance".to_owned()),
        (true, true) | (false, false) => {}
    }
    if old.pings != new.pings {
        words.push(format!("reaches {} ping nodes", new.pings));
    }
    let masks = [
        (old.present, new.present, "present", "gone"),
        (old.up, new.up, "up", "not up"),
    ];
    for (old, new, set, unset) in masks {
        let nodes = names.nodes.iter().enumerate();
        let changed = nodes.filter(|(node, _)| has(old, *node) != has(new, *node));
        words.extend(changed.map(|(node, name)| format!("{name} {}", if has(new, node) { set } else { unset })));
    }
    for (index, name) in names.groups.iter().enumerate() {
        let state = new.groups.get(index);
        if old.groups.get(index) != state {
            words.push(format!("{name} {}", GroupState::from_bits(state).name()));
        }
    }
    words.push(format!("edition {}", new.edition));
    words.join(", ")
}

fn has(mask: u16, node: usize) -> bool {
    u32::try_from(node).is_ok_and(|node| mask.checked_shr(node).unwrap_or(0) & 1 != 0)
}

fn cause(cause: Cause, names: &Names) -> String {
    match cause.peer() {
        None => cause.name().to_owned(),
        Some(node) => format!("{} {}", cause.name(), names.node(node)),
    }
}

fn life(status: Status) -> &'static str {
    match status {
        Status::Init => "init",
        Status::Up => "up",
        Status::Leaving => "leaving",
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::Stuck => "could not be stopped",
    }
}

fn command(command: Command, names: &Names) -> String {
    match command {
        Command::Standby(which) => format!("standby {}", self::which(which)),
        Command::Takeover(which) => format!("takeover {}", self::which(which)),
        Command::Withdraw => "withdraw".to_owned(),
        Command::Maintenance(true) => "maintenance on".to_owned(),
        Command::Maintenance(false) => "maintenance off".to_owned(),
        Command::Cleanup(group) => format!("cleanup {}", names.group(group)),
    }
}

fn which(which: Which) -> &'static str {
    match which {
        Which::All => "all",
        Which::Local => "local",
        Which::Foreign => "foreign",
        Which::Failback => "failback",
    }
}
