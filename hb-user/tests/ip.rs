//! `hb ip` as a person or a script calls it: its exit code, and what it prints where.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use tempfile::TempDir;

const OURS: u64 = 3_164_444;
const TOKEN: &str = "dop_v1_0123456789abcdef";

/// An API that does at once what it is asked to, and a metadata service.
fn cloud(owner: Option<u64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let owner = Arc::new(Mutex::new(owner));
    let answer = move |method: Method, uri: Uri| {
        let mut owner = owner.lock().expect("alone");
        let droplet = owner.map(|id| json!({ "id": id }));
        let said = match (method, uri.path()) {
            (Method::GET, "/metadata/v1/id") => (StatusCode::OK, OURS.to_string()),
            (Method::GET, path) if path.starts_with("/metadata/") => (StatusCode::NOT_FOUND, String::new()),
            (Method::POST, _) => {
                *owner = Some(OURS);
                (
                    StatusCode::CREATED,
                    json!({ "action": { "id": 7, "status": "in-progress" } }).to_string(),
                )
            }
            (_, path) if path.ends_with("/actions/7") => (
                StatusCode::OK,
                json!({ "action": { "id": 7, "status": "completed" } }).to_string(),
            ),
            (_, "/v2/reserved_ips/203.0.113.10") => (
                StatusCode::OK,
                json!({ "reserved_ip": { "droplet": droplet } }).to_string(),
            ),
            _ => (
                StatusCode::UNAUTHORIZED,
                json!({ "message": "Unable to authenticate you" }).to_string(),
            ),
        };
        std::future::ready(said)
    };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            listener.set_nonblocking(true).expect("non-blocking");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, Router::new().fallback(answer))
                .await
                .expect("a server");
        });
    });
    address
}

/// A directory with an hb.toml and a token.
fn configured(cloud: SocketAddr) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let token = dir.path().join("token");
    std::fs::write(&token, TOKEN).expect("written");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let text = format!(
        "[digitalocean]\ntoken_file = \"{}\"\napi_url = \"http://{cloud}\"\nmetadata_url = \"http://{cloud}\"\n",
        token.display()
    );
    std::fs::write(dir.path().join("hb.toml"), text).expect("written");
    dir
}

fn hb(dir: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hb"));
    command.arg("ip").args(args).arg("--config-dir").arg(dir.path());
    let output = command.output().expect("hb");
    let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(!all.contains(TOKEN), "{all}");
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn object(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one object")
}

#[test]
fn the_owner_is_told() {
    for (owner, line, ours) in [
        (Some(OURS), "203.0.113.10 belongs to 3164444, this host\n", true),
        (Some(1), "203.0.113.10 belongs to 1\n", false),
        (None, "203.0.113.10 belongs to nobody\n", false),
    ] {
        let dir = configured(cloud(owner));
        let output = hb(&dir, &["owner", "203.0.113.10"]);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(0), line),
            "{output:?}"
        );
        let output = hb(&dir, &["owner", "digitalocean::203.0.113.10", "--json"]);
        let expected = json!({
            "address": "digitalocean::203.0.113.10",
            "owner": owner.map(|owner| owner.to_string()),
            "changing": false,
            "me": OURS.to_string(),
            "ours": ours,
        });
        assert_eq!(object(&output), expected);
    }
}

#[test]
fn an_address_is_assigned_and_read_back() {
    let dir = configured(cloud(Some(1)));
    let output = hb(&dir, &["assign", "203.0.113.10"]);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(lines[0].starts_with("accepted: action 7 after "), "{lines:?}");
    assert!(lines[1].starts_with("completed: action 7 after "), "{lines:?}");
    assert!(
        lines[2].starts_with("203.0.113.10 is assigned to 3164444: verified after "),
        "{lines:?}"
    );
    let again = object(&hb(&dir, &["assign", "203.0.113.10", "--json"]));
    assert_eq!(
        (&again["already"], &again["instance"]),
        (&json!(true), &json!("3164444"))
    );
}

#[test]
fn what_is_somebody_elses_has_its_exit_code() {
    let dir = configured(cloud(Some(1)));
    let output = hb(&dir, &["assign", "203.0.113.10", "--only-from", "2"]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(
        text(&output.stderr).contains("the address belongs to 1, which was not its owner"),
        "{output:?}"
    );

    let output = hb(&dir, &["verify", "203.0.113.10", "--json"]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let object = object(&output);
    assert_eq!(
        (&object["ours"], &object["ready"], &object["problems"]),
        (&json!(false), &json!(true), &json!([]))
    );

    let dir = configured(cloud(Some(OURS)));
    let output = hb(&dir, &["verify", "203.0.113.10"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text(&output.stdout).starts_with("203.0.113.10 belongs to 3164444, this host\n"),
        "{output:?}"
    );
}

#[test]
fn failure_is_loud_and_has_its_exit_code() {
    let dir = configured(cloud(None));
    let output = hb(&dir, &["owner", "203.0.113.11"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(
        text(&output.stderr).contains("check that the token is complete"),
        "{output:?}"
    );

    let output = hb(&dir, &["owner", "vultr::203.0.113.10"]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");

    let nobody = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    let dir = configured(nobody);
    let output = hb(&dir, &["owner", "203.0.113.10"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let output = hb(&dir, &["assign", "203.0.113.10", "--to", "1", "--timeout", "500ms"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(text(&output.stderr).contains("not assigned within 0.5 s"), "{output:?}");

    let token = dir.path().join("token");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let output = hb(&dir, &["owner", "203.0.113.10"]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(
        text(&output.stderr).contains("lets others read the token"),
        "{output:?}"
    );
}
