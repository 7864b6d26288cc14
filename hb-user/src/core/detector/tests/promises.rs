//! Beats that promise a longer silence than a deadtime: the peer's own, before it restarts, and ours.

use super::*;

/// A peer that was met at 100 ms, and at 200 ms promises to be back within so many milliseconds.
fn promised(promise_ms: u16) -> Bench {
    let mut bench = Bench::met();
    let heard = bench.hears(200, 1, 2);
    bench.links[0] = Some(Heard { promise_ms, ..heard });
    bench.look(200);
    bench
}

#[test]
fn a_peer_is_waited_for_as_long_as_it_promised_and_no_longer() {
    // What it promised, and for how long we wait: a deadtime at least, ten seconds at most.
    let table = [
        (1, 500),
        (100, 500),
        (500, 500),
        (501, 501),
        (2000, 2000),
        (10_000, 10_000),
        (10_001, 10_000),
        (u16::MAX, 10_000),
    ];
    for (promise, patience) in table {
        let mut bench = promised(promise);
        let deadline = 200 + patience;
        assert_eq!(bench.detector.deadline(), ms(deadline), "{promise} ms");
        assert_eq!(bench.detector.stretch(), ms(patience - 500), "{promise} ms");
        bench.look_at(Nanos(ms(deadline).0 - 1), ms(deadline));
        assert!(bench.detector.is_up(), "{promise} ms");
        assert_eq!(
            bench.look(deadline).change,
            Some(dead(Some(200), deadline, deadline)),
            "{promise} ms"
        );
    }
}

#[test]
fn a_peer_that_is_back_has_a_deadtime_again() {
    let mut bench = promised(2000);
    bench.hears(300, 1, 3);
    assert_eq!(bench.look(300), Findings::default());
    assert_eq!(bench.detector.deadline(), ms(800));
    assert_eq!(bench.detector.stretch(), ms(0));
}

/// It cannot answer while it is away, and its next beat is no late one.
#[test]
fn nothing_is_told_of_a_silence_that_was_promised() {
    let mut bench = promised(2000);
    for at in [500, 1000, 1900] {
        assert_eq!(bench.look(at), Findings::default(), "{at}");
        assert!(bench.detector.hears_us(ms(at)), "{at}");
    }
    bench.hears(1950, 1, 3);
    assert_eq!(bench.look(1950), Findings::default());
    bench.hears(2250, 1, 4);
    assert_eq!(bench.look(2250).late_beat, Some(ms(300)), "now it is late");
}

#[test]
fn an_older_promise_on_another_link_does_not_count() {
    let mut bench = promised(2000);
    bench.links[1] = bench.links[0];
    bench.hears(300, 1, 3);
    bench.look(300);
    assert_eq!(bench.detector.deadline(), ms(800));
}

#[test]
fn other_times_move_no_deadline_that_was_promised() {
    let mut bench = promised(2000);
    let deadtime = |millis| Timing {
        deadtime: ms(millis),
        ..TIMING
    };
    bench.detector.set_timing(deadtime(1000));
    assert_eq!(bench.detector.deadline(), ms(2200));
    bench.detector.set_timing(deadtime(3000));
    assert_eq!(bench.detector.deadline(), ms(3200));
}

/// It may have been there while nobody listened.
#[test]
fn a_peer_that_was_not_met_yet_has_a_deadtime_after_our_return() {
    let mut bench = Bench::new();
    bench.detector.promise(ms(2500), 9);
    assert_eq!(bench.detector.deadline(), ms(2500));
    bench.look(2100);
    bench.detector.go_on(ms(2300));
    assert_eq!(bench.detector.deadline(), ms(2800));
    assert_eq!(bench.look(2800).change, Some(dead(None, 2800, 2800)));
}

/// We promised to be away until 1000 ms, in beat 20.
fn away() -> Bench {
    let mut bench = Bench::met();
    bench.detector.promise(ms(1000), 20);
    bench.sent = 20;
    bench
}

#[test]
fn who_relies_on_our_promise_is_not_dead_before_it_is_over() {
    let mut bench = away();
    assert_eq!(bench.detector.deadline(), ms(1000));
    // It may have been cut off, and not know that we are back.
    bench.hears_echo(450, 1, 2, 20);
    bench.look(450);
    bench.sent = 23;
    bench.look(980);
    assert!(bench.detector.is_up());
    assert_eq!(bench.look(1000).change, Some(dead(Some(450), 1000, 1000)));
}

#[test]
fn who_has_heard_that_we_are_back_does_not_rely_on_it() {
    let mut bench = away();
    bench.sent = 22;
    bench.hears_echo(300, 1, 2, 21);
    bench.look(300);
    assert_eq!(bench.detector.deadline(), ms(800));
    assert_eq!(bench.look(800).change, Some(dead(Some(300), 800, 800)));
}

#[test]
fn the_kernel_does_not_know_what_we_promised() {
    let mut bench = away();
    let witnessed = |found| Witnessed {
        last_seen: ms(100),
        deadline: ms(600),
        found: ms(found),
    };
    bench.witnessed = Some(witnessed(600));
    bench.look(600);
    assert!(bench.detector.is_up());
    bench.look(1000);
    assert!(!bench.detector.is_up());
}

#[test]
fn beats_that_came_while_another_process_began_are_no_gap() {
    let mut bench = Bench::met();
    bench.detector.go_on(ms(440));
    bench.hears(450, 1, 9);
    assert_eq!(bench.look(450).late_beat, None);
    bench.hears(750, 1, 10);
    assert_eq!(bench.look(750).late_beat, Some(ms(300)));
}
