//! What the tests of the core share.

use hb_ebpf::beat::{Echo, Groups, Status};
use hb_ebpf::{Heard, Incarnation, Nanos, Sequence};

use super::GroupState;

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
        status: Status::Up as u32,
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

/// The states of the first groups.
pub(super) fn groups(states: &[GroupState]) -> Groups {
    let states = states.iter().enumerate();
    states.fold(Groups::default(), |bits, (index, state)| bits.with(index, *state as u8))
}
