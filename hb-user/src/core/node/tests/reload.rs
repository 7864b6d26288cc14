//! A change of the configuration while running.

use super::super::*;
use super::bench::*;
use crate::core::testing::{groups, ms, settings};
use crate::core::{Carry, Command, Outcome, Reconfiguration};

/// Two nodes, two groups of ours that run here.
fn bench() -> Bench {
    let mut bench = Bench::new(settings(2, A, 2));
    for _ in 0..2 {
        bench.says(B, &[Released, Released]);
    }
    for index in 0..2 {
        let work = bench.node.groups[index].work;
        bench.tell(&Event::Finished {
            work,
            outcome: Outcome::Done,
        });
    }
    bench
}

fn new(carries: &[Carry]) -> Reconfiguration {
    Reconfiguration {
        settings: settings(2, A, carries.len()),
        nodes: vec![Some(A), Some(B)],
        groups: carries.to_vec(),
    }
}

fn change(bench: &mut Bench, carries: &[Carry]) -> Vec<String> {
    bench.tell(&Event::Reconfigure(Box::new(new(carries))))
}

fn states(bench: &Bench) -> Vec<GroupState> {
    bench.node.groups.iter().map(|group| group.state).collect()
}

#[test]
fn what_has_not_changed_is_not_touched() {
    let mut bench = bench();
    let mut faster = new(&[Carry::Kept(0), Carry::Kept(1)]);
    faster.settings.deadtime = ms(300);
    assert!(bench.tell(&Event::Reconfigure(Box::new(faster))).is_empty());
    assert_eq!(states(&bench), [Running, Running]);
    assert!(bench.node.peer(B).is_readable(), "it has the same groups");
    assert_eq!(bench.node.settings().deadtime, ms(300));
}

#[test]
fn a_group_keeps_its_state_in_another_place() {
    let mut bench = bench();
    bench.says(B, &[Declined, Released]);
    assert!(change(&mut bench, &[Carry::New, Carry::Kept(0), Carry::Kept(1)]).is_empty());
    assert_eq!(states(&bench), [Released, Running, Running]);
    assert_eq!(bench.node.peer(B).sight.groups, groups(&[Released, Declined, Released]));
    assert!(!bench.node.peer(B).is_readable(), "it has to be met again");
    bench.says(B, &[Released; 3]);
    assert_eq!(bench.says(B, &[Released; 3]), ["acquire 0: start"]);
}

#[test]
fn what_has_changed_is_stopped_and_what_is_gone_too() {
    let mut bench = bench();
    assert_eq!(
        change(&mut bench, &[Carry::Changed(0)]),
        ["drop 1", "release 0: reload"]
    );
    bench.finish(Outcome::Done);
    assert_eq!(states(&bench), [Released]);
    bench.says(B, &[Released]);
    assert_eq!(bench.says(B, &[Released]), ["acquire 0: start"]);
}

#[test]
fn a_start_under_way_is_broken_off() {
    let mut bench = Bench::two();
    bench.says(B, &[Released]);
    bench.says(B, &[Released]);
    assert_eq!(change(&mut bench, &[Carry::Changed(0)]), ["release 0: reload"]);
}

#[test]
fn a_node_more_is_waited_for() {
    let mut bench = bench();
    let mut wider = new(&[Carry::Kept(0), Carry::Kept(1)]);
    wider.settings.nodes = 3;
    wider.nodes = vec![Some(A), None, Some(B)];
    assert!(bench.tell(&Event::Reconfigure(Box::new(wider))).is_empty());
    assert_eq!(bench.node.peer(1).contact, Contact::Unknown);
    assert_eq!(bench.node.peer(2).contact, Contact::Up);
}

#[test]
fn in_maintenance_nothing_is_reloaded_that_would_stop_something() {
    let mut bench = bench();
    let kept = new(&[Carry::Kept(1), Carry::Kept(0)]);
    let changed = new(&[Carry::Kept(0), Carry::Changed(1)]);
    let dropped = new(&[Carry::Kept(0)]);
    for change in [&kept, &changed, &dropped] {
        assert_eq!(bench.node.plan_reconfigure(change), Ok(()));
    }
    bench.order(Command::Maintenance(true));
    assert_eq!(bench.node.plan_reconfigure(&kept), Ok(()));
    for change in [&changed, &dropped] {
        assert_eq!(bench.node.plan_reconfigure(change), Err(Refusal::Maintenance));
    }
}

#[test]
fn a_lease_that_comes_with_the_configuration_is_held_until_we_are_told() {
    let mut bench = bench();
    let mut wider = new(&[Carry::Kept(0), Carry::Kept(1)]);
    wider.settings.quorum = crate::core::Quorum::Pings;
    assert!(bench.tell(&Event::Reconfigure(Box::new(wider))).is_empty());
    assert!(bench.node.has_lease());
    assert_eq!(bench.tell(&Event::Lease { held: false }).len(), 2);
}

#[test]
fn a_recording_may_name_nodes_that_no_cluster_has() {
    let mut bench = bench();
    let mut strange = new(&[Carry::Kept(0), Carry::Kept(1)]);
    strange.nodes = vec![Some(A), Some(99)];
    bench.tell(&Event::Reconfigure(Box::new(strange)));
    assert_eq!(states(&bench), [Running, Running]);
}
