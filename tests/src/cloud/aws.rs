//! EC2's Query API, as far as an Elastic IP goes:
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssociateAddress.html>.

mod sigv4;

use std::fmt::Write as _;

use axum::{
    Extension, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
    routing::post,
};

use self::sigv4::{Asked, Key};
use super::{
    Shared,
    fault::Endpoint,
    front::{Note, Refusal, parameter, query},
    instance::Instance,
    moving::{Truth, start},
    provider::Provider,
    state::{Held, State as Known},
};
use crate::{
    clock::{lock, time_of_day},
    network::{FLOATING_IP, Server},
};

/// The region that signatures have to be for.
pub const REGION: &str = "eu-central-1";
/// The id of the key that lasts; its secret is the cloud's token.
pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// The id of the role's key, which goes with [`SESSION`].
pub(super) const ROLE_ACCESS_KEY: &str = "ASIAIOSFODNN7EXAMPLE";
/// The role's session token.
pub(super) const SESSION: &str = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaDGV1LWNlbnRyYWwtMSJHMEUCIQ==";

/// What all requests and answers name.
const VERSION: &str = "2016-11-15";
const ALLOCATION: &str = "eipalloc-64d5890a";
const ASSOCIATION: &str = "eipassoc-2bebb745";

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/", post(act).get(act))
        .fallback(|| async { refuse(Refusal::NotFound) })
}

pub(super) fn endpoint(parameters: &[(String, String)]) -> Endpoint {
    let dry = parameter(parameters, "DryRun") == Some("true");
    match parameter(parameters, "Action") {
        Some("AssociateAddress") if dry => Endpoint::Find,
        Some("AssociateAddress") => Endpoint::Assign,
        Some("DisassociateAddress") => Endpoint::Detach,
        Some("DescribeAddresses") => Endpoint::Read,
        Some("DescribeInstances") => Endpoint::Find,
        Some(_) | None => Endpoint::Unknown,
    }
}

/// The parameters of the query and of the form.
pub(super) fn parameters(uri: &Uri, body: &Bytes) -> Vec<(String, String)> {
    let mut parameters = query(uri);
    parameters.extend(form_urlencoded::parse(body).into_owned());
    parameters
}

/// Refuses who has not signed with a key that is known.
pub(super) fn turned_away(parts: &Parts, body: &Bytes, secret: &str) -> Option<Response> {
    let asked = Asked {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: &query(&parts.uri),
        headers: &parts.headers,
        body,
    };
    let keys = |id: &str| {
        let session = match id {
            ACCESS_KEY => None,
            ROLE_ACCESS_KEY => Some(SESSION),
            _ => return None,
        };
        Some(Key { secret, session })
    };
    let now = time_of_day().as_secs();
    let wrong = sigv4::verify(&asked, [REGION, "ec2"], now, keys).err()?;
    Some(error(wrong.status, wrong.code, &wrong.message))
}

async fn act(State(state): State<Shared>, Extension(note): Extension<Note>, uri: Uri, body: Bytes) -> Response {
    let parameters = parameters(&uri, &body);
    if parameter(&parameters, "Version") != Some(VERSION) {
        let message = "The API version is missing or not supported";
        return error(StatusCode::BAD_REQUEST, "NoSuchVersion", message);
    }
    match parameter(&parameters, "Action") {
        Some("DescribeAddresses") => describe_addresses(&lock(&state), &parameters),
        Some("AssociateAddress") => associate(&state, &parameters, note),
        Some("DescribeInstances") => describe_instances(&parameters),
        action => {
            let action = action.unwrap_or_default();
            let message = format!("The action {action} is not valid for this web service.");
            error(StatusCode::BAD_REQUEST, "InvalidAction", &message)
        }
    }
}

fn describe_addresses(state: &Known, parameters: &[(String, String)]) -> Response {
    let ip = FLOATING_IP.to_string();
    let wanted = |name: &str, ours: &str| parameter(parameters, name).is_none_or(|value| value == ours);
    if !wanted("PublicIp.1", &ip) {
        let message = format!(
            "Address '{}' not found.",
            parameter(parameters, "PublicIp.1").unwrap_or_default()
        );
        return error(StatusCode::BAD_REQUEST, "InvalidAddress.NotFound", &message);
    }
    if !wanted("AllocationId.1", ALLOCATION) {
        return unknown_allocation(parameter(parameters, "AllocationId.1"));
    }
    let filtered = match parameter(parameters, "Filter.1.Name") {
        None => true,
        Some("public-ip") => wanted("Filter.1.Value.1", &ip),
        Some("allocation-id") => wanted("Filter.1.Value.1", ALLOCATION),
        Some(name) => {
            let message = format!("The filter '{name}' is invalid");
            return error(StatusCode::BAD_REQUEST, "InvalidParameterValue", &message);
        }
    };
    let items = match state.held(FLOATING_IP.into()) {
        Some(held) if filtered => item(held),
        Some(_) | None => String::new(),
    };
    answer("DescribeAddresses", &format!("<addressesSet>{items}</addressesSet>"))
}

fn item(held: &Held) -> String {
    let association = held.shown_owner().map_or_else(String::new, |instance| {
        format!(
            "<instanceId>{}</instanceId><associationId>{ASSOCIATION}</associationId>\
             <networkInterfaceId>{}</networkInterfaceId><networkInterfaceOwnerId>053230519467</networkInterfaceOwnerId>\
             <privateIpAddress>{}</privateIpAddress>",
            Provider::Aws.instance(instance),
            interface(instance),
            instance.address(),
        )
    });
    format!(
        "<item><publicIp>{}</publicIp><allocationId>{ALLOCATION}</allocationId><domain>vpc</domain>{association}\
         <publicIpv4Pool>amazon</publicIpv4Pool><networkBorderGroup>{REGION}</networkBorderGroup></item>",
        held.ip
    )
}

fn associate(state: &Shared, parameters: &[(String, String)], note: Note) -> Response {
    if parameter(parameters, "AllocationId") != Some(ALLOCATION) {
        return unknown_allocation(parameter(parameters, "AllocationId"));
    }
    let by_instance = parameter(parameters, "InstanceId").map(|id| Provider::Aws.known(id));
    let by_interface = parameter(parameters, "NetworkInterfaceId")
        .map(|id| Instance::ALL.into_iter().find(|instance| interface(*instance) == id));
    let to = match (by_instance, by_interface) {
        (Some(Some(server)), None) | (None, Some(Some(server))) => server,
        (Some(None), _) => {
            let id = parameter(parameters, "InstanceId").unwrap_or_default();
            let message = format!("The instance ID '{id}' does not exist");
            return error(StatusCode::BAD_REQUEST, "InvalidInstanceID.NotFound", &message);
        }
        (_, Some(None)) => {
            let message = "The networkInterface ID does not exist";
            return error(StatusCode::BAD_REQUEST, "InvalidNetworkInterfaceID.NotFound", message);
        }
        (None, None) | (Some(Some(_)), Some(Some(_))) => {
            let message = "Either 'InstanceId' or 'NetworkInterfaceId' should be provided";
            return error(StatusCode::BAD_REQUEST, "MissingParameter", message);
        }
    };
    let owner = lock(state).held(FLOATING_IP.into()).and_then(|held| held.owner);
    let may_take = parameter(parameters, "AllowReassociation") != Some("false");
    if owner.is_some_and(|owner| owner != to) && !may_take {
        let message = format!("resource {ALLOCATION} is already associated with associate-id {ASSOCIATION}");
        return error(StatusCode::BAD_REQUEST, "Resource.AlreadyAssociated", &message);
    }
    if parameter(parameters, "DryRun") == Some("true") {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return error(StatusCode::PRECONDITION_FAILED, "DryRunOperation", message);
    }
    if owner != Some(to) {
        let order = note.order(FLOATING_IP.into(), Some(to), "address");
        start(state, order, Truth::AtOnce);
    }
    answer(
        "AssociateAddress",
        &format!("<return>true</return><associationId>{ASSOCIATION}</associationId>"),
    )
}

fn describe_instances(parameters: &[(String, String)]) -> Response {
    let wanted = parameter(parameters, "InstanceId.1");
    let instances = Instance::ALL.into_iter();
    let instances: Vec<Instance> = instances
        .filter(|instance| wanted.is_none_or(|id| Provider::Aws.instance(*instance) == id))
        .collect();
    if instances.is_empty() {
        let message = format!("The instance ID '{}' does not exist", wanted.unwrap_or_default());
        return error(StatusCode::BAD_REQUEST, "InvalidInstanceID.NotFound", &message);
    }
    let mut items = String::new();
    for instance in instances {
        let _ = write!(
            items,
            "<item><reservationId>r-1234567890abcdef0</reservationId><ownerId>053230519467</ownerId><groupSet/>\
             <instancesSet><item><instanceId>{}</instanceId><imageId>ami-bff32ccc</imageId>\
             <instanceState><code>16</code><name>running</name></instanceState>\
             <privateIpAddress>{}</privateIpAddress></item></instancesSet></item>",
            Provider::Aws.instance(instance),
            instance.address(),
        );
    }
    answer(
        "DescribeInstances",
        &format!("<reservationSet>{items}</reservationSet>"),
    )
}

fn interface(instance: Instance) -> &'static str {
    match instance {
        Instance::Of(Server::Primary) => "eni-ef229886",
        Instance::Of(Server::Secondary) => "eni-0a1b2c3d",
        Instance::Stranger => "eni-5d6e7f80",
    }
}

fn unknown_allocation(id: Option<&str>) -> Response {
    match id {
        None => error(
            StatusCode::BAD_REQUEST,
            "MissingParameter",
            "Either public IP or allocation id must be specified",
        ),
        Some(id) => {
            let message = format!("The allocation ID '{id}' does not exist");
            error(StatusCode::BAD_REQUEST, "InvalidAllocationID.NotFound", &message)
        }
    }
}

fn answer(action: &str, inside: &str) -> Response {
    xml(
        StatusCode::OK,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <{action}Response xmlns=\"http://ec2.amazonaws.com/doc/{VERSION}/\">\
             <requestId>f7de5e98-491a-4c19-a92d-908d6EXAMPLE</requestId>{inside}</{action}Response>"
        ),
    )
}

pub(super) fn refuse(refusal: Refusal) -> Response {
    let (status, code, message) = match refusal {
        Refusal::Unauthorized => (
            StatusCode::UNAUTHORIZED,
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
        ),
        Refusal::Forbidden => (
            StatusCode::FORBIDDEN,
            "UnauthorizedOperation",
            "You are not authorized to perform this operation.",
        ),
        Refusal::NotFound => return unknown_allocation(Some(ALLOCATION)),
        Refusal::Unprocessable => (
            StatusCode::BAD_REQUEST,
            "InvalidParameterCombination",
            "The address and the instance are in different network border groups",
        ),
        Refusal::PendingEvent => (
            StatusCode::BAD_REQUEST,
            "IncorrectInstanceState",
            "The instance is not in a valid state for this operation: it is being changed",
        ),
        Refusal::TooManyRequests(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "RequestLimitExceeded",
            "Request limit exceeded.",
        ),
        Refusal::ServerError => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "An internal error has occurred",
        ),
        Refusal::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Unavailable",
            "The server is overloaded and can't handle the request.",
        ),
    };
    error(status, code, message)
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    xml(
        status,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
             <RequestID>ea966190-f9aa-478e-9ede-example</RequestID></Response>"
        ),
    )
}

fn xml(status: StatusCode, body: String) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml;charset=UTF-8"));
    let request = HeaderValue::from_static("f7de5e98-491a-4c19-a92d-908d6EXAMPLE");
    headers.insert("x-amzn-requestid", request);
    (status, headers, body).into_response()
}
