use super::*;
use crate::config::Resource;
use crate::resources::group::{GroupResult, acquire};
use crate::resources::scripts::Outcome;
use crate::resources::testing::{Place, eventually, is_alive, lines};

/// A group of one script with this body.
fn group(body: &str) -> (Place, Arc<GroupScripts>, Arc<Context>) {
    let place = Place::new();
    place.script("init.d/a", body);
    let context = Context::new(place.dirs(), Vec::new(), Duration::from_secs(30));
    let group = GroupScripts {
        resources: vec![Resource::script("a", &[])],
    };
    (place, Arc::new(group), Arc::new(context))
}

async fn acquired(inquiry: Inquiry, group: &GroupScripts, context: &Context) -> GroupResult {
    let abort = Abort::never();
    let asked = inquiry.answer(&abort).await;
    acquire(group, context, false, asked, &abort).await.result
}

#[tokio::test]
async fn what_does_not_run_is_started_without_asking_again() {
    let (place, group, context) = group("echo $1 >> $P/journal");
    let inquiry = Inquiry::begin(group.clone(), context.clone());
    assert_eq!(acquired(inquiry, &group, &context).await, GroupResult::Done);
    assert_eq!(place.journal(), ["status", "start"]);
}

#[tokio::test]
async fn what_seems_to_run_is_asked_again() {
    // As a script does that asks the service by its address, which the other node has still.
    let body = "echo $1 >> $P/journal; [ $(wc -l < $P/journal) -gt 1 ] || echo running";
    let (place, group, context) = group(body);
    let inquiry = Inquiry::begin(group.clone(), context.clone());
    assert_eq!(acquired(inquiry, &group, &context).await, GroupResult::Done);
    assert_eq!(place.journal(), ["status", "status", "start"]);
}

#[tokio::test]
async fn an_old_answer_is_none() {
    let (_place, group, context) = group("exit 3");
    let mut inquiry = Inquiry::begin(group, context);
    inquiry.asked = inquiry.asked.since(nanos(FRESH + Duration::from_millis(1)));
    assert!(inquiry.answer(&Abort::never()).await.is_none());
}

#[tokio::test]
async fn whoever_gives_up_waits_for_the_scripts_death() {
    let (place, group, context) = group("trap '' TERM; echo $$ > $P/pid; mv $P/pid $P/started; sleep 1000");
    let started = place.path("started");
    let is_asked = || started.exists();
    let pid = || lines(&started).pop().expect("a process");

    let inquiry = Inquiry::begin(group.clone(), context.clone());
    eventually("it is asked", is_asked).await;
    assert!(inquiry.is_under_way());
    inquiry.end().await;
    assert!(!is_alive(&pid()));

    std::fs::remove_file(&started).expect("removed");
    let (aborter, abort) = abortable();
    let inquiry = Inquiry::begin(group.clone(), context.clone());
    eventually("it is asked", is_asked).await;
    let (answer, ()) = tokio::join!(inquiry.answer(&abort), async { aborter.abort() });
    assert!(answer.is_none());
    assert!(!is_alive(&pid()));
}

#[tokio::test]
async fn a_group_without_scripts_has_no_answer() {
    let (_place, _, context) = group("exit 0");
    let empty = Arc::new(GroupScripts { resources: Vec::new() });
    assert!(Inquiry::begin(empty, context).answer(&Abort::never()).await.is_none());
    let missing = Arc::new(GroupScripts {
        resources: vec![Resource::script("missing", &[])],
    });
    let (_place, _, context) = group("exit 0");
    let answer = Inquiry::begin(missing, context).answer(&Abort::never()).await;
    assert!(
        answer.is_some_and(|status| matches!(status.outcome, Outcome::NotStarted(_))),
        "what is missing does not run"
    );
}
