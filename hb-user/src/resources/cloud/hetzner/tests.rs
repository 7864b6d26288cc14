use std::sync::Mutex;

use serde_json::Value;

use super::*;
use crate::config::CloudKind;
use crate::resources::cloud::MoveError;
use crate::resources::cloud::testing::{
    Asked, Fault, Said, Server, TOKEN, a_fixed_id_is_held_against_metadata, floating_ip, take_over,
};

const IP: &str = "131.232.99.1";
const OURS: u64 = 42;
const THEIRS: u64 = 43;

/// The project: whose the address is, and whose it is going to be after so many looks at the action.
struct State {
    owner: Option<u64>,
    moving: Option<(u64, u32)>,
    /// Its actions end in an error.
    fails: bool,
}

async fn cloud() -> (Server, Arc<Mutex<State>>) {
    let state = Arc::new(Mutex::new(State {
        owner: Some(THEIRS),
        moving: None,
        fails: false,
    }));
    let shared = state.clone();
    let server = Server::start(move |asked| answer(&mut state.lock().expect("alone"), asked)).await;
    (server, shared)
}

fn answer(state: &mut State, asked: &Asked) -> Said {
    if asked.line == "GET /hetzner/v1/metadata/instance-id" {
        assert_eq!(asked.header("authorization"), "", "the metadata service gets no token");
        return Said::new(200, OURS);
    }
    assert_eq!(asked.header("authorization"), format!("Bearer {TOKEN}"));
    match asked.line.as_str() {
        "GET /v1/floating_ips?page=1&per_page=50" => Said::new(200, list(&[other()], Some(2))),
        "GET /v1/floating_ips?page=2&per_page=50" => Said::new(200, list(&[six(state), four(state)], None)),
        "GET /v1/floating_ips/4711" => Said::new(200, json!({ "floating_ip": four(state) })),
        "GET /v1/floating_ips/4712" => Said::new(200, json!({ "floating_ip": six(state) })),
        "POST /v1/floating_ips/4711/actions/assign" | "POST /v1/floating_ips/4712/actions/assign" => {
            assert_eq!(asked.json(), json!({ "server": OURS }));
            if state.moving.is_some() {
                return error(423, "locked");
            }
            state.moving = Some((OURS, 2));
            Said::new(201, json!({ "action": action("running") }))
        }
        "GET /v1/floating_ips/4711/actions?status=running" => {
            let running: Vec<Value> = state.moving.iter().map(|_| action("running")).collect();
            Said::new(200, json!({ "actions": running }))
        }
        "GET /v1/actions/13" => Said::new(200, json!({ "action": action(look(state)) })),
        _ => error(404, "not_found"),
    }
}

fn look(state: &mut State) -> &'static str {
    match state.moving.take() {
        Some(_) if state.fails => "error",
        Some((server, 0 | 1)) => {
            state.owner = Some(server);
            "success"
        }
        Some((server, looks)) => {
            state.moving = Some((server, looks - 1));
            "running"
        }
        None => "success",
    }
}

fn list(all: &[Value], next: Option<u32>) -> Value {
    json!({ "floating_ips": all, "meta": { "pagination": {
        "page": 1, "per_page": 50, "previous_page": null, "next_page": next, "last_page": 2, "total_entries": 3,
    }}})
}

fn four(state: &State) -> Value {
    address(4711, IP, state.owner)
}

fn six(state: &State) -> Value {
    address(4712, "2001:db8::/64", state.owner)
}

fn other() -> Value {
    address(1, "131.232.99.2", None)
}

fn address(id: u64, ip: &str, server: Option<u64>) -> Value {
    json!({
        "id": id, "name": "web", "description": "Web Frontend", "ip": ip, "type": "ipv4", "server": server,
        "dns_ptr": [], "blocked": false, "protection": { "delete": false }, "labels": {},
        "created": "2016-01-30T23:55:00+00:00",
    })
}

fn action(status: &str) -> Value {
    let error = (status == "error").then(|| json!({ "code": "action_failed", "message": "Action failed" }));
    json!({
        "id": 13, "command": "assign_floating_ip", "status": status, "progress": 0,
        "started": "2016-01-30T23:55:00+00:00", "finished": null, "error": error,
        "resources": [{ "id": 42, "type": "server" }, { "id": 4711, "type": "floating_ip" }],
    })
}

fn error(status: u16, code: &str) -> Said {
    Said::new(
        status,
        json!({ "error": { "code": code, "message": "the words", "details": {} } }),
    )
}

#[tokio::test]
async fn a_move_is_asked_for_by_the_addresss_number() {
    let (server, state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Hetzner, IP, &server);
    let moved = take_over(&ip).await.expect("taken over");
    assert_eq!(moved.action, ActionId::new("13"));
    assert_eq!(moved.is_active, None, "its metadata service says nothing of that");
    assert_eq!(state.lock().expect("alone").owner, Some(OURS));
    assert_eq!(
        server.log(),
        [
            "GET /hetzner/v1/metadata/instance-id",
            "GET /v1/floating_ips?page=1&per_page=50",
            "GET /v1/floating_ips?page=2&per_page=50",
            "POST /v1/floating_ips/4711/actions/assign",
            "GET /v1/actions/13",
            "GET /v1/actions/13",
            "GET /v1/floating_ips/4711",
        ]
    );
}

#[tokio::test]
async fn an_ipv6_network_is_moved_as_a_whole() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Hetzner, "2001:db8::1", &server);
    take_over(&ip).await.expect("taken over");
    assert_eq!(server.count("POST /v1/floating_ips/4712/"), 1);
}

#[tokio::test]
async fn an_address_that_the_project_does_not_have_is_refused() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Hetzner, "131.232.99.9", &server);
    let error = take_over(&ip).await.expect_err("unknown").to_string();
    assert!(
        error.contains("no floating IP of the token's project has the address 131.232.99.9"),
        "{error}"
    );
    assert_eq!(server.count("POST"), 0);
}

/// A list of which only a part was read does not say that the address is not in it.
#[tokio::test]
async fn a_list_that_was_not_read_to_its_end_says_nothing() {
    let lists: [fn(u32) -> Value; 4] = [
        |_| json!({ "floating_ips": [] }),
        |_| json!({ "floating_ips": [], "meta": { "pagination": { "page": 1 } } }),
        |_| list(&[other()], Some(1)),
        // It has no end.
        |page| list(&[other()], Some(page + 1)),
    ];
    for answers in lists {
        let mut page = 0;
        let server = Server::start(move |_| {
            page += 1;
            Said::new(200, answers(page))
        })
        .await;
        let (ip, _dir) = floating_ip(CloudKind::Hetzner, IP, &server);
        let failure = ip.owner().await.expect_err("no answer");
        assert!(matches!(failure, Failure::Passing { .. }), "{failure}");
        assert!(server.log().len() <= 20, "{:?}", server.log());
    }
}

#[tokio::test]
async fn one_that_was_made_anew_is_found_again() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Hetzner, IP, &server);
    ip.owner().await.expect("known");
    server.faults("GET /v1/floating_ips/4711", [Fault::Said(error(404, "not_found"))]);
    ip.owner().await.expect("found again");
    assert_eq!(server.count("GET /v1/floating_ips?"), 4);
}

#[tokio::test]
async fn a_lock_is_that_of_an_action_which_is_waited_for() {
    let (server, state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Hetzner, IP, &server);
    state.lock().expect("alone").moving = Some((THEIRS, 2));
    take_over(&ip).await.expect("taken over");
    assert_eq!(server.count("GET /v1/floating_ips/4711/actions?status=running"), 1);
    assert_eq!(server.count("POST"), 2);
}

#[tokio::test]
async fn an_action_that_ends_in_an_error_says_why() {
    let (server, state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Hetzner, IP, &server);
    state.lock().expect("alone").fails = true;
    let error = take_over(&ip).await.expect_err("errored");
    assert!(error.to_string().contains("action_failed: Action failed"), "{error}");
    assert_eq!(
        (server.count("POST"), state.lock().expect("alone").owner),
        (3, Some(THEIRS))
    );
}

#[tokio::test]
async fn each_code_has_its_class() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Hetzner, IP, &server);
    let class = async |status, code| {
        server.faults("GET /v1/floating_ips", [Fault::Said(error(status, code))]);
        ip.owner().await.expect_err(code)
    };
    assert!(matches!(class(423, "locked").await, Failure::Pending { .. }));
    assert!(matches!(class(409, "conflict").await, Failure::Pending { .. }));
    assert!(matches!(
        class(429, "rate_limit_exceeded").await,
        Failure::Throttled { .. }
    ));
    for (status, code) in [(401, "unauthorized"), (403, "forbidden"), (403, "token_readonly")] {
        assert!(
            matches!(class(status, code).await, Failure::Unauthorised { .. }),
            "{code}"
        );
    }
    for (status, code) in [
        (403, "protected"),
        (422, "invalid_input"),
        (422, "floating_ip_assigned"),
    ] {
        let failure = class(status, code).await;
        assert!(matches!(failure, Failure::Refused { .. }), "{code}");
        assert!(
            failure.to_string().contains(&format!("the words ({code})")),
            "{failure}"
        );
    }
    for (status, code) in [
        (503, "maintenance"),
        (500, "service_error"),
        (422, "resource_unavailable"),
    ] {
        assert!(matches!(class(status, code).await, Failure::Passing { .. }), "{code}");
    }
    server.faults("POST", [Fault::Said(error(401, "unauthorized"))]);
    let error = take_over(&ip).await.expect_err("refused");
    assert!(
        matches!(error, MoveError::Failed(Failure::Unauthorised { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn hb_toml_and_the_metadata_service_should_agree() {
    let (server, _state) = cloud().await;
    let ids = [OURS, THEIRS].map(|id| id.to_string());
    a_fixed_id_is_held_against_metadata(
        &server,
        CloudKind::Hetzner,
        IP,
        [&ids[0], &ids[1]],
        "GET /hetzner/v1/metadata/instance-id",
    )
    .await;
}
