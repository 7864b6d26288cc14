use std::os::unix::fs::PermissionsExt;

use tokio::io::AsyncReadExt;

use super::*;
use crate::control::Order;
use crate::core::Which;

/// Sends a line and reads the answer, with a deadline.
async fn say(run_dir: &Path, line: &[u8]) -> String {
    let exchange = async {
        let mut stream = UnixStream::connect(socket_path(run_dir)).await.expect("connected");
        stream.write_all(line).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        answer
    };
    timeout(Duration::from_secs(20), exchange).await.expect("in time")
}

/// Answers every question of a server with an error that says "hello".
async fn greet(mut server: Server) {
    while let Some(asked) = server.next().await {
        asked.reply.send(Reply::Error("hello".into())).expect("somebody waits");
    }
}

#[tokio::test]
async fn answers_a_request() {
    let run = tempfile::tempdir().expect("a directory");
    let server = Server::start(run.path()).expect("listening");
    tokio::spawn(greet(server));
    assert_eq!(say(run.path(), b"\"status\"\n").await, "{\"error\":\"hello\"}\n");
}

#[tokio::test]
async fn answers_nonsense_with_an_error() {
    let run = tempfile::tempdir().expect("a directory");
    tokio::spawn(greet(Server::start(run.path()).expect("listening")));
    for nonsense in [&b"\n"[..], b"{}\n", b"\"reboot\"\n", b"[[[[[[[[\n", b"status\n"] {
        let answer = say(run.path(), nonsense).await;
        assert!(
            answer.starts_with("{\"error\":\"not a request"),
            "{nonsense:?}: {answer}"
        );
    }
}

#[tokio::test]
async fn survives_a_line_without_end_and_bytes_that_are_no_text() {
    let run = tempfile::tempdir().expect("a directory");
    tokio::spawn(greet(Server::start(run.path()).expect("listening")));
    let mut stream = UnixStream::connect(socket_path(run.path())).await.expect("connected");
    // It may hang up before all is written.
    let _ = stream.write_all(&vec![0xff; 1 << 20]).await;
    assert_eq!(say(run.path(), b"\"status\"\n").await, "{\"error\":\"hello\"}\n");
}

#[tokio::test]
async fn idle_connections_end_and_others_are_answered() {
    let run = tempfile::tempdir().expect("a directory");
    tokio::spawn(greet(Server::start(run.path()).expect("listening")));
    let mut idle = Vec::new();
    for _ in 0..2 * CONNECTIONS {
        idle.push(UnixStream::connect(socket_path(run.path())).await.expect("connected"));
    }
    assert_eq!(say(run.path(), b"\"status\"\n").await, "{\"error\":\"hello\"}\n");
}

#[tokio::test]
async fn replaces_a_socket_that_was_left_behind_and_removes_its_own() {
    let run = tempfile::tempdir().expect("a directory");
    let path = socket_path(run.path());
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    assert!(path.exists(), "a socket outlives its listener");

    let server = Server::start(run.path()).expect("listening");
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only root may ask");
    drop(server);
    assert!(!path.exists(), "nothing is left behind");
}

const STANDBY: &[u8] =
    b"{\"order\":{\"order\":{\"standby\":{\"which\":\"all\"}},\"wait\":true,\"timeout_ms\":3600000}}\n";

async fn next(server: &mut Server) -> Asked {
    let asked = timeout(Duration::from_secs(20), server.next()).await;
    asked.expect("in time").expect("a question")
}

async fn order(run_dir: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket_path(run_dir)).await.expect("connected");
    stream.write_all(STANDBY).await.expect("written");
    stream
}

#[tokio::test]
async fn an_order_is_waited_for() {
    let run = tempfile::tempdir().expect("a directory");
    let mut server = Server::start(run.path()).expect("listening");
    let mut stream = order(run.path()).await;
    let asked = next(&mut server).await;
    let expected = OrderRequest {
        order: Order::Standby { which: Which::All },
        wait: true,
        timeout_ms: 3_600_000,
    };
    assert_eq!(asked.request, Request::Order(expected));
    // Longer than anything that is answered at once may take.
    clock::sleep(PATIENCE + PAUSE).await;
    let message = "done".into();
    asked.reply.send(Reply::Done { message }).expect("it waits");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    assert_eq!(answer, "{\"done\":{\"message\":\"done\"}}\n");
}

#[tokio::test]
async fn who_hangs_up_waits_no_longer() {
    let run = tempfile::tempdir().expect("a directory");
    let mut server = Server::start(run.path()).expect("listening");
    let stream = order(run.path()).await;
    let mut asked = next(&mut server).await;
    assert!(!asked.reply.is_closed());
    drop(stream);
    timeout(Duration::from_secs(20), asked.reply.closed())
        .await
        .expect("noticed");
}

#[tokio::test]
async fn who_waits_takes_no_place_of_the_others() {
    let run = tempfile::tempdir().expect("a directory");
    let mut server = Server::start(run.path()).expect("listening");
    let mut waiting = Vec::new();
    for _ in 0..ORDERS {
        let stream = order(run.path()).await;
        waiting.push((stream, next(&mut server).await));
    }
    // One more is told so, and does not reach the daemon.
    let answer = say(run.path(), STANDBY).await;
    assert_eq!(answer, "{\"error\":\"16 orders are waited for already\"}\n");
    tokio::spawn(greet(server));
    assert_eq!(say(run.path(), b"\"status\"\n").await, "{\"error\":\"hello\"}\n");
    assert!(waiting.iter().all(|(_, asked)| !asked.reply.is_closed()));
}

#[tokio::test]
async fn orders_are_understood_to_the_letter() {
    let run = tempfile::tempdir().expect("a directory");
    tokio::spawn(greet(Server::start(run.path()).expect("listening")));
    let order = |order: &str, timeout: &str| {
        format!("{{\"order\":{{\"order\":{order},\"wait\":true,\"timeout_ms\":{timeout}}}}}\n")
    };
    for good in [
        order("\"reload\"", "0"),
        order("{\"takeover\":{\"which\":\"foreign\"}}", "1"),
        order("{\"maintenance\":{\"on\":false}}", "1"),
        order("{\"cleanup\":{\"group\":\"web::8080\"}}", "1"),
    ] {
        let answer = say(run.path(), good.as_bytes()).await;
        assert_eq!(answer, "{\"error\":\"hello\"}\n", "{good}");
    }
    for bad in [
        order("\"standby\"", "1"),
        order("\"reload\"", "-1"),
        order("{\"standby\":{\"which\":\"some\"}}", "1"),
        order("{\"standby\":{\"which\":\"all\",\"to\":\"b\"}}", "1"),
        order("{\"cleanup\":{\"group\":7}}", "1"),
        "{\"order\":{\"order\":\"reload\"}}\n".into(),
    ] {
        let answer = say(run.path(), bad.as_bytes()).await;
        assert!(answer.starts_with("{\"error\":\"not a request"), "{bad}: {answer}");
    }
    let answer = say(run.path(), order("\"reload\"", "3600001").as_bytes()).await;
    assert_eq!(answer, "{\"error\":\"timeout_ms 3600001: expected at most 3600000\"}\n");
}
