//! Vultr's API, as far as a reserved IP goes: <https://www.vultr.com/api/#tag/reserved-ip>.
//!
//! It answers 204 and works on it afterwards; meanwhile an attached address cannot be attached elsewhere.

use std::net::IpAddr;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{Method, StatusCode, Uri},
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
    provider::Provider,
    state::Held,
};
use crate::clock::lock;

/// Reserved IPs of the account that come first in the list: more than fit a page that was not asked to be longer.
const OTHERS: usize = 110;
/// How names of pages begin: with what base64 has, and a query does not take as it is.
const CURSOR: &str = "bmV4dF9f+/";

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/v2/reserved-ips", get(list))
        .route("/v2/reserved-ips/{id}", get(read))
        .route("/v2/reserved-ips/{id}/attach", post(attach))
        .route("/v2/reserved-ips/{id}/detach", post(detach))
        .fallback(|| async { refuse(Refusal::NotFound) })
}

pub(super) fn endpoint(method: &Method, path: &str) -> Endpoint {
    match (method, words(path, "/v2/reserved-ips").as_slice()) {
        (&Method::POST, [_, "attach"]) => Endpoint::Assign,
        (&Method::POST, [_, "detach"]) => Endpoint::Detach,
        (&Method::GET, [_]) => Endpoint::Read,
        (&Method::GET, []) if path.starts_with("/v2/reserved-ips") => Endpoint::Find,
        _ => Endpoint::Unknown,
    }
}

async fn list(State(state): State<Shared>, uri: Uri) -> Response {
    let query = query(&uri);
    let per_page = parameter(&query, "per_page").map_or(Some(100), |text| text.parse().ok());
    let begin = match parameter(&query, "cursor").unwrap_or_default() {
        "" => Some(0),
        cursor => cursor.strip_prefix(CURSOR).and_then(|text| text.parse().ok()),
    };
    let (Some(per_page @ 1..=500), Some(begin)) = (per_page, begin) else {
        return error(StatusCode::BAD_REQUEST, "Invalid per_page or cursor");
    };
    let state = lock(&state);
    let all: Vec<Value> = (0..OTHERS).map(other).chain(state.held.iter().map(shown)).collect();
    let shown: Vec<&Value> = all.iter().skip(begin).take(per_page).collect();
    let end = begin + shown.len();
    let next = if end < all.len() {
        format!("{CURSOR}{end}")
    } else {
        String::new()
    };
    let meta = json!({ "total": all.len(), "links": { "next": next, "prev": "" } });
    Json(json!({ "reserved_ips": shown, "meta": meta })).into_response()
}

async fn read(State(state): State<Shared>, Path(id): Path<String>) -> Response {
    match lock(&state).held_as(&id).map(shown) {
        Some(address) => Json(json!({ "reserved_ip": address })).into_response(),
        None => refuse(Refusal::NotFound),
    }
}

/// The body of a request to attach.
#[derive(Deserialize)]
struct Wanted {
    instance_id: String,
}

async fn attach(
    State(state): State<Shared>,
    Extension(note): Extension<Note>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let Ok(wanted) = serde_json::from_slice::<Wanted>(&body) else {
        return error(StatusCode::BAD_REQUEST, "Unable to decode JSON");
    };
    let Some(server) = Provider::Vultr.known(&wanted.instance_id) else {
        return error(StatusCode::NOT_FOUND, "Invalid instance-id");
    };
    let Some(ip) = Provider::Vultr.address(&id) else {
        return refuse(Refusal::NotFound);
    };
    {
        let state = lock(&state);
        // Also while a detachment is being worked on.
        if state.is_moving(ip) || state.held(ip).is_some_and(|held| held.owner.is_some()) {
            return refuse(Refusal::PendingEvent);
        }
    }
    begin(&state, ip, Some(server), note)
}

async fn detach(State(state): State<Shared>, Extension(note): Extension<Note>, Path(id): Path<String>) -> Response {
    let Some(ip) = Provider::Vultr.address(&id) else {
        return refuse(Refusal::NotFound);
    };
    {
        let state = lock(&state);
        if state.is_moving(ip) {
            let message = "Unable to detach subnet, please restart your server from the control panel";
            return error(StatusCode::BAD_REQUEST, message);
        }
        if state.held(ip).is_some_and(|held| held.owner.is_none()) {
            return error(
                StatusCode::BAD_REQUEST,
                "Floating IPv4 address is not attached to a server",
            );
        }
    }
    begin(&state, ip, None, note)
}

fn begin(state: &Shared, ip: IpAddr, to: Option<Instance>, note: Note) -> Response {
    start(state, note.order(ip, to, "reserved_ip"), Truth::AtTheEnd);
    StatusCode::NO_CONTENT.into_response()
}

fn shown(held: &Held) -> Value {
    let instance = held.shown_owner().map(|server| Provider::Vultr.instance(server));
    let id = Provider::Vultr.address_id(held.ip);
    match held.ip {
        IpAddr::V4(ip) => address(id, "v4", &ip.to_string(), 32, instance),
        IpAddr::V6(_) => address(id, "v6", "2001:db8:f7:1017::", 64, instance),
    }
}

fn other(number: usize) -> Value {
    let id = format!("{number:08x}-0000-4000-8000-000000000000");
    address(&id, "v4", &format!("192.0.2.{}", 1 + number), 32, None)
}

fn address(id: &str, kind: &str, subnet: &str, size: u8, instance: Option<String>) -> Value {
    json!({
        "id": id,
        "region": "ewr",
        "ip_type": kind,
        "subnet": subnet,
        "subnet_size": size,
        "label": "Example Reserved IPv4",
        "instance_id": instance.unwrap_or_default(),
    })
}

pub(super) fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Unauthorized => error(StatusCode::UNAUTHORIZED, "Invalid API token."),
        Refusal::Forbidden => error(
            StatusCode::FORBIDDEN,
            "Your API key does not have the required permissions",
        ),
        Refusal::NotFound => error(StatusCode::NOT_FOUND, "Invalid reserved-ip."),
        Refusal::Unprocessable => error(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The reserved IP and the instance are in different regions",
        ),
        Refusal::PendingEvent => error(
            StatusCode::BAD_REQUEST,
            "Floating IPv4 address is already attached to another server",
        ),
        Refusal::TooManyRequests(_) => error(StatusCode::TOO_MANY_REQUESTS, "Rate limit hit - please try again later"),
        Refusal::ServerError => error(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
        Refusal::Unavailable => error(StatusCode::SERVICE_UNAVAILABLE, "Service is currently unavailable"),
    }
}

fn error(status: StatusCode, message: &str) -> Response {
    let body = json!({ "error": message, "status": status.as_u16() });
    (status, Json(body)).into_response()
}
