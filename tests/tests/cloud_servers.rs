//! The clouds themselves, on the loopback: their shapes, their rules, and what can be made to go wrong with them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hb_tests::{
    cloud::{Cloud, Endpoint, FLOATING_IPV6, Fault, Gone, Provider},
    network::{FLOATING_IP, Server::*},
};
use reqwest::{Certificate, Client, Method, Response};
use serde_json::{Value, json};

/// More than any answer takes, less than patience.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn digitalocean_accepts_an_action_and_completes_it_later() -> Result<()> {
    let asked = Asker::of(Provider::DigitalOcean)?;
    let path = format!("/v2/reserved_ips/{FLOATING_IP}");
    let assign = json!({ "type": "assign", "droplet_id": Secondary.droplet_id() });
    let (status, accepted) = asked
        .json(Method::POST, &format!("{path}/actions"), Some(&assign))
        .await?;
    ensure!(
        status == 201 && accepted["action"]["status"] == "in-progress",
        "{accepted}"
    );
    ensure!(accepted["action"]["type"] == "assign_ip" && accepted["action"]["resource_type"] == "reserved_ip");
    let (status, busy) = asked
        .json(Method::POST, &format!("{path}/actions"), Some(&assign))
        .await?;
    ensure!(
        status == 422 && busy["message"] == "The reserved IP already has a pending event.",
        "{busy}"
    );
    let listed = asked.get(&format!("{path}/actions")).await?;
    ensure!(
        listed["actions"][0]["status"] == "in-progress" && listed["meta"]["total"] == 1,
        "{listed}"
    );
    let before = asked.get(&path).await?;
    ensure!(before["reserved_ip"]["droplet"]["id"] == Primary.droplet_id() && before["reserved_ip"]["locked"] == true);

    asked.cloud.wait_for_moves(1, SOON)?;
    let id = &accepted["action"]["id"];
    for path in [format!("{path}/actions/{id}"), format!("/v2/actions/{id}")] {
        ensure!(asked.get(&path).await?["action"]["status"] == "completed", "{path}");
    }
    let after = asked.get(&path).await?;
    ensure!(after["reserved_ip"]["droplet"]["id"] == Secondary.droplet_id() && after["reserved_ip"]["locked"] == false);
    ensure!(asked.cloud.owner() == Some(Secondary));
    Ok(())
}

#[tokio::test]
async fn digitalocean_shows_ipv6_addresses_bare_and_their_actions_elsewhere() -> Result<()> {
    let asked = Asker::of(Provider::DigitalOcean)?;
    let path = format!("/v2/reserved_ipv6/{FLOATING_IPV6}");
    let bare = asked.get(&path).await?;
    ensure!(
        bare["ip"] == FLOATING_IPV6.to_string() && bare["droplet"]["id"] == Primary.droplet_id(),
        "{bare}"
    );
    ensure!(bare["locked"].is_null() && bare["region_slug"] == "nyc3");
    let assign = json!({ "type": "assign", "droplet_id": Secondary.droplet_id() });
    let (status, accepted) = asked
        .json(Method::POST, &format!("{path}/actions"), Some(&assign))
        .await?;
    ensure!(
        status == 201 && accepted["action"]["resource_type"] == "reserved_ipv6",
        "{accepted}"
    );
    let id = &accepted["action"]["id"];
    ensure!(asked.status(Method::GET, &format!("{path}/actions/{id}")).await? == 404);
    asked.cloud.wait_for_moves(1, SOON)?;
    ensure!(asked.get(&format!("/v2/actions/{id}")).await?["action"]["status"] == "completed");
    ensure!(asked.cloud.owner_of(FLOATING_IPV6.into()) == Some(Secondary) && asked.cloud.owner() == Some(Primary));

    asked.cloud.set_owner(None);
    ensure!(asked.get(&path).await?.get("droplet").is_none(), "none is left out");
    Ok(())
}

#[tokio::test]
async fn hetzner_lists_in_pages_and_locks_what_is_moved() -> Result<()> {
    let asked = Asker::of(Provider::Hetzner)?;
    let mut page = 1;
    let found = loop {
        let list = asked.get(&format!("/v1/floating_ips?page={page}&per_page=50")).await?;
        let ips = list["floating_ips"].as_array().context("no list")?;
        if let Some(found) = ips.iter().find(|ip| ip["ip"] == FLOATING_IP.to_string()) {
            break found.clone();
        }
        page = list["meta"]["pagination"]["next_page"].as_u64().context("not found")?;
    };
    ensure!(page == 2 && found["id"] == 1337 && found["server"] == 4711, "{found}");
    ensure!(asked.get("/v1/floating_ips?name=web").await?["floating_ips"][0]["id"] == 1337);

    let assign = "/v1/floating_ips/1337/actions/assign";
    let (status, again) = asked
        .json(Method::POST, assign, Some(&json!({ "server": 4711 })))
        .await?;
    ensure!(
        status == 422 && again["error"]["code"] == "floating_ip_assigned",
        "{again}"
    );
    let (status, accepted) = asked
        .json(Method::POST, assign, Some(&json!({ "server": 4712 })))
        .await?;
    ensure!(status == 201 && accepted["action"]["status"] == "running", "{accepted}");
    ensure!(accepted["action"]["command"] == "assign_floating_ip" && accepted["action"]["error"].is_null());
    let (status, locked) = asked
        .json(Method::POST, assign, Some(&json!({ "server": 4712 })))
        .await?;
    ensure!(status == 423 && locked["error"]["code"] == "locked", "{locked}");
    let running = asked.get("/v1/floating_ips/1337/actions?status=running").await?;
    ensure!(running["actions"][0]["id"] == accepted["action"]["id"], "{running}");
    asked.cloud.wait_for_moves(1, SOON)?;
    let done = asked.get(&format!("/v1/actions/{}", accepted["action"]["id"])).await?;
    ensure!(
        done["action"]["status"] == "success" && done["action"]["progress"] == 100,
        "{done}"
    );
    ensure!(asked.get("/v1/floating_ips/1337").await?["floating_ip"]["server"] == 4712);
    Ok(())
}

#[tokio::test]
async fn vultr_attaches_only_what_is_detached_and_that_takes_time() -> Result<()> {
    let asked = Asker::of(Provider::Vultr)?;
    let first = asked.get("/v2/reserved-ips").await?;
    let next = first["meta"]["links"]["next"].as_str().context("no next page")?;
    let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let second = asked.get(&format!("/v2/reserved-ips?cursor={next}")).await?;
    let ips = second["reserved_ips"].as_array().context("no list")?;
    let found = ips
        .iter()
        .find(|ip| ip["subnet"] == FLOATING_IP.to_string())
        .context("not found")?;
    let path = format!("/v2/reserved-ips/{}", found["id"].as_str().context("no id")?);
    ensure!(found["instance_id"] == Provider::Vultr.instance(Primary), "{found}");

    let body = json!({ "instance_id": Provider::Vultr.instance(Secondary) });
    let (attach, detach) = (format!("{path}/attach"), format!("{path}/detach"));
    let (status, taken) = asked.json(Method::POST, &attach, Some(&body)).await?;
    ensure!(status == 400 && taken["status"] == 400, "{taken}");
    ensure!(taken["error"] == "Floating IPv4 address is already attached to another server");
    ensure!(asked.status(Method::POST, &detach).await? == 204);
    let (status, _) = asked.json(Method::POST, &attach, Some(&body)).await?;
    ensure!(status == 400, "the detachment is still being worked on");
    asked.cloud.wait_for_moves(1, SOON)?;
    ensure!(asked.get(&path).await?["reserved_ip"]["instance_id"] == "");
    let sent = asked.send(Method::POST, &attach, Some(&body)).await?;
    ensure!(sent.status() == 204 && sent.bytes().await?.is_empty());
    asked.cloud.wait_for_moves(2, SOON)?;
    ensure!(asked.get(&path).await?["reserved_ip"]["instance_id"] == body["instance_id"]);
    Ok(())
}

#[tokio::test]
async fn ec2_lets_nobody_in_who_has_not_signed() -> Result<()> {
    let asked = Asker::of(Provider::Aws)?;
    let query = "/?Action=DescribeAddresses&Version=2016-11-15";
    let refused = asked.send(Method::GET, query, None).await?;
    ensure!(refused.status() == 400 && refused.headers().contains_key("x-amzn-requestid"));
    let text = refused.text().await?;
    ensure!(text.contains("<Code>MissingAuthenticationToken</Code>"), "{text}");
    Ok(())
}

#[tokio::test]
async fn ec2s_metadata_wants_a_token_first() -> Result<()> {
    let asked = Asker::of(Provider::Aws)?;
    let base = asked.cloud.metadata_url();
    let ask = |path: &str| asked.client.get(format!("{base}/latest/{path}"));
    ensure!(ask("meta-data/instance-id").send().await?.status() == 401);
    let put = || asked.client.put(format!("{base}/latest/api/token"));
    ensure!(put().send().await?.status() == 400);
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds";
    ensure!(put().header(ttl, "21601").send().await?.status() == 400);
    let token = put().header(ttl, "21600").send().await?.text().await?;
    let told = |path: &str| ask(path).header("X-aws-ec2-metadata-token", &token);
    ensure!(told("meta-data/instance-id").send().await?.text().await? == Provider::Aws.instance(Secondary));
    let role = told("meta-data/iam/security-credentials/").send().await?.text().await?;
    let keys = told(&format!("meta-data/iam/security-credentials/{role}"))
        .send()
        .await?
        .text()
        .await?;
    let keys: Value = serde_json::from_str(&keys)?;
    ensure!(
        keys["Code"] == "Success" && keys["Token"].is_string() && keys["Expiration"].is_string(),
        "{keys}"
    );
    Ok(())
}

#[tokio::test]
async fn the_other_metadata_services_tell_who_asks() -> Result<()> {
    for (provider, path) in [
        (Provider::DigitalOcean, "/metadata/v1/id"),
        (Provider::Hetzner, "/hetzner/v1/metadata/instance-id"),
        (Provider::Vultr, "/v1/instance-v2-id"),
    ] {
        let asked = Asker::of(provider)?;
        let url = format!("{}{path}", asked.cloud.metadata_url());
        let ask = || async { anyhow::Ok(asked.client.get(&url).send().await?.text().await?) };
        ensure!(ask().await? == provider.instance(Secondary));
        asked.cloud.fail(Endpoint::Metadata, Fault::OtherHost, 1);
        ensure!(ask().await? == provider.instance(Primary));
        asked.cloud.fail(Endpoint::Metadata, Fault::Broken, 1);
        ensure!(ask().await?.starts_with("<html>"));
        ensure!(ask().await? == provider.instance(Secondary));
    }
    let asked = Asker::of(Provider::Vultr)?;
    let all = asked
        .client
        .get(format!("{}/v1.json", asked.cloud.metadata_url()))
        .send()
        .await?;
    let all: Value = serde_json::from_str(&all.text().await?)?;
    ensure!(
        all["instance-v2-id"] == Provider::Vultr.instance(Secondary) && all["hostname"] == "secondary",
        "{all}"
    );
    Ok(())
}

#[tokio::test]
async fn faults_are_what_they_are_called() -> Result<()> {
    for (provider, path, statuses) in [
        (
            Provider::DigitalOcean,
            format!("/v2/reserved_ips/{FLOATING_IP}"),
            [401, 403, 404, 422, 422, 429, 500, 503],
        ),
        (
            Provider::Hetzner,
            "/v1/floating_ips/1337".to_owned(),
            [401, 403, 404, 422, 423, 429, 500, 503],
        ),
        (
            Provider::Vultr,
            "/v2/reserved-ips/cb676a46-66fd-4dfb-b839-443f2e6c0b60".to_owned(),
            [401, 403, 404, 422, 400, 429, 500, 503],
        ),
        (
            Provider::Aws,
            "/?Action=DescribeAddresses&Version=2016-11-15".to_owned(),
            [401, 403, 400, 400, 400, 503, 500, 503],
        ),
    ] {
        let asked = Asker::of(provider)?;
        let faults = [
            Fault::Unauthorized,
            Fault::Forbidden,
            Fault::NotFound,
            Fault::Unprocessable,
            Fault::PendingEvent,
            Fault::TooManyRequests(7),
            Fault::ServerError,
            Fault::Unavailable,
        ];
        for (fault, status) in faults.into_iter().zip(statuses) {
            asked.cloud.fail(Endpoint::Read, fault, 1);
            let answer = asked.send(Method::GET, &path, None).await?;
            ensure!(answer.status() == status, "{provider:?} {fault:?}: {}", answer.status());
            if fault == Fault::TooManyRequests(7) && matches!(provider, Provider::DigitalOcean | Provider::Hetzner) {
                let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
                let told = Some("7").filter(|_| provider == Provider::DigitalOcean);
                ensure!(header("retry-after") == told && header("ratelimit-remaining") == Some("0"));
            }
        }
        for fault in [Fault::Reset, Fault::LostReply] {
            asked.cloud.fail(Endpoint::Read, fault, 1);
            // What EC2 has not let in it answers.
            let answer = asked.send(Method::GET, &path, None).await;
            ensure!(
                answer.is_err() || (provider == Provider::Aws && fault == Fault::LostReply),
                "{provider:?} {fault:?}"
            );
        }
        asked.cloud.fail(Endpoint::Read, Fault::Hang, 1);
        let answer = asked
            .client
            .get(asked.cloud.url() + &path)
            .timeout(Duration::from_millis(200));
        ensure!(
            answer.send().await.is_err_and(|error| error.is_timeout()),
            "{provider:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_reply_was_an_assignment_and_a_reset_was_none() -> Result<()> {
    let asked = Asker::of(Provider::DigitalOcean)?;
    let path = format!("/v2/reserved_ips/{FLOATING_IP}/actions");
    let assign = json!({ "type": "assign", "droplet_id": Secondary.droplet_id() });
    asked.cloud.fail(Endpoint::Assign, Fault::Reset, 1);
    ensure!(asked.send(Method::POST, &path, Some(&assign)).await.is_err() && asked.cloud.moves().is_empty());
    asked.cloud.fail(Endpoint::Assign, Fault::LostReply, 1);
    ensure!(asked.send(Method::POST, &path, Some(&assign)).await.is_err());
    asked.cloud.wait_for_moves(1, SOON)?;
    ensure!(asked.cloud.owner() == Some(Secondary));

    asked.cloud.fail(Endpoint::Assign, Fault::Broken, 1);
    let answer = asked.send(Method::POST, &path, Some(&assign)).await?;
    ensure!(answer.status() == 201 && serde_json::from_str::<Value>(&answer.text().await?).is_err());
    asked.cloud.wait_for_moves(2, SOON)?;

    asked.cloud.fail_after(1, Endpoint::Assign, Fault::ActionErrs, 1);
    asked
        .json(Method::POST, &path, Some(&json!({ "type": "unassign" })))
        .await?;
    asked.cloud.wait_for_moves(3, SOON)?;
    let (_, errs) = asked.json(Method::POST, &path, Some(&assign)).await?;
    asked.cloud.wait_for_moves(4, SOON)?;
    ensure!(asked.get(&format!("/v2/actions/{}", errs["action"]["id"])).await?["action"]["status"] == "errored");
    ensure!(
        asked.cloud.owner().is_none(),
        "the first went well, and the second came to nothing"
    );
    Ok(())
}

#[tokio::test]
async fn an_owner_can_be_stale_and_a_cloud_gone() -> Result<()> {
    let asked = Asker::of(Provider::DigitalOcean)?;
    let path = format!("/v2/reserved_ips/{FLOATING_IP}");
    asked.cloud.set_stale_for(SOON * 100);
    asked.cloud.set_owner(Some(Secondary));
    ensure!(asked.cloud.owner() == Some(Secondary), "the truth");
    ensure!(asked.get(&path).await?["reserved_ip"]["droplet"]["id"] == Primary.droplet_id());
    let active = format!("{}/metadata/v1/reserved_ip/ipv4/active", asked.cloud.metadata_url());
    ensure!(asked.client.get(&active).send().await?.text().await? == "false");

    asked.cloud.set_gone(Some(Gone::Reset));
    ensure!(asked.send(Method::GET, &path, None).await.is_err() && asked.client.get(&active).send().await.is_err());
    asked.cloud.set_gone(Some(Gone::Silent));
    let silent = asked
        .client
        .get(&active)
        .timeout(Duration::from_millis(200))
        .send()
        .await;
    ensure!(silent.is_err_and(|error| error.is_timeout()));
    asked.cloud.recover();
    ensure!(asked.status(Method::GET, &path).await? == 200);
    Ok(())
}

#[tokio::test]
async fn the_api_speaks_tls_to_who_knows_its_authority() -> Result<()> {
    let asked = Asker::of(Provider::DigitalOcean)?;
    let url = format!("{}/v2/reserved_ips/{FLOATING_IP}", asked.cloud.secure_url());
    let knowing = Client::builder()
        .tls_certs_only([Certificate::from_pem(asked.cloud.authority().as_bytes())?])
        .build()?;
    for _ in 0..2 {
        let answer = knowing
            .get(&url)
            .bearer_auth(Provider::DigitalOcean.token())
            .send()
            .await?;
        ensure!(answer.status() == 200);
    }
    let calls = asked.cloud.calls();
    ensure!(
        calls.iter().all(|call| call.secure && call.connection == 1),
        "{calls:?}"
    );
    ensure!(asked.cloud.count(Endpoint::Read) == 2);
    ensure!(asked.client.get(&url).send().await.is_err(), "a stranger's certificate");
    ensure!(asked.cloud.calls().len() == 2);
    Ok(())
}

/// Who asks a cloud.
struct Asker {
    cloud: Cloud,
    client: Client,
}

impl Asker {
    fn of(provider: Provider) -> Result<Self> {
        // Fails only where one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            cloud: Cloud::start_here(provider, Secondary)?,
            client: Client::builder().tls_certs_only([]).build()?,
        })
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response> {
        let request = self.client.request(method, self.cloud.url() + path);
        let request = request.bearer_auth(self.cloud.provider().token()).timeout(SOON);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        Ok(request.send().await?)
    }

    async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let answer = self.send(method, path, body).await?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_str(&answer.text().await?)?))
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let (status, answer) = self.json(Method::GET, path, None).await?;
        ensure!(status == 200, "{path}: {status} {answer}");
        Ok(answer)
    }

    async fn status(&self, method: Method, path: &str) -> Result<u16> {
        Ok(self.send(method, path, None).await?.status().as_u16())
    }
}
