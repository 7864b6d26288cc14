//! The thread that moves addresses, by itself: what it asks of the kernel, what the network sees, and what it allocates.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    net::Ipv6Addr,
    process::Command,
    sync::{
        atomic::{AtomicI32, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use hb_tests::{
    clock::Moment,
    host::Host,
    wire::{Capture, Frame, inject},
};
use hb_user::{
    config::{Address, Addresses, Broadcast},
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
    let finished = hands.call(address, operation, LIMIT, false).await;
    ensure!(finished.outcome == Outcome::Done, "{operation}: {}", finished.outcome);
    Ok(finished)
}

/// Adds, looks for and removes addresses; the answers are whether each was there before.
async fn work(capture: &Capture) -> Result<()> {
    WATCHED.store(gettid().as_raw(), Ordering::Relaxed);
    drop(std::hint::black_box(Box::new(0)));
    let counted = COUNT.swap(0, Ordering::Relaxed);
    ensure!(counted >= 2, "an allocation and its end count as {counted}");
    let settings = Addresses {
        check: Duration::from_millis(50),
        ..Addresses::default()
    };
    let hands = Hands::start(Wanted::default(), &settings)?;
    hands.fear_freezes(Duration::from_secs(2));
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
    // A check finds another Ethernet address, and both are announced anew.
    let command = ["link", "set", "eth0", "address", "02:00:00:00:00:77"];
    ensure!(Command::new("ip").args(command).status()?.success());
    let is_anew = |frame: &&Frame| frame.bytes[6..12] == [2, 0, 0, 0, 0, 0x77];
    let begun = Moment::now();
    while capture.frames().iter().filter(is_anew).count() < 6 * 2 + 6 {
        ensure!(begun.elapsed() < LIMIT, "{:?}", capture.frames());
        call(&hands, &v4, Operation::Status).await?;
    }
    // Somebody else says all the time that they are theirs.
    let begun = Moment::now();
    while hands
        .standings()
        .iter()
        .any(|standing| standing.findings.conflicts == 0)
    {
        ensure!(begun.elapsed() < LIMIT, "{:?}", hands.standings());
        ensure!(call(&hands, &v4, Operation::Status).await?.says_running);
    }
    for address in [&v4, &v6] {
        call(&hands, address, Operation::Stop).await?;
    }
    // Some things cannot be done, and that is said without an allocation, too.
    let finished = hands
        .call(&address("192.0.2.10", 33), Operation::Start, LIMIT, false)
        .await;
    let Outcome::Failed(reason) = &finished.outcome else {
        return Err(anyhow!("33 bits were accepted"));
    };
    ensure!(
        reason.contains("the kernel refuses 192.0.2.10/33 on eth0: "),
        "{reason}"
    );
    ensure_in_time(&hands, &v4).await?;
    // At its end it frees what it was started with.
    WATCHED.store(0, Ordering::Relaxed);
    Ok(())
}

/// An order that comes too late, as it does when somebody holds the kernel's lock, is not carried out, or undone: it is here if
/// and only if that is what was said.
async fn ensure_in_time(hands: &Hands, address: &Address) -> Result<()> {
    let (mut in_time, mut late) = (0, 0);
    for micros in [0, 1_000_000].into_iter().chain((0..200).map(|step| step * 2)) {
        let limit = Duration::from_micros(micros);
        let finished = hands.call(address, Operation::Start, limit, true).await;
        let is_here = hands.call(address, Operation::Status, LIMIT, true).await.says_running;
        if finished.outcome != Outcome::Done {
            let reason = finished.outcome.to_string();
            ensure!(reason.contains("has not answered within"), "{reason}");
            ensure!(!is_here, "after {limit:?} it failed, and is here");
            late += 1;
            continue;
        }
        in_time += 1;
        ensure!(is_here, "after {limit:?} it was done, and is not here");
        call(hands, address, Operation::Stop).await?;
    }
    ensure!(in_time >= 1 && late >= 1, "{in_time} in time, {late} late");
    Ok(())
}

/// Another machine's announcements of both addresses.
fn claims() -> [Vec<u8>; 2] {
    let mac = [2, 0, 0, 0, 0, 0x42];
    let ip = [192, 0, 2, 10];
    let arp: [&[u8]; 7] = [
        &[0xFF; 6],
        &mac,
        &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2],
        &mac,
        &ip,
        &mac,
        &ip,
    ];
    let target = "2001:db8::10".parse::<Ipv6Addr>().expect("an address").octets();
    let advertisement: [&[u8]; 9] = [
        &[0x33, 0x33, 0, 0, 0, 1],
        &mac,
        &[0x86, 0xDD, 0x60, 0, 0, 0, 0, 32, 58, 255],
        &target,
        &[0xFF, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[136, 0, 0, 0, 0x20, 0, 0, 0],
        &target,
        &[2, 1],
        &mac,
    ];
    [arp.concat(), advertisement.concat()]
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
        if frame.get(6..12) == Some(&[2, 0, 0, 0, 0, 0x42]) {
            return false;
        }
        // Of a check's probe nobody is the sender.
        let is_arp = frame.get(12..14) == Some(&[0x08, 0x06]) && frame.get(28..32) != Some(&[0; 4]);
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
    let done = loop {
        match result.recv_timeout(Duration::from_millis(20)) {
            Ok(done) => break done,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                inject(&host, "eth1", claims())?;
            }
            Err(error) => return Err(error).context("the thread said nothing"),
        }
    };
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
