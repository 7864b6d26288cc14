use super::*;
use crate::core::testing::ms;

#[test]
fn what_was_sent_is_known_by_its_sequence() {
    let mut outbox = Outbox::default();
    outbox.send(1, 7, ms(10), Nanos(0));
    outbox.send(2, 8, ms(20), Nanos(0));
    assert_eq!((outbox.sent_at(1), outbox.edition(1)), (Some(ms(10)), 7));
    assert_eq!((outbox.sent_at(2), outbox.edition(2)), (Some(ms(20)), 8));
    assert_eq!((outbox.sent_at(3), outbox.edition(3)), (None, 0), "not sent yet");
}

#[test]
fn no_beat_has_the_sequence_0() {
    let mut outbox = Outbox::default();
    assert_eq!((outbox.sent_at(0), outbox.edition(0)), (None, 0), "an empty place");
    outbox.send(0, 7, ms(10), Nanos(0));
    assert_eq!((outbox.sent_at(0), outbox.edition(0)), (None, 0), "nobody echoes it");
}

/// Also where the low 32 bits begin anew.
#[test]
fn the_last_1024_are_remembered() {
    for first in [1_u32, 5000, u32::MAX - 500] {
        let mut outbox = Outbox::default();
        let last = first.wrapping_add(1500);
        for step in 0..=1500_u32 {
            outbox.send(first.wrapping_add(step), step, Nanos(u64::from(step)), Nanos(0));
        }
        for back in (0..1024_u32).filter(|back| last.wrapping_sub(*back) != 0) {
            assert_eq!(outbox.edition(last.wrapping_sub(back)), 1500 - back);
        }
        assert_eq!(outbox.sent_at(last.wrapping_sub(1024)), None);
        assert_eq!(outbox.edition(last.wrapping_sub(1024)), 0);
    }
}

#[test]
fn a_beat_that_promises_more_holds_for_longer() {
    let mut outbox = Outbox::default();
    assert!(!outbox.send(1, 0, ms(10), ms(0)));
    assert!(!outbox.send(2, 0, ms(20), ms(500)));
    let holds = |outbox: &Outbox, sequence| outbox.holds(sequence, ms(0));
    assert_eq!(
        [1, 2].map(|sequence| holds(&outbox, sequence)),
        [Some(ms(10)), Some(ms(520))]
    );
    assert_eq!(outbox.sent_at(2), Some(ms(20)), "sent when it was");
    assert_eq!(outbox.holds(1, ms(300)), Some(ms(310)), "by what its hearer promised");
    assert_eq!(outbox.holds(3, ms(300)), None);
}

/// Who heard the promise may have heard what came after it, too.
#[test]
fn a_beat_that_promises_less_ends_what_was_promised_before() {
    let mut outbox = Outbox::default();
    outbox.send(1, 0, ms(10), ms(500));
    outbox.send(2, 0, ms(20), ms(500));
    assert!(outbox.send(3, 0, ms(100), ms(0)));
    assert_eq!(
        [1, 2, 3].map(|sequence| outbox.holds(sequence, ms(0))),
        [Some(ms(100)); 3]
    );
    assert!(!outbox.send(4, 0, ms(120), ms(0)));
    assert_eq!(outbox.holds(2, ms(0)), Some(ms(100)));
}
