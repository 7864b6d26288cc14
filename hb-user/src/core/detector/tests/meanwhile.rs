//! What a peer had while we did not hear each other, and let go of in the moment in which it met us.

use super::*;
use crate::core::testing::groups;

const HAS_IT: &[GroupState] = &[GroupState::Running, GroupState::Released];

impl Bench {
    /// Its peer died, and is heard again in a life, with its first group; it has not heard us since.
    fn heard_again(incarnation: u64) -> Self {
        let mut bench = Self::met();
        let findings = bench.look(600);
        assert!(matches!(findings.change, Some(Change::Dead(_))), "{findings:?}");
        let old = bench.sent;
        bench.hears_echo(700, incarnation, 2, old);
        bench.has(HAS_IT);
        assert_eq!(bench.look(700).change, None);
        bench
    }

    fn has(&mut self, states: &[GroupState]) -> Heard {
        let heard = self.links[0].as_mut().expect("something was heard");
        heard.groups = groups(states);
        *heard
    }
}

#[test]
fn that_it_had_it_is_told_before_that_it_let_go() {
    let mut bench = Bench::heard_again(1);
    let heard = bench.hears(800, 1, 3);
    let told = Heard {
        groups: groups(HAS_IT),
        ..heard
    };
    assert_eq!(bench.look(800).change, Some(Change::Up(told)));
    assert_eq!(bench.look(810), Findings::default(), "nobody has taken it in yet");
    assert_ne!(bench.detector.echo().sequence, 3);
    assert!(!bench.detector.take_in(Sequence(3)), "there is more to take in");
    assert_ne!(bench.detector.echo().sequence, 3);
    assert_eq!(bench.look(820).change, Some(Change::Up(heard)));
    assert!(bench.detector.take_in(Sequence(3)));
    assert_eq!(bench.detector.echo().sequence, 3);
    assert_eq!(bench.look(830), Findings::default());
}

#[test]
fn what_it_has_still_is_told_once() {
    let mut bench = Bench::heard_again(1);
    bench.hears(800, 1, 3);
    let heard = bench.has(HAS_IT);
    assert_eq!(bench.look(800).change, Some(Change::Up(heard)));
    assert!(bench.detector.take_in(Sequence(3)));
    assert_eq!(bench.look(810), Findings::default());
}

#[test]
fn what_a_former_life_had_is_nothing() {
    let mut bench = Bench::heard_again(1);
    let heard = bench.hears(800, 2, 1);
    assert_eq!(bench.look(800).change, Some(Change::Up(heard)));
    assert!(bench.detector.take_in(Sequence(1)));
    assert_eq!(bench.look(810), Findings::default());
}
