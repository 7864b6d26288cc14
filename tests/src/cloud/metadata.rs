//! The metadata service: it knows who asks by the address from which it is asked.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    Shared,
    state::{Call, Endpoint, Fault},
};
use crate::{
    clock::{Moment, lock},
    network::{FLOATING_IP, Server},
};

pub(super) fn router(state: Shared) -> Router {
    Router::new().fallback(answer).with_state(state)
}

async fn answer(State(state): State<Shared>, ConnectInfo(from): ConnectInfo<SocketAddr>, request: Request) -> Response {
    let mut call = Call {
        endpoint: Endpoint::Metadata,
        request: format!("{} {}", request.method(), request.uri().path()),
        from: from.ip(),
        arrived: Moment::now(),
        answered: None,
    };
    let fault = lock(&state).next_fault(Endpoint::Metadata);
    let response = match fault {
        Some(Fault::Hang) => {
            lock(&state).calls.push(call);
            return std::future::pending().await;
        }
        Some(Fault::NotFound) => StatusCode::NOT_FOUND.into_response(),
        Some(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        None => known(&Arc::clone(&state), from.ip(), request.uri().path()).map_or_else(
            || (StatusCode::NOT_FOUND, "not found").into_response(),
            IntoResponse::into_response,
        ),
    };
    call.answered = Some((Moment::now(), response.status().as_u16()));
    lock(&state).calls.push(call);
    response
}

fn known(state: &Shared, from: IpAddr, path: &str) -> Option<String> {
    let server = Server::ALL.into_iter().find(|server| server.address() == from)?;
    let owns = lock(state).owner == Some(server);
    let answer = match path.strip_prefix("/metadata/v1/")? {
        "id" => server.droplet_id().to_string(),
        "hostname" => server.name().to_owned(),
        "region" => "nyc3".to_owned(),
        "interfaces/public/0/ipv4/address" => server.address().to_string(),
        "reserved_ip/ipv4/active" | "floating_ip/ipv4/active" => owns.to_string(),
        "reserved_ip/ipv4/ip_address" | "floating_ip/ipv4/ip_address" if owns => FLOATING_IP.to_string(),
        _ => return None,
    };
    Some(answer)
}
