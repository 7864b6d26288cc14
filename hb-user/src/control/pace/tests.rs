use super::*;

/// When turns are taken by somebody who always wants the next.
fn turns(due: &mut Due, from: Nanos, count: usize) -> Vec<Nanos> {
    let mut now = from;
    let mut taken = Vec::new();
    for _ in 0..count {
        now = due.wait(now).unwrap_or(now);
        due.take(now);
        taken.push(now);
    }
    taken
}

#[test]
fn a_few_turns_come_at_once_and_the_others_at_an_even_pace() {
    let mut due = Due::default();
    let start = Nanos::from_millis(1_000_000);
    let taken = turns(&mut due, start, 20);
    let at_once = usize::try_from(BURST).expect("few");
    assert!(taken[..at_once].iter().all(|at| *at == start), "{taken:?}");
    for (index, at) in (1..).zip(&taken[at_once..]) {
        assert_eq!(at.since(start), Nanos(index * EVERY.0));
    }
}

#[test]
fn after_a_rest_there_are_turns_again() {
    let mut due = Due::default();
    let start = Nanos::from_millis(5);
    turns(&mut due, start, 100);
    let rested = Nanos(200 * EVERY.0);
    assert_eq!(turns(&mut due, rested, 3), [rested; 3]);
}

#[tokio::test]
async fn who_gives_up_takes_no_turn() {
    let pace = Pace::default();
    for _ in 0..BURST {
        pace.turn().await;
    }
    let before = pace.0.lock().await.0;
    // Not one of these has waited for long enough.
    for _ in 0..10 {
        tokio::select! {
            biased;
            () = pace.turn() => panic!("there is no turn left"),
            () = std::future::ready(()) => {}
        }
    }
    assert_eq!(pace.0.lock().await.0, before);
    pace.turn().await;
}
