//! `hb assign-ip` as a resource script calls it: its exit code, and what it prints where.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

const DROPLET: u64 = 3_164_444;

/// An API that does at once what it is asked to. The address is nobody's before.
fn api() -> SocketAddr {
    let is_assigned = Arc::new(AtomicBool::new(false));
    let assigned = is_assigned.clone();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let accept = post(move || {
        is_assigned.store(true, Ordering::Relaxed);
        async { (axum::http::StatusCode::CREATED, reply("in-progress")) }
    });
    let router = Router::new()
        .route("/v2/reserved_ips/198.51.100.9/actions", accept)
        .route(
            "/v2/reserved_ips/198.51.100.9/actions/7",
            get(|| async { reply("completed") }),
        )
        .route(
            "/v2/reserved_ips/198.51.100.9",
            get(move || {
                let droplet = assigned.load(Ordering::Relaxed).then(|| json!({ "id": DROPLET }));
                async move { Json(json!({ "reserved_ip": { "droplet": droplet } })) }
            }),
        );
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            listener.set_nonblocking(true).expect("non-blocking");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, router).await.expect("a server");
        });
    });
    address
}

fn reply(status: &str) -> Json<Value> {
    Json(json!({ "action": { "id": 7, "status": status } }))
}

fn hb(api: SocketAddr, token: Option<&str>, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hb"));
    command
        .args(["assign-ip", "198.51.100.9", "3164444"])
        .args(more)
        .env("DO_API_URL", format!("http://{api}"))
        .env_remove("DO_TOKEN")
        .env_remove("TOKEN");
    if let Some(token) = token {
        command.env("TOKEN", token);
    }
    command.output().expect("hb")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn success_is_told_on_stdout() {
    let output = hb(api(), Some("secret"), &[]);
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // This API has no TLS.
    let warned: Vec<_> = text(&output.stderr).lines().collect();
    assert!(
        matches!(warned[..], [line] if line.contains("unencrypted")),
        "{output:?}"
    );
    assert!(lines[0].starts_with("accepted: action 7 after "), "{lines:?}");
    assert!(lines[1].starts_with("completed: action 7 after "), "{lines:?}");
    assert!(
        lines[2].starts_with("198.51.100.9 is assigned to droplet 3164444: verified after "),
        "{lines:?}"
    );
}

#[test]
fn success_is_one_object_for_a_program() {
    let output = hb(api(), Some("secret"), &["--json"]);
    let object: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&object["already"], &object["action"], &object["droplet_id"]),
        (&json!(false), &json!(7), &json!(DROPLET))
    );
    assert!(object["accepted_us"].as_u64() < object["verified_us"].as_u64());
}

#[test]
fn failure_is_loud() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    let output = hb(nobody, Some("secret"), &["--timeout", "1"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let error = text(&output.stderr);
    assert!(
        error.contains("hb: cannot assign 198.51.100.9 to droplet 3164444: not assigned within 1 s"),
        "{error}"
    );
    assert!(!error.contains("secret"), "{error}");

    let output = hb(nobody, None, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stderr).contains("no API token: set DO_TOKEN or TOKEN"),
        "{output:?}"
    );
}
