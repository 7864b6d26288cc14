use super::*;

const LONG: Duration = Duration::from_secs(30);

fn shell(text: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", text]).stdin(Stdio::null());
    command
}

#[tokio::test]
async fn ends_are_told_apart() {
    let table = [
        ("exit 3", End::Exited(3)),
        ("kill -9 $$", End::Signalled(9)),
        ("exec sleep 1000", End::TimedOut),
    ];
    for (text, expected) in table {
        let limit = if expected == End::TimedOut {
            Duration::from_millis(100)
        } else {
            LONG
        };
        assert_eq!(run(shell(text), limit).await.0.expect("a start"), expected, "{text}");
    }
    assert!(run(Command::new("/nowhere/at/all"), LONG).await.0.is_err());
}

/// Aborts when "begun" was printed.
struct OnOutput(Aborter, Tail);

impl Sink for OnOutput {
    fn take(&mut self, stream: Stream, chunk: &[u8]) {
        self.1.take(stream, chunk);
        if self.1.text().contains("begun") {
            self.0.abort();
        }
    }
}

#[tokio::test]
async fn an_abort_waits_for_the_death_of_the_whole_group() {
    // Who ignores SIGTERM is not asked. The child that is not waited for has so much memory to give back that it dies
    // noticeably later than its parent.
    let text = "trap '' TERM
        dd if=/dev/zero bs=256M count=1 2>&1 | { trap '' TERM; head -c 1; echo begun; exec sleep 1000; } &
        exec sleep 1000";
    let child = spawn(shell(text)).await.expect("a start");
    let group = Pid::from_raw(child.id().expect("it runs").try_into().expect("a number"));
    let (aborter, abort) = abortable();
    assert!(has_living(group));
    let end = attend(child, LONG, abort.given(), &mut OnOutput(aborter, Tail::default())).await;
    assert_eq!(end, End::Aborted);
    assert!(!has_living(group), "already, without a further wait");
}

#[tokio::test]
async fn an_order_once_given_stays_given_and_none_comes_from_nobody() {
    let (aborter, abort) = abortable();
    assert!(!abort.is_given());
    aborter.abort();
    drop(aborter);
    assert!(abort.is_given());
    abort.given().await;

    let never = Abort::never();
    assert!(timeout(Duration::from_millis(20), never.given()).await.is_err());
}

#[test]
fn stat_is_read_by_state_and_group() {
    let group = Pid::from_raw(77);
    let table = [
        ("78 (sh) S 1 77 5 0", true),
        ("78 (a) b) R 1 77 5 0", true),
        ("78 (sh) Z 1 77 5 0", false),
        ("78 (sh) S 77 78 5 0", false),
        ("78 (sh", false),
        ("78 (sh) S", false),
        ("", false),
    ];
    for (stat, expected) in table {
        assert_eq!(is_living_member(stat, group), expected, "{stat}");
    }
}

#[test]
fn the_last_lines_that_say_anything() {
    assert_eq!(last_lines("a\n b \n\n  \nc\n\n", 2), "b; c");
    assert_eq!(last_lines("\n", 2), "");
    assert_eq!(last_lines(&"x".repeat(1000), 2).len(), 200);
}
