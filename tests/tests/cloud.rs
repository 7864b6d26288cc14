//! The harness itself: cloud, sites, client and the tutorial's files.

use std::{
    io::{Read, Write},
    net::{SocketAddrV4, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    clock::Moment,
    cloud::{API, Endpoint, Fault, TOKEN},
    cluster::{Cluster, Options},
    network::{FLOATING_IP, METADATA_IP, Server},
    site::page,
    tutorial,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn an_assignment_moves_the_page_when_it_completes() -> Result<()> {
    let started = Moment::now();
    let cluster = cluster(200)?;
    println!("a cluster in {:?}, pages by {}", started.elapsed(), cluster.served_by());
    let first = cluster.wait_for_page(Server::Primary, started, SOON)?;
    ensure!(first.page == Ok("Server: primary, IP Address: 198.51.100.5".to_owned()));

    let asked = Moment::now();
    let (status, answer) = assign(&cluster, Server::Secondary, Server::Secondary.droplet_id(), TOKEN)?;
    ensure!(status == 201, "{status} {answer}");
    ensure!(answer["action"]["status"] == "in-progress" && answer["action"]["type"] == "assign_ip");
    ensure!(answer["action"]["resource_type"] == "reserved_ip" && answer["action"]["completed_at"].is_null());

    let busy = assign(&cluster, Server::Primary, Server::Primary.droplet_id(), TOKEN)?;
    ensure!(
        busy.0 == 422 && busy.1["message"] == "The reserved IP already has a pending event.",
        "{busy:?}"
    );
    ensure!(read(&cluster)?["reserved_ip"]["locked"] == true);

    let seen = cluster.wait_for_page(Server::Secondary, asked, SOON)?;
    ensure!(seen.page == Ok(page(Server::Secondary)));
    let moved = cluster.cloud.wait_for_moves(1, SOON)?.remove(0);
    let completed = moved.completed().context("not completed")?;
    ensure!(completed - moved.accepted >= Duration::from_millis(200));
    ensure!(moved.by.to_string() == "198.51.100.6" && moved.is_to(Server::Secondary));
    // The page cannot have come before the route moved, and the route moves before the cloud says so.
    ensure!(seen.ended > moved.accepted + Duration::from_millis(200));
    println!(
        "moved in {:?}, seen {:?} after",
        completed - moved.accepted,
        seen.ended - completed
    );

    let (status, action) = get(&cluster, &format!("/{FLOATING_IP}/actions/{}", answer["action"]["id"]))?;
    ensure!(status == 200 && action["action"]["status"] == "completed" && action["action"]["completed_at"].is_string());
    ensure!(read(&cluster)?["reserved_ip"]["droplet"]["id"] == Server::Secondary.droplet_id());
    ensure!(cluster.client.longest_gap(asked, Moment::now()).length() < Duration::from_secs(1));
    Ok(())
}

#[test]
fn the_api_refuses_as_the_real_one_does() -> Result<()> {
    let cluster = cluster(1)?;
    let secondary = Server::Secondary.droplet_id();
    let wrong_token = assign(&cluster, Server::Secondary, secondary, "wrong")?;
    ensure!(
        wrong_token.0 == 401 && wrong_token.1["message"] == "Unable to authenticate you",
        "{wrong_token:?}"
    );
    ensure!(wrong_token.1["id"] == "Unauthorized" && wrong_token.1["request_id"].is_string());
    ensure!(assign(&cluster, Server::Secondary, 4711, TOKEN)?.0 == 404);
    ensure!(get(&cluster, "/203.0.113.99")?.0 == 404);
    ensure!(get(&cluster, &format!("/{FLOATING_IP}/actions/1"))?.0 == 404);

    for (fault, status) in [
        (Fault::Unauthorized, 401),
        (Fault::Forbidden, 403),
        (Fault::NotFound, 404),
        (Fault::PendingEvent, 422),
        (Fault::TooManyRequests(3), 429),
        (Fault::ServerError, 500),
    ] {
        cluster.cloud.fail(Endpoint::Assign, fault, 1);
        ensure!(
            assign(&cluster, Server::Secondary, secondary, TOKEN)?.0 == status,
            "{fault:?}"
        );
    }
    cluster.cloud.fail(Endpoint::Read, Fault::TooManyRequests(3), 1);
    let limited = exchange(
        &cluster,
        Server::Primary,
        API,
        "GET /v2/reserved_ips/203.0.113.10 HTTP/1.0\r\n\r\n",
    )?;
    ensure!(
        limited.contains("retry-after: 3\r\n") && limited.contains("ratelimit-remaining: 0\r\n"),
        "{limited}"
    );
    ensure!(cluster.cloud.moves().is_empty() && cluster.cloud.owner() == Some(Server::Primary));

    cluster.cloud.fail(Endpoint::Assign, Fault::ActionErrs, 1);
    ensure!(assign(&cluster, Server::Secondary, secondary, TOKEN)?.0 == 201);
    let errored = cluster.cloud.wait_for_moves(1, SOON)?.remove(0);
    ensure!(errored.completed().is_none() && cluster.cloud.owner() == Some(Server::Primary));

    cluster.cloud.fail(Endpoint::Assign, Fault::Hang, 1);
    ensure!(assign(&cluster, Server::Secondary, secondary, TOKEN).is_err());
    ensure!(cluster.cloud.calls().last().is_some_and(|call| call.answered.is_none()));
    ensure!(assign(&cluster, Server::Secondary, secondary, TOKEN)?.0 == 201);
    Ok(())
}

#[test]
fn the_metadata_service_tells_each_droplet_who_it_is() -> Result<()> {
    let cluster = cluster(1)?;
    let metadata = SocketAddrV4::new(METADATA_IP, 80);
    let ask = |server, path: &str| -> Result<String> {
        let answer = exchange(
            &cluster,
            server,
            metadata,
            &format!("GET /metadata/v1/{path} HTTP/1.0\r\n\r\n"),
        )?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.starts_with("HTTP/1.0 200"), "{head}");
        Ok(body.to_owned())
    };
    for server in Server::ALL {
        ensure!(ask(server, "id")? == server.droplet_id().to_string());
        ensure!(ask(server, "hostname")? == server.name());
        let active = (server == Server::Primary).to_string();
        ensure!(ask(server, "reserved_ip/ipv4/active")? == active);
        ensure!(ask(server, "floating_ip/ipv4/active")? == active);
    }
    ensure!(ask(Server::Primary, "nonsense").is_err());
    cluster.cloud.fail(Endpoint::Metadata, Fault::ServerError, 1);
    ensure!(ask(Server::Primary, "id").is_err());
    Ok(())
}

#[test]
fn floatip_starts_with_the_droplets_id_and_fails_loudly() -> Result<()> {
    let cluster = cluster(1)?;
    let secondary = &cluster.network.secondary;
    ensure!(secondary.read_file("/etc/ha.d/ha.cf")? == tutorial::HA_CF);
    let tool = "#!/bin/sh\necho \"$@\" $DO_API_URL ${TOKEN:+token}\nexit 9\n";
    secondary.write_file("/usr/local/sbin/hb", 0o755, tool)?;
    let floatip = |operation| secondary.run("/etc/init.d/floatip", &[operation]);

    let start = floatip("start")?;
    let expected = format!(
        "assign-ip {FLOATING_IP} {} http://{API} token\n",
        Server::Secondary.droplet_id()
    );
    ensure!(String::from_utf8_lossy(&start.stdout) == expected, "{start:?}");
    ensure!(start.status.code() == Some(9));
    for silent in ["stop", "status"] {
        let output = floatip(silent)?;
        ensure!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
    }
    ensure!(floatip("restart")?.status.code() == Some(1));
    cluster.cloud.fail(Endpoint::Metadata, Fault::ServerError, 1);
    ensure!(floatip("start")?.status.code() == Some(1));
    Ok(())
}

#[test]
fn a_lost_site_is_seen_by_the_client() -> Result<()> {
    let mut cluster = cluster(1)?;
    let primary = cluster.network.server(Server::Primary);
    primary.write_file("/usr/local/sbin/hb", 0o755, "#!/bin/sh\nexec sleep 1000\n")?;
    cluster.start_hb(Server::Primary)?;
    cluster.wait_for_page(Server::Primary, Moment::now(), SOON)?;
    let lost = Moment::now();
    cluster.power_off(Server::Primary)?;
    cluster.wait_until("requests are refused", SOON, || {
        Ok(cluster
            .client
            .answers()
            .last()
            .is_some_and(|answer| answer.asked > lost && answer.page.is_err()))
    })?;
    let back = Moment::now();
    cluster.power_on(Server::Primary)?;
    let answer = cluster.wait_for_page(Server::Primary, back, SOON)?;
    let gap = cluster.client.longest_gap(lost, answer.ended);
    ensure!(gap.next >= back && gap.last <= back);
    Ok(())
}

fn cluster(action_ms: u64) -> Result<Cluster> {
    Cluster::start_without_hb(&Options {
        action_time: Duration::from_millis(action_ms),
        ..Options::default()
    })
}

/// Asks from a server for the floating IP, as `hb assign-ip` would: the answer's status and body.
fn assign(cluster: &Cluster, from: Server, droplet: u64, token: &str) -> Result<(u16, Value)> {
    let body = format!(r#"{{"type":"assign","droplet_id":{droplet}}}"#);
    let head = format!("Authorization: Bearer {token}\r\nContent-Length: {}\r\n", body.len());
    let request = format!("POST /v2/reserved_ips/{FLOATING_IP}/actions HTTP/1.0\r\n{head}\r\n{body}");
    parse(&exchange(cluster, from, API, &request)?)
}

/// Asks the API from primary.
fn get(cluster: &Cluster, path: &str) -> Result<(u16, Value)> {
    let request = format!("GET /v2/reserved_ips{path} HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    parse(&exchange(cluster, Server::Primary, API, &request)?)
}

fn read(cluster: &Cluster) -> Result<Value> {
    Ok(get(cluster, &format!("/{FLOATING_IP}"))?.1)
}

fn parse(answer: &str) -> Result<(u16, Value)> {
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    Ok((
        head.split(' ').nth(1).context("no status")?.parse()?,
        serde_json::from_str(body)?,
    ))
}

/// Sends a request from a server and gives the whole answer, head and body.
fn exchange(cluster: &Cluster, from: Server, to: SocketAddrV4, request: &str) -> Result<String> {
    cluster.network.server(from).enter(|| {
        let mut stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })?
}
