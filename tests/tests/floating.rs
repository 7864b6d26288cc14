//! A floating IP that hb moves through its provider's API, while nothing fails but the provider, or the network.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hb_tests::{
    cloud::{API, Endpoint, Fault, Provider},
    cluster::{Cluster, HB},
    expect::LIMIT,
    network::{FLOATING_IP, METADATA_IP, Server},
    status::Status,
    tutorial::Files,
};

use Server::{Primary, Secondary};

/// Longer than a group has to have run before its address is looked at, and read twice.
const NOTICED: Duration = Duration::from_secs(40);

fn files(more: &str) -> Files {
    let table = format!(
        "[digitalocean]\ntoken_file = \"/etc/ha.d/token\"\napi_url = \"http://{API}\"\n\
         metadata_url = \"http://{METADATA_IP}\"\nverify_interval = \"1s\"\n{more}"
    );
    Files::recording()
        .timers("800ms", "10")
        .haresources(&format!("primary digitalocean::{FLOATING_IP}\n"))
        .hb_toml(&table)
}

fn started(more: &str) -> Result<Cluster> {
    let mut cluster = Cluster::recording(files(more))?;
    cluster.cloud.set_token("token");
    for server in Server::ALL {
        let host = cluster.network.server(server);
        host.write_file("/etc/ha.d/token", 0o600, "token\n")?;
        cluster.start_hb(server)?;
    }
    cluster.wait_until_joined(LIMIT)?;
    Ok(cluster)
}

fn is_ready(status: &Status) -> bool {
    status.json["floating_ips"][0]["ready"] == true
}

#[test]
fn both_say_how_ready_they_are_and_the_takeover_says_what_the_api_did() -> Result<()> {
    let mut cluster = started("")?;
    for server in Server::ALL {
        cluster.wait_for_status(server, "it is ready", |status| Ok(is_ready(status)))?;
    }
    cluster.wait_until("primary has it", LIMIT, || Ok(cluster.cloud.owner() == Some(Primary)))?;
    cluster.power_off(Primary)?;
    cluster.wait_until("secondary has it", LIMIT, || {
        Ok(cluster.cloud.owner() == Some(Secondary))
    })?;
    let status = cluster.wait_for_status(Secondary, "it is verified", |status| {
        Ok(status
            .json
            .pointer("/last_takeover/steps/0/verified_us")
            .is_some_and(serde_json::Value::is_i64))
    })?;
    let step = &status.json["last_takeover"]["steps"][0];
    let moment = |name: &str| step[name].as_i64().with_context(|| format!("{name}: {step}"));
    let decided = status.json["last_takeover"]["decided_us"]
        .as_i64()
        .context("not decided")?;
    let order = [
        decided,
        moment("accepted_us")?,
        moment("completed_us")?,
        moment("verified_us")?,
    ];
    ensure!(order.is_sorted(), "{order:?}");

    // A token that is no good any more is told of before it is needed.
    cluster.cloud.set_token("another");
    cluster.wait_for_status(Secondary, "it is not ready", |status| {
        Ok(status.has_alarm("not ready", "access refused"))
    })?;
    Ok(())
}

#[test]
fn whose_it_is_stays_known_while_the_metadata_service_fails() -> Result<()> {
    let cluster = started("")?;
    let is_told = |server: Server, is_ready: bool| {
        cluster.wait_for_status(server, &format!("whose it is (ready: {is_ready})"), |status| {
            let ip = &status.json["floating_ips"][0];
            let is_known =
                ip["identity"] == Provider::DigitalOcean.instance(server) && ip["ours"] == (server == Primary);
            Ok(is_known && ip["ready"] == is_ready)
        })
    };
    for server in Server::ALL {
        is_told(server, true)?;
    }
    cluster.cloud.fail(Endpoint::Metadata, Fault::ServerError, 1_000);
    for server in Server::ALL {
        let status = is_told(server, false)?;
        ensure!(status.has_alarm("not ready", ""), "{:?}", status.alarms());
    }
    cluster.cloud.recover();
    for server in Server::ALL {
        is_told(server, true)?;
    }
    ensure!(cluster.cloud.moves().is_empty(), "{:?}", cluster.cloud.moves());
    Ok(())
}

/// So often within ten minutes it is taken back.
const TAKE_BACKS: u64 = 3;

#[test]
fn what_somebody_moves_away_is_taken_back_but_not_for_ever() -> Result<()> {
    let cluster = started("")?;
    cluster.wait_for_status(Primary, "it is its own", |status| {
        Ok(status.json["floating_ips"][0]["ours"] == true)
    })?;
    for time in 1..=TAKE_BACKS {
        steal(&cluster)?;
        cluster.wait_until("it is taken back", NOTICED, || {
            Ok(cluster.cloud.owner() == Some(Primary))
        })?;
        cluster.wait_for_status(Primary, "it is counted", |status| {
            let ip = &status.json["floating_ips"][0];
            let is_counted = ip["taken_back"] == time && ip["moved_away"] == time;
            Ok(is_counted && ip["ours"] == true && status.alarms().is_empty())
        })?;
    }
    // Whoever it is means it.
    steal(&cluster)?;
    let moves = cluster.cloud.moves().len();
    let mut contested = None;
    cluster.wait_until("it is told", NOTICED, || {
        contested = cluster.status(Primary).ok();
        let is_told = contested
            .as_ref()
            .is_some_and(|status| status.has_alarm("address contested", "203.0.113.10"));
        Ok(is_told)
    })?;
    let status = contested.context("not told")?;
    ensure!(status.number("/floating_ips/0/held_off_ms")? > 0, "{}", status.json);
    ensure!(
        status.number("/floating_ips/0/taken_back")? == TAKE_BACKS,
        "{}",
        status.json
    );
    let calls = cluster.cloud.calls().len();
    cluster.wait_until("it is looked at, and left", LIMIT, || {
        let reads = cluster.cloud.calls().split_off(calls);
        let by_primary = reads.iter().filter(|call| call.from == Primary.address());
        Ok(by_primary.filter(|call| call.request.ends_with("203.0.113.10")).count() >= 4)
    })?;
    ensure!(
        cluster.cloud.moves().len() == moves && cluster.cloud.owner() == Some(Secondary),
        "it was taken once more"
    );
    // A person has seen to it.
    let group = format!("digitalocean::{FLOATING_IP}");
    cluster.run_hb(Primary, &["cleanup", &group])?.ensure(0, &[])?;
    cluster.wait_until("it is taken back again", NOTICED, || {
        Ok(cluster.cloud.owner() == Some(Primary))
    })?;
    cluster.wait_for_status(Primary, "all is well", |status| {
        let ip = &status.json["floating_ips"][0];
        Ok(ip["taken_back"] == TAKE_BACKS + 1 && ip["held_off_ms"].is_null() && status.alarms().is_empty())
    })?;
    Ok(())
}

/// A person moves it by hand, to a host whose cluster does not want it there.
fn steal(cluster: &Cluster) -> Result<()> {
    let ip = FLOATING_IP.to_string();
    let id = Secondary.droplet_id().to_string();
    let host = &cluster.network.secondary;
    let mut command = host.command(HB);
    command
        .args(["assign-ip", &ip, &id])
        .env("DO_TOKEN", "token")
        .env("DO_API_URL", format!("http://{API}"));
    let ran = host.output(&mut command, b"")?;
    ensure!(ran.status.success(), "{ran:?}");
    ensure!(cluster.cloud.owner() == Some(Secondary));
    Ok(())
}
