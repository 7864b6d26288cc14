//! What is echoed, and when; and what a change of the timers does.

use super::*;

fn echo(incarnation: u64, sequence: u32) -> Echo {
    Echo {
        incarnation: Incarnation(incarnation).low(),
        sequence,
    }
}

#[test]
fn before_it_is_up_everything_is_echoed_at_once() {
    let mut bench = Bench::new();
    assert_eq!(bench.detector.echo(), Echo::default());
    bench.hears_deaf(10, 1, 5);
    bench.look(10);
    assert_eq!(bench.detector.echo(), echo(1, 5), "it learns that we hear it");
}

#[test]
fn news_are_echoed_when_they_are_taken_in() {
    let mut bench = Bench::met();
    assert_eq!(bench.detector.echo(), Echo::default(), "its first beat is news");
    assert!(bench.detector.take_in(Sequence(1)), "it waits for an answer");
    assert_eq!(bench.detector.echo(), echo(1, 1));
    assert!(!bench.detector.take_in(Sequence(1)), "once");

    bench.hears(200, 1, 2);
    bench.look(200);
    assert_eq!(bench.detector.echo(), echo(1, 2), "nothing new");

    let heard = bench.hears(300, 1, 3);
    bench.links[0] = Some(Heard { digest: 7, ..heard });
    bench.look(300);
    assert_eq!(bench.detector.echo(), echo(1, 2), "news");
    assert!(!bench.detector.take_in(Sequence(2)), "an older one was told");
    assert_eq!(bench.detector.echo(), echo(1, 2));
    assert!(bench.detector.take_in(Sequence(3)));
    assert_eq!(bench.detector.echo(), echo(1, 3));
}

#[test]
fn what_says_the_same_as_what_was_taken_in_is_echoed_with_it() {
    let mut bench = Bench::met();
    bench.hears(200, 1, 2);
    bench.look(200);
    assert_eq!(bench.detector.echo(), Echo::default());
    assert!(bench.detector.take_in(Sequence(1)));
    assert_eq!(
        bench.detector.echo(),
        echo(1, 2),
        "the second says no more than the first"
    );
}

#[test]
fn after_a_death_news_are_news_again() {
    let mut bench = Bench::met();
    bench.detector.take_in(Sequence(1));
    bench.look(600);
    assert!(!bench.detector.take_in(Sequence(1)), "that was before");
    bench.hears(700, 1, 2);
    assert!(matches!(bench.look(700).change, Some(Change::Up(_))));
    assert!(bench.detector.take_in(Sequence(2)));
}

#[test]
fn only_who_is_up_is_told_again() {
    let mut bench = Bench::new();
    bench.hears_deaf(10, 1, 1);
    bench.look(10);
    assert_eq!(bench.detector.tell_again(), None);

    let mut bench = Bench::met();
    bench.detector.take_in(Sequence(1));
    let newest = bench.hears(200, 1, 2);
    bench.look(200);
    assert_eq!(bench.detector.tell_again(), Some(newest));
    assert!(!bench.detector.take_in(Sequence(2)), "it says nothing new");
    assert_eq!(bench.detector.echo(), echo(1, 2));

    bench.look(700);
    assert_eq!(bench.detector.tell_again(), None);
}

/// By the phase: what is set, and when the deadline is then.
#[test]
fn a_deadline_under_way_moves_with_the_timers() {
    let slower = Timing {
        deadtime: ms(900),
        warntime: ms(450),
        initdead: ms(5000),
    };
    let faster = Timing {
        deadtime: ms(200),
        warntime: ms(100),
        initdead: ms(1000),
    };
    // A peer that was heard under longer times counts on them: its deadline does not come forward.
    for (timing, unmet, up) in [(slower, 5000, 1000), (faster, 1000, 600), (TIMING, 2000, 600)] {
        let mut bench = Bench::new();
        bench.detector.set_timing(timing);
        assert_eq!(bench.detector.deadline(), ms(unmet));
        let mut bench = Bench::met();
        bench.detector.set_timing(timing);
        assert_eq!(bench.detector.deadline(), ms(up));
        assert!(matches!(bench.look(up).change, Some(Change::Dead(_))));
        bench.detector.set_timing(slower);
        assert_eq!(bench.detector.deadline(), Nanos::MAX, "the dead have none");
    }
}
