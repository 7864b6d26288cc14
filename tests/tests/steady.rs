//! What the thread that beats does between its start and its end: it allocates nothing, and frees nothing.
//!
//! Two daemons run in this process, each in the network of a host, and an allocator counts what their `hb-pulse` threads ask
//! of it.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fmt::Write as _,
    fs,
    net::IpAddr,
    path::Path,
    sync::atomic::{AtomicI32, AtomicUsize, Ordering},
    thread::JoinHandle,
};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    clock::poll,
    expect::LIMIT,
    nodes::lan::{Lan, Station, address, name},
    tutorial::AUTHKEYS,
};
use hb_user::{
    config::{Cluster, Host},
    control::{self, Order, OrderRequest, Reply, Request, Status},
    daemon::{self, Places},
};
use nix::unistd::gettid;
use tokio::{runtime, sync::oneshot};

const NODES: usize = 2;

/// The threads that are watched; 0 is none.
static WATCHED: [AtomicI32; NODES] = [const { AtomicI32::new(0) }; NODES];
/// How often one of them allocated or freed.
static CALLS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

impl Counting {
    fn count() {
        if WATCHED[0].load(Ordering::Relaxed) != 0 {
            let me = gettid().as_raw();
            if WATCHED.iter().any(|watched| watched.load(Ordering::Relaxed) == me) {
                CALLS.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

// SAFETY: it is the system's allocator, whatever is counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::count();
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A daemon in this process.
struct Daemon {
    run: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    fn start(lan: &Lan, node: usize) -> Result<Self> {
        let run = tempfile::tempdir()?;
        write_files(run.path())?;
        let host = Host {
            name: name(node),
            addresses: vec![IpAddr::from(address(node))],
        };
        let cluster = Cluster::load(run.path(), &host)?.cluster;
        let places = Places {
            state: run.path().join("state"),
            run: run.path().to_owned(),
            again: daemon::Invocation::this()?,
        };
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                tokio::select! {
                    ended = daemon::run(cluster, &places, None) => panic!("{ended:?}"),
                    _ = stopped => {}
                }
            });
        };
        Ok(Self {
            run,
            stop: Some(stop),
            thread: Some(lan.nodes[node].network_thread("hb", work)?),
        })
    }

    fn ask(&self, request: &Request) -> Result<Reply> {
        Ok(control::ask(self.run.path(), request)?)
    }

    fn status(&self) -> Result<Status> {
        let Reply::Status(status) = self.ask(&Request::Status)? else {
            anyhow::bail!("another question was answered");
        };
        Ok(*status)
    }

    fn peer_is(&self, state: &str) -> bool {
        // It may not answer yet.
        self.status().is_ok_and(|status| status.peers[0].state == state)
    }

    /// Ends it as a crash of the process would.
    fn stop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_files(dir: &Path) -> Result<()> {
    let mut ha_cf = "keepalive 20ms\ndeadtime 400ms\ninitdead 10\nauto_failback on\n".to_owned();
    for node in 0..NODES {
        writeln!(ha_cf, "node {}\nucast eth0 {}", name(node), address(node))?;
    }
    fs::write(dir.join("ha.cf"), ha_cf)?;
    fs::write(dir.join("haresources"), "")?;
    // It runs on the machine itself, and that is not to be rebooted.
    fs::write(dir.join("hb.toml"), "[cluster]\nstuck = \"hold\"\n")?;
    fs::write(dir.join("authkeys"), AUTHKEYS)?;
    let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    Ok(fs::set_permissions(dir.join("authkeys"), secret)?)
}

fn watch_the_threads_that_beat() -> Result<()> {
    let mut watched = WATCHED.iter();
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        if fs::read_to_string(task.path().join("comm"))? == "hb-pulse\n" {
            let place = watched.next().context("too many threads that beat")?;
            place.store(task.file_name().to_string_lossy().parse()?, Ordering::Relaxed);
        }
    }
    ensure!(watched.next().is_none(), "not every daemon has a thread that beats");
    Ok(())
}

fn wait(what: &str, condition: impl Fn() -> bool) -> Result<()> {
    let held = poll(LIMIT, || Ok(condition().then_some(())))?;
    held.with_context(|| format!("in vain: {what}"))
}

fn ensure_nothing_was_allocated(since: &str) -> Result<()> {
    let calls = CALLS.load(Ordering::Relaxed);
    ensure!(calls == 0, "{since}: {calls} calls of the allocator");
    Ok(())
}

/// Rounds of every kind: beats that are sent and heard, news of a peer's beat, orders, a death, a peer that is back.
#[test]
fn the_thread_that_beats_allocates_nothing() -> Result<()> {
    let lan = Lan::create(NODES)?;
    let mut daemons = [Daemon::start(&lan, 0)?, Daemon::start(&lan, 1)?];
    wait("they meet", || daemons.iter().all(|daemon| daemon.peer_is("up")))?;
    watch_the_threads_that_beat()?;

    let sent = daemons[0].status()?.pulse.sent;
    wait("100 beats", || {
        daemons[0].status().is_ok_and(|status| status.pulse.sent >= sent + 100)
    })?;
    ensure_nothing_was_allocated("beats")?;

    for on in [true, false] {
        let order = OrderRequest {
            order: Order::Maintenance { on },
            wait: true,
            timeout_ms: 10_000,
        };
        let reply = daemons[0].ask(&Request::Order(order))?;
        ensure!(matches!(reply, Reply::Done { .. }), "{reply:?}");
        wait("the other knows", || {
            daemons[1].status().is_ok_and(|status| status.maintenance == on)
        })?;
    }
    ensure_nothing_was_allocated("orders and news")?;

    lan.cut(&[Station::Node(0)], &[Station::Node(1)])?;
    wait("a death", || daemons.iter().all(|daemon| daemon.peer_is("dead")))?;
    lan.heal()?;
    wait("they meet again", || daemons.iter().all(|daemon| daemon.peer_is("up")))?;
    ensure_nothing_was_allocated("a death")?;

    // At its end a thread frees what it had: so it is watched indeed.
    daemons.iter_mut().for_each(Daemon::stop);
    ensure!(
        CALLS.load(Ordering::Relaxed) > 0,
        "the allocator does not see these threads"
    );
    Ok(())
}
