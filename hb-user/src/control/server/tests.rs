use std::os::unix::fs::PermissionsExt;

use tokio::io::AsyncReadExt;

use super::*;

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
