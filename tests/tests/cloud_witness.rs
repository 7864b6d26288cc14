//! The provider as a witness, where the network is cut: who goes on, who gives up, and how it ends (docs/OWNERSHIP.md, The
//! provider).

use std::time::Duration;

use anyhow::{Result, ensure};
use hb_tests::{
    clock::Moment,
    cloud::{Gone, Provider},
    expect::FLOATIP,
    network::{
        Cut,
        Server::{self, Primary, Secondary},
    },
    provided::{DEADTIME, LIMIT, Provided},
    resource,
};

/// Owners are read so often that a test can wait for what follows.
const SETTINGS: &str = "witness = true\nverify_interval = \"1s\"\ntimeout = \"1s\"\nconnect_timeout = \"1s\"";
/// So long the provider has for its answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How much later than it should a busy machine may begin with a script.
const SLACK: Duration = Duration::from_secs(8);

fn settled() -> Result<Provided> {
    settled_with(SETTINGS)
}

fn settled_with(settings: &str) -> Result<Provided> {
    let site = Provided::settled(Provider::DigitalOcean, settings)?;
    site.wait_until_ready()?;
    Ok(site)
}

#[test]
fn a_primary_that_is_cut_off_from_all_gives_up_and_secondary_takes_over() -> Result<()> {
    let site = settled()?;
    let cluster = &site.cluster;
    let cut = Moment::now();
    cluster.network.cut(Primary, Cut::Silent)?;
    cluster.wait_until("primary gives up", LIMIT, || {
        Ok(!resource::runs_on(&cluster.network.primary, FLOATIP)?)
    })?;
    let gave_up = site.last(Primary, "stop")? - cut;
    ensure!(gave_up < DEADTIME + ANSWER + SLACK, "after {gave_up:?}");
    let status = cluster.wait_for_status(Primary, "it says why", |status| {
        Ok(status.has_alarm("lease lost", "") && status.json["witness"] == false)
    })?;
    ensure!(status.groups[0].owner.is_none(), "{}", status.json);

    let arrival = site.wait_until_moved(cut)?;
    let silent = cut + DEADTIME.saturating_sub(Duration::from_millis(200));
    ensure!(arrival.moved.accepted > silent, "taken before the silence was one");
    ensure!(cluster.cloud.reads_by(Secondary, silent) > 0, "nobody was asked");
    cluster.wait_for_status(Secondary, "the witness has answered", |status| {
        Ok(status.json["witness"] == true)
    })?;

    cluster.network.heal(Primary, Cut::Silent)?;
    site.wait_until_agreed(Primary)?;
    cluster.ensure_handed_over(Secondary, Primary)?;
    site.ensure_calm()
}

#[test]
fn a_secondary_that_is_cut_off_from_all_takes_nothing() -> Result<()> {
    let site = settled()?;
    let cluster = &site.cluster;
    let before = site.touched()?;
    cluster.network.cut(Secondary, Cut::Silent)?;
    cluster.wait_for_status(Secondary, "it is not answered", |status| {
        let group = &status.json["groups"][0];
        Ok(status.json["witness"] == false && group["waiting"].is_string() && group["state"] != "acquiring")
    })?;
    // Primary is answered, and so knows that it is not cut off.
    cluster.wait_for_status(Primary, "it is answered", |status| {
        Ok(status.json["witness"] == true && status.owner() == Some("primary"))
    })?;
    // Longer than the answer may take, once more.
    let waited = Moment::now();
    cluster.wait_until("it has waited", LIMIT, || Ok(waited.elapsed() > ANSWER + DEADTIME))?;
    let after = site.touched()?;
    ensure!(after == before, "something was touched: {before:?}, then {after:?}");
    ensure!(cluster.cloud.moves().is_empty(), "{:?}", cluster.cloud.moves());
    let status = cluster.status(Primary)?;
    ensure!(!status.has_alarm("lease lost", ""), "{:?}", status.alarms());

    cluster.network.heal(Secondary, Cut::Silent)?;
    site.wait_until_agreed(Primary)?;
    site.ensure_calm()?;
    let after = site.touched()?;
    ensure!(after == before, "something was touched: {before:?}, then {after:?}");
    ensure!(cluster.cloud.moves().is_empty());
    Ok(())
}

#[test]
fn where_both_reach_the_api_the_one_that_loses_the_address_gives_way() -> Result<()> {
    let site = settled()?;
    let cluster = &site.cluster;
    let cut = Moment::now();
    cluster.network.part(true)?;
    cluster.wait_until("secondary takes it", LIMIT, || {
        Ok(cluster.cloud.owner() == Some(Secondary) && resource::runs_on(&cluster.network.secondary, FLOATIP)?)
    })?;
    // Only the provider could tell primary.
    let arrival = site.wait_until_moved(cut)?;
    let status = cluster.wait_for_status(Primary, "it gives way", |status| Ok(status.has_alarm("gave way", "")))?;
    ensure!(
        status.peers[0].state == "dead" && status.json["witness"] == true,
        "{}",
        status.json
    );
    ensure!(
        site.last(Primary, "stop")? > arrival.completed,
        "it gave up before it had lost anything"
    );
    // They do not fight, though primary goes on reading whose it is.
    let gave_way = Moment::now();
    cluster.wait_until("primary reads it again and again", LIMIT, || {
        Ok(cluster.cloud.reads_by(Primary, gave_way) >= 4)
    })?;
    ensure!(site.cluster.cloud.moves().len() == 1, "{:?}", cluster.cloud.moves());
    ensure!(cluster.cloud.owner() == Some(Secondary));

    cluster.network.part(false)?;
    site.wait_until_agreed(Primary)?;
    cluster.ensure_handed_over(Secondary, Primary)?;
    site.ensure_calm()?;
    for server in Server::ALL {
        let status = cluster.status(server)?;
        ensure!(!status.has_alarm("gave way", ""), "{:?}", status.alarms());
    }
    Ok(())
}

#[test]
fn without_the_api_nothing_happens_while_the_nodes_hear_each_other() -> Result<()> {
    let site = settled()?;
    let cluster = &site.cluster;
    let calls = site.touched()?;
    for gone in [Gone::Reset, Gone::Silent] {
        cluster.cloud.set_gone(Some(gone));
        let missed = cluster.cloud.missed();
        cluster.wait_until("it is missed again and again", LIMIT, || {
            Ok(cluster.cloud.missed() >= missed + 6)
        })?;
        for server in Server::ALL {
            let status = cluster.wait_for_status(server, "it says that it is not ready", |status| {
                Ok(status.has_alarm("not ready", ""))
            })?;
            ensure!(
                status.json["witness"].is_null() && !status.has_alarm("lease lost", ""),
                "{}",
                status.json
            );
        }
        site.ensure_calm()?;
        cluster.cloud.recover();
        for server in Server::ALL {
            cluster.wait_for_status(server, "all is well again", |status| Ok(status.alarms().is_empty()))?;
        }
    }
    ensure!(site.touched()? == calls, "something was touched");
    ensure!(cluster.cloud.moves().is_empty());
    site.wait_until_agreed(Primary)
}

/// The one that is left needs the provider from then on.
#[test]
fn with_a_lease_who_is_answered_no_more_gives_up() -> Result<()> {
    const LEASE: Duration = Duration::from_secs(10);
    let mut site = settled_with(&format!("{SETTINGS}\nwitness_lease = \"10s\""))?;
    let lost = site.lose_primary()?;
    site.wait_until_with(Secondary, lost)?;
    let cluster = &site.cluster;
    // It is asked again in time.
    cluster.wait_until("the first answer is long over", LIMIT, || {
        Ok(lost.elapsed() > LEASE + LEASE / 2)
    })?;
    let status = cluster.status(Secondary)?;
    ensure!(
        status.json["witness"] == true && status.owner() == Some("secondary"),
        "{}",
        status.json
    );

    let gone = Moment::now();
    cluster.cloud.set_gone(Some(Gone::Silent));
    cluster.wait_until("secondary gives up", LIMIT, || {
        Ok(!resource::runs_on(&cluster.network.secondary, FLOATIP)?)
    })?;
    let gave_up = site.last(Secondary, "stop")? - gone;
    // A third of the lease and a question in vain before, it was answered.
    let least = (LEASE * 2 / 3).saturating_sub(ANSWER);
    ensure!(gave_up > least && gave_up < LEASE + SLACK, "after {gave_up:?}");
    cluster.wait_for_status(Secondary, "it says why", |status| {
        Ok(status.has_alarm("lease lost", "") && status.json["witness"] == false)
    })?;

    let back = Moment::now();
    cluster.cloud.recover();
    site.wait_until_with(Secondary, back)
}
