//! A provider's token: where the daemon may have it from, and where nobody may find it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hb_tests::{
    cloud::{Endpoint, Fault, Provider},
    cluster::{Cluster, Options},
    expect::FLOATIP,
    network::Server::{self, Primary, Secondary},
    provided::LIMIT,
    resource,
    tutorial::Files,
};

/// As systemd's `LoadCredential=hb-token:FILE` has it.
const DIRECTORY: &str = "/run/credentials/hb.service";
const CREDENTIAL: &str = "hb-token";

#[test]
fn a_credential_of_systemd_is_used_and_shown_to_nobody() -> Result<()> {
    let provider = Provider::Hetzner;
    let token = provider.token();
    let mut cluster = Cluster::start(&Options {
        files: Files::cloud_with(
            provider,
            &format!("credential = {CREDENTIAL:?}\nverify_interval = \"1s\""),
        )
        .timers("800ms", "10"),
        client_interval: Duration::from_hours(1),
        ..Options::default()
    })?;
    for server in Server::ALL {
        let host = cluster.network.server(server);
        host.write_file(&format!("{DIRECTORY}/{CREDENTIAL}"), 0o400, token)?;
        cluster.start_hb_with(server, &[("CREDENTIALS_DIRECTORY", DIRECTORY)])?;
    }
    let is_with = |cluster: &Cluster, server| -> Result<bool> {
        Ok(resource::runs_on(cluster.network.server(server), FLOATIP)? && cluster.cloud.owner() == Some(server))
    };
    cluster.wait_until("primary has it", LIMIT, || is_with(&cluster, Primary))?;
    cluster.wait_until_joined(LIMIT)?;
    // What a server says when it fails is told in the log, and is no place for a token either, though it repeats the request's.
    cluster.cloud.set_indiscreet(true);
    for (endpoint, fault) in [
        (Endpoint::Read, Fault::ServerError),
        (Endpoint::Read, Fault::Broken),
        (Endpoint::Assign, Fault::Unavailable),
        (Endpoint::Assign, Fault::ActionErrs),
    ] {
        cluster.cloud.fail(endpoint, fault, 1);
    }
    cluster.power_off(Primary)?;
    cluster.wait_until("secondary has it", LIMIT, || is_with(&cluster, Secondary))?;
    ensure!(!cluster.cloud.has_faults_left(), "not everything went wrong");
    let log = cluster.network.secondary.log();
    ensure!(log.contains("Bearer [secret]"), "nothing was to be kept out of the log");

    ensure_nowhere(&cluster, token)?;
    // Refused, it is named in no complaint.
    cluster.cloud.set_token("another");
    cluster.wait_for_status(Secondary, "it is refused", |status| {
        Ok(status.has_alarm("not ready", "access refused"))
    })?;
    ensure_nowhere(&cluster, token)
}

/// Insists that the token is in nothing that a daemon shows, writes, or gives to a script.
fn ensure_nowhere(cluster: &Cluster, token: &str) -> Result<()> {
    for server in Server::ALL {
        let host = cluster.network.server(server);
        ensure!(!host.log().contains(token), "the log of {} has it", server.name());
    }
    let host = &cluster.network.secondary;
    let environment = host.read_file("/run/environment-start")?;
    ensure!(!environment.contains(token), "a script gets it: {environment}");
    // Nor whether there are any, or where.
    ensure!(
        !environment.contains("CREDENTIALS"),
        "a script is led to it: {environment}"
    );
    let pid = cluster.hb(Secondary)?.pid();
    for file in ["cmdline", "environ"] {
        ensure!(!of_process(pid, file)?.contains(token), "the process's {file} has it");
    }
    for command in [&["status"][..], &["status", "--json"], &["check"]] {
        let shown = cluster.run_hb(Secondary, command)?;
        ensure!(!shown.text.contains(token), "hb {command:?} shows it");
    }
    Ok(())
}

fn of_process(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
