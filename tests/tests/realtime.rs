//! What scheduling class the daemon's threads and scripts really have, and what that is good for.

use std::{
    fs,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    clock::Moment,
    cluster::Cluster,
    expect::LIMIT,
    network::Server::{self, Primary, Secondary},
    process::HostProcess,
    resource,
    status::Status,
    tutorial::Files,
};

/// What the kernel has for `SCHED_DEADLINE` is limited, so clusters of this file stand one after the other.
static ALONE: Mutex<()> = Mutex::new(());

/// The classes' numbers (sched(7)).
const NORMAL: u32 = 0;
const FIFO: u32 = 1;
const DEADLINE: u32 = 6;

/// How long the hogs have the processors.
const HOGS: Duration = Duration::from_secs(2);

/// A thread as /proc sees it.
#[derive(Debug)]
struct Thread {
    name: String,
    class: u32,
    priority: u32,
    nice: i32,
}

impl Thread {
    /// From its stat (proc(5)): the name in parentheses, nice is field 19, the priority 40, the class 41.
    fn parse(stat: &str) -> Option<Self> {
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3);
        Some(Self {
            name: name.to_owned(),
            class: field(41)?.parse().ok()?,
            priority: field(40)?.parse().ok()?,
            nice: field(19)?.parse().ok()?,
        })
    }
}

/// All threads of a server's daemon.
fn threads(cluster: &Cluster, server: Server) -> Result<Vec<Thread>> {
    let tasks = fs::read_dir(format!("/proc/{}/task", cluster.hb(server)?.pid()))?;
    let threads = tasks.map(|task| {
        let stat = fs::read_to_string(task?.path().join("stat"))?;
        Thread::parse(&stat).context(stat)
    });
    threads.collect()
}

fn find<'a>(threads: &'a [Thread], name: &str) -> Result<&'a Thread> {
    let found = threads.iter().find(|thread| thread.name == name);
    found.with_context(|| format!("no thread {name}: {threads:?}"))
}

/// The resource's script, which also notes how it is scheduled itself, and how a child of it is.
fn noting() -> String {
    let note = "cat /proc/$$/stat >/run/class\nsh -c 'cat /proc/self/stat >/run/class-of-child; :'\n";
    resource::SCRIPT.replacen("#!/bin/sh\n", &format!("#!/bin/sh\n{note}"), 1)
}

fn noted(cluster: &Cluster, server: Server) -> Result<[Thread; 2]> {
    let read = |path: &str| {
        let stat = cluster.network.server(server).read_file(path)?;
        Thread::parse(&stat).context(stat)
    };
    Ok([read("/run/class")?, read("/run/class-of-child")?])
}

fn files() -> Files {
    Files::recording().timers("600ms", "10").floatip(&noting())
}

/// Whether the kernel granted what is asked for first, as a machine of the tests does; others may have reserved too much.
fn has_deadline(status: &Status) -> Result<bool> {
    let is_deadline = status.text("/realtime/pulse")?.starts_with("deadline ");
    let why = &status.json["realtime"]["second_best"];
    ensure!(
        is_deadline == why.is_null() && (is_deadline || why.to_string().contains("os error 16")),
        "{}",
        status.json["realtime"]
    );
    Ok(is_deadline)
}

#[test]
fn threads_and_scripts_have_the_class_that_is_said() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut cluster = Cluster::recording(files().hb_toml("[scripts]\nnice = 7\n"))?;
    let other = files().hb_toml("[scripts]\nrtprio = 3\n[realtime]\nscheduling = \"fifo\"\ncpus = [0]\n");
    other
        .ha_cf_line("rtprio 33")
        .install(cluster.network.server(Secondary))?;
    for server in Server::ALL {
        cluster.start_hb(server)?;
    }
    cluster.wait_until_agreed(Primary)?;

    let status = cluster.status(Primary)?;
    let all = threads(&cluster, Primary)?;
    let pulse = find(&all, "hb-pulse")?;
    let expected = if has_deadline(&status)? { DEADLINE } else { FIFO };
    ensure!(pulse.class == expected, "{all:?}");
    ensure!([DEADLINE, FIFO].contains(&find(&all, "hb")?.class), "{all:?}");
    // With a nice value for scripts it is of the normal class, too.
    let others = all
        .iter()
        .filter(|thread| !["hb", "hb-pulse"].contains(&thread.name.as_str()));
    for thread in others {
        ensure!((thread.class, thread.priority) == (NORMAL, 0), "{all:?}");
    }
    for script in noted(&cluster, Primary)? {
        ensure!((script.class, script.nice) == (NORMAL, 7), "{script:?}");
    }

    let status = cluster.status(Secondary)?;
    ensure!(status.text("/realtime/pulse")? == "fifo 33" && status.text("/realtime/controller")? == "fifo 10");
    let all = threads(&cluster, Secondary)?;
    let pulse = find(&all, "hb-pulse")?;
    ensure!((pulse.class, pulse.priority) == (FIFO, 33), "{all:?}");
    let main = find(&all, "hb")?;
    ensure!((main.class, main.priority) == (FIFO, 10), "{all:?}");
    cluster.run_hb(Primary, &["standby"])?.ensure(0, &[])?;
    cluster.wait_until_agreed(Secondary)?;
    for script in noted(&cluster, Secondary)? {
        ensure!((script.class, script.priority) == (FIFO, 3), "{script:?}");
    }

    // A reload changes what scripts are, and nothing else.
    files().hb_toml("").install(cluster.network.server(Primary))?;
    cluster.run_hb(Primary, &["reload"])?.ensure(0, &["scripts changed"])?;
    cluster.run_hb(Primary, &["takeover"])?.ensure(0, &[])?;
    cluster.wait_until_agreed(Primary)?;
    for script in noted(&cluster, Primary)? {
        ensure!((script.class, script.nice) == (NORMAL, 0), "{script:?}");
    }
    let all = threads(&cluster, Primary)?;
    ensure!([DEADLINE, FIFO].contains(&find(&all, "hb-spawn")?.class), "{all:?}");
    files()
        .ha_cf_line("realtime off")
        .install(cluster.network.server(Primary))?;
    cluster
        .run_hb(Primary, &["reload"])?
        .ensure(1, &["realtime", "order `hb restart`"])?;
    // Which takes it over.
    cluster.run_hb(Primary, &["restart"])?.ensure(0, &[])?;
    let all = threads(&cluster, Primary)?;
    ensure!(all.iter().all(|thread| thread.class == NORMAL), "{all:?}");
    Ok(())
}

#[test]
fn with_realtime_off_all_is_normal_and_no_alarm() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = Cluster::settled(files().ha_cf_line("realtime off"))?;
    let status = cluster.status(Primary)?;
    ensure!(status.text("/realtime/pulse")? == "normal" && status.text("/realtime/controller")? == "normal");
    ensure!(
        !status.alarms().iter().any(|alarm| alarm.contains("real time")),
        "{:?}",
        status.alarms()
    );
    let all = threads(&cluster, Primary)?;
    ensure!(all.iter().all(|thread| thread.class == NORMAL), "{all:?}");
    let about = fs::read_to_string(format!("/proc/{}/status", cluster.hb(Primary)?.pid()))?;
    ensure!(
        about
            .lines()
            .any(|line| line.split_whitespace().eq(["VmLck:", "0", "kB"])),
        "{about}"
    );
    Ok(())
}

/// One for each processor, at the highest priority. The kernel ends them by its limit of real time, whatever becomes of us:
/// nobody else may have a processor to do it.
fn start_hogs(cluster: &Cluster) -> Result<Vec<HostProcess>> {
    let host = &cluster.network.client;
    let limit = format!("--rttime={}", HOGS.as_micros());
    let hog = ["chrt", "--fifo", "99", "sh", "-c", "while :; do :; done"];
    let all = 0..std::thread::available_parallelism()?.get();
    all.map(|_| host.spawn(host.command("prlimit").arg(&limit).args(hog)))
        .collect()
}

#[test]
fn beats_go_on_while_hogs_hold_every_processor() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = Cluster::settled(files())?;
    let calls = cluster.all_calls()?;
    for server in Server::ALL {
        let status = cluster.status(server)?;
        if !has_deadline(&status)? {
            println!("not tried: {}", status.json["realtime"]);
            return Ok(());
        }
    }
    let before = [cluster.status(Primary)?, cluster.status(Secondary)?];
    let logged = Server::ALL.map(|server| cluster.network.server(server).log().len());
    let begun = Moment::now();
    for hog in start_hogs(&cluster)? {
        let ended = hog.wait_exit(LIMIT)?;
        ensure!(!ended.success(), "the limit has not ended it: {ended}");
    }
    let hogged = begun.elapsed();
    ensure!(hogged >= HOGS, "it took them {hogged:?}");
    for ((server, before), logged) in Server::ALL.into_iter().zip(before).zip(logged) {
        let status = cluster.status(server)?;
        let heard = status.accepted()? - before.accepted()?;
        println!(
            "{}: {heard} beats in {hogged:?}, lateness {}",
            server.name(),
            status.json["pulse"]["lateness"]
        );
        // Every 50 ms, with room for processor time that a hypervisor steals.
        ensure!(
            u128::from(heard) >= hogged.as_millis() / 50 * 7 / 10,
            "{}: {heard} beats in {hogged:?}",
            server.name()
        );
        let log = cluster.network.server(server).log();
        ensure!(
            !log[logged..].contains("peer is silent") && status.sees_all_peers(),
            "{log}"
        );
    }
    ensure!(cluster.all_calls()? == calls, "something moved");
    Ok(())
}
