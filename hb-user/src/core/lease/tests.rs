use super::*;
use crate::core::testing::{ms, settings};

fn lease(nodes: usize, quorum: Quorum) -> Lease {
    Lease::new(&Settings {
        quorum,
        ..settings(nodes, 0, 1)
    })
}

#[test]
fn nobody_can_take_away_what_two_nodes_without_a_witness_own() {
    assert_eq!(lease(2, Quorum::None).until(ms(5)), Nanos::MAX);
}

#[test]
fn it_ends_a_deadtime_less_one_interval_after_the_beat_that_enough_others_heard_was_sent() {
    let mut lease = lease(5, Quorum::Majority);
    assert_eq!(lease.until(ms(1000)), Nanos(0));
    lease.hear(1, Some(ms(990)), Nanos(0), true, true, ms(1000));
    assert_eq!(lease.until(ms(1000)), Nanos(0), "two of five are no majority");
    lease.hear(2, Some(ms(950)), Nanos(0), true, true, ms(1000));
    assert_eq!(lease.until(ms(1000)), ms(950 + 400));
    lease.hear(3, Some(ms(970)), Nanos(0), true, true, ms(1000));
    assert_eq!(
        lease.until(ms(1000)),
        ms(970 + 400),
        "the second newest of the others counts"
    );
}

#[test]
fn whoever_counted_us_as_gone_supports_us_again_a_deadtime_later() {
    let mut lease = lease(3, Quorum::Majority);
    lease.hear(1, Some(ms(1000)), Nanos(0), true, true, ms(1010));
    assert_eq!(lease.until(ms(1010)), ms(1400));
    lease.hear(1, Some(ms(1000)), Nanos(0), false, false, ms(1300));
    assert_eq!(lease.until(ms(1300)), Nanos(0));
    lease.hear(1, Some(ms(1320)), Nanos(0), true, false, ms(1330));
    lease.hear(1, Some(ms(1600)), Nanos(0), true, false, ms(1610));
    lease.hear(1, Some(ms(1800)), Nanos(0), true, false, ms(1810));
    assert_eq!(lease.until(ms(1829)), Nanos(0));
    assert_eq!(lease.until(ms(1830)), ms(2200));
}

#[test]
fn a_silence_in_which_it_may_have_counted_us_as_gone_is_such_a_case() {
    let mut lease = lease(3, Quorum::Majority);
    lease.hear(1, Some(ms(1000)), Nanos(0), true, true, ms(1010));
    lease.hear(1, Some(ms(1399)), Nanos(0), true, false, ms(1400));
    assert_eq!(lease.until(ms(1400)), ms(1799), "it could not have");
    lease.hear(1, Some(ms(1850)), Nanos(0), true, false, ms(1860));
    assert_eq!(lease.until(ms(1860)), Nanos(0), "now it could");
}

#[test]
fn a_clock_that_stood_still_prolongs_nothing() {
    let mut lease = lease(3, Quorum::Majority);
    lease.hear(1, Some(ms(1000)), Nanos(0), true, true, ms(1010));
    lease.age(ms(300));
    assert_eq!(lease.until(ms(1010)), ms(700 + 400));
}

#[test]
fn an_answered_ping_counts_as_one_that_heard() {
    let mut lease = lease(2, Quorum::Pings);
    lease.ping(Some(ms(700)));
    assert_eq!(lease.until(ms(800)), ms(1100));
    lease.hear(1, Some(ms(750)), Nanos(0), true, true, ms(800));
    assert_eq!(lease.until(ms(800)), ms(1150));
    lease.ping(None);
    assert_eq!(lease.until(ms(800)), ms(1150));
}

#[test]
fn who_is_idle_need_not_wait_for_a_support() {
    let mut lease = lease(3, Quorum::Majority);
    lease.hear(1, Some(ms(1000)), Nanos(0), true, false, ms(1010));
    assert_eq!(lease.until(ms(1010)), Nanos(0), "somebody may be taking over");
    assert_eq!(lease.until(ms(1510)), ms(1400));
    lease.hear(2, Some(ms(1000)), Nanos(0), true, true, ms(1010));
    assert_eq!(lease.until(ms(1010)), ms(1400));
}

#[test]
fn an_echo_that_tells_nothing_ends_no_lease_and_renews_none() {
    let mut lease = lease(3, Quorum::Majority);
    lease.hear(1, Some(ms(1000)), Nanos(0), true, true, ms(1010));
    lease.hear(1, None, Nanos(0), true, true, ms(1100));
    lease.hear(1, Some(ms(900)), Nanos(0), true, true, ms(1200));
    assert_eq!(lease.until(ms(1200)), ms(1400));
    lease.hear(9, Some(ms(1300)), Nanos(0), true, true, ms(1310));
    assert_eq!(lease.until(ms(1310)), ms(1400), "there is no node 9");
}

#[test]
fn with_other_settings_it_goes_on_from_what_is_known() {
    let mut old = lease(3, Quorum::Majority);
    old.hear(2, Some(ms(1000)), Nanos(0), true, true, ms(1010));
    old.ping(Some(ms(1000)));
    let mut new = lease(3, Quorum::Majority);
    // Node 1 is new, and what was node 2 comes last.
    new.inherit(&old, [Some(0), None, Some(2)].into_iter());
    assert_eq!(new.until(ms(1010)), ms(1400));
    let mut other = lease(3, Quorum::Majority);
    other.inherit(&old, [Some(0), None, Some(1)].into_iter());
    assert_eq!(other.until(ms(1010)), Nanos(0), "nobody who heard us is left");
    let mut pings = lease(2, Quorum::Pings);
    pings.inherit(&old, [Some(0), None].into_iter());
    assert_eq!(pings.until(ms(1010)), ms(1400), "the ping nodes are the same");
}

/// It hears a beat that was sent at 1000 ms and promises to wait for two seconds: 1500 ms more than a deadtime.
#[test]
fn a_promise_that_was_heard_prolongs_it() {
    let mut lease = lease(3, Quorum::Majority);
    lease.hear(1, Some(ms(1000 + 1500)), Nanos(0), true, true, ms(1010));
    assert_eq!(lease.until(ms(1010)), ms(2900));
    // A beat that promises nothing is about to leave: it may be the last that the peer hears.
    lease.promise_less(Nanos(0), ms(1200));
    assert_eq!(lease.until(ms(1200)), ms(1600));
    lease.hear(1, Some(ms(1200)), Nanos(0), true, true, ms(1210));
    assert_eq!(lease.until(ms(1210)), ms(1600));
}

/// Who is about to be away counts nobody as gone meanwhile, but once it is back.
#[test]
fn a_supporter_that_restarts_supports_until_its_promise_is_over() {
    let mut lease = lease(3, Quorum::Majority);
    lease.hear(1, Some(ms(1000 + 1500)), ms(1500), true, false, ms(1010));
    lease.hear(1, Some(ms(1000 + 1500)), ms(1500), true, true, ms(1010));
    lease.hear(1, Some(ms(1000 + 1500)), ms(1500), true, false, ms(2000));
    assert_eq!(lease.until(ms(2000)), ms(2900), "it echoes nothing new, and need not");
    // It is back, and has not heard anything new of us by then.
    lease.hear(1, Some(ms(1000)), Nanos(0), true, false, ms(2100));
    assert_eq!(lease.until(ms(2100)), ms(2500), "from the moment that we know it");
    lease.hear(1, Some(ms(2150)), Nanos(0), true, false, ms(2160));
    assert_eq!(lease.until(ms(2160)), ms(2550));
}
