use super::*;
use crate::core::Which;

#[test]
fn what_has_ended_is_told_and_what_is_late_is_not_waited_for() {
    for (progress, is_alone, is_late, expected) in [
        (Progress::Pending, false, false, Fate::Waits),
        (Progress::Pending, false, true, Fate::Late),
        (Progress::Pending, true, false, Fate::Alone),
        (Progress::Pending, true, true, Fate::Alone),
        (Progress::Done, false, true, Fate::Done),
        (Progress::Done, true, false, Fate::Done),
        (Progress::Failed(3), false, true, Fate::Failed(3)),
        (Progress::Overruled(1), false, false, Fate::Overruled(1)),
    ] {
        assert_eq!(
            fate(progress, is_alone, is_late),
            expected,
            "{progress:?}, alone {is_alone}, late {is_late}"
        );
    }
}

fn pending(deadline: u64) -> (Pending, oneshot::Receiver<Reply>) {
    let (reply, answer) = oneshot::channel();
    let order = Pending {
        command: Command::Standby(Which::All),
        groups: vec![0],
        since: Nanos(0),
        deadline: Nanos(deadline),
        reply,
    };
    (order, answer)
}

#[test]
fn the_first_deadline_counts() {
    let orders = [30, 10, 20].map(|deadline| pending(deadline).0);
    assert_eq!(Orders::default().deadline(), None);
    assert_eq!(Orders { pending: orders.into() }.deadline(), Some(Nanos(10)));
}

#[tokio::test]
async fn any_that_hangs_up_is_noticed() {
    let (first, _waits) = pending(1);
    let (second, hangs_up) = pending(2);
    let mut orders = Orders {
        pending: vec![first, second],
    };
    tokio::select! {
        biased;
        () = orders.hung_up() => panic!("both wait"),
        () = std::future::ready(()) => {}
    }
    drop(hangs_up);
    orders.hung_up().await;
}
