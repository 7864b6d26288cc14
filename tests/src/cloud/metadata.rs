//! The metadata services: each knows who asks by the address from which it is asked.

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    Shared,
    aws::{REGION, ROLE_ACCESS_KEY, SESSION},
    fault::Endpoint,
    front::{Note, Refusal},
    provider::{FLOATING_IPV6, Provider},
    state::State as Known,
};
use crate::{
    clock::{lock, utc_timestamp, utc_timestamp_after},
    network::{FLOATING_IP, Server},
};

/// The role whose credentials an EC2 instance has.
const ROLE: &str = "failover";
/// The token of the second version of EC2's service.
const SESSION_TOKEN: &str = "AQAEALH-k7i18JMkK-ORLZQfAa7nkNjQbKwpQPExNHqzk1oL_7eh-A==";
/// The longest that such a token may be good for, in seconds.
const LONGEST: u32 = 21_600;

pub(super) fn router() -> Router<Shared> {
    Router::new().fallback(answer)
}

pub(super) fn endpoint(path: &str) -> Endpoint {
    if path.ends_with("/active") || path.contains("/network/interfaces/macs") {
        Endpoint::Active
    } else if path.contains("/iam/security-credentials") {
        Endpoint::Credentials
    } else {
        Endpoint::Metadata
    }
}

async fn answer(State(state): State<Shared>, Extension(note): Extension<Note>, request: Request) -> Response {
    let state = lock(&state);
    let by_address = Server::ALL.into_iter().find(|server| server.address() == note.from);
    let Some(asker) = state.asker.or(by_address) else {
        return refuse(Refusal::NotFound);
    };
    let asker = if note.mistaken { asker.other() } else { asker };
    let (method, path) = (request.method(), request.uri().path());
    let text = match state.provider {
        Provider::DigitalOcean => digitalocean(&state, asker, path),
        Provider::Hetzner => hetzner(asker, path),
        Provider::Vultr => return vultr(asker, path),
        Provider::Aws => return imds(&state, asker, method, path, request.headers()),
    };
    text.filter(|_| method == Method::GET)
        .map_or_else(|| refuse(Refusal::NotFound), IntoResponse::into_response)
}

fn digitalocean(state: &Known, asker: Server, path: &str) -> Option<String> {
    let owns = |ip| {
        state
            .held(ip)
            .is_some_and(|held| held.shown_owner() == Some(asker.into()))
    };
    let (v4, v6) = (owns(FLOATING_IP.into()), owns(FLOATING_IPV6.into()));
    let answer = match path.strip_prefix("/metadata/v1/")? {
        "id" => asker.droplet_id().to_string(),
        "hostname" => asker.name().to_owned(),
        "region" => "nyc3".to_owned(),
        "interfaces/public/0/ipv4/address" => asker.address().to_string(),
        "reserved_ip/ipv4/active" | "floating_ip/ipv4/active" => v4.to_string(),
        "reserved_ip/ipv6/active" => v6.to_string(),
        "reserved_ip/ipv4/ip_address" | "floating_ip/ipv4/ip_address" if v4 => FLOATING_IP.to_string(),
        "reserved_ip/ipv6/ip_address" if v6 => FLOATING_IPV6.to_string(),
        _ => return None,
    };
    Some(answer)
}

fn hetzner(asker: Server, path: &str) -> Option<String> {
    let answer = match path.strip_prefix("/hetzner/v1/metadata/")? {
        "instance-id" => Provider::Hetzner.instance(asker),
        "hostname" => asker.name().to_owned(),
        "region" => "eu-central".to_owned(),
        "availability-zone" => "fsn1-dc14".to_owned(),
        "public-ipv4" => asker.address().to_string(),
        _ => return None,
    };
    Some(answer)
}

fn vultr(asker: Server, path: &str) -> Response {
    let instance = Provider::Vultr.instance(asker);
    match path {
        "/v1.json" => Json(json!({
            "bgp": { "ipv4": { "my-address": "", "my-asn": "", "peer-address": "", "peer-asn": "" } },
            "hostname": asker.name(),
            "instance-v2-id": instance,
            "instanceid": "42872224",
            "interfaces": [{
                "ipv4": {
                    "additional": [],
                    "address": asker.address(),
                    "gateway": crate::network::CLOUD_IP,
                    "netmask": "255.255.255.0",
                },
                "mac": "56:00:03:1b:4e:ca",
                "network-type": "public",
            }],
            "public-keys": [],
            "region": { "countrycode": "US", "regioncode": "EWR" },
            "user-defined": [],
        }))
        .into_response(),
        "/v1/instance-v2-id" => instance.into_response(),
        "/v1/hostname" => asker.name().into_response(),
        _ => refuse(Refusal::NotFound),
    }
}

/// EC2's, the second version: a token first, and nothing without it.
fn imds(state: &Known, asker: Server, method: &Method, path: &str, headers: &HeaderMap) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if path == "/latest/api/token" {
        let ttl = header("x-aws-ec2-metadata-token-ttl-seconds").and_then(|text| text.parse().ok());
        return match (method, ttl) {
            (&Method::PUT, Some(ttl @ 1..=LONGEST)) => {
                let ttl: u32 = ttl;
                (
                    [("x-aws-ec2-metadata-token-ttl-seconds", ttl.to_string())],
                    SESSION_TOKEN,
                )
                    .into_response()
            }
            (&Method::PUT, Some(_) | None) => StatusCode::BAD_REQUEST.into_response(),
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        };
    }
    if header("x-aws-ec2-metadata-token") != Some(SESSION_TOKEN) {
        return refuse(Refusal::Unauthorized);
    }
    let text = match path.strip_prefix("/latest/").unwrap_or_default() {
        "meta-data/instance-id" => Provider::Aws.instance(asker),
        "meta-data/hostname" | "meta-data/local-hostname" => asker.name().to_owned(),
        "meta-data/placement/region" => REGION.to_owned(),
        "meta-data/local-ipv4" => asker.address().to_string(),
        "meta-data/public-ipv4" => match state.held(FLOATING_IP.into()) {
            Some(held) if held.shown_owner() == Some(asker.into()) => FLOATING_IP.to_string(),
            Some(_) | None => return refuse(Refusal::NotFound),
        },
        "meta-data/network/interfaces/macs/" | "meta-data/network/interfaces/macs" => format!("{}/", mac(asker)),
        "meta-data/iam/security-credentials/" | "meta-data/iam/security-credentials" => ROLE.to_owned(),
        "meta-data/iam/security-credentials/failover" => return credentials(state),
        "dynamic/instance-identity/document" => {
            return Json(json!({
                "accountId": "053230519467",
                "availabilityZone": format!("{REGION}a"),
                "instanceId": Provider::Aws.instance(asker),
                "privateIp": asker.address(),
                "region": REGION,
                "version": "2017-09-30",
            }))
            .into_response();
        }
        path => match association(state, asker, path) {
            Some(private) => private,
            None => return refuse(Refusal::NotFound),
        },
    };
    text.into_response()
}

/// The private address that goes with a public one of an interface.
fn association(state: &Known, asker: Server, path: &str) -> Option<String> {
    let interface = format!("meta-data/network/interfaces/macs/{}/ipv4-associations/", mac(asker));
    let ip = path.strip_prefix(&interface)?;
    let held = state.held(ip.parse().ok()?)?;
    (held.shown_owner() == Some(asker.into())).then(|| asker.address().to_string())
}

fn mac(server: Server) -> String {
    let bytes = server.mac().map(|byte| format!("{byte:02x}"));
    bytes.join(":")
}

fn credentials(state: &Known) -> Response {
    let body = json!({
        "Code": "Success",
        "LastUpdated": utc_timestamp(),
        "Type": "AWS-HMAC",
        "AccessKeyId": ROLE_ACCESS_KEY,
        "SecretAccessKey": state.token,
        "Token": SESSION,
        "Expiration": utc_timestamp_after(state.credentials_last),
    });
    // The service calls it plain text.
    ([(header::CONTENT_TYPE, "text/plain")], body.to_string()).into_response()
}

pub(super) fn refuse(refusal: Refusal) -> Response {
    let status = match refusal {
        Refusal::Unauthorized => StatusCode::UNAUTHORIZED,
        Refusal::Forbidden => StatusCode::FORBIDDEN,
        Refusal::NotFound => return (StatusCode::NOT_FOUND, "not found").into_response(),
        Refusal::Unprocessable | Refusal::PendingEvent => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
        Refusal::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    status.into_response()
}
