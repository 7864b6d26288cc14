//! What the tests of the core share.

use hb_ebpf::beat::{Echo, Groups, Status};
use hb_ebpf::{Heard, Incarnation, Nanos, Sequence};

use super::{Failback, GroupSettings, GroupState, Quorum, Settings, StuckPolicy};

/// The span `millis`, in milliseconds.
pub(super) const fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

/// Beat `sequence` of the life `incarnation`, seen at `seen`, of a node that is up, owns nothing and heard nobody.
pub(super) fn beat(seen: Nanos, incarnation: u64, sequence: u64) -> Heard {
    Heard {
        seen,
        incarnation: Incarnation(incarnation),
        sequence: Sequence(sequence),
        flags: Status::Up as u32,
        ..Heard::default()
    }
}

/// The same beat, from a node that heard our beat `sequence` (its low 32 bits) of the life `incarnation`.
pub(super) fn echoing(beat: Heard, incarnation: Incarnation, sequence: u32) -> Heard {
    let echo = Echo {
        incarnation: incarnation.low(),
        sequence,
    };
    Heard { echo, ..beat }
}

/// The settings of node `me` of so many nodes: groups that prefer the first node, beats every 100 ms, deadtime 500 ms.
pub(super) fn settings(nodes: usize, me: usize, groups: usize) -> Settings {
    Settings {
        nodes,
        me,
        groups: vec![GroupSettings { preferred: 0 }; groups],
        failback: Failback::Return,
        quorum: if nodes > 2 { Quorum::Majority } else { Quorum::None },
        deadtime: ms(500),
        interval: ms(100),
        takeover_delay: ms(0),
        start_retry: ms(60_000),
        stuck: StuckPolicy::Reboot,
        fenced: vec![false; nodes],
        fence_retry: ms(10_000),
        witness: false,
        witness_lease: None,
    }
}

/// The states of the first groups.
pub(super) fn groups(states: &[GroupState]) -> Groups {
    let states = states.iter().enumerate();
    states.fold(Groups::default(), |bits, (index, state)| bits.with(index, *state as u8))
}

/// Numbers that only look random: the same for the same seed, on every machine (`SplitMix64`).
#[derive(Clone, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// Any number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number below `end`, as an index.
    pub(super) fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap_or_default()
    }

    /// True that often in a hundred.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
