use super::*;
use crate::config::CloudKind;
use crate::resources::cloud::Failure;
use crate::resources::cloud::testing::{Asked, Said, Server, TOKEN, floating_ip, of, settings, take_over};

const SESSION: &str = "session/token+of==";

#[test]
fn a_text_is_one_line_without_secrets() {
    let redaction = Redaction::of([Secret::new("abc"), Secret::new("abcdef"), Secret::new("")]);
    assert_eq!(redaction.readable("an abcdef,\nand abc"), "an [secret], and [secret]");
    // A secret at the place where a text is cut is not cut.
    let padding = "x".repeat(LONGEST - 3);
    let text = redaction.readable(&format!("{padding}abcdef"));
    assert_eq!(text, format!("{padding}[se"));
    assert!(!format!("{redaction:?}").contains("abc"));
    assert_eq!(Redaction::default().readable("abc"), "abc");
}

/// What a proxy shows of a request, to help whom it may.
fn quoted(asked: &Asked) -> String {
    format!("you have sent: authorization: {}", asked.header("authorization"))
}

/// An answer of a provider in which `words` stand where its words stand, or in a success where it has something else.
fn says(kind: CloudKind, status: u16, words: &str) -> Said {
    let json = |value: serde_json::Value| Said::new(status, value);
    match (kind, status) {
        (CloudKind::DigitalOcean, 200) => json(serde_json::json!({ "reserved_ip": { "droplet": { "id": words } } })),
        (CloudKind::Hetzner, 200) => json(serde_json::json!({ "floating_ips": [{ "id": words, "ip": words }] })),
        (CloudKind::Vultr, 200) => json(serde_json::json!({ "reserved_ips": words })),
        (CloudKind::DigitalOcean, _) => json(serde_json::json!({ "id": words, "message": words })),
        (CloudKind::Hetzner, _) => json(serde_json::json!({ "error": { "code": words, "message": words } })),
        (CloudKind::Vultr, _) => json(serde_json::json!({ "error": words })),
        (CloudKind::Aws, _) => Said::new(
            status,
            format!(
                "<Response><Errors><Error><Code>{words}</Code><Message>{words}</Message></Error></Errors></Response>"
            ),
        ),
    }
}

/// The address is nobody's, and moves by an action whose end is told in a request's own headers.
fn quotes_in_an_action(asked: &Asked) -> Said {
    let words = quoted(asked);
    let is_action = asked.line.contains("/actions/") && asked.line.starts_with("GET");
    let action = |status: &str| {
        serde_json::json!({
            "action": { "id": 1, "status": status, "error": { "code": "failed", "message": words } },
        })
    };
    if is_action {
        // DigitalOcean has no words but the status.
        let status = if asked.line.contains("/v2/") {
            words.as_str()
        } else {
            "error"
        };
        return Said::new(200, action(status));
    }
    match asked.line.as_str() {
        line if line.starts_with("POST") => Said::new(201, action("running")),
        line if line.contains("metadata") => Said::new(200, 42),
        line if line.contains("/v2/") => Said::new(200, r#"{ "reserved_ip": { "droplet": null } }"#),
        line if line.contains('?') => Said::new(
            200,
            r#"{ "floating_ips": [{ "id": 7, "ip": "203.0.113.10", "server": null }] }"#,
        ),
        _ => Said::new(
            200,
            r#"{ "floating_ip": { "id": 7, "ip": "203.0.113.10", "server": null } }"#,
        ),
    }
}

fn check(shown: &str) {
    assert!(shown.contains(GONE), "nothing was quoted: {shown}");
    assert!(!shown.contains(TOKEN) && !shown.contains(SESSION), "{shown}");
    let mut signatures = shown.split("Signature=").skip(1);
    assert!(signatures.all(|signature| signature.starts_with(GONE)), "{shown}");
}

#[tokio::test]
async fn what_quotes_a_request_does_not_tell_its_secrets() {
    for kind in CloudKind::ALL {
        for status in [200, 401, 404, 422, 429, 500] {
            if (kind, status) == (CloudKind::Aws, 200) {
                // Of a reply that is none, nothing is quoted.
                continue;
            }
            let server = Server::start(move |asked: &Asked| says(kind, status, &quoted(asked))).await;
            let (ip, _dir) = floating_ip(kind, "203.0.113.10", &server);
            let failure = ip.owner().await.expect_err("no owner");
            check(&format!("{failure} {failure:?}"));
            let readiness = ip.readiness().await;
            check(&format!("{readiness:?} {:?} {ip:?}", readiness.problems()));
        }
    }
}

#[tokio::test]
async fn nor_does_an_action_that_failed() {
    for kind in [CloudKind::DigitalOcean, CloudKind::Hetzner] {
        let server = Server::start(quotes_in_an_action).await;
        let (ip, _dir) = floating_ip(kind, "203.0.113.10", &server);
        let error = take_over(&ip).await.expect_err("it fails");
        check(&format!("{error} {error:?}"));
    }
}

#[tokio::test]
async fn a_session_is_a_secret_too() {
    let server = Server::start(|asked: &Asked| {
        assert_eq!(asked.header("x-amz-security-token"), SESSION);
        says(CloudKind::Aws, 403, asked.header("x-amz-security-token"))
    })
    .await;
    let (settings, dir) = settings(CloudKind::Aws, &server);
    let file = dir.path().join("token");
    let keys = format!("aws_access_key_id = A\naws_secret_access_key = {TOKEN}\naws_session_token = {SESSION}\n");
    std::fs::write(&file, keys).expect("a file");
    let failure = of(&settings, "203.0.113.10").owner().await.expect_err("refused");
    assert!(matches!(failure, Failure::Unauthorised { .. }), "{failure}");
    check(&format!("{failure:?}"));
}
