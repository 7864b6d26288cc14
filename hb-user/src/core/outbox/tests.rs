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
