//! `DigitalOcean`'s API, as far as a reserved IP goes: <https://docs.digitalocean.com/reference/api/>.

use std::net::IpAddr;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Shared,
    fault::Endpoint,
    front::{Note, Refusal, words},
    instance::Instance,
    moving::{Truth, start},
    provider::Provider,
    state::{Held, Move},
};
use crate::{clock::lock, network::CLOUD_IP};

pub(super) fn router() -> Router<Shared> {
    let under = |path: &str, name: Name| {
        Router::new()
            .route(&format!("{path}/{{ip}}"), get(read))
            .route(&format!("{path}/{{ip}}/actions"), get(actions).post(act))
            .layer(Extension(name))
    };
    Router::new()
        .merge(under("/v2/reserved_ips", Name::Reserved))
        .merge(under("/v2/floating_ips", Name::Floating))
        .merge(under("/v2/reserved_ipv6", Name::ReservedV6))
        // Those of IPv6 addresses are only found under /v2/actions.
        .route("/v2/reserved_ips/{ip}/actions/{id}", get(action_of_address))
        .route("/v2/floating_ips/{ip}/actions/{id}", get(action_of_address))
        .route("/v2/actions/{id}", get(action))
        .fallback(|| async { refuse(Refusal::NotFound) })
}

pub(super) fn endpoint(method: &Method, path: &str) -> Endpoint {
    match (method, words(path, "/v2/").as_slice()) {
        (&Method::POST, [_, _, "actions"]) => Endpoint::Assign,
        (&Method::GET, [_, _, "actions"]) => Endpoint::Pending,
        (&Method::GET, [_, _, "actions", _] | ["actions", _]) => Endpoint::Action,
        (&Method::GET, ["reserved_ips" | "floating_ips" | "reserved_ipv6", _]) => Endpoint::Read,
        _ => Endpoint::Unknown,
    }
}

/// The names under which the API knows a reserved IP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Name {
    Reserved,
    Floating,
    ReservedV6,
}

impl Name {
    /// As in `resource_type` and as the key of an answer.
    fn key(self) -> &'static str {
        match self {
            Self::Reserved => "reserved_ip",
            Self::Floating => "floating_ip",
            Self::ReservedV6 => "reserved_ipv6",
        }
    }

    /// As in messages.
    fn words(self) -> &'static str {
        match self {
            Self::Reserved => "reserved IP",
            Self::Floating => "floating IP",
            Self::ReservedV6 => "reserved IPv6",
        }
    }

    fn known(self, ip: &str, state: &super::state::State) -> Option<IpAddr> {
        let ip: IpAddr = ip.parse().ok()?;
        let fits = ip.is_ipv6() == (self == Self::ReservedV6);
        state.held(ip).filter(|_| fits).map(|held| held.ip)
    }
}

/// The body of a request for an action.
#[derive(Deserialize)]
struct Wanted {
    #[serde(rename = "type")]
    kind: String,
    droplet_id: Option<u64>,
}

async fn act(
    State(state): State<Shared>,
    Extension(name): Extension<Name>,
    Extension(note): Extension<Note>,
    Path(ip): Path<String>,
    body: Bytes,
) -> Response {
    let Some(ip) = name.known(&ip, &lock(&state)) else {
        return refuse(Refusal::NotFound);
    };
    let Ok(wanted) = serde_json::from_slice::<Wanted>(&body) else {
        return error(StatusCode::BAD_REQUEST, "bad_request", "Invalid JSON in request body.");
    };
    let to = match (wanted.kind.as_str(), wanted.droplet_id) {
        ("assign", Some(id)) => match Provider::DigitalOcean.known(&id.to_string()) {
            Some(instance) => Some(instance),
            None => return refuse(Refusal::NotFound),
        },
        ("unassign", _) => None,
        _ => return unprocessable("You must specify a valid action type and, to assign, a droplet_id."),
    };
    if lock(&state).is_moving(ip) {
        return pending_event(name);
    }
    let accepted = start(&state, note.order(ip, to, name.key()), Truth::AtTheEnd);
    (StatusCode::CREATED, Json(json!({ "action": shown(&accepted) }))).into_response()
}

async fn action_of_address(State(state): State<Shared>, Path((ip, id)): Path<(String, u64)>) -> Response {
    let state = lock(&state);
    match state.moves.iter().find(|one| one.id == id) {
        Some(one) if one.ip.to_string() == ip => Json(json!({ "action": shown(one) })).into_response(),
        Some(_) | None => refuse(Refusal::NotFound),
    }
}

async fn action(State(state): State<Shared>, Path(id): Path<u64>) -> Response {
    match lock(&state).moves.iter().find(|one| one.id == id) {
        Some(one) => Json(json!({ "action": shown(one) })).into_response(),
        None => refuse(Refusal::NotFound),
    }
}

async fn actions(State(state): State<Shared>, Extension(name): Extension<Name>, Path(ip): Path<String>) -> Response {
    let state = lock(&state);
    let Some(ip) = name.known(&ip, &state).filter(|_| name != Name::ReservedV6) else {
        return refuse(Refusal::NotFound);
    };
    let of_address = state.moves.iter().rev().filter(|one| one.ip == ip);
    let actions: Vec<Value> = of_address.map(shown).collect();
    let total = actions.len();
    Json(json!({ "actions": actions, "links": {}, "meta": { "total": total } })).into_response()
}

async fn read(State(state): State<Shared>, Extension(name): Extension<Name>, Path(ip): Path<String>) -> Response {
    let state = lock(&state);
    let Some(held) = name.known(&ip, &state).and_then(|ip| state.held(ip)) else {
        return refuse(Refusal::NotFound);
    };
    match name {
        Name::Reserved | Name::Floating => {
            let answer = json!({
                "ip": held.ip,
                "droplet": held.shown_owner().map(droplet),
                "region": region(),
                "locked": state.is_moving(held.ip),
                "project_id": "746c6152-2fa2-11ed-92d3-27aaa54e4988",
            });
            Json(json!({ name.key(): answer })).into_response()
        }
        Name::ReservedV6 => Json(v6(held)).into_response(),
    }
}

/// Reserved IPv6 addresses are shown without a key around them, and the droplet only when there is one.
fn v6(held: &Held) -> Value {
    let mut answer = json!({
        "ip": held.ip,
        "region_slug": "nyc3",
        "reserved_at": "2024-11-20T11:08:30Z",
    });
    if let (Some(owner), Some(answer)) = (held.shown_owner(), answer.as_object_mut()) {
        answer.insert("droplet".to_owned(), droplet(owner));
    }
    answer
}

fn shown(one: &Move) -> Value {
    let status = match &one.end {
        None => "in-progress",
        Some(end) if end.completed => "completed",
        Some(_) => "errored",
    };
    json!({
        "id": one.id,
        "status": status,
        "type": if one.to.is_some() { "assign_ip" } else { "unassign_ip" },
        "started_at": one.started_at,
        "completed_at": one.end.as_ref().map(|end| &end.completed_at),
        "resource_id": 758_604_968,
        "resource_type": one.kind,
        "region": (one.kind != Name::ReservedV6.key()).then(region),
        "region_slug": "nyc3",
    })
}

fn droplet(instance: Instance) -> Value {
    json!({
        "id": Provider::DigitalOcean.number(instance),
        "name": instance.name(),
        "memory": 1024,
        "vcpus": 1,
        "disk": 25,
        "locked": false,
        "status": "active",
        "kernel": null,
        "features": ["backups", "private_networking", "ipv6"],
        "networks": {
            "v4": [{
                "ip_address": instance.address(),
                "netmask": "255.255.255.0",
                "gateway": CLOUD_IP,
                "type": "public",
            }],
            "v6": [],
        },
        "region": region(),
        "tags": ["web", "env:prod"],
        "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000",
    })
}

fn region() -> Value {
    json!({
        "name": "New York 3",
        "slug": "nyc3",
        "features": ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"],
        "available": true,
        "sizes": ["s-1vcpu-1gb", "s-1vcpu-2gb"],
    })
}

pub(super) fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Unauthorized => error(StatusCode::UNAUTHORIZED, "Unauthorized", "Unable to authenticate you"),
        Refusal::Forbidden => error(
            StatusCode::FORBIDDEN,
            "Forbidden",
            "You are not authorized to perform this operation",
        ),
        Refusal::NotFound => error(
            StatusCode::NOT_FOUND,
            "not_found",
            "The resource you requested could not be found.",
        ),
        Refusal::Unprocessable => unprocessable("The reserved IP and the Droplet must be in the same region."),
        Refusal::PendingEvent => pending_event(Name::Reserved),
        Refusal::TooManyRequests(seconds) => {
            let mut response = error(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "API Rate limit exceeded.",
            );
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
        Refusal::ServerError => error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "Unexpected server-side error",
        ),
        Refusal::Unavailable => error(
            StatusCode::SERVICE_UNAVAILABLE,
            "service_unavailable",
            "Server was unable to give you a response.",
        ),
    }
}

fn pending_event(name: Name) -> Response {
    unprocessable(&format!("The {} already has a pending event.", name.words()))
}

fn unprocessable(message: &str) -> Response {
    error(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable_entity", message)
}

fn error(status: StatusCode, id: &str, message: &str) -> Response {
    let body = json!({ "id": id, "message": message, "request_id": "4d9d8375-3c56-4925-a3e7-eb137fed17e9" });
    (status, Json(body)).into_response()
}
