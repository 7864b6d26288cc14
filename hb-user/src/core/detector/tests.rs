mod echoes;
mod had;
mod promises;
mod table;
mod witnessed;

use proptest::prelude::*;

use super::*;
use crate::core::testing::{beat, echoing, ms};
use hb_ebpf::Sequence;
use hb_ebpf::beat::{Groups, Status};

const TIMING: Timing = Timing {
    deadtime: ms(500),
    warntime: ms(250),
    initdead: ms(2000),
};
const LATE: u64 = 126;
const OWN: Incarnation = Incarnation(7 << 32 | 0xabcd);

/// A detector, what its two links heard last, and how far our own sequence is.
struct Bench {
    detector: Detector,
    links: [Option<Heard>; 2],
    sent: u32,
    witnessed: Option<Witnessed>,
    alone: bool,
}

impl Bench {
    fn new() -> Self {
        Self {
            detector: Detector::new(TIMING, OWN, ms(0)),
            links: [None; 2],
            sent: 9,
            witnessed: None,
            alone: false,
        }
    }

    /// At 100 ms it has met life 1 of its peer, whose first beat echoed our tenth.
    fn met() -> Self {
        let mut bench = Self::new();
        bench.hears(100, 1, 1);
        let findings = bench.look(100);
        assert!(matches!(findings.change, Some(Change::Up(_))), "{findings:?}");
        bench
    }

    /// A beat with an echo of our newest, which is new.
    fn hears(&mut self, at: u64, incarnation: u64, sequence: u64) -> Heard {
        self.sent = self.sent.wrapping_add(1);
        self.hears_echo(at, incarnation, sequence, self.sent)
    }

    fn hears_echo(&mut self, at: u64, incarnation: u64, sequence: u64, echo: u32) -> Heard {
        let heard = echoing(beat(ms(at), incarnation, sequence), OWN, echo);
        self.links[0] = Some(heard);
        heard
    }

    /// A beat of a peer that has not heard us.
    fn hears_deaf(&mut self, at: u64, incarnation: u64, sequence: u64) -> Heard {
        let heard = beat(ms(at), incarnation, sequence);
        self.links[0] = Some(heard);
        heard
    }

    fn look(&mut self, at: u64) -> Findings {
        self.look_late(at, 0)
    }

    fn look_late(&mut self, at: u64, late: u64) -> Findings {
        self.look_at(ms(at), ms(at - late))
    }

    fn look_at(&mut self, now: Nanos, planned: Nanos) -> Findings {
        let wake = Wake {
            now,
            planned,
            sent: self.sent,
            alone: self.alone,
        };
        let links = self.links.iter().filter_map(|link| *link);
        self.detector.look(links, self.witnessed, wake)
    }
}

fn dead(last_seen: Option<u64>, deadline: u64, detected: u64) -> Change {
    Change::Dead(Silence {
        last_seen: last_seen.map(ms),
        deadline: ms(deadline),
        detected: ms(detected),
        witnessed: false,
        graced: None,
    })
}

#[test]
fn a_peer_is_up_once_it_echoes_this_life_of_ours() {
    let mut bench = Bench::new();
    bench.hears_deaf(10, 1, 1);
    assert_eq!(bench.look(10), Findings::default());
    let former_life = Incarnation(OWN.0 + 1);
    bench.links[0] = Some(echoing(beat(ms(20), 1, 2), former_life, 9));
    assert_eq!(bench.look(20), Findings::default());
    assert!(!bench.detector.is_up() && !bench.detector.hears_us(ms(20)));

    let heard = bench.hears(30, 1, 3);
    assert_eq!(bench.look(30).change, Some(Change::Up(heard)));
    assert!(bench.detector.is_up() && bench.detector.hears_us(ms(30)));
    assert_eq!(bench.detector.deadline(), ms(530));
    assert_eq!(bench.look(40), Findings::default(), "nothing new");
}

#[test]
fn a_peer_that_was_never_met_is_dead_at_initdead() {
    let mut bench = Bench::new();
    assert_eq!(bench.detector.deadline(), TIMING.initdead);
    // It is there, but deaf to us: not met.
    bench.hears_deaf(1400, 1, 9);
    assert_eq!(bench.look(1400), Findings::default());
    assert_eq!(bench.look_at(Nanos(ms(2000).0 - 1), ms(2000)), Findings::default());
    assert_eq!(bench.look(2000).change, Some(dead(None, 2000, 2000)));
    assert_eq!(bench.detector.deadline(), Nanos::MAX);
}

#[test]
fn the_deadline_is_last_seen_plus_deadtime_to_the_nanosecond() {
    let mut bench = Bench::met();
    assert_eq!(bench.detector.deadline(), ms(600));
    let findings = bench.look_at(Nanos(ms(600).0 - 1), ms(600));
    // What it echoes is old by now, which is all there is to say.
    assert!(matches!(findings.change, Some(Change::Up(_))));
    assert_eq!(bench.look(600).change, Some(dead(Some(100), 600, 600)));
    assert!(!bench.detector.is_up());
    assert_eq!(bench.detector.deadline(), Nanos::MAX);
    assert_eq!(bench.look(5000), Findings::default(), "a death is told once");
}

#[test]
fn a_death_takes_an_echo_of_a_later_beat_to_return_from() {
    let mut bench = Bench::met();
    bench.sent = 20;
    bench.look(600);
    // Beats that were on their way: it heard nothing that we sent since.
    for (sequence, echo) in [(2, 10), (3, 19), (4, 20)] {
        bench.hears_echo(610 + sequence, 1, sequence, echo);
        assert_eq!(bench.look(620).change, None);
    }
    let heard = bench.hears_echo(630, 1, 5, 21);
    assert_eq!(bench.look(630).change, Some(Change::Up(heard)));
}

#[test]
fn a_beat_older_than_the_deadtime_raises_nobody() {
    let mut bench = Bench::new();
    bench.hears(100, 1, 1);
    assert_eq!(bench.look(600), Findings::default());
    assert!(!bench.detector.is_up());
}

#[test]
fn a_death_long_ago_does_not_keep_a_peer_from_returning() {
    let mut bench = Bench::met();
    bench.look(600);
    // Looked at now and then while more beats were sent than 32 bits can order.
    for step in 1..=10_u64 {
        bench.sent = bench.sent.wrapping_add(1 << 28);
        bench.look(600 + step);
    }
    let heard = bench.hears(1000, 2, 1);
    assert_eq!(bench.look(1000).change, Some(Change::Up(heard)));
}

#[test]
fn a_peer_that_hears_us_no_longer_is_up_and_deaf() {
    let mut bench = Bench::met();
    let newest = bench.hears_echo(300, 1, 3, 10);
    assert_eq!(bench.look(300), Findings::default());
    assert!(bench.detector.hears_us(ms(349)));
    assert!(
        !bench.detector.hears_us(ms(350)),
        "half a deadtime after the echo was new"
    );
    assert_eq!(bench.look(350).change, Some(Change::Up(newest)));
    for at in [400, 800, 1200] {
        bench.hears_echo(at, 1, at, 10);
        assert_eq!(bench.look(at).change, None, "told once, and alive by its beats");
    }
    let newest = bench.hears_echo(1300, 1, 1300, 11);
    assert_eq!(bench.look(1300).change, Some(Change::Up(newest)));
    assert!(bench.detector.hears_us(ms(1300)));
}

#[test]
fn the_newest_sequence_of_two_links_counts() {
    let mut bench = Bench::met();
    let by_first = bench.hears(200, 1, 5);
    let mut changed = echoing(beat(ms(195), 1, 6), OWN, 10);
    changed.groups = Groups::default().with(0, 2);
    bench.links[1] = Some(changed);
    assert!(by_first.seen > changed.seen);
    assert_eq!(bench.look(200).change, Some(Change::Up(changed)));
    assert_eq!(bench.detector.deadline(), ms(695));
}

#[test]
fn a_slower_or_replayed_link_keeps_nobody_alive() {
    let mut bench = Bench::met();
    bench.hears(200, 1, 5);
    bench.look(200);
    // The second link brings what the first brought long ago.
    for (at, sequence) in [(300, 3), (400, 4), (650, 5)] {
        bench.links[1] = Some(echoing(beat(ms(at), 1, sequence), OWN, 10));
        bench.look(at);
        assert_eq!(bench.detector.deadline(), ms(700));
    }
    assert_eq!(bench.look(700).change, Some(dead(Some(200), 700, 700)));
}

#[test]
fn one_dead_link_of_two_kills_nobody() {
    let mut bench = Bench::met();
    for sequence in 2..20 {
        let at = sequence * 100;
        bench.links[1] = Some(echoing(beat(ms(at), 1, sequence), OWN, 10));
        let findings = bench.look(at);
        assert!(!matches!(findings.change, Some(Change::Dead(_))));
        assert_eq!(bench.detector.deadline(), ms(at + 500));
    }
}

#[test]
fn two_beats_of_one_nanosecond_are_two() {
    let mut bench = Bench::met();
    let mut changed = echoing(beat(ms(100), 1, 2), OWN, 10);
    changed.flags = Status::Leaving as u32;
    bench.links[1] = Some(changed);
    assert_eq!(bench.look(101).change, Some(Change::Up(changed)));
}

#[test]
fn a_restart_quicker_than_the_deadtime_is_no_death() {
    let mut bench = Bench::met();
    let reborn = bench.hears_deaf(300, 2, 1);
    assert_eq!(
        bench.look(300).change,
        Some(Change::Up(reborn)),
        "it holds nothing any more"
    );
    assert!(!bench.detector.hears_us(ms(300)));
    assert_eq!(bench.detector.deadline(), ms(800), "but is not met again");
    let met = bench.hears(400, 2, 2);
    assert_eq!(bench.look(400).change, Some(Change::Up(met)));
    assert!(bench.detector.hears_us(ms(400)));
    assert_eq!(bench.detector.deadline(), ms(900));
}

#[test]
fn a_new_life_has_a_deadtime_to_hear_us() {
    let mut bench = Bench::met();
    for at in [590, 700, 800, 1089] {
        bench.hears_deaf(at, 2, at);
        bench.look(at);
        assert_eq!(bench.detector.deadline(), ms(1090));
    }
    assert!(matches!(bench.look(1090).change, Some(Change::Dead(_))));
}

#[test]
fn a_peer_that_comes_just_before_initdead_has_a_deadtime_to_hear_us() {
    let mut bench = Bench::new();
    bench.hears_deaf(1990, 1, 1);
    assert_eq!(bench.look(1990), Findings::default());
    assert_eq!(bench.detector.deadline(), ms(2490));
    bench.hears(2100, 1, 2);
    assert!(matches!(bench.look(2100).change, Some(Change::Up(_))));
}

#[test]
fn a_peer_that_starts_over_and_over_dies() {
    let mut bench = Bench::met();
    for life in 2..6 {
        bench.hears_deaf(life * 250, life, 1);
        bench.look(life * 250);
    }
    assert!(!bench.detector.is_up());
}

/// (status, groups, digest, incarnation) of the second beat, and whether that is news.
#[test]
fn only_what_ownership_depends_on_is_news() {
    let table = [
        (Status::Up, 0, 0, 1, false),
        (Status::Leaving, 0, 0, 1, true),
        (Status::Up, 2, 0, 1, true),
        (Status::Up, 0, 9, 1, true),
        (Status::Up, 0, 0, 2, true),
    ];
    for (status, group, digest, incarnation, is_news) in table {
        let mut bench = Bench::met();
        let heard = Heard {
            flags: status as u32,
            groups: Groups::default().with(3, group),
            digest,
            ..echoing(beat(ms(200), incarnation, 2), OWN, 10)
        };
        bench.links[0] = Some(heard);
        assert_eq!(
            bench.look(200).change,
            is_news.then_some(Change::Up(heard)),
            "{heard:?}"
        );
    }
}

/// A silence since 100 ms, and when we looked: (when, how late, graced, dead).
#[test]
fn whoever_wakes_late_grants_one_deadtime_and_no_more() {
    type Look = (u64, u64, bool, bool);
    let table: [&[Look]; 6] = [
        // In time, or nearly.
        &[(599, 0, false, false), (600, 0, false, true)],
        &[(600 + LATE - 1, LATE - 1, false, true)],
        // Too late at the deadline.
        &[
            (600 + LATE, LATE, true, false),
            (725 + 500, 0, false, false),
            (726 + 500, 0, false, true),
        ],
        // Frozen again during the grace.
        &[
            (9000, 8400, true, false),
            (9499, 400, false, false),
            (9900, 400, false, true),
        ],
        // Woken shortly before the deadline: we heard nothing because we were stopped.
        &[
            (590, 400, true, false),
            (600, 0, false, false),
            (1089, 0, false, false),
            (1090, 0, false, true),
        ],
        // Late, but then there is time left for several beats, and the silence is still theirs after a grace.
        &[(250, LATE, true, false), (749, 0, false, false), (750, 0, false, true)],
    ];
    for looks in table {
        let mut bench = Bench::met();
        for &(at, late, is_graced, is_dead) in looks {
            let findings = bench.look_late(at, late);
            let grace = is_graced.then_some(Graced::Late(ms(late)));
            assert_eq!(findings.graced, grace, "{at} of {looks:?}");
            let told_dead = matches!(findings.change, Some(Change::Dead(_)));
            assert_eq!(told_dead, is_dead, "{at} of {looks:?}");
        }
    }
}

#[test]
fn a_thread_that_was_stopped_while_the_kernel_listened_needs_no_grace() {
    let mut bench = Bench::met();
    bench.hears(8950, 1, 90);
    let findings = bench.look_late(9000, 8400);
    assert_eq!((findings.graced, findings.change), (None, None));
    assert_eq!(bench.detector.deadline(), ms(9450));
    assert_eq!(bench.look(9450).change, Some(dead(Some(8950), 9450, 9450)));
}

#[test]
fn a_kernel_that_fell_silent_during_the_freeze_is_no_witness() {
    let mut bench = Bench::met();
    bench.hears(1000, 1, 10);
    assert_eq!(bench.look_late(9000, 8400).graced, Some(Graced::Late(ms(8400))));
    assert_eq!(bench.detector.deadline(), ms(9500));
}

#[test]
fn a_beat_does_not_shorten_a_grace() {
    let mut bench = Bench::met();
    bench.look_late(1000, 400);
    assert_eq!(bench.detector.deadline(), ms(1500));
    bench.hears(990, 1, 2);
    bench.look(1001);
    assert_eq!(bench.detector.deadline(), ms(1500));
    bench.hears(1100, 1, 3);
    bench.look(1100);
    assert_eq!(bench.detector.deadline(), ms(1600));
    // The next silence has a grace of its own.
    assert!(bench.look_late(2000, 400).graced.is_some());
}

#[test]
fn the_wait_for_an_unmet_peer_has_its_grace_too() {
    let mut bench = Bench::new();
    assert_eq!(bench.look_late(1000, 500), Findings::default(), "there is time enough");
    assert_eq!(bench.look_late(2400, 400).graced, Some(Graced::Late(ms(400))));
    let Some(Change::Dead(silence)) = bench.look(2900).change else {
        panic!("it is not dead");
    };
    assert_eq!((silence.last_seen, silence.deadline), (None, ms(2900)));
    assert_eq!(silence.graced, Some(Graced::Late(ms(400))));
}

#[test]
fn a_late_beat_is_told_and_not_blamed_on_the_peer_if_we_were_late() {
    let mut bench = Bench::met();
    bench.hears(350, 1, 2);
    assert_eq!(bench.look(350).late_beat, None, "the warntime exactly");
    bench.hears(601, 1, 4);
    assert_eq!(bench.look(610).late_beat, Some(ms(251)));
    assert_eq!(bench.look(620).late_beat, None, "told once");
    bench.hears(900, 2, 1);
    assert_eq!(bench.look(900).late_beat, None, "another life");
    bench.hears(1300, 2, 5);
    assert_eq!(
        bench.look_late(1300, 300).late_beat,
        None,
        "we did not look at what came between"
    );
}

/// Our beat, what the peer echoes, and whether it has confirmed.
#[test]
fn a_beat_is_confirmed_by_its_echo_or_a_later_one() {
    let table = [
        (10, 9, false),
        (10, 10, true),
        (10, 11, true),
        (u32::MAX, u32::MAX - 1, false),
        (u32::MAX, u32::MAX, true),
        (u32::MAX, 0, true),
        (u32::MAX, 5, true),
        (0, u32::MAX, false),
        (0, 0, true),
    ];
    for (sequence, echo, is_confirmed) in table {
        let mut bench = Bench::new();
        assert!(!bench.detector.has_confirmed(sequence));
        bench.hears_deaf(10, 1, 1);
        bench.look(10);
        assert!(!bench.detector.has_confirmed(sequence));
        bench.hears_echo(20, 1, 2, echo);
        bench.look(20);
        assert_eq!(
            bench.detector.has_confirmed(sequence),
            is_confirmed,
            "{sequence} by {echo}"
        );
    }
}

/// One step of a random history.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The peer beats; the flag says whether it heard our newest beat.
    Beat { echoes: bool },
    /// It restarts, and knows nobody.
    Reborn,
    /// We look, that much later than planned.
    Look { late: u64 },
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        5 => any::<bool>().prop_map(|echoes| Step::Beat { echoes }),
        1 => Just(Step::Reborn),
        8 => prop_oneof![3 => Just(0), 1 => 0_u64..900].prop_map(|late| Step::Look { late }),
    ];
    proptest::collection::vec((0_u64..300, step), 1..120)
}

proptest! {
    /// Whatever happens: nobody is dead while it was heard within the deadtime, nobody is alive two deadtimes and our
    /// own lateness after it was, and there is always a time to look next.
    #[test]
    fn deaths_are_neither_early_nor_missed(steps in steps()) {
        let mut bench = Bench::new();
        let (mut now, mut incarnation, mut sequence) = (1000, 1, 0);
        // The newest beat that echoes this life of ours and was looked at, and our greatest lateness since.
        let (mut last_echo, mut lateness) = (None, ms(0));
        for (after, step) in steps {
            now += after;
            sequence += 1;
            match step {
                Step::Beat { echoes: true } => { bench.hears(now, incarnation, sequence); }
                Step::Beat { echoes: false } => {
                    let heard = Heard { seen: ms(now), sequence: Sequence(sequence), ..bench.links[0].unwrap_or_default() };
                    bench.links[0] = Some(Heard { incarnation: Incarnation(incarnation), ..heard });
                }
                Step::Reborn => {
                    incarnation += 1;
                    bench.hears_deaf(now, incarnation, sequence);
                }
                Step::Look { late } => {
                    // The thread never plans to sleep beyond the deadline.
                    let planned = ms(now.saturating_sub(late)).min(bench.detector.deadline());
                    let echo = bench.links[0].filter(|heard| heard.echo.incarnation == OWN.low()).map(|heard| heard.seen);
                    if echo.is_some() && echo != last_echo {
                        (last_echo, lateness) = (echo, ms(0));
                    }
                    lateness = lateness.max(ms(now).since(planned));
                    let findings = bench.look_at(ms(now), planned);
                    let silence = last_echo.map(|last| ms(now).since(last));
                    if let Some(Change::Dead(told)) = findings.change {
                        prop_assert!(told.detected == ms(now) && told.deadline <= told.detected);
                        prop_assert!(silence.is_none_or(|silence| silence >= ms(500)), "dead after {silence:?}");
                    }
                    if silence.is_some_and(|silence| silence >= ms(2 * 500).saturating_add(lateness)) {
                        prop_assert!(!bench.detector.is_up(), "alive after {silence:?}");
                    }
                    prop_assert!(bench.detector.deadline() > ms(now));
                }
            }
        }
    }
}
