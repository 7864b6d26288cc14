//! Two nodes that hear each other's adverts at once, and a log of what they do.

use std::collections::VecDeque;

use super::super::*;
use super::{A, B, settings};

pub(super) struct Pair {
    pub(super) nodes: [Node; 2],
    /// Who does not hear the other.
    pub(super) deaf: [bool; 2],
    is_cut: bool,
    preferred: Vec<usize>,
    failback: Failback,
    log: Vec<String>,
    queue: VecDeque<(usize, Event)>,
}

impl Pair {
    /// Two nodes that have just started, and not met.
    pub(super) fn new(preferred: &[usize], failback: Failback) -> Self {
        Self {
            nodes: [A, B].map(|me| Node::new(settings(me, preferred, failback), Nanos(0))),
            deaf: [false; 2],
            is_cut: true,
            preferred: preferred.to_vec(),
            failback,
            log: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    /// The network is whole, and both hear each other.
    pub(super) fn meet(&mut self) {
        self.is_cut = false;
        for node in [A, B] {
            self.advertise(node);
        }
        self.run();
    }

    /// The network is cut, and each takes the other for dead.
    pub(super) fn cut(&mut self) {
        self.dies(B);
        self.tell(B, Event::PeerDead { node: A });
    }

    /// The other node is told that this one fell silent.
    pub(super) fn dies(&mut self, node: usize) {
        self.is_cut = true;
        self.tell(1 - node, Event::PeerDead { node });
    }

    /// A new life of a node, that has met nobody.
    pub(super) fn restart(&mut self, node: usize) {
        self.nodes[node] = Node::new(settings(node, &self.preferred, self.failback), Nanos(0));
    }

    pub(super) fn finish(&mut self, node: usize, group: usize, outcome: Outcome) {
        self.tell(node, Event::Finished { group, outcome });
    }

    /// All works succeed, until there are none.
    pub(super) fn finish_all(&mut self) {
        while let Some((node, group)) = self.a_work() {
            self.finish(node, group, Outcome::Done);
        }
    }

    fn a_work(&self) -> Option<(usize, usize)> {
        let works = [A, B]
            .into_iter()
            .flat_map(|node| (0..self.preferred.len()).map(move |group| (node, group)));
        let is_working = |state| matches!(state, GroupState::Acquiring | GroupState::Releasing);
        works
            .into_iter()
            .find(|(node, group)| is_working(self.nodes[*node].groups[*group].state))
    }

    /// Gives an event to a node, and to both whatever follows from it.
    pub(super) fn tell(&mut self, node: usize, event: Event) {
        self.queue.push_back((node, event));
        self.run();
    }

    fn run(&mut self) {
        while let Some((node, event)) = self.queue.pop_front() {
            for action in self.nodes[node].handle(event, Nanos(0)) {
                let name = ["A", "B"][node];
                match action {
                    Action::Advertise(_) => self.advertise(node),
                    Action::Acquire { group, cause, reassert } => {
                        let again = if reassert { " again" } else { "" };
                        self.log
                            .push(format!("{name} acquires {group}{again}: {}", cause.name()));
                    }
                    Action::Release { group, cause } => {
                        self.log.push(format!("{name} releases {group}: {}", cause.name()));
                    }
                    Action::Left => self.log.push(format!("{name} has left")),
                }
            }
        }
    }

    fn advertise(&mut self, node: usize) {
        let other = 1 - node;
        if self.is_cut || self.deaf[other] {
            return;
        }
        let Advert { status, groups } = self.nodes[node].advert();
        let hears_us = !self.deaf[node];
        self.queue.push_back((
            other,
            Event::PeerUp {
                node,
                status,
                groups,
                hears_us,
            },
        ));
    }

    /// What was done since the last call.
    pub(super) fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// The state of a group on both.
    pub(super) fn states(&self, group: usize) -> [&'static str; 2] {
        [A, B].map(|node| self.nodes[node].groups[group].state.name())
    }
}
