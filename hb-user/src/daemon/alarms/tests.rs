use super::super::words::tests::{meet, node, sight, with_words};
use super::deafness;
use crate::core::{Action, Differs, Event, GroupState, Node, Outcome, Quorum, Sight};
use hb_ebpf::Nanos;

fn alarms(node: &Node) -> Vec<String> {
    with_words(node, None, |words| words.alarms(&[]))
}

/// Insists on one alarm, by how it begins and what it names.
fn ensure_only(node: &Node, what: &str, name: &str) {
    let alarms = alarms(node);
    let [alarm] = &alarms[..] else {
        panic!("not one: {alarms:?}")
    };
    assert!(
        alarm.starts_with(&format!("{what}: ")) && alarm.contains(name),
        "{alarm}"
    );
}

/// Ends the work that these actions ask for.
fn finish(node: &mut Node, actions: &[Action], outcome: Outcome) -> Vec<Action> {
    let work = actions.iter().find_map(|action| match action {
        Action::Acquire { work, .. } | Action::Release { work, .. } => Some(*work),
        Action::Advertise(_) | Action::Drop { .. } | Action::Fence { .. } | Action::Reboot { .. } | Action::Left => {
            None
        }
    });
    let work = work.expect("some work");
    node.handle(&Event::Finished { work, outcome }, Nanos(9))
}

/// The other one agrees at once.
fn acquiring() -> (Node, Vec<Action>) {
    let mut node = node(Quorum::None);
    let sight = sight(GroupState::Released);
    let actions = node.handle(&Event::Peer { node: 1, sight }, Nanos(1));
    (node, actions)
}

#[test]
fn at_peace_there_is_none() {
    let mut node = node(Quorum::None);
    meet(&mut node, sight(GroupState::Running));
    assert_eq!(alarms(&node), Vec::<String>::new());
}

#[test]
fn a_silent_peer_may_own_what_we_own() {
    let mut lone = node(Quorum::None);
    meet(&mut lone, sight(GroupState::Running));
    lone.handle(&Event::Silent { node: 1 }, Nanos(2));
    ensure_only(&lone, "both nodes may own", "secondary");
    let mut pinging = node(Quorum::Pings);
    pinging.handle(&Event::Lease { held: true }, Nanos(0));
    meet(&mut pinging, sight(GroupState::Running));
    pinging.handle(&Event::Silent { node: 1 }, Nanos(2));
    ensure_only(&pinging, "both nodes may own", "secondary");
    pinging.handle(&Event::Lease { held: false }, Nanos(3));
    ensure_only(&pinging, "lease lost", "too few");
    let mut voting = node(Quorum::Majority);
    voting.handle(&Event::Lease { held: true }, Nanos(0));
    meet(&mut voting, sight(GroupState::Running));
    voting.handle(&Event::Silent { node: 1 }, Nanos(2));
    assert_eq!(alarms(&voting), Vec::<String>::new());
}

#[test]
fn a_silent_peer_that_is_fenced_first_owns_nothing_besides_us() {
    let mut settings = node(Quorum::None).settings().clone();
    settings.fenced = vec![true; settings.nodes];
    let mut node = Node::new(settings, Nanos(0));
    meet(&mut node, sight(GroupState::Running));
    node.handle(&Event::Silent { node: 1 }, Nanos(2));
    assert_eq!(alarms(&node), Vec::<String>::new());
}

#[test]
fn a_lost_lease_is_one() {
    let mut node = node(Quorum::Pings);
    meet(&mut node, sight(GroupState::Released));
    ensure_only(&node, "lease lost", "too few");
}

#[test]
fn what_does_not_start_or_stop_is_one() {
    for (outcome, what) in [(Outcome::Failed, "group failed"), (Outcome::Stuck, "group stuck")] {
        let (mut node, actions) = acquiring();
        finish(&mut node, &actions, outcome);
        ensure_only(&node, what, "floatip");
    }
}

#[test]
fn two_owners_are_named() {
    let (mut node, actions) = acquiring();
    finish(&mut node, &actions, Outcome::Done);
    meet(&mut node, sight(GroupState::Claimed));
    ensure_only(&node, "two owners", "primary and on secondary");
}

#[test]
fn another_configuration_is_named_in_parts() {
    let mut node = node(Quorum::None);
    let differs = Differs {
        groups: true,
        nodes: false,
        settings: true,
    };
    meet(
        &mut node,
        Sight {
            differs,
            ..sight(GroupState::Released)
        },
    );
    ensure_only(
        &node,
        "configuration differs",
        "between this node and secondary, the groups of haresources and the timers and policies of ha.cf and hb.toml differ",
    );
}

#[test]
fn what_the_kernel_refused_is_said() {
    let mut node = node(Quorum::None);
    meet(&mut node, sight(GroupState::Running));
    let alarms = with_words(&node, None, |words| words.alarms(&["no CAP_SYS_NICE".to_owned()]));
    assert_eq!(alarms, ["not in real time: no CAP_SYS_NICE"]);
}

#[test]
fn an_interface_that_hears_nothing_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let interface = dir.path().join("eth0");
    std::fs::create_dir(&interface).expect("created");
    let told = |flags: &str, operstate: &str, index| {
        for (file, text) in [("ifindex", "7"), ("flags", flags), ("operstate", operstate)] {
            std::fs::write(interface.join(file), format!("{text}\n")).expect("written");
        }
        deafness(dir.path(), "eth0", index)
    };
    for (flags, operstate, what) in [
        ("0x1003", "up", None),
        ("0x1003", "unknown", None),
        ("0x1003", "down", Some("no carrier: ")),
        ("0x1003", "lowerlayerdown", Some("no carrier: ")),
        ("0x1003", "dormant", Some("no carrier: ")),
        ("0x1002", "down", Some("interface down: eth0 ")),
    ] {
        let alarm = told(flags, operstate, Some(7));
        assert_eq!(alarm.is_some(), what.is_some(), "{alarm:?}");
        assert!(
            alarm
                .as_deref()
                .unwrap_or_default()
                .starts_with(what.unwrap_or_default()),
            "{alarm:?}"
        );
        // One of another namespace.
        assert_eq!(told(flags, operstate, Some(8)), None);
    }
    let gone = told("0x1003", "up", None).expect("it is gone");
    assert!(gone.starts_with("interface gone: ") && gone.contains("eth0"), "{gone}");
    assert_eq!(deafness(dir.path(), "eth1", Some(7)), None, "nobody tells");
}
