//! What becomes of a packet.

use hb_ebpf::Nanos;

use super::dice::Dice;
use super::plan::{Cut, NODES, PINGS, Weather};
use super::{DEADTIME, ms};

/// The most links between two nodes.
pub(super) const LINKS: usize = 2;

/// One direction of one link between two nodes.
#[derive(Clone, Copy, Debug, Default)]
struct Path {
    cuts: u8,
    storms: u8,
    weather: Weather,
}

impl Path {
    fn is_clear(self) -> bool {
        self.cuts == 0 && self.storms == 0
    }
}

/// All links.
#[derive(Clone, Debug)]
pub(super) struct Network {
    links: usize,
    paths: [[[Path; LINKS]; NODES]; NODES],
    pings: [[u8; PINGS]; NODES],
    /// When packets from one node to another were last lost, late or cut; and since when they are cut.
    trouble: [[Nanos; NODES]; NODES],
}

impl Network {
    pub(super) fn new(links: usize) -> Self {
        Self {
            links,
            paths: Default::default(),
            pings: Default::default(),
            trouble: Default::default(),
        }
    }

    pub(super) fn cut(&mut self, cut: &Cut, is_on: bool, now: Nanos) {
        self.each(cut.hears, now, |link, path| {
            if cut.links & (1 << link) != 0 {
                path.cuts = if is_on { path.cuts + 1 } else { path.cuts - 1 };
            }
        });
        for (host, pings) in self.pings.iter_mut().enumerate() {
            for (ping, cuts) in pings.iter_mut().enumerate() {
                if cut.pings[host] & (1 << ping) != 0 {
                    *cuts = if is_on { *cuts + 1 } else { *cuts - 1 };
                }
            }
        }
    }

    pub(super) fn storm(&mut self, hears: [u8; NODES], links: u8, weather: Weather, is_on: bool, now: Nanos) {
        self.each(hears, now, |link, path| {
            if links & (1 << link) != 0 {
                path.storms = if is_on { path.storms + 1 } else { path.storms - 1 };
                path.weather = weather;
            }
        });
    }

    fn each(&mut self, hears: [u8; NODES], now: Nanos, mut change: impl FnMut(usize, &mut Path)) {
        for (from, mask) in hears.iter().enumerate() {
            for to in (0..NODES).filter(|to| mask & (1 << to) != 0) {
                // Before, for what ends now.
                self.note(from, to, now);
                for (link, path) in self.paths[from][to].iter_mut().enumerate() {
                    change(link, path);
                }
                self.note(from, to, now);
            }
        }
    }

    fn note(&mut self, from: usize, to: usize, now: Nanos) {
        if !self.is_clear(from, to) {
            self.trouble[from][to] = now;
        }
    }

    fn is_clear(&self, from: usize, to: usize) -> bool {
        self.paths[from][to][..self.links].iter().copied().any(Path::is_clear)
    }

    /// When packets from one node to another last had any trouble; now, if they have.
    pub(super) fn last_trouble(&self, from: usize, to: usize, now: Nanos) -> Nanos {
        if self.is_clear(from, to) {
            self.trouble[from][to]
        } else {
            now
        }
    }

    /// Whether all nodes have heard each other for two deadlines.
    pub(super) fn was_quiet(&self, nodes: usize, now: Nanos) -> bool {
        let mut pairs = (0..nodes).flat_map(|a| (0..nodes).map(move |b| (a, b)));
        pairs.all(|(a, b)| {
            let trouble = self.last_trouble(a, b, now);
            trouble == Nanos(0) || now.since(trouble) > Nanos(2 * DEADTIME.0)
        })
    }

    /// Whether neither hears the other, nor the first a ping node.
    pub(super) fn is_isolated(&self, host: usize, others: usize, pings: usize) -> bool {
        let is_cut = |from: usize, to: usize| self.paths[from][to][..self.links].iter().all(|path| path.cuts > 0);
        (0..others).all(|other| other == host || is_cut(host, other) && is_cut(other, host))
            && self.pings[host][..pings].iter().all(|cuts| *cuts > 0)
    }

    /// After what times a packet arrives: never, once, or twice.
    pub(super) fn send(&self, from: usize, to: usize, link: usize, dice: &mut Dice) -> [Option<Nanos>; 2] {
        let path = &self.paths[from][to][link];
        if path.cuts > 0 {
            return [None, None];
        }
        let fair = Nanos(ms(1).0 / 10 + dice.below(ms(2).0));
        if path.storms == 0 {
            return [Some(fair), None];
        }
        let weather = path.weather;
        if dice.percent(u64::from(weather.loss)) {
            return [None, None];
        }
        let mut one = || {
            if dice.percent(u64::from(weather.late)) {
                dice.span(1, u64::from(weather.latest))
            } else {
                fair
            }
        };
        let first = one();
        let second = one();
        [
            Some(first),
            Some(second).filter(|_| dice.percent(u64::from(weather.twice))),
        ]
    }

    /// After what time a ping is answered.
    pub(super) fn ping(&self, host: usize, ping: usize, dice: &mut Dice) -> Option<Nanos> {
        (self.pings[host][ping] == 0).then(|| Nanos(ms(1).0 / 5 + dice.below(ms(3).0)))
    }
}
