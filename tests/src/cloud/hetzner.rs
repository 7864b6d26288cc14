//! Hetzner Cloud's API, as far as a floating IP goes: <https://docs.hetzner.cloud/reference/cloud>.

use std::net::IpAddr;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderValue, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Shared,
    fault::Endpoint,
    front::{Note, Refusal, parameter, query, words},
    instance::Instance,
    moving::{Truth, start},
    provider::{FLOATING_IPV6, Provider},
    state::{Held, Move, State as Known},
};
use crate::{clock::lock, network::FLOATING_IP};

/// Floating IPs of the project that are somebody else's and come first in the list: more than fit a page.
const OTHERS: u32 = 60;

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/v1/floating_ips", get(list))
        .route("/v1/floating_ips/{id}", get(read))
        .route("/v1/floating_ips/{id}/actions", get(actions))
        .route("/v1/floating_ips/{id}/actions/assign", post(assign))
        .route("/v1/floating_ips/{id}/actions/unassign", post(unassign))
        .route("/v1/floating_ips/{id}/actions/{action}", get(action_of_address))
        .route("/v1/floating_ips/actions/{action}", get(action))
        .route("/v1/actions/{action}", get(action))
        .fallback(|| async { refuse(Refusal::NotFound) })
}

pub(super) fn endpoint(method: &Method, path: &str) -> Endpoint {
    match (method, words(path, "/v1/").as_slice()) {
        (&Method::POST, ["floating_ips", _, "actions", "assign"]) => Endpoint::Assign,
        (&Method::POST, ["floating_ips", _, "actions", "unassign"]) => Endpoint::Detach,
        (&Method::GET, ["floating_ips", "actions", _] | ["actions", _] | ["floating_ips", _, "actions", _]) => {
            Endpoint::Action
        }
        (&Method::GET, ["floating_ips", _, "actions"]) => Endpoint::Pending,
        (&Method::GET, ["floating_ips", _]) => Endpoint::Read,
        (&Method::GET, ["floating_ips"]) => Endpoint::Find,
        _ => Endpoint::Unknown,
    }
}

async fn list(State(state): State<Shared>, uri: Uri) -> Response {
    let query = query(&uri);
    let number = |name, default: usize| match parameter(&query, name) {
        None => Some(default),
        Some(text) => text.parse().ok().filter(|number| *number > 0),
    };
    let (Some(page), Some(per_page)) = (number("page", 1), number("per_page", 25)) else {
        return error(
            StatusCode::BAD_REQUEST,
            "invalid_input",
            "invalid input in field 'page'",
        );
    };
    let per_page = per_page.min(50);
    let state = lock(&state);
    let name = parameter(&query, "name");
    let all: Vec<Value> = (1..=OTHERS)
        .map(other)
        .chain(state.held.iter().map(shown_address))
        .filter(|ip| name.is_none_or(|name| ip["name"] == name))
        .collect();
    let last = all.len().div_ceil(per_page).max(1);
    let shown: Vec<&Value> = all.iter().skip((page - 1) * per_page).take(per_page).collect();
    Json(json!({
        "floating_ips": shown,
        "meta": { "pagination": {
            "page": page,
            "per_page": per_page,
            "previous_page": (page > 1).then(|| page - 1),
            "next_page": (page < last).then_some(page + 1),
            "last_page": last,
            "total_entries": all.len(),
        } },
    }))
    .into_response()
}

async fn read(State(state): State<Shared>, Path(id): Path<String>) -> Response {
    match lock(&state).held_as(&id).map(shown_address) {
        Some(address) => Json(json!({ "floating_ip": address })).into_response(),
        None => refuse(Refusal::NotFound),
    }
}

/// The body of a request to assign.
#[derive(Deserialize)]
struct Wanted {
    server: u64,
}

async fn assign(
    State(state): State<Shared>,
    Extension(note): Extension<Note>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let Ok(wanted) = serde_json::from_slice::<Wanted>(&body) else {
        return error(StatusCode::BAD_REQUEST, "json_error", "invalid JSON in request body");
    };
    let Some(server) = Provider::Hetzner.known(&wanted.server.to_string()) else {
        let message = format!("server with ID '{}' not found", wanted.server);
        return error(StatusCode::NOT_FOUND, "not_found", &message);
    };
    begin(&state, &id, Some(server), note)
}

async fn unassign(State(state): State<Shared>, Extension(note): Extension<Note>, Path(id): Path<String>) -> Response {
    begin(&state, &id, None, note)
}

fn begin(state: &Shared, id: &str, to: Option<Instance>, note: Note) -> Response {
    let Some(ip) = Provider::Hetzner.address(id) else {
        return refuse(Refusal::NotFound);
    };
    {
        let state = lock(state);
        if state.is_moving(ip) {
            return refuse(Refusal::PendingEvent);
        }
        if to.is_some() && state.held(ip).is_some_and(|held| held.owner == to) {
            let message = "The Floating IP is already assigned";
            return error(StatusCode::UNPROCESSABLE_ENTITY, "floating_ip_assigned", message);
        }
    }
    let accepted = start(state, note.order(ip, to, "floating_ip"), Truth::AtTheEnd);
    (StatusCode::CREATED, Json(json!({ "action": shown_action(&accepted) }))).into_response()
}

async fn action(State(state): State<Shared>, Path(id): Path<u64>) -> Response {
    found(&lock(&state), id, |_| true)
}

async fn action_of_address(State(state): State<Shared>, Path((address, id)): Path<(String, u64)>) -> Response {
    let ip = Provider::Hetzner.address(&address);
    found(&lock(&state), id, |one| Some(one.ip) == ip)
}

fn found(state: &Known, id: u64, fits: impl Fn(&Move) -> bool) -> Response {
    match state.moves.iter().find(|one| one.id == id && fits(one)) {
        Some(one) => Json(json!({ "action": shown_action(one) })).into_response(),
        None => refuse(Refusal::NotFound),
    }
}

async fn actions(State(state): State<Shared>, Path(id): Path<String>, uri: Uri) -> Response {
    let Some(ip) = Provider::Hetzner.address(&id) else {
        return refuse(Refusal::NotFound);
    };
    let query = query(&uri);
    let status = parameter(&query, "status");
    let state = lock(&state);
    let of_address = state.moves.iter().filter(|one| one.ip == ip).map(shown_action);
    let actions: Vec<Value> = of_address
        .filter(|action| status.is_none_or(|status| action["status"] == status))
        .collect();
    let total = actions.len();
    Json(json!({
        "actions": actions,
        "meta": { "pagination": {
            "page": 1, "per_page": 25, "previous_page": null, "next_page": null, "last_page": 1, "total_entries": total,
        } },
    }))
    .into_response()
}

fn shown_address(held: &Held) -> Value {
    let server = held.shown_owner().map(server_id);
    match held.ip {
        IpAddr::V4(ip) => address(1337, "web", &ip.to_string(), server),
        // One of a whole network, which is what is shown.
        IpAddr::V6(_) => address(1338, "web6", "2001:db8:f7:1017::/64", server),
    }
}

fn other(number: u32) -> Value {
    address(
        u64::from(number),
        &format!("other-{number}"),
        &format!("192.0.2.{}", 100 + number),
        None,
    )
}

fn address(id: u64, name: &str, ip: &str, server: Option<u64>) -> Value {
    let kind = if ip.contains(':') { "ipv6" } else { "ipv4" };
    json!({
        "id": id,
        "name": name,
        "description": "this describes my resource",
        "ip": ip,
        "type": kind,
        "server": server,
        "dns_ptr": [{ "ip": ip.trim_end_matches("/64"), "dns_ptr": "server.example.com" }],
        "home_location": {
            "id": 1, "name": "fsn1", "description": "Falkenstein DC Park 1", "country": "DE", "city": "Falkenstein",
            "latitude": 50.476_12, "longitude": 12.370_071, "network_zone": "eu-central",
        },
        "blocked": false,
        "protection": { "delete": false },
        "labels": { "environment": "prod" },
        "created": "2016-01-30T23:55:00+00:00",
    })
}

fn shown_action(one: &Move) -> Value {
    let (status, progress) = match &one.end {
        None => ("running", 0),
        Some(end) if end.completed => ("success", 100),
        Some(_) => ("error", 100),
    };
    let mut resources = vec![json!({ "id": number(Provider::Hetzner.address_id(one.ip)), "type": "floating_ip" })];
    resources.extend(
        one.to
            .map(|server| json!({ "id": server_id(server), "type": "server" })),
    );
    json!({
        "id": one.id,
        "command": if one.to.is_some() { "assign_floating_ip" } else { "unassign_floating_ip" },
        "status": status,
        "progress": progress,
        "started": one.started_at,
        "finished": one.end.as_ref().map(|end| &end.completed_at),
        "resources": resources,
        "error": (status == "error").then(|| json!({ "code": "action_failed", "message": "Action failed" })),
    })
}

fn server_id(instance: Instance) -> u64 {
    Provider::Hetzner.number(instance)
}

fn number(id: &str) -> u64 {
    id.parse().unwrap_or_default()
}

pub(super) fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Unauthorized => error(StatusCode::UNAUTHORIZED, "unauthorized", "unable to authenticate"),
        Refusal::Forbidden => error(
            StatusCode::FORBIDDEN,
            "forbidden",
            "insufficient permissions for this request",
        ),
        Refusal::NotFound => error(StatusCode::NOT_FOUND, "not_found", "floating IP not found"),
        Refusal::Unprocessable => error(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_input",
            "invalid input in field 'server'",
        ),
        Refusal::PendingEvent => error(StatusCode::LOCKED, "locked", "floating IP is locked"),
        // It tells by its limits' headers only: no Retry-After is documented.
        Refusal::TooManyRequests(_) => error(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_exceeded",
            "limit of 3600 requests per hour reached",
        ),
        Refusal::ServerError => error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "error within the API backend",
        ),
        Refusal::Unavailable => error(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "a service or product is currently not available",
        ),
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code, "message": message, "details": {} } });
    let mut response = (status, Json(body)).into_response();
    let correlation = HeaderValue::from_static("kjhu4kbhi4tjkbi4tx");
    response.headers_mut().insert("x-correlation-id", correlation);
    response
}

// The floating IPs are told apart by their addresses, which must not be among the others.
const _: () = assert!(FLOATING_IP.octets()[0] == 203 && FLOATING_IPV6.segments()[3] == 0x1017);
