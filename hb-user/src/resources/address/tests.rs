use super::*;
use crate::config::Broadcast;

fn address(ip: &str, bits: Option<u8>, interface: Option<&str>) -> Address {
    Address {
        ip: ip.parse().expect("an address"),
        bits,
        interface: interface.map(str::to_owned),
        label: None,
        broadcast: Broadcast::Last,
    }
}

#[test]
fn a_place_that_is_none_says_what_helps() {
    let nowhere = address("192.0.2.10", Some(24), Some("no-such-if"));
    assert_eq!(
        place(&nowhere).expect_err("no interface").to_string(),
        "this host has no interface no-such-if: create it, or name another one in haresources"
    );
    let nobodys = address("240.0.0.1", None, None);
    assert_eq!(
        place(&nobodys).expect_err("no network").to_string(),
        "no interface of this host is in a network that contains 240.0.0.1: name one in haresources \
         (240.0.0.1/BITS/INTERFACE)"
    );
}

#[test]
fn a_refusal_says_what_helps() {
    let plan = Plan {
        ip: "2001:db8::10".parse().expect("an address"),
        bits: 64,
        interface: "eth0".to_owned(),
        label: None,
        broadcast: None,
    };
    let explained = |errno: Errno| explain(&plan, &errno.into());
    assert_eq!(
        explained(Errno::EPERM),
        "the kernel refuses 2001:db8::10/64 on eth0: Operation not permitted: hb needs CAP_NET_ADMIN, run it as root"
    );
    assert_eq!(
        explained(Errno::EACCES),
        "the kernel refuses 2001:db8::10/64 on eth0: Permission denied: IPv6 is switched off there (sysctl \
         net.ipv6.conf.INTERFACE.disable_ipv6)"
    );
    assert_eq!(
        explained(Errno::EINVAL),
        "the kernel refuses 2001:db8::10/64 on eth0: Invalid argument"
    );
}

#[tokio::test]
async fn the_thread_looks_and_ends_with_its_last_user() {
    // Without the right to open packet sockets there is no thread, and nothing to be tested.
    let Ok(hands) = Hands::start(Wanted::default(), &Addresses::default()) else {
        return;
    };
    let limit = Duration::from_secs(10);
    // Documentation's addresses are nobody's.
    let absent = address("192.0.2.10", Some(24), Some("lo"));
    let finished = hands.call(&absent, Operation::Status, limit, false).await;
    assert_eq!((finished.outcome, finished.says_running), (Outcome::Done, false));
    assert_eq!(finished.output_tail, "the address is not here");
    // What cannot be here has been stopped.
    let nowhere = address("192.0.2.10", Some(24), Some("no-such-if"));
    let finished = hands.call(&nowhere, Operation::Stop, limit, false).await;
    assert_eq!(finished.outcome, Outcome::Done);
    let finished = hands.call(&nowhere, Operation::Start, limit, false).await;
    assert!(matches!(finished.outcome, Outcome::Failed(reason) if reason.contains("no interface no-such-if")));
    let weak = Arc::downgrade(&hands.0);
    drop(hands);
    assert!(weak.upgrade().is_none(), "nobody else keeps it");
}

/// What a check finds of an address that is not here: `Some(true)`, where the thread thinks that it should not be.
async fn checked(hands: &Hands, address: &Address) -> Option<bool> {
    let ready = make_ready(address).ok()?;
    let task = Task::Check {
        mends: false,
        tells: false,
        probes: false,
    };
    let answer = hands.order(address, task, &ready, Duration::from_secs(10)).await;
    answer.ok()?.was_here.ok()
}

#[tokio::test]
async fn what_is_about_to_be_removed_is_not_said_to_be_here() {
    let Ok(hands) = Hands::start(Wanted::default(), &Addresses::default()) else {
        return;
    };
    let absent = address("192.0.2.10", Some(24), Some("lo"));
    let ready = make_ready(&absent).expect("every host has it");
    hands.adopt(vec![Held {
        address: absent.clone(),
        plan: ready.plan.clone(),
    }]);
    hands.keep_all();
    assert_eq!(checked(&hands, &absent).await, Some(false), "it is missed");
    let removed = hands.begin(&absent, Task::Remove, &ready).expect("room");
    // Until its answer is here the address is still noted as ours.
    assert_eq!(hands.held().len(), 1);
    hands.keep_all();
    removed.await.expect("an answer");
    assert_eq!(checked(&hands, &absent).await, Some(true), "nobody misses it");
}
