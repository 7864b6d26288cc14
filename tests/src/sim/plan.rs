//! What a seed is: a cluster, and what goes wrong.

mod later;

use hb_ebpf::Nanos;
use hb_user::core::{Command, Failback, GroupSettings, Quorum, Settings, StuckPolicy, Which};

use super::dice::Dice;
use super::{DEADTIME, DISASTERS, INTERVAL, ms};

/// The most nodes.
pub(super) const NODES: usize = 5;
/// The most ping nodes.
pub(super) const PINGS: usize = 2;
/// The most resource groups, those included that are not there at first.
pub(super) const GROUPS: usize = 5;
/// The longest time after which a start that failed is tried again.
pub(super) const START_RETRY: Nanos = ms(2000);
/// The time after which a fencing that failed is tried again.
pub(super) const FENCE_RETRY: Nanos = ms(500);

/// A resource group in one version of the configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct GroupPlan {
    /// Which, whatever its place in the configuration.
    pub(super) id: usize,
    /// Changes with its resources.
    pub(super) version: u32,
    pub(super) preferred: usize,
}

/// One version of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) groups: Vec<GroupPlan>,
    pub(super) ids: Vec<usize>,
    pub(super) failback: Failback,
    pub(super) digest: u32,
}

/// Where floating IPs are moved by a provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct CloudPlan {
    /// Who lost a node needs its answer.
    pub(super) witness: bool,
    /// It takes an address away before it gives it to another.
    pub(super) detaches: bool,
    /// For how long its answer counts.
    pub(super) lease: Option<Nanos>,
}

/// How the weather is on a link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    /// Of a hundred packets so many are lost,
    pub(super) loss: u8,
    /// come twice,
    pub(super) twice: u8,
    /// or late,
    pub(super) late: u8,
    /// by less than this many milliseconds.
    pub(super) latest: u16,
}

/// Who does not hear whom: of each node, a bit for each that its packets do not reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) hears: [u8; NODES],
    pub(super) links: u8,
    /// Of each node, the ping nodes that it does not reach.
    pub(super) pings: [u8; NODES],
}

/// Something that goes wrong for a while, or an operator does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Disaster {
    Cut(Cut),
    Storm {
        hears: [u8; NODES],
        links: u8,
        weather: Weather,
    },
    Crash {
        host: usize,
        returns: bool,
    },
    Leave {
        host: usize,
        returns: bool,
    },
    /// The daemon only, or the whole machine.
    Freeze {
        host: usize,
        machine: bool,
    },
    /// All machines at once, and they run on together: what a hypervisor does on which they all run.
    Pause,
    /// The controller is slow.
    Slow {
        host: usize,
    },
    /// Scripts fail, hang, or are slow.
    Scripts {
        host: usize,
    },
    /// Of a hundred fencings so many fail.
    Fencing {
        fails: u8,
    },
    /// Wall time jumps.
    Step {
        host: usize,
        seconds: i64,
    },
    /// A group is found not to run.
    Sick {
        host: usize,
    },
    Command {
        host: usize,
        command: Command,
    },
    /// A new configuration, read by one node after another.
    Reload,
    /// The daemon restarts in place.
    Restart {
        host: usize,
    },
    /// Of each host a bit: it does not reach the provider.
    Gone {
        hosts: u8,
    },
    /// Somebody gives the address of a group to an instance that is none of the nodes'.
    Stolen {
        id: usize,
    },
}

/// When.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) begins: Nanos,
    pub(super) ends: Nanos,
    pub(super) disaster: Disaster,
}

/// Everything that a seed decides beforehand.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    pub(super) links: usize,
    pub(super) pings: usize,
    pub(super) quorum: Quorum,
    pub(super) fencing: bool,
    pub(super) takeover_delay: Nanos,
    pub(super) start_retry: Nanos,
    pub(super) stuck: StuckPolicy,
    pub(super) cloud: Option<CloudPlan>,
    pub(super) configs: Vec<Config>,
    pub(super) disasters: Vec<Planned>,
}

impl Plan {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let nodes = [2, 2, 2, 3, 3, 3, 4, 5][dice.index(8)];
        let quorum = match (nodes, dice.percent(40)) {
            (2, true) => Quorum::Pings,
            (2, false) => Quorum::None,
            _ => Quorum::Majority,
        };
        let mut plan = Self {
            nodes,
            links: 1 + usize::from(dice.percent(30)),
            pings: if quorum == Quorum::Pings {
                1 + dice.index(PINGS)
            } else {
                0
            },
            quorum,
            fencing: dice.percent(if nodes == 2 { 40 } else { 25 }),
            takeover_delay: if dice.percent(70) {
                Nanos(0)
            } else {
                dice.span(100, 600)
            },
            start_retry: dice.span(1000, 2000),
            stuck: if dice.percent(70) {
                StuckPolicy::Reboot
            } else {
                StuckPolicy::Hold
            },
            cloud: None,
            configs: Vec::new(),
            disasters: Vec::new(),
        };
        plan.configs.push(first_config(nodes, dice));
        let count = 1 + dice.index(7);
        for _ in 0..count {
            let begins = dice.span(0, DISASTERS - 1500);
            let longest = if dice.percent(60) { 700 } else { 2500 };
            let ends = Nanos(begins.0 + dice.span(1, longest).0).min(ms(DISASTERS));
            plan.add(begins, ends, dice);
        }
        plan
    }

    fn put(&mut self, begins: Nanos, ends: Nanos, disaster: Disaster) {
        self.disasters.push(Planned { begins, ends, disaster });
    }

    /// The settings of a node.
    pub(super) fn settings(&self, me: usize, config: usize) -> Settings {
        let config = &self.configs[config];
        let groups = config.groups.iter().map(|group| GroupSettings {
            preferred: group.preferred,
        });
        Settings {
            nodes: self.nodes,
            me,
            groups: groups.collect(),
            failback: config.failback,
            quorum: self.quorum,
            deadtime: DEADTIME,
            interval: INTERVAL,
            takeover_delay: self.takeover_delay,
            start_retry: self.start_retry,
            stuck: self.stuck,
            fenced: vec![self.fencing; self.nodes],
            fence_retry: FENCE_RETRY,
            witness: self.cloud.is_some_and(|cloud| cloud.witness),
            witness_lease: self.cloud.and_then(|cloud| cloud.lease),
        }
    }

    fn add(&mut self, begins: Nanos, ends: Nanos, dice: &mut Dice) {
        let host = dice.index(self.nodes);
        let mut put = |begins, ends, disaster| {
            self.disasters.push(Planned { begins, ends, disaster });
        };
        let disaster = match dice.below(100) {
            0..24 => Disaster::Cut(self.cut(dice)),
            24..34 => Disaster::Storm {
                hears: self.some_paths(dice),
                links: self.some_links(dice),
                weather: weather(dice),
            },
            34..45 => Disaster::Crash {
                host,
                returns: dice.percent(90),
            },
            45..51 => Disaster::Leave {
                host,
                returns: dice.percent(90),
            },
            51..62 => Disaster::Freeze {
                host,
                machine: dice.percent(50),
            },
            62..67 => Disaster::Slow { host },
            67..75 => Disaster::Scripts { host },
            75..78 => Disaster::Fencing {
                fails: [100, 50][dice.index(2)],
            },
            78..81 => Disaster::Step {
                host,
                seconds: [-100_000, -2, 3, 100_000][dice.index(4)],
            },
            81..85 => {
                // Twice within a short while, it is moved.
                put(ends, ends, Disaster::Sick { host });
                Disaster::Sick { host }
            }
            85..90 => {
                let config = self.configs.len();
                self.configs
                    .push(next_config(&self.configs[config - 1], config, self.nodes, dice));
                Disaster::Reload
            }
            90..92 => {
                let command = |on| Disaster::Command {
                    host,
                    command: Command::Maintenance(on),
                };
                put(ends, ends, command(false));
                command(true)
            }
            _ => Disaster::Command {
                host,
                command: command(self.configs[0].groups.len(), dice),
            },
        };
        self.disasters.push(Planned { begins, ends, disaster });
    }

    fn all(&self) -> u8 {
        (1 << self.nodes) - 1
    }

    fn some_links(&self, dice: &mut Dice) -> u8 {
        if dice.percent(70) {
            3
        } else {
            1 << dice.index(self.links)
        }
    }

    fn some_paths(&self, dice: &mut Dice) -> [u8; NODES] {
        let percent = [30, 60, 100][dice.index(3)];
        let mut hears = [0; NODES];
        for mask in &mut hears[..self.nodes] {
            *mask = dice.mask(self.nodes, percent);
        }
        hears
    }

    fn cut(&self, dice: &mut Dice) -> Cut {
        let (all, links) = (self.all(), self.some_links(dice));
        let mut cut = Cut {
            hears: [0; NODES],
            links,
            pings: [0; NODES],
        };
        let side = loop {
            let side = dice.mask(self.nodes, 50);
            if side != 0 && side != all {
                break side;
            }
        };
        let (to_side, from_side) = match dice.below(10) {
            0..6 => (true, true),
            6..8 => (true, false),
            _ => {
                cut.hears = self.some_paths(dice);
                (false, false)
            }
        };
        for host in 0..self.nodes {
            let is_in = side & (1 << host) != 0;
            if is_in && from_side {
                cut.hears[host] |= all & !side;
            }
            if !is_in && to_side {
                cut.hears[host] |= side;
            }
        }
        match dice.below(4) {
            // The side loses its ping nodes, too.
            0 | 1 => {
                for host in (0..self.nodes).filter(|host| side & (1 << host) != 0) {
                    cut.pings[host] = u8::MAX;
                }
            }
            2 => {
                for pings in &mut cut.pings {
                    *pings = dice.mask(PINGS, 50);
                }
            }
            _ => {}
        }
        cut
    }
}

fn weather(dice: &mut Dice) -> Weather {
    let percent = |dice: &mut Dice| u8::try_from(dice.below(60)).unwrap_or(0);
    Weather {
        loss: if dice.percent(60) { percent(dice) } else { 0 },
        twice: if dice.percent(50) { percent(dice) } else { 0 },
        late: if dice.percent(60) { percent(dice) } else { 0 },
        latest: [50, 300, 1000, 2500][dice.index(4)],
    }
}

fn command(groups: usize, dice: &mut Dice) -> Command {
    let which = [Which::All, Which::Local, Which::Foreign, Which::Failback][dice.index(4)];
    match dice.below(10) {
        0..4 => Command::Standby(which),
        4..8 => Command::Takeover(which),
        8 => Command::Withdraw,
        _ => Command::Cleanup(dice.index(groups)),
    }
}

fn first_config(nodes: usize, dice: &mut Dice) -> Config {
    let count = 1 + dice.index(4);
    let groups = (0..count).map(|id| GroupPlan {
        id,
        version: 0,
        preferred: dice.index(nodes),
    });
    let groups = groups.collect();
    let failback = if dice.percent(50) {
        Failback::Return
    } else {
        Failback::Stay
    };
    config(groups, failback, 0)
}

/// The same, with something changed.
fn next_config(before: &Config, number: usize, nodes: usize, dice: &mut Dice) -> Config {
    let mut groups = before.groups.clone();
    let mut failback = before.failback;
    let place = dice.index(groups.len());
    match dice.below(6) {
        0 => {
            failback = match failback {
                Failback::Return => Failback::Stay,
                Failback::Stay => Failback::Return,
            }
        }
        1 => groups.rotate_left(1),
        2 if groups.len() > 1 => {
            groups.remove(place);
        }
        3 => groups[place].version += 1,
        4 => groups[place].preferred = dice.index(nodes),
        _ => {
            let free = (0..GROUPS).find(|id| groups.iter().all(|group| group.id != *id));
            if let Some(id) = free {
                let group = GroupPlan {
                    id,
                    version: 0,
                    preferred: dice.index(nodes),
                };
                groups.insert(place, group);
            }
        }
    }
    let kept = if groups == before.groups {
        before.digest >> 20
    } else {
        u32::try_from(number).unwrap_or(0)
    };
    config(groups, failback, kept)
}

/// Digests differ as those of the daemon do: 12 bits for the groups, 10 for the nodes, 10 for the rest. They never
/// collide, which the daemon's do once in thousands.
fn config(groups: Vec<GroupPlan>, failback: Failback, groups_digest: u32) -> Config {
    let rest = match failback {
        Failback::Return => 1,
        Failback::Stay => 2,
    };
    Config {
        ids: groups.iter().map(|group| group.id).collect(),
        digest: groups_digest << 20 | 1 << 10 | rest,
        groups,
        failback,
    }
}
