//! What hb sends to each provider, held against the provider's documented examples: method, path, headers, body.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    cloud::{ACCESS_KEY, Call, Cloud, Endpoint, FLOATING_IPV6, Provider, REGION},
    network::{FLOATING_IP, Server::*},
};
use hb_user::{
    config::{CloudKind, CloudSettings, SecretSource},
    resources::cloud::{self, Claim, FloatingIp, Order},
};
use serde_json::{Value, json};

/// More than a takeover takes here.
const WITHIN: Duration = Duration::from_secs(20);

/// `curl -X POST -H "Content-Type: application/json" -H "Authorization: Bearer $DIGITALOCEAN_TOKEN"
/// -d '{"type":"assign","droplet_id":8219222}' "https://api.digitalocean.com/v2/reserved_ips/45.55.96.47/actions"`, and
/// `GET /v2/reserved_ips/45.55.96.47/actions/72531856`.
#[tokio::test]
async fn digitalocean() -> Result<()> {
    let calls = takeover(Provider::DigitalOcean, &FLOATING_IP.to_string(), Keys::File).await?;
    let address = format!("/v2/reserved_ips/{FLOATING_IP}");
    let action = format!("{address}/actions/72531856");
    let expected = [
        "GET /metadata/v1/id",
        &format!("GET {address}"),
        &format!("POST {address}/actions"),
        &format!("GET {action}"),
        &format!("GET {address}"),
        "GET /metadata/v1/reserved_ip/ipv4/active",
        "GET /metadata/v1/reserved_ip/ipv4/ip_address",
    ];
    ensure!(requests(&calls) == expected, "{:?}", requests(&calls));
    let assign = only(&calls, Endpoint::Assign)?;
    ensure!(
        json_of(assign)? == json!({ "type": "assign", "droplet_id": 8_219_223 }),
        "{}",
        assign.body
    );
    bears_its_token(Provider::DigitalOcean, &calls)
}

/// `curl -X POST ... -d '{"type":"assign","droplet_id":8219222}'
/// "https://api.digitalocean.com/v2/reserved_ipv6/2409:40d0:f7:1017:74b4:3a96:105e:4c6e/actions"`, and
/// `GET /v2/actions/36804636`: no list and no look at an action is documented below the address.
#[tokio::test]
async fn digitalocean_by_ipv6() -> Result<()> {
    let calls = takeover(Provider::DigitalOcean, &FLOATING_IPV6.to_string(), Keys::File).await?;
    let address = format!("/v2/reserved_ipv6/{FLOATING_IPV6}");
    let assign = only(&calls, Endpoint::Assign)?;
    ensure!(assign.request == format!("POST {address}/actions"));
    ensure!(
        json_of(assign)? == json!({ "type": "assign", "droplet_id": 8_219_223 }),
        "{}",
        assign.body
    );
    let expected = [
        "GET /metadata/v1/id",
        &format!("GET {address}"),
        &format!("POST {address}/actions"),
        "GET /v2/actions/72531856",
        &format!("GET {address}"),
        "GET /metadata/v1/reserved_ip/ipv6/active",
    ];
    ensure!(requests(&calls)[..6] == expected, "{:?}", requests(&calls));
    bears_its_token(Provider::DigitalOcean, &calls)
}

/// `curl -X POST -H "Authorization: Bearer $API_TOKEN" -H "Content-Type: application/json" -d '{"server":42}'
/// "https://api.hetzner.cloud/v1/floating_ips/$ID/actions/assign"`, `GET /v1/actions/$ID`, `GET /v1/floating_ips/$ID`.
#[tokio::test]
async fn hetzner() -> Result<()> {
    let calls = takeover(Provider::Hetzner, &FLOATING_IP.to_string(), Keys::File).await?;
    let expected = [
        "GET /hetzner/v1/metadata/instance-id",
        "GET /v1/floating_ips",
        "GET /v1/floating_ips",
        "POST /v1/floating_ips/1337/actions/assign",
        "GET /v1/actions/72531856",
        "GET /v1/floating_ips/1337",
    ];
    ensure!(requests(&calls) == expected, "{:?}", requests(&calls));
    let pages: Vec<_> = calls.iter().filter(|call| call.endpoint == Endpoint::Find).collect();
    let pages: Vec<_> = pages.iter().filter_map(|call| call.query.as_deref()).collect();
    ensure!(pages == ["page=1&per_page=50", "page=2&per_page=50"], "{pages:?}");
    let assign = only(&calls, Endpoint::Assign)?;
    ensure!(json_of(assign)? == json!({ "server": 4712 }), "{}", assign.body);
    bears_its_token(Provider::Hetzner, &calls)
}

/// `curl "https://api.vultr.com/v2/reserved-ips/{reserved-ip}/attach" -X POST -H "Authorization: Bearer ${VULTR_API_KEY}"
/// -H "Content-Type: application/json" --data '{"instance_id": "3f26dfe9-6a18-4f3d-a543-0cbca7b3a7c5"}'`; `detach` has no
/// body of its own.
#[tokio::test]
async fn vultr() -> Result<()> {
    let calls = takeover(Provider::Vultr, &FLOATING_IP.to_string(), Keys::File).await?;
    let address = "/v2/reserved-ips/cb676a46-66fd-4dfb-b839-443f2e6c0b60";
    let detach = only(&calls, Endpoint::Detach)?;
    ensure!(detach.request == format!("POST {address}/detach"));
    ensure!(
        detach.body.is_empty() || json_of(detach)? == json!({}),
        "{}",
        detach.body
    );
    let attach = calls
        .iter()
        .rfind(|call| call.endpoint == Endpoint::Assign)
        .context("not attached")?;
    ensure!(attach.request == format!("POST {address}/attach"));
    let body = json!({ "instance_id": "2b9bf5fb-1644-4e0a-b706-1116ab64d783" });
    ensure!(json_of(attach)? == body, "{}", attach.body);
    let pages = calls.iter().filter(|call| call.endpoint == Endpoint::Find);
    let pages: Vec<_> = pages.filter_map(|call| call.query.as_deref()).collect();
    ensure!(
        pages == ["per_page=100", "per_page=100&cursor=bmV4dF9f%2B%2F100"],
        "{pages:?}"
    );
    ensure!(calls[0].request == "GET /v1.json");
    ensure!(
        calls
            .last()
            .is_some_and(|call| call.request == format!("GET {address}"))
    );
    bears_its_token(Provider::Vultr, &calls)
}

/// `https://ec2.amazonaws.com/?Action=AssociateAddress&InstanceId=i-0b263919b6498b123&AllocationId=eipalloc-64d5890a`, and
/// `?Action=DescribeAddresses`, as forms; signatures are checked where they arrive.
#[tokio::test]
async fn aws() -> Result<()> {
    for keys in [Keys::File, Keys::Role] {
        let calls = takeover(Provider::Aws, &FLOATING_IP.to_string(), keys).await?;
        let read = calls
            .iter()
            .find(|call| call.endpoint == Endpoint::Read)
            .context("not read")?;
        let expected = [
            ("Action", "DescribeAddresses"),
            ("PublicIp.1", "203.0.113.10"),
            ("Version", "2016-11-15"),
        ];
        ensure!(form(read) == expected.map(owned), "{}", read.body);
        let assign = only(&calls, Endpoint::Assign)?;
        let expected = [
            ("Action", "AssociateAddress"),
            ("AllocationId", "eipalloc-64d5890a"),
            ("AllowReassociation", "true"),
            ("InstanceId", "i-0b263919b6498b123"),
            ("Version", "2016-11-15"),
        ];
        ensure!(form(assign) == expected.map(owned), "{}", assign.body);
        for call in calls.iter().filter(|call| call.request == "POST /") {
            let authorization = call.header("authorization").context("not signed")?;
            let id = if keys == Keys::File {
                ACCESS_KEY
            } else {
                "ASIAIOSFODNN7EXAMPLE"
            };
            ensure!(
                authorization.starts_with(&format!("AWS4-HMAC-SHA256 Credential={id}/")),
                "{authorization}"
            );
            ensure!(call.header("content-type") == Some("application/x-www-form-urlencoded; charset=utf-8"));
            ensure!(call.header("x-amz-security-token").is_some() == (keys == Keys::Role));
            ensure!(call.answered.is_some_and(|(_, status)| status == 200), "{call:?}");
        }
        let token = &calls[0];
        ensure!(token.request == "PUT /latest/api/token");
        ensure!(token.header("x-aws-ec2-metadata-token-ttl-seconds") == Some("21600"));
        let metadata = calls[1..].iter().filter(|call| call.request.contains("/latest/"));
        for call in metadata {
            ensure!(call.header("x-aws-ec2-metadata-token").is_some() && call.header("authorization").is_none());
        }
    }
    Ok(())
}

/// Whoever is asked a second time is asked over the connection that there is.
#[tokio::test]
async fn one_connection_is_kept() -> Result<()> {
    for provider in Provider::ALL {
        let site = Site::make(provider, &FLOATING_IP.to_string(), Keys::File)?;
        for _ in 0..3 {
            let readiness = site.ip.readiness().await;
            ensure!(readiness.is_ready(), "{provider:?}: {:?}", readiness.problems());
        }
        let calls = site.cloud.calls();
        let secure = calls.iter().filter(|call| call.secure);
        ensure!(
            secure.clone().count() >= 3 && secure.clone().all(|call| call.connection == 1),
            "{calls:?}"
        );
    }
    Ok(())
}

/// Headers that a request may have, and no others: what else is sent would have to be explained.
const KNOWN: [&str; 6] = [
    "accept",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "user-agent",
];

/// The token goes to the API, with every request and as documented, and never to the metadata service.
fn bears_its_token(provider: Provider, calls: &[Call]) -> Result<()> {
    let bearer = format!("Bearer {}", provider.token());
    for call in calls {
        let is_metadata = !call.secure;
        let expected = (!is_metadata).then_some(bearer.as_str());
        ensure!(call.header("authorization") == expected, "{}", call.request);
        let has_body = !call.body.is_empty();
        let kind = has_body.then_some("application/json");
        ensure!(
            call.header("content-type") == kind,
            "{}: {:?}",
            call.request,
            call.header("content-type")
        );
        let agent = call.header("user-agent").unwrap_or_default();
        ensure!(agent.starts_with("hb/"), "{}: {agent}", call.request);
        let unknown = call.headers.iter().find(|(name, _)| !KNOWN.contains(&name.as_str()));
        ensure!(unknown.is_none(), "{}: {unknown:?}", call.request);
    }
    Ok(())
}

async fn takeover(provider: Provider, address: &str, keys: Keys) -> Result<Vec<Call>> {
    let site = Site::make(provider, address, keys)?;
    site.cloud.set_action_time(Duration::from_millis(20));
    let order = Order {
        to: None,
        claim: Claim::Anybody,
        within: WITHIN,
    };
    let moved = site.ip.take_over(order, Arc::new(|_| ())).await?;
    ensure!(moved.instance.as_str() == provider.instance(Secondary));
    ensure!(
        moved
            .from
            .is_some_and(|from| from.as_str() == provider.instance(Primary))
    );
    ensure!(site.cloud.owner_of(address.parse().unwrap_or(FLOATING_IP.into())) == Some(Secondary));
    let mut calls = site.cloud.calls();
    // How often an action is looked at is for the pacing.
    calls.dedup_by(|later, earlier| later.endpoint == Endpoint::Action && earlier.request == later.request);
    calls.dedup_by(|later, earlier| later.endpoint == Endpoint::Verify && earlier.request == later.request);
    Ok(calls)
}

/// Where the keys of EC2 come from; the others have a token in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Keys {
    File,
    Role,
}

/// A cloud, and who takes over there, by TLS.
struct Site {
    cloud: Cloud,
    ip: FloatingIp,
    _files: tempfile::TempDir,
}

impl Site {
    fn make(provider: Provider, address: &str, keys: Keys) -> Result<Self> {
        let cloud = Cloud::start_here(provider, Secondary)?;
        let files = tempfile::tempdir()?;
        let (secret, authority) = (files.path().join("secret"), files.path().join("authority.pem"));
        let token = provider.token();
        let text = match provider {
            Provider::DigitalOcean | Provider::Hetzner | Provider::Vultr => format!("{token}\n"),
            Provider::Aws => format!("aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {token}\n"),
        };
        fs::write(&secret, text)?;
        fs::set_permissions(&secret, Permissions::from_mode(0o600))?;
        fs::write(&authority, cloud.authority())?;
        let kind = CloudKind::of(provider.name()).context("a provider that hb does not have")?;
        let secret = match keys {
            Keys::File => SecretSource::File(secret),
            Keys::Role => SecretSource::InstanceRole,
        };
        let settings = CloudSettings {
            api_url: cloud.secure_url(),
            metadata_url: cloud.metadata_url(),
            ca_file: Some(authority),
            region: (provider == Provider::Aws).then(|| REGION.to_owned()),
            ..CloudSettings::new(kind, secret)
        };
        let ip = cloud::open(&kind.parse(address).map_err(anyhow::Error::msg)?, &settings)?;
        Ok(Self {
            cloud,
            ip,
            _files: files,
        })
    }
}

fn requests(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.request.as_str()).collect()
}

fn only(calls: &[Call], endpoint: Endpoint) -> Result<&Call> {
    let mut found = calls.iter().filter(|call| call.endpoint == endpoint);
    let first = found
        .next()
        .with_context(|| format!("no {endpoint:?}: {:?}", requests(calls)))?;
    ensure!(
        found.next().is_none(),
        "more than one {endpoint:?}: {:?}",
        requests(calls)
    );
    Ok(first)
}

fn json_of(call: &Call) -> Result<Value> {
    serde_json::from_str(&call.body).with_context(|| format!("{}: {:?}", call.request, call.body))
}

/// The parameters of a form, sorted by their names.
fn form(call: &Call) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = form_urlencoded::parse(call.body.as_bytes()).into_owned().collect();
    pairs.sort();
    pairs
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
