use hb_ebpf::beat::{Groups, Status};

use super::*;
use crate::config::Resource;
use crate::core::{Event, Failback, GroupSettings, Quorum, Settings, Sight, StuckPolicy, Which};

/// Node 0 of two, which begins, with the group floatip.
pub(in crate::daemon) fn node(quorum: Quorum) -> Node {
    let settings = Settings {
        nodes: 2,
        me: 0,
        groups: vec![GroupSettings { preferred: 0 }],
        failback: Failback::Stay,
        quorum,
        deadtime: Nanos(500),
        interval: Nanos(100),
        takeover_delay: Nanos(0),
        start_retry: Nanos(1000),
        stuck: StuckPolicy::Hold,
        fenced: vec![false; 2],
        fence_retry: Nanos(1000),
        witness: false,
        witness_lease: None,
    };
    Node::new(settings, Nanos(0))
}

/// The other one is up, has heard everything, and does this with the group.
pub(in crate::daemon) fn sight(group: GroupState) -> Sight {
    Sight {
        status: Status::Up,
        groups: Groups::default().with(0, group as u8),
        hears_us: true,
        confirmed: u32::MAX / 4,
        ..Sight::default()
    }
}

pub(in crate::daemon) fn meet(node: &mut Node, sight: Sight) {
    node.handle(&Event::Peer { node: 1, sight }, Nanos(1));
}

pub(in crate::daemon) fn with_words<T>(node: &Node, problem: Option<&str>, say: impl FnOnce(Words<'_>) -> T) -> T {
    let floatip = Group {
        preferred: 0,
        resources: vec![Resource::script("floatip", &[])],
        line: 1,
        monitor: None,
    };
    say(Words {
        node,
        nodes: &["primary".to_owned(), "secondary".to_owned()],
        groups: &[floatip],
        problems: &[problem.map(str::to_owned)],
    })
}

#[test]
fn who_gave_it_up_reads_where_it_is_now() {
    let mut node = node(Quorum::None);
    meet(&mut node, sight(GroupState::Running));
    let took = Nanos::from_millis(312);
    let said = with_words(&node, None, |words| {
        words.done(Command::Standby(Which::All), &[0], took)
    });
    assert_eq!(said, "floatip: given up, now on secondary (took 312 ms)");
}

#[test]
fn groups_go_by_the_names_of_haresources() {
    let node = node(Quorum::None);
    with_words(&node, None, |words| {
        assert_eq!(words.find("floatip"), Ok(0));
        let missing = words.find("web").expect_err("there is none");
        assert_eq!(missing, "there is no group web; haresources has: floatip");
    });
}

#[test]
fn refusals_name_what_they_are_about() {
    let mut node = node(Quorum::None);
    meet(
        &mut node,
        Sight {
            maintenance: true,
            ..sight(GroupState::Released)
        },
    );
    with_words(&node, None, |words| {
        for (refusal, said) in [
            (Refusal::NotUp, "settled"),
            (Refusal::Maintenance, "maintenance is on (by secondary)"),
            (Refusal::Lease, "too few"),
            (Refusal::NobodyElse(0), "floatip: no other node"),
            (Refusal::Busy(0), "floatip: released here just now"),
            (Refusal::NoGroup(7), "number 7"),
            (Refusal::NothingWrong(0), "floatip: there is nothing wrong"),
        ] {
            let text = words.refusal(refusal);
            assert!(text.contains(said), "{refusal:?}: {text}");
        }
    });
}

#[test]
fn what_is_late_says_how_it_stands() {
    let mut node = node(Quorum::None);
    meet(&mut node, sight(GroupState::Stuck));
    node.handle(&Event::Command(Command::Takeover(Which::All)), Nanos(2));
    let took = Nanos::from_millis(60_000);
    let said = with_words(&node, None, |words| {
        words.late(Command::Takeover(Which::All), &[0], took)
    });
    let expected = "it has not happened within 60 s\nfloatip: asking here, owner nobody, waiting: held secondary\n\
                    no longer asked for";
    assert_eq!(said, expected);
}

#[test]
fn a_failure_says_what_went_wrong() {
    let node = node(Quorum::None);
    let said = with_words(&node, Some("floatip: start: exit code 1"), |words| {
        words.failed(Command::Takeover(Which::All), 0)
    });
    assert_eq!(
        said,
        "floatip: it was given up again, or is no longer asked for (floatip: start: exit code 1)"
    );
}
