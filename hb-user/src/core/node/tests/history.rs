//! Random histories of one node, the same for the same seed: peers say anything, and its works end in all ways.

use super::super::*;
use crate::core::testing::{Dice, ms, settings};
use crate::core::{Carry, Command, Differs, Failback, Outcome, Quorum, Reconfiguration, StuckPolicy, Taker, Which};

/// One node of each kind of cluster.
pub(super) fn kinds() -> Vec<Settings> {
    let mut kinds = Vec::new();
    for failback in [Failback::Return, Failback::Stay] {
        for (nodes, quorum) in [(2, Quorum::None), (2, Quorum::Pings), (3, Quorum::Majority)] {
            for stuck in [StuckPolicy::Reboot, StuckPolicy::Hold] {
                let mut kind = settings(nodes, 0, 2);
                kind.groups[1].preferred = 1;
                let fenced = [false, stuck == StuckPolicy::Hold, false];
                let takeover_delay = ms(if nodes == 3 { 300 } else { 0 });
                kinds.push(Settings {
                    failback,
                    quorum,
                    stuck,
                    fenced: fenced[..nodes].to_vec(),
                    takeover_delay,
                    start_retry: ms(2000),
                    fence_retry: ms(1000),
                    witness: stuck == StuckPolicy::Hold,
                    ..kind
                });
            }
        }
    }
    kinds
}

/// A node, and the dice that decide what becomes of it.
pub(super) struct History {
    pub(super) node: Node,
    pub(super) now: Nanos,
    dice: Dice,
}

impl History {
    pub(super) fn new(settings: Settings, seed: u64) -> Self {
        let now = ms(1000);
        let node = Node::new(settings, now);
        Self {
            node,
            now,
            dice: Dice(seed),
        }
    }

    /// Some time passes, and then something happens.
    pub(super) fn step(&mut self) -> (Event, Vec<Action>) {
        let pause = *[0, 1, 20, 100, 700].get(self.dice.index(5)).unwrap_or(&0);
        self.now = self.now.saturating_add(ms(pause));
        let event = self.event();
        let actions = self.node.handle(&event, self.now);
        (event, actions)
    }

    fn event(&mut self) -> Event {
        let nodes = self.node.settings.nodes;
        let peer = 1 + self.dice.index(nodes - 1);
        match self.dice.below(100) {
            0..45 => Event::Peer {
                node: peer,
                sight: self.sight(peer),
            },
            45..52 => Event::Silent { node: peer },
            52..58 => Event::Lease {
                held: self.dice.percent(85),
            },
            58..62 => Event::Pings {
                reached: u8::from(self.dice.percent(70)),
            },
            62..83 => Event::Finished {
                work: self.work(),
                outcome: self.outcome(),
            },
            83..85 => Event::Sick {
                group: self.dice.index(2),
            },
            85 if self.dice.percent(60) => Event::Moved {
                group: self.dice.index(2),
                to: [Taker::Node(peer), Taker::Other, Taker::Unknown][self.dice.index(3)],
            },
            85 if self.dice.percent(40) => Event::Outlook {
                group: self.dice.index(2),
                outlook: [Outlook::Ready, Outlook::Unready, Outlook::Unknown][self.dice.index(3)],
            },
            85 => Event::Witness {
                asked: self.now,
                answers: self.dice.percent(70),
            },
            86..88 => Event::Fenced {
                node: peer,
                done: self.dice.percent(50),
            },
            88 => Event::Woke,
            89..96 => Event::Command(self.command()),
            96 => Event::Reconfigure(Box::new(self.reconfiguration())),
            97 if self.dice.percent(10) => Event::Leave,
            _ => Event::Tick,
        }
    }

    fn sight(&mut self, peer: usize) -> Sight {
        let mut groups = self.node.peers[peer].sight.groups;
        for index in 0..self.node.groups.len() {
            if self.dice.percent(40) {
                let state = match self.dice.below(4) {
                    0 | 1 => GroupState::Released,
                    2 => [GroupState::Asking, GroupState::Declined][self.dice.index(2)],
                    _ => GroupState::ALL[self.dice.index(10)],
                };
                groups = groups.with(index, state as u8);
            }
        }
        let status = match self.dice.below(20) {
            0 => Status::Init,
            1 => Status::Leaving,
            _ => Status::Up,
        };
        let present = if self.dice.percent(70) {
            u16::MAX
        } else {
            u16::try_from(self.dice.below(1 << 16)).unwrap_or_default()
        };
        let back = u32::from(self.dice.percent(20));
        Sight {
            status,
            maintenance: self.dice.percent(3),
            pings: u8::from(self.dice.percent(50)),
            present,
            groups,
            had: if self.dice.percent(10) {
                groups
            } else {
                Groups::default()
            },
            hears_us: self.dice.percent(90),
            confirmed: self.node.advertised.edition.wrapping_sub(back),
            heard_us: self.now,
            differs: Differs {
                groups: self.dice.percent(3),
                nodes: self.dice.percent(1),
                settings: self.dice.percent(3),
            },
        }
    }

    /// Mostly one that is under way.
    fn work(&mut self) -> u32 {
        let group = self.dice.index(self.node.groups.len());
        self.node.groups[group]
            .work
            .wrapping_sub(u32::from(self.dice.percent(10)))
    }

    fn outcome(&mut self) -> Outcome {
        match self.dice.below(10) {
            0 => Outcome::Stuck,
            1 | 2 => Outcome::Failed,
            _ => Outcome::Done,
        }
    }

    fn command(&mut self) -> Command {
        let which = [Which::All, Which::Local, Which::Foreign, Which::Failback][self.dice.index(4)];
        match self.dice.below(6) {
            0 => Command::Standby(which),
            1 => Command::Takeover(which),
            2 => Command::Withdraw,
            3 => Command::Maintenance(self.dice.percent(30)),
            _ => Command::Cleanup(self.dice.index(2)),
        }
    }

    fn reconfiguration(&mut self) -> Reconfiguration {
        let carries = [
            [Carry::Kept(0), Carry::Kept(1)],
            [Carry::Changed(0), Carry::Kept(1)],
            [Carry::Kept(0), Carry::New],
            [Carry::Changed(0), Carry::Changed(1)],
        ];
        Reconfiguration {
            settings: self.node.settings.clone(),
            nodes: (0..self.node.settings.nodes).map(Some).collect(),
            groups: carries[self.dice.index(4)][..self.node.groups.len()].to_vec(),
        }
    }
}
