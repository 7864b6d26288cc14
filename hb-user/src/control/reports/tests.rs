use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use hb_ebpf::Nanos;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

fn reports() -> (Reports, mpsc::Receiver<Asked>) {
    let (sender, questions) = mpsc::channel(1);
    (Reports::start(100, sender, Arc::default()), questions)
}

async fn next(questions: &mut mpsc::Receiver<Asked>) -> Asked {
    timeout(LIMIT, questions.recv())
        .await
        .expect("in time")
        .expect("a question")
}

fn say(asked: Asked, what: &str) {
    asked.reply.send(Reply::Error(what.into())).expect("somebody waits");
}

fn ask(reports: &Reports, all: &mut JoinSet<Line>, count: usize) {
    for _ in 0..count {
        let reports = reports.clone();
        all.spawn(async move { reports.next().await });
    }
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn all_who_wait_get_one_report_and_who_comes_later_gets_the_next() {
    let (reports, mut questions) = reports();
    let mut all = JoinSet::new();
    ask(&reports, &mut all, 1);
    let first = next(&mut questions).await;
    // It is being made: it may be older than what these ask.
    ask(&reports, &mut all, 50);
    settle().await;
    say(first, "one");
    say(next(&mut questions).await, "two");
    let mut answers: Vec<_> = timeout(LIMIT, all.join_all()).await.expect("in time");
    answers.sort_unstable();
    let [one, two] = ["one", "two"].map(|what| Line::from(format!("{{\"error\":\"{what}\"}}\n").into_bytes()));
    assert_eq!(answers[0], one);
    assert!(answers[1..].iter().all(|answer| *answer == two));
    settle().await;
    assert!(questions.try_recv().is_err(), "a question that nobody asked");
}

#[tokio::test]
async fn askers_without_end_are_answered_at_the_pace_of_the_controller() {
    let (reports, mut questions) = reports();
    let begun = crate::clock::now();
    let controller = tokio::spawn(async move {
        let mut asked = 0_u64;
        while let Some(question) = questions.recv().await {
            asked += 1;
            let _ = question.reply.send(Reply::Error("so".into()));
        }
        asked
    });
    let mut all = JoinSet::new();
    for _ in 0..100 {
        let reports = reports.clone();
        all.spawn(async move {
            for _ in 0..10 {
                reports.next().await;
            }
        });
    }
    timeout(LIMIT, all.join_all()).await.expect("in time");
    drop(reports);
    let asked = timeout(LIMIT, controller).await.expect("in time").expect("no panic");
    let passed = crate::clock::now().since(begun).0 / Nanos::from_millis(10).0;
    assert!(
        (1..=3 + 1 + passed).contains(&asked),
        "{asked} questions in {passed} turns"
    );
}

#[tokio::test]
async fn for_who_has_gone_nobody_is_asked() {
    let (reports, mut questions) = reports();
    let mut all = JoinSet::new();
    ask(&reports, &mut all, 1);
    let first = next(&mut questions).await;
    ask(&reports, &mut all, 10);
    settle().await;
    all.abort_all();
    while all.join_next().await.is_some() {}
    drop(first);
    settle().await;
    assert!(questions.try_recv().is_err());
}

#[tokio::test]
async fn without_a_controller_it_is_said() {
    let (reports, questions) = reports();
    drop(questions);
    let line = timeout(LIMIT, reports.next()).await.expect("in time");
    assert_eq!(&line[..], b"{\"error\":\"the daemon is stopping\"}\n");
}
