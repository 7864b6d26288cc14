//! What is common to all calls, whichever the provider: they are recorded, slowed down, made to fail, and let in.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};

use super::{
    Shared, aws, digitalocean,
    door::Line,
    fault::{Endpoint, Fault, Gone},
    hetzner,
    instance::Instance,
    metadata,
    moving::Order,
    provider::Provider,
    state::Call,
    vultr,
};
use crate::clock::{Moment, lock, pass};

/// The most bytes of a request's body that are read.
const BODY: usize = 1 << 16;

/// A service behind this front.
#[derive(Clone, Debug)]
pub(super) struct Front {
    pub state: Shared,
    pub service: Kind,
}

/// Which of a cloud's services.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Api,
    Metadata,
}

/// What the front tells the service about a call, as an extension of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    /// Who asks.
    pub from: IpAddr,
    /// Whether the action comes to nothing.
    pub errs: bool,
    /// Whether the one who asks is taken for the other.
    pub mistaken: bool,
}

impl Note {
    /// What the call asks for: that an address, which the API calls by this kind, is given to an instance or to nobody.
    pub(super) fn order(self, ip: IpAddr, to: Option<Instance>, kind: &'static str) -> Order {
        Order {
            ip,
            to,
            by: self.from,
            kind,
            errs: self.errs,
        }
    }
}

/// An answer that is an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    Unauthorized,
    Forbidden,
    NotFound,
    Unprocessable,
    PendingEvent,
    /// Seconds.
    TooManyRequests(u32),
    ServerError,
    Unavailable,
}

impl Refusal {
    fn of(fault: Fault) -> Option<Self> {
        match fault {
            Fault::Unauthorized => Some(Self::Unauthorized),
            Fault::Forbidden => Some(Self::Forbidden),
            Fault::NotFound => Some(Self::NotFound),
            Fault::Unprocessable => Some(Self::Unprocessable),
            Fault::PendingEvent => Some(Self::PendingEvent),
            Fault::TooManyRequests(seconds) => Some(Self::TooManyRequests(seconds)),
            Fault::ServerError => Some(Self::ServerError),
            Fault::Unavailable => Some(Self::Unavailable),
            Fault::Hang
            | Fault::Reset
            | Fault::LostReply
            | Fault::Broken
            | Fault::Blocked
            | Fault::ActionErrs
            | Fault::OtherHost => None,
        }
    }
}

/// The layer around a service.
pub(super) async fn answer(
    State(front): State<Front>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
    next: Next,
) -> Response {
    let arrived = Moment::now();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (index, fault, slowness) = {
        let mut state = lock(&front.state);
        let endpoint = front.endpoint(state.provider, &parts, &body);
        // A move was accepted, so this is to see whether it came about.
        let verifies = endpoint == Endpoint::Read && !state.moves.is_empty();
        let endpoint = if verifies { Endpoint::Verify } else { endpoint };
        state.calls.push(call(endpoint, &parts, &body, &line, arrived));
        let fault = match state.gone {
            Some(Gone::Reset) => Some(Fault::Reset),
            Some(Gone::Silent) => Some(Fault::Hang),
            None => state.next_fault(endpoint),
        };
        state.missed += usize::from(state.gone.is_some());
        (state.calls.len() - 1, fault, state.slowness(endpoint))
    };
    pass(slowness).await;
    let response = front.respond(fault, parts, body, &line, next).await;
    if let Some(response) = &response
        && let Some(call) = lock(&front.state).calls.get_mut(index)
    {
        call.answered = Some((Moment::now(), response.status().as_u16()));
    }
    response.unwrap_or_else(|| {
        line.cut();
        StatusCode::IM_A_TEAPOT.into_response()
    })
}

impl Front {
    fn endpoint(&self, provider: Provider, parts: &Parts, body: &Bytes) -> Endpoint {
        let (method, path) = (&parts.method, parts.uri.path());
        match (self.service, provider) {
            (Kind::Metadata, _) => metadata::endpoint(path),
            (Kind::Api, Provider::DigitalOcean) => digitalocean::endpoint(method, path),
            (Kind::Api, Provider::Hetzner) => hetzner::endpoint(method, path),
            (Kind::Api, Provider::Vultr) => vultr::endpoint(method, path),
            (Kind::Api, Provider::Aws) => aws::endpoint(&aws::parameters(&parts.uri, body)),
        }
    }

    /// The answer, or none when the connection is to be reset in its place.
    async fn respond(
        &self,
        fault: Option<Fault>,
        parts: Parts,
        body: Bytes,
        line: &Line,
        next: Next,
    ) -> Option<Response> {
        if fault == Some(Fault::Hang) {
            return std::future::pending().await;
        }
        if fault == Some(Fault::Reset) {
            return None;
        }
        if fault == Some(Fault::Blocked) {
            return Some((StatusCode::FORBIDDEN, Html("<html>The request is blocked.</html>")).into_response());
        }
        let Some(refusal) = fault.and_then(Refusal::of) else {
            return self.serve(fault, parts, body, line, next).await;
        };
        let exhausted = matches!(refusal, Refusal::TooManyRequests(_));
        let refused = self.with_limits(self.refuse(refusal), exhausted);
        let is_indiscreet = lock(&self.state).indiscreet;
        Some(if is_indiscreet {
            repeating(refused, &parts.headers).await
        } else {
            refused
        })
    }

    async fn serve(
        &self,
        fault: Option<Fault>,
        parts: Parts,
        body: Bytes,
        line: &Line,
        next: Next,
    ) -> Option<Response> {
        if let Some(refused) = self.turned_away(&parts, &body) {
            return Some(refused);
        }
        let mut request = Request::from_parts(parts, Body::from(body));
        request.extensions_mut().insert(Note {
            from: line.from.ip(),
            errs: fault == Some(Fault::ActionErrs),
            mistaken: fault == Some(Fault::OtherHost),
        });
        let response = next.run(request).await;
        let response = self.with_limits(response, false);
        match fault {
            Some(Fault::LostReply) => None,
            Some(Fault::Broken) => Some(broken(response).await),
            Some(_) | None => Some(response),
        }
    }

    /// The answer for who does not have the token.
    fn turned_away(&self, parts: &Parts, body: &Bytes) -> Option<Response> {
        if self.service == Kind::Metadata {
            return None;
        }
        let (provider, token) = {
            let state = lock(&self.state);
            (state.provider, state.token.clone())
        };
        match provider {
            Provider::DigitalOcean | Provider::Hetzner | Provider::Vultr => {
                let refused = || self.with_limits(self.refuse(Refusal::Unauthorized), false);
                (!bears(&parts.headers, &token)).then(refused)
            }
            Provider::Aws => aws::turned_away(parts, body, &token),
        }
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        let provider = lock(&self.state).provider;
        match (self.service, provider) {
            (Kind::Metadata, _) => metadata::refuse(refusal),
            (Kind::Api, Provider::DigitalOcean) => digitalocean::refuse(refusal),
            (Kind::Api, Provider::Hetzner) => hetzner::refuse(refusal),
            (Kind::Api, Provider::Vultr) => vultr::refuse(refusal),
            (Kind::Api, Provider::Aws) => aws::refuse(refusal),
        }
    }

    /// The headers that tell how many requests are left, as each provider writes them.
    fn with_limits(&self, mut response: Response, exhausted: bool) -> Response {
        if self.service == Kind::Metadata {
            return response;
        }
        let (names, limit) = match lock(&self.state).provider {
            Provider::DigitalOcean => (["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"], 5000),
            Provider::Hetzner => (["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"], 3600),
            // Neither documents such headers.
            Provider::Vultr | Provider::Aws => return response,
        };
        let used = if exhausted {
            limit
        } else {
            lock(&self.state).calls.len()
        };
        let left = limit.saturating_sub(used);
        for (name, value) in names.into_iter().zip([limit, left, 2_000_000_000]) {
            if let Ok(name) = header::HeaderName::try_from(name) {
                response.headers_mut().insert(name, HeaderValue::from(value));
            }
        }
        response
    }
}

fn call(endpoint: Endpoint, parts: &Parts, body: &Bytes, line: &Line, arrived: Moment) -> Call {
    let headers = parts.headers.iter();
    Call {
        endpoint,
        request: format!("{} {}", parts.method, parts.uri.path()),
        query: parts.uri.query().map(str::to_owned),
        headers: headers
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.as_str().to_owned(), value.into_owned())
            })
            .collect(),
        body: String::from_utf8_lossy(body).into_owned(),
        from: line.from.ip(),
        connection: line.id,
        secure: line.secure,
        arrived,
        answered: None,
    }
}

fn bears(headers: &HeaderMap, token: &str) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value.as_bytes() == format!("Bearer {token}").as_bytes())
}

/// The answer's first half, or what a proxy in the way would show in place of a text.
async fn broken(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let is_text = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = match (body.is_empty(), is_text) {
        (true, _) => body,
        (false, true) => Bytes::from_static(b"<html><head><title>Please log in</title></head></html>\n"),
        (false, false) => body.slice(..body.len() / 2),
    };
    Response::from_parts(parts, Body::from(body))
}

/// A refusal whose message begins with what the caller authorised itself with.
async fn repeating(response: Response, headers: &HeaderMap) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut text = String::from_utf8_lossy(&body).into_owned();
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let authorization = String::from_utf8_lossy(authorization.unwrap_or_default());
    for message in ["\"message\":\"", "\"error\":\"", "<Message>"] {
        text = text.replace(message, &format!("{message}{authorization}: "));
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(text))
}

/// A query's parameters, decoded.
pub(super) fn query(uri: &Uri) -> Vec<(String, String)> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.into_owned().collect()
}

/// The value of a query's parameter.
pub(super) fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = parameters.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// A path's words after a prefix.
pub(super) fn words<'a>(path: &'a str, prefix: &str) -> Vec<&'a str> {
    path.strip_prefix(prefix).map_or_else(Vec::new, |rest| {
        rest.split('/').filter(|word| !word.is_empty()).collect()
    })
}

/// A service's router inside the front.
pub(super) fn behind(front: Front, router: axum::Router<Shared>) -> axum::Router {
    let state = Arc::clone(&front.state);
    router
        .layer(axum::middleware::from_fn_with_state(front, answer))
        .with_state(state)
}
