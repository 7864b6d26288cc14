//! What operators order, whether it is possible, and how far it is.

use super::super::*;
use super::bench::*;
use crate::core::testing::{ms, settings};
use crate::core::{Command, Failback, Outcome, Which};

const STANDBY: Command = Command::Standby(Which::All);
const TAKEOVER: Command = Command::Takeover(Which::All);

/// Two groups of ours and one of B, all of which run here.
fn three_groups() -> Bench {
    let mut settings = settings(2, A, 3);
    settings.groups[2].preferred = B;
    let mut bench = Bench::new(settings);
    bench.silent(B);
    for index in 0..3 {
        let work = bench.node.groups[index].work;
        bench.tell(&Event::Finished {
            work,
            outcome: Outcome::Done,
        });
    }
    bench.says(B, &[Released; 3]);
    bench
}

#[test]
fn which_groups_are_meant() {
    let bench = three_groups();
    let plan = |command| bench.node.plan(command);
    assert_eq!(plan(Command::Standby(Which::All)), Ok(vec![0, 1, 2]));
    assert_eq!(plan(Command::Standby(Which::Local)), Ok(vec![0, 1]));
    assert_eq!(plan(Command::Standby(Which::Foreign)), Ok(vec![2]));
    assert_eq!(plan(Command::Standby(Which::Failback)), Ok(vec![2]));
    assert_eq!(plan(TAKEOVER), Ok(vec![]), "it has them all");

    let mut idle = Bench::new(bench.node.settings.clone());
    idle.says(B, &[Running; 3]);
    assert_eq!(idle.node.plan(Command::Takeover(Which::All)), Ok(vec![0, 1, 2]));
    assert_eq!(idle.node.plan(Command::Takeover(Which::Local)), Ok(vec![0, 1]));
    assert_eq!(idle.node.plan(Command::Takeover(Which::Foreign)), Ok(vec![2]));
    assert_eq!(idle.node.plan(STANDBY), Ok(vec![]));
}

#[test]
fn nobody_gives_up_what_nobody_else_can_have() {
    let mut alone = Bench::running();
    alone.silent(B);
    assert_eq!(alone.node.plan(STANDBY), Err(Refusal::NobodyElse(0)));
    assert!(alone.order(STANDBY).is_empty(), "nor when it was possible before");

    for sight in [
        sight(&[Failed]),
        other_groups(&[Released]),
        Sight {
            status: Status::Leaving,
            ..sight(&[Released])
        },
        Sight {
            present: 0b10,
            ..sight(&[Released])
        },
    ] {
        let mut bench = Bench::running();
        bench.says_so(B, sight);
        assert_eq!(bench.node.plan(STANDBY), Err(Refusal::NobodyElse(0)), "{sight:?}");
    }
}

#[test]
fn failback_leaves_alone_what_its_node_cannot_have() {
    let mut bench = three_groups();
    bench.says(B, &[Released, Released, Failed]);
    assert_eq!(bench.node.plan(Command::Standby(Which::Failback)), Ok(vec![]));
}

#[test]
fn who_may_not_act_obeys_nothing() {
    let mut unmet = Bench::two();
    assert_eq!(unmet.node.plan(STANDBY), Err(Refusal::NotUp));
    assert!(unmet.order(TAKEOVER).is_empty());
    let mut leaving = Bench::running();
    leaving.tell(&Event::Leave);
    assert_eq!(leaving.node.plan(TAKEOVER), Err(Refusal::NotUp));
    let mut frozen = Bench::running();
    frozen.tell(&Event::Woke);
    assert_eq!(frozen.node.plan(STANDBY), Err(Refusal::NotUp));
    let mut maintained = Bench::running();
    maintained.order(Command::Maintenance(true));
    assert_eq!(maintained.node.plan(STANDBY), Err(Refusal::Maintenance));
    let mut unheard = Bench::three();
    unheard.run(&[B, C]);
    unheard.tell(&Event::Lease { held: false });
    assert_eq!(unheard.node.plan(TAKEOVER), Err(Refusal::Lease));
}

#[test]
fn a_group_at_work_is_busy() {
    let mut bench = Bench::two();
    bench.says(B, &[Released]);
    bench.says(B, &[Released]);
    assert_eq!(bench.state(), Acquiring);
    for command in [STANDBY, TAKEOVER, Command::Cleanup(0)] {
        assert_eq!(bench.node.plan(command), Err(Refusal::Busy(0)), "{command:?}");
    }
}

#[test]
fn a_standby_is_done_when_another_runs_it() {
    let mut bench = Bench::running();
    bench.order(STANDBY);
    let progress = |bench: &Bench| bench.node.progress(STANDBY, &[0]);
    assert_eq!(progress(&bench), Progress::Pending);
    bench.finish(Outcome::Done);
    bench.says(B, &[Acquiring]);
    assert_eq!(progress(&bench), Progress::Pending);
    bench.says(B, &[Running]);
    assert_eq!(progress(&bench), Progress::Done);
    assert!(
        bench.says(B, &[Running]).is_empty(),
        "though it is ours, it is not asked back"
    );

    let mut stuck = Bench::running();
    stuck.order(STANDBY);
    stuck.finish(Outcome::Stuck);
    assert_eq!(progress(&stuck), Progress::Failed(0));

    let mut back = Bench::running();
    back.order(STANDBY);
    back.finish(Outcome::Done);
    back.says(B, &[Failed]);
    assert_eq!(back.says(B, &[Failed]), ["acquire 0: peer_failed"]);
    assert_eq!(progress(&back), Progress::Failed(0), "B could not");
}

#[test]
fn a_takeover_is_done_when_it_runs_here() {
    let mut bench = Bench::two_of_b();
    bench.says(B, &[Running]);
    assert!(bench.order(TAKEOVER).is_empty());
    let progress = |bench: &Bench| bench.node.progress(TAKEOVER, &[0]);
    assert_eq!((bench.state(), progress(&bench)), (Asking, Progress::Pending));
    bench.says(B, &[Releasing]);
    assert_eq!(bench.says(B, &[Declined]), ["acquire 0: takeover"]);
    assert_eq!(progress(&bench), Progress::Pending);
    bench.finish(Outcome::Done);
    assert_eq!(progress(&bench), Progress::Done);

    let mut failed = Bench::two_of_b();
    failed.says(B, &[Running]);
    failed.order(TAKEOVER);
    failed.says(B, &[Declined]);
    failed.finish(Outcome::Failed);
    assert_eq!(progress(&failed), Progress::Failed(0));
}

#[test]
fn a_takeover_can_be_withdrawn() {
    let mut bench = Bench::two_of_b();
    bench.says(B, &[Running]);
    bench.order(TAKEOVER);
    assert_eq!(bench.node.plan(Command::Withdraw), Ok(vec![]));
    bench.order(Command::Withdraw);
    assert_eq!(bench.state(), Released);
    assert_eq!(bench.node.progress(TAKEOVER, &[0]), Progress::Failed(0));
    assert_eq!(bench.node.progress(Command::Withdraw, &[]), Progress::Done);
}

#[test]
fn a_takeover_forgets_that_it_failed_here() {
    for state in [Failed, Declined] {
        let mut bench = Bench::two();
        bench.says(B, &[Released]);
        bench.says(B, &[Released]);
        bench.finish(Outcome::Failed);
        if state == Declined {
            bench.at(bench.now.saturating_add(ms(60_000)));
        }
        bench.says(B, &[Running]);
        assert_eq!(bench.state(), state);
        bench.order(TAKEOVER);
        assert_eq!(bench.state(), Asking);
    }
}

#[test]
fn in_maintenance_nothing_is_touched() {
    let mut bench = Bench::running();
    bench.order(Command::Maintenance(true));
    assert!(bench.node.advert().maintenance);
    assert_eq!(bench.node.maintainers().collect::<Vec<_>>(), [A]);
    assert!(bench.says(B, &[Running]).is_empty());
    assert!(bench.silent(B).is_empty());
    assert_eq!(bench.tell(&Event::Leave), ["left"], "with what it has");
    assert_eq!(bench.state(), Running);
}

#[test]
fn a_peers_maintenance_counts_too_and_its_last_word_as_well() {
    let mut bench = Bench::two_of_b();
    bench.says_so(
        B,
        Sight {
            maintenance: true,
            ..sight(&[Running])
        },
    );
    assert!(bench.silent(B).is_empty());
    assert_eq!(bench.waiting(), Some(Waiting::Maintenance));
    assert_eq!(bench.node.maintainers().collect::<Vec<_>>(), [B]);
    assert_eq!(
        bench.order(Command::Maintenance(false)),
        ["acquire 0: peer_died"],
        "overridden"
    );
    bench.says_so(
        B,
        Sight {
            maintenance: true,
            ..sight(&[Released])
        },
    );
    assert!(bench.node.in_maintenance(), "its new word counts again");
}

#[test]
fn who_is_up_cannot_be_overridden() {
    let mut bench = Bench::running();
    bench.says_so(
        B,
        Sight {
            maintenance: true,
            ..sight(&[Released])
        },
    );
    let off = Command::Maintenance(false);
    bench.order(off);
    assert!(bench.node.in_maintenance());
    assert_eq!(bench.node.progress(off, &[]), Progress::Overruled(B));
}

#[test]
fn maintenance_has_begun_when_all_have_heard_of_it() {
    let mut bench = Bench::running();
    let on = Command::Maintenance(true);
    assert_eq!(bench.node.progress(on, &[]), Progress::Pending);
    bench.order(on);
    assert_eq!(bench.node.progress(on, &[]), Progress::Pending);
    bench.says(B, &[Released]);
    assert_eq!(bench.node.progress(on, &[]), Progress::Done);
    bench.order(Command::Maintenance(false));
    bench.silent(B);
    assert_eq!(
        bench.node.progress(Command::Maintenance(false), &[]),
        Progress::Done,
        "B is gone"
    );
}

#[test]
fn cleanup_forgets_and_tries_again() {
    let mut bench = Bench::running();
    assert_eq!(bench.node.plan(Command::Cleanup(0)), Err(Refusal::NothingWrong(0)));
    assert_eq!(bench.node.plan(Command::Cleanup(7)), Err(Refusal::NoGroup(7)));
    bench.says(B, &[Asking]);
    bench.finish(Outcome::Stuck);
    let cleanup = Command::Cleanup(0);
    assert_eq!(bench.node.progress(cleanup, &[0]), Progress::Failed(0));
    assert_eq!(bench.order(cleanup), ["release 0: cleanup"]);
    assert_eq!(bench.node.progress(cleanup, &[0]), Progress::Pending);
    bench.finish(Outcome::Done);
    assert_eq!(bench.node.progress(cleanup, &[0]), Progress::Done);
    assert_ne!(bench.state(), Declined);

    let mut failed = Bench::two();
    failed.says(B, &[Released]);
    failed.says(B, &[Released]);
    failed.finish(Outcome::Failed);
    assert_eq!(failed.node.plan(cleanup), Ok(vec![0]));
    failed.order(cleanup);
    assert_eq!(failed.state(), Wanting);
    assert_eq!(failed.node.deadline(), None);

    let mut maintained = Bench::running();
    maintained.says(B, &[Asking]);
    maintained.finish(Outcome::Stuck);
    maintained.order(Command::Maintenance(true));
    assert_eq!(maintained.node.plan(cleanup), Err(Refusal::Maintenance));
}

#[test]
fn what_another_lets_go_of_is_coming() {
    let is_coming = |bench: &Bench| bench.node.group(0).is_some_and(|group| group.is_coming);
    let mut bench = Bench::new(settings(2, B, 1));
    for (theirs, expected) in [(Running, false), (Releasing, true), (Stuck, false), (Acquiring, false)] {
        bench.says(A, &[theirs]);
        assert_eq!(is_coming(&bench), expected, "{theirs:?}");
    }
    bench.says(A, &[Releasing]);
    bench.order(Command::Maintenance(true));
    assert!(!is_coming(&bench), "nothing is started in maintenance");

    let mut ours = Bench::running();
    ours.says(B, &[Releasing]);
    assert!(!is_coming(&ours), "it runs here");
}

/// Handed to and fro it has been declined by both. Who gives it up now did so last.
#[test]
fn what_both_have_declined_goes_to_the_other() {
    let mut bench = Bench::new(Settings {
        failback: Failback::Stay,
        ..settings(2, A, 1)
    });
    bench.run(&[B]);
    bench.says(B, &[Declined]);
    assert_eq!(bench.order(STANDBY), ["release 0: standby"]);
    bench.finish(Outcome::Done);
    assert_eq!(bench.state(), Declined, "B is to see that, and to take it");
    let mut handed = bench.clone();
    handed.says(B, &[Wanting]);
    handed.says(B, &[Running]);
    assert_eq!(handed.state(), Declined);
    // B does not: it is declined there for another reason.
    let turn = bench.node.deadline().expect("a turn");
    assert_eq!(turn, bench.now.saturating_add(bench.node.settings.deadtime));
    bench.at(turn);
    assert!(
        bench.state() == Wanting || bench.state() == Acquiring,
        "{:?}",
        bench.state()
    );
    // The other side of it: what is handed back is taken.
    let mut other = Bench::two_of_b();
    other.node.settings.failback = Failback::Stay;
    other.node.groups[0].memory = Memory::Declined;
    for theirs in [Running, Running, Releasing] {
        other.says(B, &[theirs]);
    }
    assert_eq!(other.state(), Declined);
    other.says(B, &[Declined]);
    assert!(
        other.state() == Wanting || other.state() == Acquiring,
        "{:?}",
        other.state()
    );
}
