//! The thread that moves addresses, by itself: what it asks of the kernel, what the network sees, and what it allocates.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    sync::{
        atomic::{AtomicI32, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use hb_tests::{host::Host, wire::Capture};
use hb_user::{
    config::{Address, Broadcast},
    realtime::Wanted,
    resources::{
        address::Hands,
        scripts::{Finished, Operation, Outcome},
    },
};
use nix::unistd::gettid;

/// Counts what one thread allocates and frees.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
/// The thread that is counted.
static WATCHED: AtomicI32 = AtomicI32::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn count() {
    if WATCHED.load(Ordering::Relaxed) == gettid().as_raw() {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: the system's allocator does the work, and counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps what `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller keeps what `dealloc` asks for, and all memory is the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

const LIMIT: Duration = Duration::from_secs(20);

fn address(ip: &str, bits: u8) -> Address {
    Address {
        ip: ip.parse().expect("an address"),
        bits: Some(bits),
        interface: Some("eth0".to_owned()),
        label: None,
        broadcast: Broadcast::Last,
    }
}

/// The thread of this process that is called `hb-hands`.
fn find_thread() -> Result<i32> {
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        if fs::read_to_string(task.path().join("comm"))?.trim() == "hb-hands" {
            return Ok(task.file_name().to_string_lossy().parse()?);
        }
    }
    Err(anyhow!("there is no thread hb-hands"))
}

async fn call(hands: &Hands, address: &Address, operation: Operation) -> Result<Finished> {
    let finished = hands.call(address, operation, LIMIT).await;
    ensure!(finished.outcome == Outcome::Done, "{operation}: {}", finished.outcome);
    Ok(finished)
}

/// Adds, looks for and removes addresses; the answers are whether each was there before.
async fn work(capture: &Capture) -> Result<()> {
    WATCHED.store(gettid().as_raw(), Ordering::Relaxed);
    drop(std::hint::black_box(Box::new(0)));
    let counted = COUNT.swap(0, Ordering::Relaxed);
    ensure!(counted >= 2, "an allocation and its end count as {counted}");
    let hands = Hands::start(Wanted::default())?;
    WATCHED.store(find_thread()?, Ordering::Relaxed);
    COUNT.store(0, Ordering::Relaxed);
    let (v4, v6) = (address("192.0.2.10", 24), address("2001:db8::10", 64));
    for address in [&v4, &v6] {
        let expected = [
            (Operation::Status, false),
            (Operation::Stop, false),
            (Operation::Start, false),
            (Operation::Start, true),
            (Operation::Status, true),
            (Operation::Stop, true),
            (Operation::Stop, false),
            (Operation::Start, false),
        ];
        for (operation, was_here) in expected {
            let finished = call(&hands, address, operation).await?;
            ensure!(finished.says_running == was_here, "{} {operation}", address.ip);
            ensure!(finished.started <= finished.ended);
        }
    }
    // All announcements of both, of which some were cut short above: 2 frames or 1, at once and 5 times more.
    capture.wait_for(6 * 2 + 6, LIMIT)?;
    for address in [&v4, &v6] {
        call(&hands, address, Operation::Stop).await?;
    }
    // Some things cannot be done, and that is said without an allocation, too.
    let finished = hands.call(&address("192.0.2.10", 33), Operation::Start, LIMIT).await;
    let Outcome::Failed(reason) = &finished.outcome else {
        return Err(anyhow!("33 bits were accepted"));
    };
    ensure!(
        reason.contains("the kernel refuses 192.0.2.10/33 on eth0: "),
        "{reason}"
    );
    // At its end it frees what it was started with.
    WATCHED.store(0, Ordering::Relaxed);
    Ok(())
}

#[test]
fn it_moves_addresses_and_allocates_nothing() -> Result<()> {
    let host = Host::create("n1")?;
    host.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
    let commands = [
        "link add eth0 type veth peer name eth1",
        "link set eth1 up",
        "link set eth0 up",
    ];
    for command in commands {
        host.run_ok("ip", &command.split(' ').collect::<Vec<_>>())?;
    }
    let is_announcement = |frame: &[u8]| {
        let is_arp = frame.get(12..14) == Some(&[0x08, 0x06]);
        let is_advertisement = frame.get(12..14) == Some(&[0x86, 0xDD]) && frame.get(54) == Some(&136);
        is_arp || is_advertisement
    };
    let capture = Capture::start(&host, "eth1", is_announcement)?;
    let (sender, result) = mpsc::channel();
    let thread = host.network_thread("hands", move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let done = runtime
            .context("no runtime")
            .and_then(|runtime| runtime.block_on(work(&capture)));
        let _ = sender.send(done);
    })?;
    let done = result.recv().context("the thread said nothing")?;
    ensure!(thread.join().is_ok());
    done?;
    let addresses = host.run_ok("ip", &["address", "show"])?;
    ensure!(
        !addresses.contains("192.0.2.10") && !addresses.contains("2001:db8::10"),
        "{addresses}"
    );
    ensure!(
        COUNT.load(Ordering::Relaxed) == 0,
        "{} allocations",
        COUNT.load(Ordering::Relaxed)
    );
    Ok(())
}
