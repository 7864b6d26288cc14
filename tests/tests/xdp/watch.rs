//! The kernel's timers, in the kernel: they find a silence, tell it once, and are patient with who promised to be back.

use std::time::Duration;

use hb_ebpf::Nanos;
use hb_ebpf::beat::Beat;
use hb_ebpf::liveness::{Event, change};
use hb_ebpf::watch::{Silence, Watch};
use hb_tests::clock::poll;
use hb_user::clock;
use hb_user::datapath::Watches;

use crate::rig::{Rig, frame, numbered};

const DEADTIME: Nanos = Nanos::from_millis(30);
/// The peer's watch: any number that a node can have.
const PEER: u32 = 3;
/// Far more than any timer is late by.
const LIMIT: Duration = Duration::from_secs(20);

/// A rig whose timers watch the peer's first link.
fn watching(rig: &mut Rig, unmet: Nanos) -> Watches {
    let watch = Watch::of_peer(DEADTIME, unmet, [0].into_iter());
    rig.program().load_watches().unwrap();
    rig.program().watch(&[(PEER, watch)]).unwrap();
    rig.program().watches().unwrap()
}

/// Waits for a silence that began with a beat at `last_seen`.
fn found(watches: &Watches, last_seen: Nanos) -> Silence {
    let silence = poll(LIMIT, || {
        Ok(watches.silence(PEER).filter(|silence| silence.last_seen == last_seen))
    });
    silence.unwrap().expect("the timer finds no silence")
}

fn silent(found: Nanos) -> Event {
    Event {
        seen: found,
        slot: PEER,
        changes: change::SILENT,
    }
}

#[test]
fn a_silence_is_found_at_its_deadline_and_told_once() {
    let mut rig = Rig::new();
    rig.run(&frame(&numbered(1)), 1);
    let watches = watching(&mut rig, Nanos::MAX);
    let seen = rig.link(0).heard().unwrap().seen;
    let silence = found(&watches, seen);
    // Where the machine was stopped the deadline is later, and never earlier.
    assert!(silence.deadline >= seen.saturating_add(DEADTIME), "{silence:?}");
    assert!(silence.found >= silence.deadline, "{silence:?}");

    // Several more looks at the same silence.
    let until = clock::now().saturating_add(Nanos(5 * DEADTIME.0));
    poll(LIMIT, || Ok((clock::now() > until).then_some(())))
        .unwrap()
        .unwrap();
    let events = rig.take_events();
    let told: Vec<_> = events.iter().filter(|event| event.changes == change::SILENT).collect();
    assert_eq!(told, [&silent(silence.found)]);

    // It is back, and falls silent again, without anybody arming anything.
    rig.run(&frame(&numbered(2)), 1);
    let seen = rig.link(0).heard().unwrap().seen;
    let again = found(&watches, seen);
    assert!(again.deadline >= seen.saturating_add(DEADTIME), "{again:?}");
    assert!(rig.take_events().contains(&silent(again.found)));
}

#[test]
fn a_peer_that_was_never_heard_is_silent_at_its_own_deadline() {
    let mut rig = Rig::new();
    let unmet = clock::now().saturating_add(DEADTIME);
    let watches = watching(&mut rig, unmet);
    let silence = found(&watches, Nanos(0));
    assert!(
        silence.deadline >= unmet && silence.found >= silence.deadline,
        "{silence:?}"
    );
}

#[test]
fn whoever_promised_to_be_away_for_longer_is_waited_for() {
    let mut rig = Rig::new();
    let promised = Beat {
        promise_ms: 300,
        ..numbered(1)
    };
    rig.run(&frame(&promised), 1);
    let seen = rig.link(0).heard().unwrap().seen;
    let watches = watching(&mut rig, Nanos::MAX);
    let silence = found(&watches, seen);
    let promise = Nanos::from_millis(300);
    assert!(silence.found >= seen.saturating_add(promise), "{silence:?}");
}

#[test]
fn a_peer_that_is_watched_no_more_is_not_found_silent() {
    let mut rig = Rig::new();
    rig.run(&frame(&numbered(1)), 1);
    let watches = watching(&mut rig, Nanos::MAX);
    let watch = Watch::of_peer(DEADTIME, Nanos::MAX, [0].into_iter());
    // Another peer has the watch now, and the same link: its silence is what shows that time has passed.
    rig.program().watch(&[(PEER + 1, watch)]).unwrap();
    rig.run(&frame(&numbered(2)), 1);
    let seen = rig.link(0).heard().unwrap().seen;
    let other = poll(LIMIT, || {
        Ok(watches.silence(PEER + 1).filter(|silence| silence.last_seen == seen))
    });
    other.unwrap().expect("the other is not watched");
    assert!(watches.silence(PEER).is_none_or(|silence| silence.last_seen != seen));
    assert!(watches.awake().planned > seen, "the machine's own timer goes on");
}
