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
fn that_it_had_it_is_told_until_it_is_taken_in() {
    let mut bench = Bench::heard_again(1);
    let heard = bench.hears(800, 1, 3);
    assert_eq!(
        bench.look(800).change,
        Some(Change::Up(heard)),
        "what it says is what it says"
    );
    assert_eq!(bench.detector.had(), groups(HAS_IT));
    bench.look(810);
    assert_eq!(bench.detector.had(), groups(HAS_IT), "nobody has taken it in yet");
    assert!(bench.detector.take_in(Sequence(3)));
    assert_eq!(bench.detector.had(), Groups::default());
}

#[test]
fn it_is_added_up_over_the_beats_until_it_is_met() {
    let mut bench = Bench::heard_again(1);
    let old = bench.sent;
    bench.hears_echo(720, 1, 3, old);
    bench.has(&[GroupState::Releasing, GroupState::Running]);
    bench.look(720);
    bench.hears_echo(740, 1, 4, old);
    bench.has(&[GroupState::Released, GroupState::Released]);
    bench.look(740);
    assert_eq!(
        bench.detector.had(),
        groups(&[GroupState::Running, GroupState::Running]),
        "what is being stopped ran"
    );
}

#[test]
fn what_it_had_by_another_configuration_is_nothing() {
    let mut bench = Bench::heard_again(1);
    let old = bench.sent;
    bench.hears_echo(720, 1, 3, old);
    let beat = bench.links[0].as_mut().expect("something was heard");
    (beat.groups, beat.digest) = (groups(&[GroupState::Released]), 7);
    bench.look(720);
    assert_eq!(bench.detector.had(), Groups::default());
}

#[test]
fn what_a_former_life_had_is_nothing() {
    let mut bench = Bench::heard_again(1);
    bench.hears(800, 2, 1);
    bench.look(800);
    assert_eq!(bench.detector.had(), Groups::default());
}
