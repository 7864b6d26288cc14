//! What happened, to be read.

use hb_ebpf::Nanos;
use hb_user::core::{Action, Advert, GroupState};

/// The lines of a run; none, unless they are asked for.
#[derive(Debug)]
pub(super) struct Trace {
    is_on: bool,
    pub(super) now: Nanos,
    pub(super) lines: Vec<String>,
}

impl Trace {
    pub(super) fn new(is_on: bool) -> Self {
        Self {
            is_on,
            now: Nanos(0),
            lines: Vec::new(),
        }
    }

    /// Adds a line; it is made only if somebody will read it.
    pub(super) fn say(&mut self, what: impl FnOnce() -> String) {
        if self.is_on {
            let micros = self.now.as_micros();
            let line = format!("{:>6}.{:03} ms  {}", micros / 1000, micros % 1000, what());
            self.lines.push(line);
        }
    }
}

/// The name of a host.
pub(super) fn name(host: usize) -> &'static str {
    ["A", "B", "C", "D", "E"].get(host).copied().unwrap_or("?")
}

fn names(mask: u16) -> String {
    (0..5).filter(|host| mask & (1 << host) != 0).map(name).collect()
}

/// An action. `ids` are the resource groups by index.
pub(super) fn words(action: &Action, ids: &[usize]) -> String {
    let id = |group: usize| ids.get(group).map_or_else(|| "?".into(), |id| format!("g{id}"));
    match *action {
        Action::Advertise(advert) => said(&advert, ids),
        Action::Acquire {
            group,
            work,
            cause,
            reassert,
        } => {
            let again = if reassert { " again" } else { "" };
            format!("starts {}{again}, work {work}, because: {cause:?}", id(group))
        }
        Action::Release { group, work, cause } => format!("stops {}, work {work}, because: {cause:?}", id(group)),
        Action::Drop { group } => format!("drops old group {group}"),
        Action::Fence { node } => format!("fences {}", name(node)),
        Action::Reboot { group } => format!("reboots, since {} is stuck", id(group)),
        Action::Left => "has nothing any more, and leaves".into(),
    }
}

fn said(advert: &Advert, ids: &[usize]) -> String {
    let states = ids.iter().enumerate();
    let states: Vec<_> = states
        .map(|(index, id)| format!("g{id} {}", GroupState::from_bits(advert.groups.get(index)).name()))
        .collect();
    format!(
        "says #{} {:?}{}, pings {}, present {}, up {}: {}",
        advert.edition,
        advert.status,
        if advert.maintenance { " maintenance" } else { "" },
        advert.pings,
        names(advert.present),
        names(advert.up),
        states.join(", ")
    )
}
