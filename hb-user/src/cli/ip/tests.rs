use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use clap::Parser as _;
use clap::error::ErrorKind::{MissingRequiredArgument, ValueValidation};

use super::*;
use crate::cli::Cli;
use crate::config::{CloudKind, SecretSource};
use crate::resources::cloud::RateLimit;
use crate::resources::cloud::testing::{Asked, Said, Server, settings};

fn parse(args: &[&str]) -> Result<Cli, clap::error::ErrorKind> {
    Cli::try_parse_from(["hb", "ip"].iter().chain(args)).map_err(|error| error.kind())
}

#[test]
fn what_a_person_types_is_understood() {
    for args in [
        &["owner", "digitalocean::203.0.113.10"][..],
        &["owner", "2001:db8::1", "--json"],
        &["verify", "203.0.113.10", "--config-dir", "/tmp"],
        &[
            "assign",
            "203.0.113.10",
            "--to",
            "42",
            "--only-from",
            "41",
            "--timeout",
            "30s",
        ],
        &[
            "assign",
            "aws::eipalloc-08229861",
            "--token-file",
            "/t",
            "--region",
            "eu-central-1",
        ],
    ] {
        assert!(parse(args).is_ok(), "{args:?}");
    }
    assert_eq!(parse(&["owner"]).err(), Some(MissingRequiredArgument));
    assert_eq!(
        parse(&["assign", "203.0.113.10", "--to", "a b"]).err(),
        Some(ValueValidation)
    );
    assert_eq!(
        parse(&["assign", "203.0.113.10", "--timeout", "30"]).err(),
        Some(ValueValidation)
    );
}

#[test]
fn what_is_no_floating_ip_is_wrong_usage() {
    let unknown = "expected digitalocean, hetzner, vultr or aws";
    for (address, complaint) in [
        ("ec2::203.0.113.10", format!("no provider ec2: {unknown}")),
        ("nobodys::2001:db8::1", format!("no provider nobodys: {unknown}")),
        ("::", "expected ADDRESS or PROVIDER::ADDRESS".to_owned()),
        ("203.0.113", "expected ADDRESS or PROVIDER::ADDRESS".to_owned()),
        ("vultr::203.0.113", "expected vultr::ADDRESS".to_owned()),
        ("hetzner::127.0.0.1", "no public address".to_owned()),
    ] {
        let error = Cli::try_parse_from(["hb", "ip", "owner", address]).expect_err(address);
        assert_eq!(error.exit_code(), 2, "{address}");
        assert!(error.to_string().contains(&complaint), "{address}: {error}");
    }
    assert!(parse(&["owner", "2001:db8::1"]).is_ok());
    // Good for another provider than hb.toml's only one.
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("hb.toml"), "[vultr]\ntoken_file = \"/t\"\n").expect("written");
    let Err(failed) = place("eipalloc-08229861", dir.path()).open() else {
        panic!("Vultr has no allocations");
    };
    assert_eq!(failed.failure.exit, Exit::WrongUsage);
}

#[test]
fn a_credential_is_the_services_only() {
    // Only where the tests are no service.
    if std::env::var_os("CREDENTIALS_DIRECTORY").is_some() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("hb.toml"), "[vultr]\ncredential = \"vultr\"\n").expect("written");
    let Err(failed) = place("203.0.113.10", dir.path()).open() else {
        panic!("there is no credential");
    };
    let text = failed.failure.error.to_string();
    assert_eq!(failed.failure.exit, Exit::NotConfigured);
    assert!(
        text.contains("the credential vultr") && text.contains("--token-file FILE"),
        "{text}"
    );
}

fn place(address: &str, dir: &std::path::Path) -> Place {
    Place {
        address: address.to_owned(),
        config_dir: dir.to_owned(),
        token_file: None,
        api_url: None,
        ca_file: None,
        region: None,
        json: false,
    }
}

#[test]
fn a_provider_is_found_where_there_is_only_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let hb_toml = dir.path().join("hb.toml");
    let settings = |address: &str| {
        let place = place(address, dir.path());
        let kind = address.split_once("::").and_then(|(name, _)| CloudKind::of(name));
        place.settings(kind)
    };
    let complaint = |address: &str| settings(address).expect_err(address).failure.error.to_string();
    let exit = |address: &str| settings(address).expect_err(address).failure.exit;
    let text = complaint("203.0.113.10");
    assert!(
        text.contains("there is no ") && text.contains("expected PROVIDER::ADDRESS"),
        "{text}"
    );
    assert!(
        text.contains("digitalocean, hetzner, vultr or aws") && text.contains("--token-file"),
        "{text}"
    );
    assert_eq!(exit("203.0.113.10"), Exit::NotConfigured);
    let text = complaint("vultr::203.0.113.10");
    assert!(
        text.contains("there is no ") && text.contains("table [vultr]"),
        "{text}"
    );
    fs::write(&hb_toml, "[scripts]\n").expect("written");
    assert!(complaint("203.0.113.10").contains("has no provider's table"));
    assert!(complaint("vultr::203.0.113.10").contains("no table [vultr]"));
    // Where the token is known only the provider is missing.
    let given = Place {
        token_file: Some("/t".into()),
        ..place("203.0.113.10", dir.path())
    };
    let failure = given.settings(None).expect_err("of nobody").failure;
    assert_eq!(failure.exit, Exit::WrongUsage, "{:#}", failure.error);

    fs::write(&hb_toml, "[vultr]\ntoken_file = \"/t\"\n").expect("written");
    assert_eq!(settings("203.0.113.10").expect("the only one").kind, CloudKind::Vultr);
    assert_eq!(settings("vultr::203.0.113.10").expect("named").kind, CloudKind::Vultr);
    let failure = settings("hetzner::203.0.113.10").expect_err("no table");
    assert_eq!(failure.failure.exit, Exit::NotConfigured);

    fs::write(
        &hb_toml,
        "[vultr]\ntoken_file = \"/t\"\n[hetzner]\ntoken_file = \"/t\"\n",
    )
    .expect("written");
    let text = complaint("203.0.113.10");
    assert!(
        text.contains("tables of hetzner and vultr: expected PROVIDER::ADDRESS"),
        "{text}"
    );
    assert_eq!(exit("203.0.113.10"), Exit::WrongUsage);
    fs::write(&hb_toml, "[vultr]\n").expect("written");
    assert!(complaint("vultr::203.0.113.10").contains("hb.toml:1: [vultr]: no token"));
}

#[test]
fn flags_go_before_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let flags = |address: &str| Place {
        token_file: Some("/token".into()),
        api_url: Some("http://127.0.0.1:1".to_owned()),
        ..place(address, dir.path())
    };
    let settings = flags("").settings(Some(CloudKind::Hetzner)).expect("without a file");
    assert_eq!(settings.secret, SecretSource::File("/token".into()));
    assert_eq!(settings.api_url, "http://127.0.0.1:1");
    let complaint = flags("").settings(Some(CloudKind::Aws)).expect_err("no region");
    assert!(complaint.failure.error.to_string().contains("--region"));
    fs::write(dir.path().join("hb.toml"), "[vultr]\ncredential = \"vultr\"\n").expect("written");
    let settings = flags("").settings(Some(CloudKind::Vultr)).expect("with a file");
    assert_eq!(settings.secret, SecretSource::File("/token".into()));
}

/// Against a server that plays a provider with an address of somebody else's, in a thread in which a command may wait.
async fn at(answer: fn(&Asked) -> Said, command: fn(Place) -> Result<(), Failed>) -> serde_json::Value {
    let server = Server::start(answer).await;
    let (settings, files) = settings(CloudKind::DigitalOcean, &server);
    let SecretSource::File(token) = &settings.secret else {
        panic!("the tests' settings have a file");
    };
    let text = format!(
        "[digitalocean]\ntoken_file = \"{}\"\nmetadata_url = \"{}\"\n",
        token.display(),
        server.url()
    );
    fs::write(files.path().join("hb.toml"), text).expect("written");
    let place = Place {
        api_url: Some(server.url()),
        json: true,
        ..place("203.0.113.10", files.path())
    };
    let failed = tokio::task::spawn_blocking(move || command(place))
        .await
        .expect("ended");
    let failed = failed.expect_err("it fails");
    serde_json::Value::Object(failed.object(fields(json!({ "address": "203.0.113.10" }))))
}

fn theirs(asked: &Asked) -> Said {
    match asked.line.as_str() {
        "GET /metadata/v1/id" => Said::new(200, 1),
        line if line.starts_with("GET /metadata") => Said::new(404, ""),
        line if line.starts_with("POST") => Said::new(422, r#"{"id":"unprocessable_entity","message":"impossible"}"#),
        _ => Said::new(200, r#"{"reserved_ip":{"droplet":{"id":2}}}"#),
    }
}

fn nobody(_asked: &Asked) -> Said {
    Said::new(401, r#"{"id":"unauthorized","message":"Unable to authenticate you"}"#)
}

#[tokio::test]
async fn what_fails_is_an_object_with_all_that_is_known() {
    let assigned = at(theirs, |place| {
        assign(&AssignArgs {
            place,
            to: None,
            only_from: None,
            timeout: None,
        })
    });
    assert_eq!(
        assigned.await,
        json!({
            "address": "digitalocean::203.0.113.10", "class": "refused", "status": 422, "from": "2",
            "error": "POST /v2/reserved_ips/203.0.113.10/actions: refused (422): impossible",
        })
    );
    let verified = at(theirs, |place| verify(&place)).await;
    assert_eq!(
        (
            &verified["class"],
            &verified["owner"],
            &verified["me"],
            &verified["ready"]
        ),
        (&json!("not_ours"), &json!("2"), &json!("1"), &json!(true))
    );
    assert_eq!(verified["error"], "203.0.113.10 belongs to 2");
    for command in [|place: Place| owner(&place), |place: Place| verify(&place)] {
        let refused = at(nobody, command).await;
        assert_eq!(
            (&refused["class"], &refused["status"]),
            (&json!("unauthorised"), &json!(401))
        );
        assert_eq!(refused["address"], "digitalocean::203.0.113.10");
    }
    let unset = at(theirs, |place| {
        owner(&Place {
            address: "vultr::203.0.113.10".to_owned(),
            ..place
        })
    })
    .await;
    assert_eq!(
        (&unset["class"], &unset["address"]),
        (&json!("setting"), &json!("203.0.113.10"))
    );
    assert!(
        unset["error"]
            .as_str()
            .is_some_and(|error| error.starts_with("no table [vultr]"))
    );
}

#[test]
fn a_token_that_goes_unencrypted_is_warned_of() {
    let warning = unencrypted("--api-url", "http://127.0.0.1:1").expect("unencrypted");
    assert!(
        warning.starts_with("--api-url: the token goes over the network unencrypted"),
        "{warning}"
    );
    assert_eq!(unencrypted("--api-url", "https://127.0.0.1:1"), None);
}

/// For a script that watches a standby: 7 is a host that could take the address over, 1 one that could not.
#[test]
fn verify_tells_a_ready_standby_from_one_that_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let token = dir.path().join("token");
    fs::write(&token, "secret").expect("written");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("chmod");
    let text = format!("[digitalocean]\ntoken_file = \"{}\"\n", token.display());
    fs::write(dir.path().join("hb.toml"), text).expect("written");
    let Ok(ip) = place("203.0.113.10", dir.path()).open() else {
        panic!("a valid place");
    };
    let stands = |owner: &str, left: u64| {
        let now = Nanos(1);
        let readiness = Readiness {
            asked: now,
            answered: now,
            identity: Ok(InstanceId::new("1").expect("an id")),
            me: InstanceId::new("1"),
            named: None,
            owner: Ok(Owner {
                instance: InstanceId::new(owner),
                is_changing: false,
            }),
            rehearsal: Ok(true),
            is_active: None,
            rate_limit: Some(RateLimit {
                limit: 5000,
                remaining: left,
            }),
        };
        complaint(&ip, readiness).map(|failed| (failed.failure.exit, failed.failure.error.to_string()))
    };
    assert_eq!(stands("1", 4000), None);
    assert_eq!(
        stands("2", 4000),
        Some((Exit::NotOurs, "203.0.113.10 belongs to 2".to_owned()))
    );
    for (owner, begins) in [
        ("1", ""),
        ("2", "203.0.113.10 belongs to 2, and could not be taken over: "),
    ] {
        let (exit, complaint) = stands(owner, 0).expect("it is not ready");
        assert_eq!(exit, Exit::Failed);
        assert!(
            complaint.starts_with(begins) && complaint.contains("requests"),
            "{complaint}"
        );
    }
}
