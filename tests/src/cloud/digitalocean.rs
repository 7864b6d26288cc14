//! `DigitalOcean`'s API, as far as a floating IP goes: <https://docs.digitalocean.com/reference/api/>.

use std::{net::IpAddr, net::SocketAddr, sync::Arc};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{ConnectInfo, Path, Request},
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Shared, route,
    state::{Call, Endpoint, Fault, Move, Name},
};
use crate::{
    clock::{Moment, lock, pass},
    network::{FLOATING_IP, Server},
};

/// Requests an hour that a token may make.
const RATE_LIMIT: usize = 5000;

pub(super) fn router(state: Shared) -> Router {
    let under = |path: &str, name: Name| {
        Router::new()
            .route(&format!("{path}/{{ip}}"), get(read))
            .route(&format!("{path}/{{ip}}/actions"), post(act))
            .route(&format!("{path}/{{ip}}/actions/{{id}}"), get(action))
            .layer(Extension(name))
    };
    Router::new()
        .merge(under("/v2/reserved_ips", Name::Reserved))
        .merge(under("/v2/floating_ips", Name::Floating))
        .fallback(|| async { not_found() })
        .layer(middleware::from_fn_with_state(Arc::clone(&state), answer))
        .with_state(state)
}

/// What is common to all calls: the token, the limit's headers, the faults, the record.
async fn answer(
    axum::extract::State(state): axum::extract::State<Shared>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let arrived = Moment::now();
    let endpoint = endpoint(request.method(), request.uri().path());
    let mut call = Call {
        endpoint,
        request: format!("{} {}", request.method(), request.uri().path()),
        from: from.ip(),
        arrived,
        answered: None,
    };
    let (fault, authorized) = {
        let mut state = lock(&state);
        (state.next_fault(endpoint), authorized(request.headers(), &state.token))
    };
    let mut response = match fault {
        Some(Fault::Hang) => {
            lock(&state).calls.push(call);
            return std::future::pending().await;
        }
        Some(fault) if fault != Fault::ActionErrs => failure(fault),
        Some(_) | None if !authorized => failure(Fault::Unauthorized),
        fault => {
            request.extensions_mut().insert(Outcome { errs: fault.is_some() });
            next.run(request).await
        }
    };
    let mut state = lock(&state);
    let remaining = RATE_LIMIT.saturating_sub(state.calls.len() + 1);
    let limits = [
        ("ratelimit-limit", RATE_LIMIT),
        ("ratelimit-remaining", remaining),
        ("ratelimit-reset", 2_000_000_000),
    ];
    for (name, value) in limits {
        response
            .headers_mut()
            .entry(HeaderName::from_static(name))
            .or_insert(value.into());
    }
    call.answered = Some((Moment::now(), response.status().as_u16()));
    state.calls.push(call);
    response
}

/// What is to become of an action.
#[derive(Clone, Copy)]
struct Outcome {
    errs: bool,
}

fn endpoint(method: &Method, path: &str) -> Endpoint {
    let mut words = path.trim_start_matches('/').split('/').skip(3);
    match (method, words.next(), words.next()) {
        (&Method::POST, Some("actions"), None) => Endpoint::Assign,
        (&Method::GET, Some("actions"), Some(_)) => Endpoint::Action,
        (&Method::GET, None, None) => Endpoint::Read,
        _ => Endpoint::Unknown,
    }
}

fn authorized(headers: &HeaderMap, token: &str) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value.as_bytes() == format!("Bearer {token}").as_bytes())
}

/// The body of a request for an action.
#[derive(Deserialize)]
struct Wanted {
    #[serde(rename = "type")]
    kind: String,
    droplet_id: Option<u64>,
}

async fn act(
    axum::extract::State(state): axum::extract::State<Shared>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Extension(name): Extension<Name>,
    Extension(outcome): Extension<Outcome>,
    Path(ip): Path<String>,
    body: Bytes,
) -> Response {
    if ip != FLOATING_IP.to_string() {
        return not_found();
    }
    let Ok(wanted) = serde_json::from_slice::<Wanted>(&body) else {
        return error(StatusCode::BAD_REQUEST, "bad_request", "Invalid JSON in request body.");
    };
    let to = match (wanted.kind.as_str(), wanted.droplet_id) {
        ("assign", Some(id)) => match Server::ALL.into_iter().find(|server| server.droplet_id() == id) {
            Some(server) => Some(server),
            None => return not_found(),
        },
        ("unassign", _) => None,
        _ => return unprocessable("You must specify a valid action type and, to assign, a droplet_id."),
    };
    start(&state, to, from.ip(), name, outcome)
}

/// Accepts a move, and sees to it that it happens.
fn start(state: &Shared, to: Option<Server>, by: IpAddr, name: Name, outcome: Outcome) -> Response {
    let (accepted, time) = {
        let mut state = lock(state);
        if state.moves.iter().any(Move::is_under_way) {
            return pending_event(name);
        }
        (state.accept(to, by, name), state.action_time)
    };
    let state = Arc::clone(state);
    tokio::spawn(async move {
        pass(time).await;
        let moved = !outcome.errs
            && route(to)
                .inspect_err(|error| eprintln!("the cloud's router: {error:#}"))
                .is_ok();
        lock(&state).end(accepted.id, moved);
    });
    (StatusCode::CREATED, Json(json!({ "action": shown(&accepted) }))).into_response()
}

async fn action(
    axum::extract::State(state): axum::extract::State<Shared>,
    Path((ip, id)): Path<(String, u64)>,
) -> Response {
    match lock(&state).moves.iter().find(|one| one.id == id) {
        Some(one) if ip == FLOATING_IP.to_string() => Json(json!({ "action": shown(one) })).into_response(),
        Some(_) | None => not_found(),
    }
}

async fn read(
    axum::extract::State(state): axum::extract::State<Shared>,
    Extension(name): Extension<Name>,
    Path(ip): Path<String>,
) -> Response {
    if ip != FLOATING_IP.to_string() {
        return not_found();
    }
    let state = lock(&state);
    let answer = json!({
        "ip": ip,
        "droplet": state.owner.map(droplet),
        "region": region(),
        "locked": state.moves.iter().any(Move::is_under_way),
        "project_id": "746c6152-2fa2-11ed-92d3-27aaa54e4988",
    });
    Json(json!({ name.key(): answer })).into_response()
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
        "resource_id": u32::from(FLOATING_IP),
        "resource_type": one.ipv4.key(),
        "region": region(),
        "region_slug": "nyc3",
    })
}

fn droplet(server: Server) -> Value {
    json!({
        "id": server.droplet_id(),
        "name": server.name(),
        "status": "active",
        "locked": false,
        "networks": {
            "v4": [{
                "ip_address": server.address(),
                "netmask": "255.255.255.0",
                "gateway": crate::network::CLOUD_IP,
                "type": "public",
            }],
            "v6": [],
        },
        "region": region(),
    })
}

fn region() -> Value {
    json!({
        "name": "New York 3",
        "slug": "nyc3",
        "features": ["metadata"],
        "available": true,
        "sizes": ["s-1vcpu-1gb"],
    })
}

fn failure(fault: Fault) -> Response {
    match fault {
        Fault::Unauthorized => error(StatusCode::UNAUTHORIZED, "Unauthorized", "Unable to authenticate you"),
        Fault::Forbidden => error(
            StatusCode::FORBIDDEN,
            "Forbidden",
            "You are not authorized to perform this operation",
        ),
        Fault::NotFound => not_found(),
        Fault::PendingEvent => pending_event(Name::Reserved),
        Fault::TooManyRequests(seconds) => {
            let mut response = error(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "API Rate limit exceeded.",
            );
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
                .headers_mut()
                .insert(HeaderName::from_static("ratelimit-remaining"), 0.into());
            response
        }
        Fault::ServerError | Fault::Hang | Fault::ActionErrs => error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "Unexpected server-side error",
        ),
    }
}

fn pending_event(name: Name) -> Response {
    unprocessable(&format!("The {} already has a pending event.", name.words()))
}

fn unprocessable(message: &str) -> Response {
    error(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable_entity", message)
}

fn not_found() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "not_found",
        "The resource you requested could not be found.",
    )
}

fn error(status: StatusCode, id: &str, message: &str) -> Response {
    let body = json!({ "id": id, "message": message, "request_id": "4d9d8375-3c56-4925-a3e7-eb137fed17e9" });
    (status, Json(body)).into_response()
}
