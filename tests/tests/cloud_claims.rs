//! From whom a floating IP is taken (docs/OWNERSHIP.md, The provider): a third instance of the account has got it, which is no
//! node of the cluster.

use anyhow::{Result, ensure};
use hb_tests::{
    clock::Moment,
    cloud::{
        Endpoint, Gone,
        Instance::{self, Stranger},
        Provider,
    },
    cluster::Cluster,
    expect::FLOATIP,
    network::{
        FLOATING_IP,
        Server::{self, Primary, Secondary},
    },
    provided::{LIMIT, Provided},
    resource,
    status::Status,
    tutorial::Files,
};

/// Owners are read so often that a test can wait for what follows.
const READ_OFTEN: &str = "verify_interval = \"1s\"\ntimeout = \"1s\"\nconnect_timeout = \"1s\"";
/// And the provider is a witness; a start that failed is tried again soon.
const WITNESS: &str = "witness = true\nverify_interval = \"1s\"\ntimeout = \"1s\"\nconnect_timeout = \"1s\"\n\
                       [cluster]\nstart_retry = \"2s\"";

/// A cluster whose nodes have never run yet, with the address at the stranger's.
fn new_cluster(provider: Provider, settings: &str) -> Result<Cluster> {
    let cluster = Cluster::recording(Files::cloud(provider, settings).timers("800ms", "10"))?;
    cluster.cloud.set_holder(Some(Stranger));
    Ok(cluster)
}

/// Primary has it all, and secondary has seen which instance primary is.
fn settled(provider: Provider, settings: &str) -> Result<Provided> {
    let site = Provided::settled(provider, settings)?;
    site.wait_until_ready()?;
    wait_for_reads(&site.cluster, Secondary)?;
    ensure!(site.cluster.cloud.moves().is_empty(), "it was primary's already");
    Ok(site)
}

/// Waits until a server's daemon has read again and again whose the address is.
fn wait_for_reads(cluster: &Cluster, server: Server) -> Result<()> {
    let since = Moment::now();
    cluster.wait_until(&format!("{} reads whose it is", server.name()), LIMIT, || {
        Ok(cluster.cloud.reads_by(server, since) >= 4)
    })
}

/// An operator gives the address to the stranger, from primary, where no hb runs any more.
fn give_to_stranger(cluster: &Cluster) -> Result<()> {
    let provider = cluster.cloud.provider();
    let address = format!("{}::{FLOATING_IP}", provider.name());
    let stranger = provider.instance(Stranger);
    cluster
        .run_hb(Primary, &["ip", "assign", &address, "--to", &stranger])?
        .ensure(0, &[&stranger])?;
    ensure!(cluster.cloud.holder() == Some(Stranger), "{:?}", cluster.cloud.holder());
    Ok(())
}

/// How often anything was asked that moves the address, whatever the answer.
fn asked(cluster: &Cluster) -> usize {
    cluster.cloud.count(Endpoint::Assign) + cluster.cloud.count(Endpoint::Detach)
}

/// Insists that while a server reads whose the address is again and again, nobody asks for it.
fn ensure_left(cluster: &Cluster, server: Server) -> Result<()> {
    let before = asked(cluster);
    wait_for_reads(cluster, server)?;
    ensure!(
        asked(cluster) == before,
        "it was asked for once more: {:?}",
        cluster.cloud.moves()
    );
    Ok(())
}

/// Whether a status shows that an instance has the address, and whether that is this node.
fn shows(status: &Status, provider: Provider, owner: Instance, is_ours: bool) -> bool {
    let ip = &status.json["floating_ips"][0];
    ip["owner"] == provider.instance(owner) && ip["ours"] == is_ours
}

/// Waits until a server has taken the address, in one request, and says so; then nothing more is asked for.
fn ensure_taken_once(cluster: &Cluster, server: Server, cause: &str) -> Result<()> {
    let provider = cluster.cloud.provider();
    let status = cluster.wait_for_status(server, "it is here", |status| {
        Ok(shows(status, provider, server.into(), true)
            && matches!(status.groups[0].state.as_str(), "running" | "claimed"))
    })?;
    let takeover = status.last_takeover.as_ref();
    ensure!(
        takeover.is_some_and(|it| it.cause == cause && it.steps[0].accepted_us.is_some()),
        "{}",
        status.json
    );
    // The log says from whom.
    let log = cluster.network.server(server).log();
    let from = log.lines().find(|line| line.contains("to be taken over"));
    ensure!(
        from.is_some_and(|line| line.contains(&provider.instance(Stranger))),
        "{from:?}"
    );
    ensure_left(cluster, server)?;
    ensure!(
        cluster.cloud.assignments_by(server) == 1 && cluster.cloud.assignments_by(server.other()) == 0,
        "{:?}",
        cluster.cloud.moves()
    );
    ensure!(cluster.cloud.owner() == Some(server) && resource::runs_on(cluster.network.server(server), FLOATIP)?);
    Ok(())
}

#[test]
fn at_the_first_start_it_is_taken_from_whoever_has_it() -> Result<()> {
    Provider::each(|provider| {
        let mut cluster = new_cluster(provider, WITNESS)?;
        for server in Server::ALL {
            cluster.start_hb(server)?;
        }
        cluster.wait_until_joined(LIMIT)?;
        ensure_taken_once(&cluster, Primary, "start")?;
        for server in Server::ALL {
            let status = cluster.wait_for_status(server, "it shows whose it is", |status| {
                Ok(shows(status, provider, Primary.into(), server == Primary))
            })?;
            ensure!(status.alarms().is_empty(), "{:?}", status.alarms());
        }
        Ok(())
    })
}

#[test]
fn at_a_first_start_alone_nobody_is_known_who_could_be_spared() -> Result<()> {
    for provider in [Provider::DigitalOcean, Provider::Hetzner] {
        let mut cluster = new_cluster(provider, WITNESS)?;
        cluster.start_hb(Secondary)?;
        ensure_taken_once(&cluster, Secondary, "peer_died")?;
        ensure!(cluster.status(Secondary)?.json["witness"] == true);
    }
    Ok(())
}

#[test]
fn what_is_given_away_while_a_node_is_lost_is_taken_back_once() -> Result<()> {
    Provider::each(|provider| {
        let mut site = settled(provider, READ_OFTEN)?;
        let lost = site.lose_primary()?;
        site.wait_until_moved(lost)?;
        let cluster = &site.cluster;
        ensure!(cluster.cloud.assignments_by(Secondary) == 1);

        // It is not where primary was seen, so primary's doing it is not.
        give_to_stranger(cluster)?;
        cluster.wait_until("it is taken back", LIMIT, || {
            Ok(cluster.cloud.owner() == Some(Secondary))
        })?;
        let status = cluster.wait_for_status(Secondary, "it is counted", |status| {
            let ip = &status.json["floating_ips"][0];
            let is_counted = ip["taken_back"] == 1 && ip["moved_away"] == 1;
            Ok(is_counted && shows(status, provider, Secondary.into(), true))
        })?;
        ensure!(
            status.last_takeover.as_ref().is_some_and(|it| it.cause == "moved"),
            "{}",
            status.json
        );

        // Whoever it is means it, and may be primary after all.
        give_to_stranger(cluster)?;
        cluster.wait_for_status(Secondary, "it gives way", |status| {
            let is_let_go = status.groups[0].owner.is_none() && status.groups[0].state == "released";
            Ok(is_let_go
                && status.has_alarm("gave way", &provider.instance(Stranger))
                && shows(status, provider, Stranger, false))
        })?;
        ensure!(!resource::runs_on(&cluster.network.secondary, FLOATIP)?);
        ensure_left(cluster, Secondary)?;
        ensure!(
            cluster.cloud.holder() == Some(Stranger) && cluster.cloud.assignments_by(Secondary) == 2,
            "they fight: {:?}",
            cluster.cloud.moves()
        );

        // A person knows better.
        let taken = Moment::now();
        cluster
            .run_hb(Secondary, &["takeover"])?
            .ensure(0, &["now on secondary"])?;
        site.wait_until_with(Secondary, taken)?;
        cluster.wait_for_status(Secondary, "all is well", |status| {
            Ok(!status.has_alarm("gave way", "") && shows(status, provider, Secondary.into(), true))
        })?;
        ensure!(cluster.cloud.assignments_by(Secondary) == 3);
        Ok(())
    })
}

/// Secondary has lost primary, while the API could not be reached; when it can be again, the stranger has the address.
fn lose_primary_and_the_address(provider: Provider, settings: &str) -> Result<Provided> {
    let mut site = settled(provider, settings)?;
    site.cluster.cloud.set_gone(Some(Gone::Reset));
    site.lose_primary()?;
    site.cluster
        .wait_for_status(Secondary, "it has lost primary", |status| {
            Ok(status.peers[0].state == "dead")
        })?;
    site.cluster.cloud.set_holder(Some(Stranger));
    site.cluster.cloud.recover();
    Ok(site)
}

/// Waits until secondary has failed to take it again and again, and insists that it did not even ask.
fn ensure_spared(cluster: &Cluster) -> Result<()> {
    let provider = cluster.cloud.provider();
    let stranger = provider.instance(Stranger);
    let log = || cluster.network.secondary.log();
    cluster.wait_until("it fails again and again", LIMIT, || {
        Ok(log().matches("acquiring: failed").count() >= 3)
    })?;
    let status = cluster.wait_for_status(Secondary, "it says why", |status| {
        Ok(status.has_alarm("group failed", &stranger) && shows(status, provider, Stranger, false))
    })?;
    ensure!(
        status.has_alarm("group failed", "not its owner when it was last seen: not taken"),
        "{:?}",
        status.alarms()
    );
    ensure!(status.json["witness"] == true, "{}", status.json);
    ensure!(
        cluster.cloud.holder() == Some(Stranger) && asked(cluster) == 0,
        "it was stolen: {:?}",
        cluster.cloud.moves()
    );
    ensure!(
        resource::calls(&cluster.network.secondary)?
            .iter()
            .all(|call| call.operation != "start"),
        "started without the address"
    );
    Ok(())
}

#[test]
fn with_a_witness_it_is_not_taken_from_who_was_not_seen_to_have_it() -> Result<()> {
    Provider::each(|provider| {
        let site = lose_primary_and_the_address(provider, WITNESS)?;
        let cluster = &site.cluster;
        ensure_spared(cluster)?;
        let taken = Moment::now();
        cluster
            .run_hb(Secondary, &["takeover"])?
            .ensure(0, &["now on secondary"])?;
        site.wait_until_with(Secondary, taken)?;
        let status = cluster.wait_for_status(Secondary, "it is here", |status| {
            Ok(shows(status, provider, Secondary.into(), true))
        })?;
        ensure!(!status.has_alarm("group failed", ""), "{:?}", status.alarms());
        ensure!(cluster.cloud.assignments_by(Secondary) == 1);
        Ok(())
    })
}

#[test]
fn with_a_witness_it_is_taken_when_it_is_given_back_to_the_lost_node() -> Result<()> {
    for provider in [Provider::DigitalOcean, Provider::Aws] {
        let site = lose_primary_and_the_address(provider, WITNESS)?;
        ensure_spared(&site.cluster)?;
        let given = Moment::now();
        site.cluster.cloud.set_owner(Some(Primary));
        site.wait_until_with(Secondary, given)?;
        ensure!(site.cluster.cloud.assignments_by(Secondary) == 1);
    }
    Ok(())
}

/// Nothing is compared then: a takeover reads whose the address is, and takes it.
#[test]
fn without_a_witness_it_is_taken_from_whoever_has_it() -> Result<()> {
    let site = lose_primary_and_the_address(Provider::DigitalOcean, READ_OFTEN)?;
    ensure_taken_once(&site.cluster, Secondary, "peer_died")
}
