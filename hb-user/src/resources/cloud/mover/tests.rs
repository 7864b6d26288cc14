use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::*;

const WITHIN: Duration = Duration::from_mins(1);

/// As usual, fifty times faster.
const PACING: Pacing = Pacing {
    poll: [Duration::from_millis(2), Duration::from_millis(20)],
    retry: [Duration::from_millis(4), Duration::from_millis(40)],
    settle: Duration::from_millis(200),
    unheard: Duration::from_millis(100),
    errors: 3,
};

fn me() -> InstanceId {
    InstanceId::new("1").expect("an id")
}

fn other() -> InstanceId {
    InstanceId::new("2").expect("an id")
}

/// What a call does, if not what it should.
enum Fault {
    Fails(Failure),
    /// It is done, and nobody hears of it.
    Lost,
    /// No answer, ever.
    Hangs,
    /// It has a certain outcome.
    Says(ActionState),
    Owner(Owner),
    Active(Option<bool>),
    /// It is accepted, and comes to nothing.
    Nothing,
}

/// A provider in memory. An action is done after it was looked at twice.
#[derive(Default)]
struct Cloud(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    owner: Option<InstanceId>,
    /// Of whom it is going to be, after so many looks.
    moving: Option<(InstanceId, u32)>,
    has_no_actions: bool,
    /// It accepts, and only the owner tells when it is done.
    only_begins: bool,
    log: Vec<&'static str>,
    faults: HashMap<&'static str, VecDeque<Fault>>,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cloud")
    }
}

impl Cloud {
    fn theirs() -> Self {
        let cloud = Self::default();
        cloud.inner().owner = Some(other());
        cloud
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> Vec<&'static str> {
        self.inner().log.clone()
    }

    fn fault(self, call: &'static str, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.inner().faults.entry(call).or_default().extend(faults);
        self
    }

    fn arrived(&self, call: &'static str) -> Option<Fault> {
        let mut inner = self.inner();
        inner.log.push(call);
        inner.faults.get_mut(call).and_then(VecDeque::pop_front)
    }

    async fn answer<T>(
        &self,
        call: &'static str,
        good: impl FnOnce(&mut Inner, Option<Fault>) -> T,
    ) -> Result<T, Failure> {
        match self.arrived(call) {
            Some(Fault::Fails(failure)) => Err(failure),
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::Lost) => {
                let _ = good(&mut self.inner(), None);
                Err(passing())
            }
            fault => Ok(good(&mut self.inner(), fault)),
        }
    }
}

impl Inner {
    fn look(&mut self) -> ActionState {
        match self.moving.take() {
            Some((instance, 0 | 1)) => {
                self.owner = Some(instance);
                ActionState::Completed
            }
            Some((instance, looks)) => {
                self.moving = Some((instance, looks - 1));
                ActionState::Running
            }
            None => ActionState::Completed,
        }
    }
}

impl Provider for Cloud {
    fn api(&self) -> Option<&Http> {
        None
    }

    fn identity(&self) -> Answer<'_, InstanceId> {
        Box::pin(self.answer("identity", |_, _| me()))
    }

    fn named(&self) -> Answer<'_, Option<InstanceId>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn owner(&self) -> Answer<'_, Owner> {
        Box::pin(self.answer("owner", |inner, fault| match fault {
            Some(Fault::Owner(owner)) => owner,
            _ => Owner {
                instance: inner.owner.clone(),
                is_changing: inner.moving.is_some(),
            },
        }))
    }

    fn assign<'a>(&'a self, to: &'a InstanceId, _from: &'a Owner) -> Answer<'a, Assignment> {
        Box::pin(self.answer("assign", move |inner, fault| {
            let comes_about = !matches!(fault, Some(Fault::Nothing));
            if inner.only_begins {
                inner.owner = if comes_about {
                    Some(to.clone())
                } else {
                    inner.owner.take()
                };
                return Assignment::Begun;
            }
            if inner.has_no_actions {
                inner.owner = Some(to.clone());
                return Assignment::Done;
            }
            inner.moving = Some((to.clone(), 2));
            Assignment::Accepted(ActionId::from(7))
        }))
    }

    fn progress<'a>(&'a self, _action: &'a ActionId) -> Answer<'a, ActionState> {
        Box::pin(self.answer("progress", |inner, fault| match fault {
            Some(Fault::Says(state)) => {
                inner.moving = None;
                state
            }
            _ => inner.look(),
        }))
    }

    fn pending(&self) -> Answer<'_, Option<ActionId>> {
        Box::pin(self.answer("pending", |inner, _| inner.moving.as_ref().map(|_| ActionId::from(6))))
    }

    fn active(&self) -> Answer<'_, Option<bool>> {
        Box::pin(self.answer("active", |_, fault| match fault {
            Some(Fault::Active(active)) => active,
            _ => Some(true),
        }))
    }
}

fn call() -> String {
    "CALL".to_owned()
}

fn passing() -> Failure {
    Failure::Passing {
        call: call(),
        reason: "connection reset".to_owned(),
    }
}

fn refused() -> Failure {
    Failure::Refused {
        call: call(),
        status: 422,
        message: "impossible".to_owned(),
    }
}

fn unauthorised() -> Failure {
    Failure::Unauthorised {
        call: call(),
        status: 401,
        message: "who are you".to_owned(),
        hint: "check the token",
    }
}

fn pending() -> Failure {
    Failure::Pending {
        call: call(),
        message: "pending event".to_owned(),
    }
}

fn throttled(millis: u64) -> Failure {
    Failure::Throttled {
        call: call(),
        message: "slow down".to_owned(),
        wait: Duration::from_millis(millis),
    }
}

fn order() -> Order {
    Order {
        to: None,
        claim: Claim::Anybody,
        within: WITHIN,
    }
}

async fn take(cloud: &Cloud, order: &Order) -> Result<Moved, MoveError> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let watch: Watch = Arc::new(move |progress: &Progress| {
        log.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(progress.clone());
    });
    let result = Mover::new(cloud, PACING, order, None, &watch).run().await;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Ok(moved) = &result {
        assert_eq!(
            cloud.inner().owner.as_ref(),
            Some(&moved.instance),
            "what is reported is true"
        );
        assert!(moved.begun <= moved.verified);
        assert!(matches!(seen.last(), Some(Progress::Verified { at }) if *at == moved.verified));
    }
    result
}

async fn taken(cloud: &Cloud) -> Moved {
    take(cloud, &order()).await.expect("taken over")
}

async fn error(cloud: &Cloud) -> MoveError {
    take(cloud, &order()).await.expect_err("not taken over")
}

#[tokio::test]
async fn asked_for_followed_and_read_back() {
    let cloud = Cloud::theirs();
    let moved = taken(&cloud).await;
    assert_eq!(
        cloud.log(),
        ["identity", "owner", "assign", "progress", "progress", "owner", "active"]
    );
    assert_eq!(
        (moved.from.clone(), moved.action.clone()),
        (Some(other()), Some(ActionId::from(7)))
    );
    assert!(moved.begun < moved.accepted.expect("accepted") && moved.accepted < moved.completed);
    assert!(moved.completed < Some(moved.verified));
    assert_eq!((moved.is_active, moved.was_ours()), (Some(true), false));
}

#[tokio::test]
async fn what_is_ours_already_is_read_and_asked_for_here() {
    let cloud = Cloud::default();
    cloud.inner().owner = Some(me());
    let nobody: Watch = Arc::new(|_| ());
    let order = order();
    let moved = Mover::new(&cloud, PACING, &order, Some(me()), &nobody)
        .run()
        .await
        .expect("ours");
    assert!(moved.was_ours());
    assert_eq!((moved.action, moved.accepted, moved.completed), (None, None, None));
    assert_eq!((cloud.log(), moved.is_active), (vec!["owner", "active"], Some(true)));
}

#[tokio::test]
async fn what_is_ours_by_the_api_has_to_be_here_too() {
    let ours = || {
        let cloud = Cloud::default();
        cloud.inner().owner = Some(me());
        cloud
    };
    // It was moved a moment ago: by us, before we were started anew.
    let cloud = ours().fault("active", [Fault::Active(Some(false)), Fault::Active(Some(false))]);
    let moved = taken(&cloud).await;
    assert_eq!((moved.was_ours(), moved.is_active), (true, Some(true)));
    assert_eq!(cloud.log(), ["identity", "owner", "active", "active", "active"]);

    let cloud = ours().fault("active", (0..1000).map(|_| Fault::Active(Some(false))));
    assert_eq!(error(&cloud).await, MoveError::NotActive);
    assert!(!cloud.log().contains(&"assign"), "it is ours already");

    let cloud = ours().fault("active", (0..1000).map(|_| Fault::Fails(passing())));
    assert_eq!(
        taken(&cloud).await.is_active,
        None,
        "who says nothing says nothing against it"
    );
    // And not somebody else's host.
    let cloud = Cloud::theirs();
    let to = Order {
        to: Some(other()),
        ..order()
    };
    take(&cloud, &to).await.expect("theirs already");
    assert_eq!(cloud.log(), ["owner"]);
}

#[tokio::test]
async fn an_api_without_actions_is_done_at_once() {
    let cloud = Cloud::theirs();
    cloud.inner().has_no_actions = true;
    let moved = taken(&cloud).await;
    assert_eq!(cloud.log(), ["identity", "owner", "assign", "owner", "active"]);
    assert_eq!(moved.action, None);
    assert!(moved.accepted.is_some() && moved.completed.is_some());
}

#[tokio::test]
async fn somebody_else_can_be_given_it_and_the_metadata_service_here_is_not_asked() {
    let cloud = Cloud::default();
    let to = Order {
        to: Some(other()),
        ..order()
    };
    let moved = take(&cloud, &to).await.expect("given");
    assert_eq!(moved.instance, other());
    assert!(!cloud.log().contains(&"identity") && !cloud.log().contains(&"active"));
}

/// Each passing failure at each step: it is survived, and the address is never asked for twice without a look between.
#[tokio::test]
async fn whatever_may_pass_is_tried_again() {
    for step in ["identity", "owner", "assign", "progress", "active"] {
        for fault in [passing, pending, || throttled(1)] {
            let cloud = Cloud::theirs().fault(step, [Fault::Fails(fault()), Fault::Fails(fault())]);
            taken(&cloud).await;
            let log = cloud.log();
            let assigns: Vec<usize> = (0..log.len()).filter(|at| log[*at] == "assign").collect();
            assert_eq!(assigns.len(), if step == "assign" { 3 } else { 1 }, "{step}: {log:?}");
            for pair in assigns.windows(2) {
                assert!(log[pair[0]..pair[1]].contains(&"owner"), "{step}: {log:?}");
            }
        }
    }
}

/// Each final failure at each step: it ends there, at once, and nothing more is asked for.
#[tokio::test]
async fn what_does_not_pass_ends_it() {
    for step in ["identity", "owner", "assign", "progress"] {
        for fault in [unauthorised, refused] {
            let cloud = Cloud::theirs().fault(step, [Fault::Fails(fault())]);
            assert_eq!(error(&cloud).await, MoveError::Failed(fault()), "{step}");
            let log = cloud.log();
            assert_eq!(log.iter().filter(|call| **call == step).count(), 1, "{log:?}");
        }
    }
}

#[tokio::test]
async fn a_lost_reply_does_not_lead_to_a_second_assignment() {
    let cloud = Cloud::theirs().fault("assign", [Fault::Lost]);
    let moved = taken(&cloud).await;
    let log = cloud.log();
    assert_eq!(log.iter().filter(|call| **call == "assign").count(), 1, "{log:?}");
    assert!(log.contains(&"pending"), "the action was found and waited for: {log:?}");
    assert_eq!((moved.accepted, moved.completed), (None, None));

    let cloud = Cloud::theirs().fault("assign", [Fault::Lost]);
    cloud.inner().has_no_actions = true;
    taken(&cloud).await;
    assert_eq!(cloud.log().iter().filter(|call| **call == "assign").count(), 1);
}

#[tokio::test]
async fn somebody_elses_action_is_waited_for() {
    let cloud = Cloud::theirs().fault("assign", [Fault::Fails(pending())]);
    cloud.inner().moving = Some((InstanceId::new("3").expect("an id"), 2));
    let moved = taken(&cloud).await;
    let log = cloud.log();
    assert_eq!(log[..3], ["identity", "owner", "pending"], "it is seen before: {log:?}");
    assert_eq!(moved.instance, me());
}

#[tokio::test]
async fn a_pending_event_without_an_action_to_wait_for_is_waited_out() {
    let cloud = Cloud::theirs().fault("assign", (0..3).map(|_| Fault::Fails(pending())));
    taken(&cloud).await;
    assert_eq!(cloud.log().iter().filter(|call| **call == "assign").count(), 4);

    let cloud = Cloud::theirs().fault("assign", (0..1000).map(|_| Fault::Fails(pending())));
    let short = Order {
        within: Duration::from_millis(300),
        ..order()
    };
    let error = take(&cloud, &short).await.expect_err("pending for ever").to_string();
    assert_eq!(
        error,
        "not assigned within 0.3 s; last: a move is under way: pending event"
    );
}

/// The API shows that a move is under way, and no action of it.
#[tokio::test]
async fn the_reason_stays_the_same_however_often_it_is_looked_at() {
    for fault in [None, Some(passing()), Some(refused())] {
        let changing = || Owner {
            instance: Some(other()),
            is_changing: true,
        };
        let cloud = Cloud::theirs().fault("owner", (0..1000).map(|_| Fault::Owner(changing())));
        let cloud = cloud.fault("pending", (0..1000).filter_map(|_| fault.clone().map(Fault::Fails)));
        let short = Order {
            within: Duration::from_millis(300),
            ..order()
        };
        let error = take(&cloud, &short).await.expect_err("changing for ever").to_string();
        let looks = cloud.log().iter().filter(|call| **call == "pending").count();
        assert!(looks > 2, "{:?}", cloud.log());
        assert_eq!(
            error,
            "not assigned within 0.3 s; last: a move is under way: the address belongs to 2, and is being moved"
        );
    }
}

#[tokio::test]
async fn a_list_of_actions_that_cannot_be_read_is_no_end() {
    for fault in [refused, passing] {
        let faults = (0..3).map(|_| Fault::Fails(fault()));
        let cloud = Cloud::theirs().fault("pending", faults);
        cloud.inner().moving = Some((other(), 1));
        // The action ends by itself: nobody looks at it.
        let end = async {
            while cloud.log().iter().filter(|call| **call == "pending").count() < 3 {
                sleep(Duration::from_millis(1)).await;
            }
            cloud.inner().moving = None;
        };
        let order = order();
        let (result, ()) = tokio::join!(take(&cloud, &order), end);
        assert!(result.is_ok(), "{result:?}");
    }
}

#[tokio::test]
async fn a_list_of_actions_may_be_throttled_too() {
    let cloud = Cloud::theirs().fault("pending", [Fault::Fails(throttled(300))]);
    cloud.inner().moving = Some((other(), 1));
    let moved = taken(&cloud).await;
    let accepted = moved.accepted.expect("accepted");
    assert!(accepted.since(moved.begun) >= Nanos::from_millis(300));
}

#[tokio::test]
async fn throttling_is_obeyed_within_the_time_given() {
    let cloud = Cloud::theirs().fault("assign", [Fault::Fails(throttled(100))]);
    let moved = taken(&cloud).await;
    let accepted = moved.accepted.expect("accepted");
    assert!(accepted.since(moved.begun) >= Nanos::from_millis(100));

    let cloud = Cloud::theirs().fault("owner", [Fault::Fails(throttled(3_600_000))]);
    let begun = clock::now();
    let error = error(&cloud).await;
    assert!(error.to_string().contains("slow down"), "{error}");
    // Told at once, and not at the deadline, which is a minute.
    assert!(clock::now().since(begun) < Nanos::from_millis(30_000));
}

#[tokio::test]
async fn a_refusal_of_what_has_become_ours_is_no_error() {
    let ours = Owner {
        instance: Some(me()),
        is_changing: false,
    };
    let cloud = Cloud::theirs().fault("assign", [Fault::Fails(refused())]);
    cloud.inner().owner = Some(me());
    let theirs = Owner {
        instance: Some(other()),
        is_changing: false,
    };
    let cloud = cloud.fault("owner", [Fault::Owner(theirs), Fault::Owner(ours)]);
    taken(&cloud).await;
    assert_eq!(cloud.log()[..5], ["identity", "owner", "assign", "owner", "owner"]);
}

/// Whose reply was lost may have been done, and is refused a second time, while the owner that was is shown for a while.
#[tokio::test]
async fn a_refusal_after_a_lost_reply_may_be_of_what_was_done() {
    let theirs = || Owner {
        instance: Some(other()),
        is_changing: false,
    };
    let and_then_refused = |first| std::iter::once(first).chain((0..1000).map(|_| Fault::Fails(refused())));
    let cloud = Cloud::theirs().fault("assign", and_then_refused(Fault::Lost));
    cloud.inner().has_no_actions = true;
    let cloud = cloud.fault("owner", (0..4).map(|_| Fault::Owner(theirs())));
    taken(&cloud).await;
    // But not for ever.
    let cloud = Cloud::theirs().fault("assign", and_then_refused(Fault::Fails(passing())));
    let begun = clock::now();
    assert_eq!(error(&cloud).await, MoveError::Failed(refused()));
    assert!(since(begun) >= PACING.settle);
}

#[tokio::test]
async fn an_action_that_fails_is_begun_again_and_given_up_in_the_end() {
    let errored = || Fault::Says(ActionState::Errored("no capacity".to_owned()));
    let cloud = Cloud::theirs().fault("progress", [errored(), errored()]);
    taken(&cloud).await;
    assert_eq!(cloud.log().iter().filter(|call| **call == "assign").count(), 3);

    let cloud = Cloud::theirs().fault("progress", [errored(), errored(), errored()]);
    assert_eq!(
        error(&cloud).await.to_string(),
        "action 7 was accepted but ended in an error: no capacity"
    );
    assert_eq!(cloud.inner().owner, Some(other()));
}

#[tokio::test]
async fn an_action_that_the_api_knows_nothing_of_is_told_by_the_owner() {
    let cloud = Cloud::theirs().fault("progress", [Fault::Says(ActionState::Untold)]);
    let theirs = || {
        Fault::Owner(Owner {
            instance: Some(other()),
            is_changing: false,
        })
    };
    let cloud = cloud.fault("owner", (0..5).map(|_| theirs()));
    cloud.inner().owner = Some(me());
    let moved = taken(&cloud).await;
    assert_eq!(moved.completed, None);
    assert!(moved.accepted.is_some());
}

/// What was accepted may come to nothing without anybody's saying so: where only the owner tells, it is asked for again.
#[tokio::test]
async fn what_came_to_nothing_unseen_is_asked_for_again() {
    let untold = || Cloud::theirs().fault("progress", [Fault::Says(ActionState::Untold)]);
    let begun = || {
        let cloud = Cloud::theirs().fault("assign", [Fault::Nothing]);
        cloud.inner().only_begins = true;
        cloud
    };
    for cloud in [untold(), begun()] {
        let moved = taken(&cloud).await;
        let log = cloud.log();
        assert_eq!(log.iter().filter(|call| **call == "assign").count(), 2, "{log:?}");
        let waited = moved.accepted.expect("accepted").since(moved.begun);
        assert!(
            waited.0 >= PACING.settle.as_nanos().try_into().expect("short"),
            "{waited:?}"
        );
    }
    // Within the time that there is.
    let cloud = Cloud::theirs().fault("assign", (0..1000).map(|_| Fault::Nothing));
    cloud.inner().only_begins = true;
    let short = Order {
        within: PACING.settle * 4,
        ..order()
    };
    let error = take(&cloud, &short).await.expect_err("nothing comes of it");
    assert!(matches!(error, MoveError::Deadline { .. }), "{error}");
    assert!(error.to_string().ends_with("the address belongs to 2"), "{error}");
    let log = cloud.log();
    let assigns = log.iter().filter(|call| **call == "assign").count();
    assert!((2..=4).contains(&assigns), "{log:?}");
}

/// Somebody else's taking it meanwhile is seen before it is taken from them.
#[tokio::test]
async fn what_is_asked_for_again_is_claimed_again() {
    let owner = |id: &str| {
        Fault::Owner(Owner {
            instance: InstanceId::new(id),
            is_changing: false,
        })
    };
    let seen = std::iter::once(owner("2")).chain((0..1000).map(|_| owner("3")));
    let cloud = Cloud::theirs().fault("assign", [Fault::Nothing]).fault("owner", seen);
    cloud.inner().only_begins = true;
    let claimed = Order {
        claim: Claim::From(vec![Some(other())]),
        ..order()
    };
    let error = take(&cloud, &claimed).await.expect_err("contended");
    assert!(matches!(error, MoveError::Contended { .. }), "{error}");
    assert_eq!(cloud.log().iter().filter(|call| **call == "assign").count(), 1);
}

#[tokio::test]
async fn an_address_that_somebody_else_took_is_not_ours() {
    let third = || {
        Fault::Owner(Owner {
            instance: InstanceId::new("3"),
            is_changing: false,
        })
    };
    let cloud = Cloud::theirs().fault("owner", (0..1000).map(|_| third()));
    assert_eq!(
        error(&cloud).await.to_string(),
        "the move has completed, but the address belongs to 3"
    );
}

#[tokio::test]
async fn what_the_metadata_service_denies_is_not_here() {
    let cloud = Cloud::theirs().fault("active", [Fault::Active(Some(false)), Fault::Active(Some(false))]);
    assert_eq!(taken(&cloud).await.is_active, Some(true));

    let cloud = Cloud::theirs().fault("active", (0..1000).map(|_| Fault::Active(Some(false))));
    assert_eq!(error(&cloud).await, MoveError::NotActive);
}

#[tokio::test]
async fn a_silent_metadata_service_is_no_reason_to_give_up() {
    for fault in [passing, unauthorised] {
        let cloud = Cloud::theirs().fault("active", (0..1000).map(|_| Fault::Fails(fault())));
        assert_eq!(taken(&cloud).await.is_active, None);
    }
    let cloud = Cloud::theirs().fault("active", [Fault::Active(None)]);
    assert_eq!(taken(&cloud).await.is_active, None);
}

#[tokio::test]
async fn it_is_taken_only_from_whom_it_may_be_taken() {
    let claim = |from: Option<InstanceId>| Order {
        claim: Claim::From(vec![from]),
        ..order()
    };
    assert!(take(&Cloud::theirs(), &claim(Some(other()))).await.is_ok());
    assert!(take(&Cloud::default(), &claim(Some(other()))).await.is_ok(), "nobody's");
    for expected in [InstanceId::new("3"), None] {
        let cloud = Cloud::theirs();
        let error = take(&cloud, &claim(expected)).await.expect_err("contended");
        assert!(matches!(error, MoveError::Contended { .. }), "{error}");
        assert_eq!(cloud.log(), ["identity", "owner"], "nothing was asked for");
    }
    // Somebody is faster while we wait.
    let cloud = Cloud::theirs().fault("assign", [Fault::Fails(passing())]);
    let seen = |id: &str| {
        Fault::Owner(Owner {
            instance: InstanceId::new(id),
            is_changing: false,
        })
    };
    let cloud = cloud.fault("owner", [seen("2"), seen("3")]);
    let error = take(&cloud, &claim(Some(other()))).await.expect_err("contended");
    assert!(matches!(error, MoveError::Contended { .. }), "{error}");
}

#[tokio::test]
async fn the_time_given_is_kept_whatever_hangs() {
    for step in ["identity", "owner", "assign", "progress", "active"] {
        let cloud = Cloud::theirs().fault(step, (0..100).map(|_| Fault::Hangs));
        let short = Order {
            within: Duration::from_millis(200),
            ..order()
        };
        let begun = clock::now();
        let result = take(&cloud, &short).await;
        match step {
            // The API has said that it is ours.
            "active" => assert_eq!(result.expect("ours").is_active, None),
            _ => assert!(matches!(result, Err(MoveError::Deadline { .. })), "{step}: {result:?}"),
        }
        // Far from the minute that other tests have, with room for a busy machine.
        assert!(clock::now().since(begun) < Nanos::from_millis(10_000), "{step}");
    }
}
