use super::*;

const fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

/// What is ahead by so much, read with so much time between the clocks.
fn read_slowly(ahead: Nanos, took: Nanos) -> (Nanos, Nanos) {
    (ahead.since(took), ahead.saturating_add(took))
}

#[test]
fn the_time_between_two_readings_is_no_suspension() {
    for before in [ms(0), ms(3_600_000)] {
        let mut suspended = Suspended(before);
        for took in [0, 140, 2_885, 50_000_000, 0, 300] {
            assert_eq!(suspended.notice(read_slowly(before, Nanos(took))), Nanos(0), "{took}");
        }
        let begun_slowly = read_slowly(before, ms(30)).1;
        let mut suspended = Suspended(begun_slowly);
        assert_eq!(suspended.notice(read_slowly(before, Nanos(100))), Nanos(0));
        assert!(
            suspended.0 <= before.saturating_add(Nanos(100)),
            "what was too much is put right"
        );
    }
}

#[test]
fn a_suspension_is_told_once() {
    let mut suspended = Suspended(ms(500));
    assert_eq!(
        suspended.notice(read_slowly(ms(2_500), Nanos(1_000))),
        Nanos(1_999_999_000)
    );
    assert_eq!(suspended.notice(read_slowly(ms(2_500), Nanos(1_000))), Nanos(0));
    assert_eq!(suspended.notice(read_slowly(ms(2_502), Nanos(0))), Nanos(1_999_000));
}

#[test]
fn the_clocks_of_this_host_agree() {
    let mut suspended = Suspended::so_far();
    let missed: Vec<Nanos> = (0..1000).map(|_| suspended.missed()).collect();
    assert!(missed.iter().all(|missed| *missed == Nanos(0)), "{missed:?}");
}
