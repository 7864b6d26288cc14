//! The scripts of a host: what really runs there.

use hb_ebpf::Nanos;
use hb_user::core::Outcome;

use super::dice::Dice;
use super::{ABORT, SCRIPT, TIMEOUT, ms};

/// What is being done with a group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Task {
    Start,
    Stop,
}

/// Scripts at work on a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) task: Task,
    pub(super) ticket: u64,
    /// Who waits for the end; nobody, for a group that was dropped.
    pub(super) work: Option<u32>,
    pub(super) outcome: Outcome,
    pub(super) ends: Nanos,
    /// From whom the address may be taken, as a bit for each; `None`: from anybody.
    pub(super) claims: Option<u8>,
    /// A node that is heard hands the group over, or a person orders it.
    pub(super) is_handed_over: bool,
    /// It runs already, as far as the node knows.
    pub(super) is_reasserted: bool,
}

/// How long a task takes and how it ends.
pub(super) fn fate(task: Task, aborts: bool, is_bad: bool, dice: &mut Dice) -> (Nanos, Outcome) {
    let mut span = if aborts { dice.span(0, ABORT) } else { Nanos(0) };
    let fails = is_bad && dice.percent(35);
    let (one, outcome) = match task {
        Task::Start if fails => {
            // It is stopped in full, which may fail, too.
            let stop = script(dice);
            let outcome = if dice.percent(15) {
                Outcome::Stuck
            } else {
                Outcome::Failed
            };
            (failing(dice).saturating_add(stop), outcome)
        }
        Task::Stop if fails && dice.percent(40) => (failing(dice), Outcome::Stuck),
        Task::Start | Task::Stop => (script(dice), Outcome::Done),
    };
    span = span.saturating_add(one);
    (span, outcome)
}

fn script(dice: &mut Dice) -> Nanos {
    let longest = if dice.percent(75) { 40 } else { SCRIPT };
    dice.span(1, longest)
}

/// One that fails, or hangs until it is killed.
fn failing(dice: &mut Dice) -> Nanos {
    if dice.percent(40) { ms(TIMEOUT) } else { script(dice) }
}
