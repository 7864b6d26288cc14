//! The controller: what hb-user/src/daemon.rs does between the pulse thread and the core.

use hb_ebpf::beat::Groups;
use hb_ebpf::{Heard, Nanos};
use hb_user::core::{Action, Carry, Differs, Echoed, Event, Node, Reconfiguration, Refusal, Settings, Sight};

use super::plan::{Config, NODES};
use super::pulse::Order;

pub(super) struct Control {
    pub(super) node: Node,
    /// The version of the configuration in force.
    pub(super) config: usize,
    digest: u32,
    /// What each peer said last.
    met: [Option<(Heard, Echoed)>; NODES],
    /// For when the next tick is planned.
    pub(super) tick: Option<Nanos>,
}

impl Control {
    pub(super) fn new(settings: Settings, config: usize, digest: u32, now: Nanos) -> Self {
        Self {
            node: Node::new(settings, now),
            config,
            digest,
            met: [None; NODES],
            tick: None,
        }
    }

    /// What a peer's beat is to the core.
    pub(super) fn meeting(&mut self, node: usize, heard: &Heard, had: Groups, echoed: Echoed) -> Event {
        self.met[node] = Some((*heard, echoed));
        let differs = Differs::between(self.digest, heard.digest);
        Event::Peer {
            node,
            sight: Sight::of(heard, had, echoed, differs),
        }
    }

    pub(super) fn lose(&mut self, node: usize) {
        self.met[node] = None;
    }

    /// Goes on with another configuration. What the peers said last is compared with it.
    pub(super) fn reconfigure(
        &mut self,
        number: usize,
        old: &Config,
        new: &Config,
        settings: Settings,
    ) -> Result<Vec<Event>, Refusal> {
        let carry = |id: usize| {
            let from = old.groups.iter().position(|group| group.id == id);
            let version = |config: &Config| {
                let group = config.groups.iter().find(|group| group.id == id);
                group.map(|group| group.version)
            };
            match from {
                None => Carry::New,
                Some(from) if version(old) == version(new) => Carry::Kept(from),
                Some(from) => Carry::Changed(from),
            }
        };
        let reconfiguration = Reconfiguration {
            nodes: (0..settings.nodes).map(Some).collect(),
            groups: new.groups.iter().map(|group| carry(group.id)).collect(),
            settings,
        };
        self.node.plan_reconfigure(&reconfiguration)?;
        self.config = number;
        self.digest = new.digest;
        let mut events = vec![Event::Reconfigure(Box::new(reconfiguration))];
        for node in 0..NODES {
            if let Some((heard, echoed)) = self.met[node] {
                events.push(self.meeting(node, &heard, Groups::default(), echoed));
            }
        }
        Ok(events)
    }

    /// What the pulse is told of an action.
    pub(super) fn order(action: &Action) -> Option<Order> {
        match action {
            Action::Advertise(advert) => Some(Order::Advertise(*advert)),
            Action::Left => Some(Order::Farewell),
            Action::Acquire { .. }
            | Action::Release { .. }
            | Action::Drop { .. }
            | Action::Fence { .. }
            | Action::Reboot { .. } => None,
        }
    }
}
