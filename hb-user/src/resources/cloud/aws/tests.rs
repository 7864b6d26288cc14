use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::config::{CloudKind, SecretSource};
use crate::resources::cloud::MoveError;
use crate::resources::cloud::testing::{
    Asked, Fault, Said, Server, TOKEN, a_fixed_id_is_held_against_metadata, floating_ip, of, settings, take_over,
};

const IP: &str = "203.0.113.41";
const ALLOCATION: &str = "eipalloc-08229861";
const OURS: &str = "i-0598c7d356eba48d7";
const THEIRS: &str = "i-0000000000000000a";

struct State {
    owner: String,
    /// What the metadata service takes.
    metadata_token: String,
    log: Vec<String>,
}

type Shared = Arc<Mutex<State>>;

async fn cloud() -> (Server, Shared) {
    let state = Arc::new(Mutex::new(State {
        owner: THEIRS.to_owned(),
        metadata_token: "AQAEA-1".to_owned(),
        log: Vec::new(),
    }));
    let shared = state.clone();
    let server = Server::start(move |asked| answer(&mut state.lock().expect("alone"), asked)).await;
    (server, shared)
}

fn answer(state: &mut State, asked: &Asked) -> Said {
    if let Some(path) = asked.line.strip_prefix("GET /latest/meta-data/") {
        assert_eq!(asked.header("authorization"), "");
        if asked.header("x-aws-ec2-metadata-token") != state.metadata_token {
            return Said::new(401, "");
        }
        return metadata(state, path);
    }
    if asked.line == "PUT /latest/api/token" {
        assert_eq!(asked.header("x-aws-ec2-metadata-token-ttl-seconds"), "21600");
        return Said::new(200, &state.metadata_token);
    }
    assert_eq!(asked.line, "POST /");
    let authorization = asked.header("authorization");
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 Credential="),
        "{authorization}"
    );
    assert!(
        authorization.contains("/us-east-1/ec2/aws4_request,"),
        "{authorization}"
    );
    assert_eq!(
        asked.header("content-type"),
        "application/x-www-form-urlencoded; charset=utf-8"
    );
    state.log.push(asked.body.clone());
    let steals = asked.body.contains("&AllowReassociation=true");
    match asked.body.as_str() {
        "Action=DescribeAddresses&Version=2016-11-15&PublicIp.1=203.0.113.41"
        | "Action=DescribeAddresses&Version=2016-11-15&AllocationId.1=eipalloc-08229861" => described(&state.owner),
        body if body.starts_with("Action=AssociateAddress&") && body.ends_with("&DryRun=true") => refusal(
            412,
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        ),
        body if body.starts_with("Action=AssociateAddress&") => {
            assert!(
                body.contains(&format!("&AllocationId={ALLOCATION}&InstanceId={OURS}&")),
                "{body}"
            );
            if !steals && !state.owner.is_empty() && state.owner != OURS {
                return refusal(400, "Resource.AlreadyAssociated", "resource is already associated");
            }
            OURS.clone_into(&mut state.owner);
            let body = "<AssociateAddressResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
                        <requestId>59dbff89</requestId><return>true</return>\
                        <associationId>eipassoc-fc5ca095</associationId></AssociateAddressResponse>";
            Said::new(200, body)
        }
        _ => refusal(400, "InvalidAddress.NotFound", "Address not found."),
    }
}

fn metadata(state: &State, path: &str) -> Said {
    const MAC: &str = "0e:49:61:0f:c3:11";
    match path {
        "instance-id" => Said::new(200, OURS),
        "network/interfaces/macs/" => Said::new(200, format!("0e:49:61:0f:c3:10/\n{MAC}/")),
        path if path == format!("network/interfaces/macs/{MAC}/ipv4-associations/{IP}") && state.owner == OURS => {
            Said::new(200, "10.0.0.228")
        }
        "iam/security-credentials/" => Said::new(200, "floating-ips"),
        "iam/security-credentials/floating-ips" => {
            let keys = json!({
                "Code": "Success", "LastUpdated": "2026-11-25T16:00:00Z", "Type": "AWS-HMAC", "AccessKeyId": "ASIAEXAMPLE",
                "SecretAccessKey": TOKEN, "Token": "session-of-the-role", "Expiration": "2026-11-25T22:00:00Z",
            });
            Said::new(200, keys)
        }
        path if path == format!("network/interfaces/macs/{MAC}/interface-id") => Said::new(200, "eni-ef229886"),
        "network/interfaces/macs/0e:49:61:0f:c3:10/interface-id" => Said::new(200, "eni-ef229885"),
        _ => Said::new(404, ""),
    }
}

fn described(owner: &str) -> Said {
    let association = if owner.is_empty() {
        String::new()
    } else {
        format!(
            "<instanceId>{owner}</instanceId><associationId>eipassoc-f0229899</associationId>\
             <networkInterfaceId>eni-ef229886</networkInterfaceId><privateIpAddress>10.0.0.228</privateIpAddress>"
        )
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <DescribeAddressesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\n\
         <requestId>f7de5e98</requestId><addressesSet><item><publicIp>{IP}</publicIp>\
         <allocationId>{ALLOCATION}</allocationId><domain>vpc</domain>{association}</item></addressesSet>\n\
         </DescribeAddressesResponse>"
    );
    Said::new(200, body)
}

fn refusal(status: u16, code: &str, message: &str) -> Said {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
         <Message>{message}</Message></Error></Errors><RequestID>ea966190</RequestID></Response>"
    );
    Said::new(status, body)
}

#[tokio::test]
async fn an_address_is_associated_and_read_back() {
    for target in [IP, ALLOCATION] {
        let (server, state) = cloud().await;
        let (ip, _dir) = floating_ip(CloudKind::Aws, target, &server);
        let moved = take_over(&ip).await.expect(target);
        assert_eq!((moved.action, moved.is_active), (None, Some(true)));
        let state = state.lock().expect("alone");
        assert_eq!(state.owner, OURS);
        assert_eq!(state.log.len(), 3, "{:?}", state.log);
        assert!(state.log[1].ends_with("&AllowReassociation=true"), "{:?}", state.log);
    }
}

#[tokio::test]
async fn what_nobody_had_is_not_taken_from_who_was_faster() {
    let (server, state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Aws, IP, &server);
    // Nobody's when it was read, and theirs when it was asked for.
    server.faults("POST /", [Fault::Said(described(""))]);
    take_over(&ip).await.expect("taken over after another look");
    let log = state.lock().expect("alone").log.clone();
    let associates: Vec<&String> = log.iter().filter(|body| body.contains("AssociateAddress")).collect();
    assert!(associates[0].ends_with("&AllowReassociation=false"), "{log:?}");
    assert!(associates[1].ends_with("&AllowReassociation=true"), "{log:?}");
}

#[tokio::test]
async fn the_instances_role_gives_the_keys() {
    let (server, state) = cloud().await;
    let (mut settings, _dir) = settings(CloudKind::Aws, &server);
    settings.secret = SecretSource::InstanceRole;
    let ip = of(&settings, IP);
    take_over(&ip).await.expect("taken over");
    assert_eq!(
        server.count("GET /latest/meta-data/iam/security-credentials/floating-ips"),
        1,
        "kept"
    );
    assert_eq!(server.count("PUT /latest/api/token"), 1, "kept");
    // The service forgets its tokens when it is started anew.
    state.lock().expect("alone").metadata_token = "AQAEA-2".to_owned();
    assert_eq!(ip.is_active().await, Ok(Some(true)));

    // So do the keys end before their time.
    let fetched = server.count("GET /latest/meta-data/iam/");
    server.faults(
        "POST /",
        [Fault::Said(refusal(
            400,
            "ExpiredToken",
            "The security token is expired",
        ))],
    );
    assert!(ip.owner().await.is_ok());
    assert_eq!(server.count("GET /latest/meta-data/iam/"), fetched + 2);

    server.faults("GET /latest/meta-data/iam/", [Fault::Said(Said::new(404, ""))]);
    let error = take_over(&of(&settings, IP)).await.expect_err("no role").to_string();
    assert!(error.contains("this instance has no role"), "{error}");
}

#[tokio::test]
async fn a_rehearsal_shows_what_the_keys_may_do() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Aws, IP, &server);
    let readiness = ip.readiness().await;
    assert_eq!((readiness.rehearsal.clone(), readiness.problems().len()), (Ok(true), 0));
    assert_eq!(server.count("POST /"), 2);
    let state = |owner: &str| Fault::Said(described(owner));
    let denied = refusal(
        403,
        "UnauthorizedOperation",
        "You are not authorized to perform this operation.",
    );
    server.faults("POST /", [state(THEIRS), Fault::Said(denied)]);
    let problems = ip.readiness().await.problems();
    assert!(problems[0].contains("ec2:AssociateAddress"), "{problems:?}");
}

#[tokio::test]
async fn each_code_has_its_class() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Aws, IP, &server);
    let class = async |said: Said| {
        server.faults("POST /", [Fault::Said(said)]);
        ip.owner().await.expect_err("refused")
    };
    let throttled = class(refusal(503, "RequestLimitExceeded", "Request limit exceeded.")).await;
    assert!(matches!(throttled, Failure::Throttled { .. }), "{throttled}");
    for (status, code) in [
        (401, "AuthFailure"),
        (403, "UnauthorizedOperation"),
        (400, "RequestExpired"),
    ] {
        let failure = class(refusal(status, code, "words")).await;
        assert!(matches!(failure, Failure::Unauthorised { .. }), "{failure}");
    }
    let refused = class(refusal(400, "InvalidAddress.NotFound", "Address not found.")).await;
    assert_eq!(
        refused.to_string(),
        "DescribeAddresses: refused (400): Address not found. (InvalidAddress.NotFound)"
    );
    for said in [
        refusal(500, "InternalError", "words"),
        refusal(503, "Unavailable", "words"),
        Said::new(502, "<html>Bad Gateway</html>"),
        Said::new(200, "<DescribeAddressesResponse><addressesSet><item><publicIp>203.0.1"),
        Said::new(
            200,
            "<DescribeAddressesResponse><addressesSet/></DescribeAddressesResponse>",
        ),
        Said::new(200, "{}"),
    ] {
        let failure = class(said.clone()).await;
        assert!(matches!(failure, Failure::Passing { .. }), "{said:?}: {failure}");
    }
}

#[tokio::test]
async fn a_lost_reply_does_not_lead_to_a_second_call() {
    let (server, state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Aws, IP, &server);
    ip.owner().await.expect("known");
    server.faults("POST /", [Fault::Said(described(THEIRS)), Fault::Lost]);
    let moved = take_over(&ip).await.expect("taken over");
    assert_eq!(moved.accepted, None);
    let log = state.lock().expect("alone").log.clone();
    assert_eq!(
        log.iter().filter(|body| body.contains("AssociateAddress")).count(),
        1,
        "{log:?}"
    );
}

#[tokio::test]
async fn a_host_of_several_interfaces_is_named_by_one() {
    let (server, state) = cloud().await;
    OURS.clone_into(&mut state.lock().expect("alone").owner);
    let (mut settings, _dir) = settings(CloudKind::Aws, &server);
    let interface = InstanceId::new("eni-ef229886").expect("an id");
    settings.identity = Identity::Fixed(interface.clone());
    let ip = of(&settings, IP);
    assert_eq!(ip.owner().await.expect("known").instance, Some(interface));
    assert!(take_over(&ip).await.expect("ours").was_ours());
}

#[tokio::test]
async fn a_refusal_of_the_keys_ends_it() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Aws, IP, &server);
    server.faults("POST /", [Fault::Said(refusal(403, "UnauthorizedOperation", "no"))]);
    let error = take_over(&ip).await.expect_err("refused");
    assert!(
        matches!(error, MoveError::Failed(Failure::Unauthorised { .. })),
        "{error}"
    );
    assert_eq!(server.count("POST /"), 1);
}

/// The metadata service is next door, and says nothing of the API.
#[tokio::test]
async fn a_refusal_of_the_metadata_services_is_not_the_apis() {
    let (server, _state) = cloud().await;
    let (mut settings, _dir) = settings(CloudKind::Aws, &server);
    settings.secret = SecretSource::InstanceRole;
    let ip = of(&settings, IP);
    for status in [404, 429] {
        server.faults("GET /latest/meta-data/iam/", [Fault::Said(Said::new(status, ""))]);
        assert!(!ip.answers().await, "{status}");
    }
    assert!(ip.answers().await);
    // As an outage is told, and is none.
    server.faults(
        "POST",
        [Fault::Said(refusal(
            503,
            "RequestLimitExceeded",
            "Request limit exceeded.",
        ))],
    );
    assert!(ip.answers().await);
}

#[tokio::test]
async fn hb_toml_and_the_metadata_service_should_agree() {
    let (server, _state) = cloud().await;
    let ids = [OURS, THEIRS];
    a_fixed_id_is_held_against_metadata(&server, CloudKind::Aws, IP, ids, "GET /latest/meta-data/instance-id").await;
    // A network interface of this instance's is this host, too.
    let (mut settings, _dir) = settings(CloudKind::Aws, &server);
    for (interface, problems) in [("eni-ef229886", 0), ("eni-00000001", 1)] {
        settings.identity = Identity::Fixed(InstanceId::new(interface).expect("an id"));
        let found = of(&settings, IP).readiness().await.problems();
        assert_eq!(found.len(), problems, "{interface}: {found:?}");
    }
}
