//! What goes wrong with groups, and what follows.

use super::super::*;
use super::bench::*;
use crate::core::Command;
use crate::core::testing::ms;
use crate::core::{Outcome, StuckPolicy};

#[test]
fn a_stop_that_fails_reboots_or_holds() {
    for (policy, then) in [(StuckPolicy::Reboot, &["reboot for 0"][..]), (StuckPolicy::Hold, &[])] {
        let mut bench = Bench::running();
        bench.node.settings.stuck = policy;
        bench.says(B, &[Asking]);
        assert_eq!(bench.finish(Outcome::Stuck), then);
        assert_eq!(bench.state(), Stuck);
        assert!(bench.says(B, &[Asking]).is_empty(), "it waits for a person");
    }
}

#[test]
fn what_could_neither_be_started_nor_stopped_is_stuck() {
    let mut bench = Bench::two();
    bench.says(B, &[Released]);
    bench.says(B, &[Released]);
    assert_eq!(bench.finish(Outcome::Stuck), ["reboot for 0"]);
}

#[test]
fn nobody_starts_what_is_stuck_elsewhere() {
    let mut bench = Bench::two();
    for _ in 0..3 {
        assert!(bench.says(B, &[Stuck]).is_empty());
    }
    assert_eq!(bench.state(), Released);
    let mut bench = Bench::running();
    assert_eq!(
        bench.says(B, &[Stuck]),
        ["release 0: conflict"],
        "better no owner than two"
    );
}

#[test]
fn what_is_sick_is_restarted_and_then_moved() {
    let mut bench = Bench::running();
    let sick = Event::Sick { group: 0 };
    assert_eq!(bench.tell(&sick), ["release 0: sick"]);
    assert!(bench.tell(&sick).is_empty(), "it is being stopped already");
    assert_eq!(bench.finish(Outcome::Done), ["acquire 0: sick"]);
    bench.finish(Outcome::Done);
    bench.at(bench.now.saturating_add(ms(59_999)));
    assert_eq!(bench.tell(&sick), ["release 0: sick"]);
    assert!(bench.finish(Outcome::Done).is_empty());
    assert_eq!(bench.state(), Failed);
    assert!(bench.node.deadline().is_some(), "when it may be tried again");
}

#[test]
fn what_is_sick_seldom_is_restarted_each_time() {
    let mut bench = Bench::running();
    for _ in 0..3 {
        bench.tell(&Event::Sick { group: 0 });
        assert_eq!(bench.finish(Outcome::Done), ["acquire 0: sick"]);
        bench.finish(Outcome::Done);
        bench.at(bench.now.saturating_add(ms(60_000)));
    }
}

#[test]
fn nobody_nurses_what_does_not_run_or_may_not_be_touched() {
    let sick = Event::Sick { group: 0 };
    let mut idle = Bench::two();
    assert!(idle.tell(&sick).is_empty());
    let mut maintained = Bench::running();
    maintained.order(Command::Maintenance(true));
    assert!(maintained.tell(&sick).is_empty());
    let mut frozen = Bench::running();
    frozen.tell(&Event::Woke);
    assert!(frozen.tell(&sick).is_empty());
}

#[test]
fn a_restart_that_may_not_act_any_more_is_no_restart() {
    let mut bench = Bench::three();
    bench.run(&[B, C]);
    bench.tell(&Event::Sick { group: 0 });
    bench.tell(&Event::Lease { held: false });
    assert!(bench.finish(Outcome::Done).is_empty());
    assert_eq!(bench.state(), Released);
}

#[test]
fn what_another_has_is_not_restarted() {
    let mut bench = Bench::running();
    bench.silent(B);
    bench.tell(&Event::Sick { group: 0 });
    bench.says(B, &[Claimed]);
    assert!(bench.finish(Outcome::Done).is_empty(), "B has it");
    assert_eq!(bench.state(), Asking, "it is ours");
}

#[test]
fn a_failure_is_forgotten_by_a_start_that_succeeds() {
    let mut bench = Bench::two();
    bench.says(B, &[Released]);
    bench.says(B, &[Released]);
    bench.finish(Outcome::Failed);
    bench.at(bench.now.saturating_add(ms(60_000)));
    bench.says(B, &[Failed]);
    bench.says(B, &[Failed]);
    assert_eq!(bench.state(), Acquiring);
    bench.finish(Outcome::Done);
    assert_eq!(bench.node.groups[0].memory, Memory::Nothing);
}

#[test]
fn the_end_of_a_work_that_nobody_asked_for_changes_nothing() {
    for state in GroupState::ALL {
        for outcome in [Outcome::Done, Outcome::Failed, Outcome::Stuck] {
            let mut bench = Bench::running();
            bench.node.groups[0].state = state;
            let is_working = state == Acquiring || state == Releasing;
            let mut other = bench.clone();
            let work = bench.node.groups[0].work + 1;
            other.node.finish(work, outcome);
            assert_eq!(other.state(), state, "there is no such work");
            let work = bench.node.groups[0].work;
            bench.node.finish(work, outcome);
            assert_eq!(bench.state() != state, is_working, "{state:?} {outcome:?}");
        }
    }
}
