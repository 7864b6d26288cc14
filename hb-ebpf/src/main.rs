//! The XDP program: glue between [`hb_ebpf::admit`] and the kernel's maps and helpers.
#![no_std]
#![no_main]
#![expect(missing_docs, reason = "the attribute macros copy no documentation")]
#![expect(
    clippy::inline_always,
    reason = "see the library: LLVM makes a BPF function of what is not inlined"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the attribute macro passes the context by value"
)]

use core::ffi::{c_int, c_void};
use core::ptr;

use aya_ebpf::bindings::bpf_timer;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::btf_maps::{Array, PerCpuArray, RingBuf};
use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns, bpf_timer_init, bpf_timer_set_callback, bpf_timer_start};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::debug;
use hb_ebpf::admit::{self, Payload, World};
use hb_ebpf::frame::{Frame, Window};
use hb_ebpf::hmac::Midstates;
use hb_ebpf::liveness::{Event, change};
use hb_ebpf::peers::{self, Bucket};
use hb_ebpf::tables::{self, Own, Peer};
use hb_ebpf::watch::{self, Awake, Newest, Silence, Watch};
use hb_ebpf::{KeyId, Liveness, Nanos, NodeId, Verdict, beat, verdict};

/// Userspace reads the liveness map through memory.
const BPF_F_MMAPABLE: usize = 1 << 10;

/// The keys by number. Userspace writes.
#[btf_map]
static KEYS: Array<Midstates, { tables::KEYS as usize }> = Array::new();

/// The peers, in two halves: see [`peers`]. Userspace writes, and sets the number of entries.
#[btf_map]
static PEERS: Array<Bucket, { 2 * 4 * peers::PROBES as usize }> = Array::new();

/// Which half of `PEERS` is in use, 0 or 1. Userspace writes.
#[btf_map]
static HALF: Array<u32, 1> = Array::new();

/// One value a peer and link. The program writes. Userspace sets the number of entries.
#[btf_map]
static LIVENESS: Array<Liveness, 16, BPF_F_MMAPABLE> = Array::new();

/// Frames by [`Verdict::counter`]. The program writes. Userspace sets the number of entries.
#[btf_map]
static COUNTERS: PerCpuArray<u64, { 17 * verdict::COUNT as usize }> = PerCpuArray::new();

/// What the timers watch. Userspace writes.
#[btf_map]
static WATCHES: Array<Watch, { watch::WATCHES as usize }> = Array::new();

/// The timers, by watch. Kept apart from what they watch: to write an element from userspace ends its timer.
#[btf_map]
static TIMERS: Array<Timer, { watch::WATCHES as usize }> = Array::new();

/// What they found, by watch. The timers write.
#[btf_map]
static SILENCES: Array<Silence, { watch::PEERS as usize }, BPF_F_MMAPABLE> = Array::new();

/// Whether the machine was stopped. The timer of [`watch::MACHINE`] writes.
#[btf_map]
static AWAKE: Array<Awake, 1, BPF_F_MMAPABLE> = Array::new();

/// What changed. The program and the timers write.
#[btf_map]
static EVENTS: RingBuf<Event, 65536> = RingBuf::new();

/// The UDP port of beats; set before loading.
#[unsafe(no_mangle)]
static UDP_PORT: u16 = 0;

/// Our own [`NodeId`]; set before loading.
#[unsafe(no_mangle)]
static OWN_NODE: u32 = 0;

/// The low half of our own incarnation; set before loading.
#[unsafe(no_mangle)]
static OWN_INCARNATION: u32 = 0;

/// One less than there are buckets in a half of `PEERS`, which are a power of two; set before loading.
#[unsafe(no_mangle)]
static PEER_MASK: u32 = 4 * peers::PROBES - 1;

/// The time between two ticks of the kernel's, in nanoseconds; set before loading.
#[unsafe(no_mangle)]
static TICK: u64 = 4_000_000;

/// The program's name in the kernel, and the entry for every frame of an interface.
#[xdp]
pub fn hb_xdp(ctx: XdpContext) -> u32 {
    let verdict = admit::admit(
        &Packet {
            start: ctx.data(),
            end: ctx.data_end(),
        },
        &Kernel,
    );
    // Off by default: the level is a constant to the verifier, which removes this.
    if verdict != Verdict::NotOurs && verdict != Verdict::Accepted {
        debug!(
            &ctx,
            "verdict {} on a frame of {} bytes",
            verdict as u32,
            ctx.data_end() - ctx.data()
        );
    }
    if verdict.passes() { XDP_PASS } else { XDP_DROP }
}

/// A program that does nothing: what the kernel itself takes for a frame, as the benchmarks' measure. Never attached.
#[xdp]
pub fn hb_floor(_: XdpContext) -> u32 {
    XDP_PASS
}

/// A value that the kernel knows by the name of its field's type.
#[repr(C)]
pub struct Timer {
    timer: bpf_timer,
}

/// Starts the timer of the watch that the frame begins with (four bytes, most significant first), or starts it anew; it
/// looks at once. Userspace runs this by `BPF_PROG_TEST_RUN`; it is never attached. Returns 0, or an errno.
#[xdp]
pub fn hb_arm(ctx: XdpContext) -> u32 {
    const EINVAL: u32 = 22;
    let packet = Packet {
        start: ctx.data(),
        end: ctx.data_end(),
    };
    let Some(index) = packet.bytes::<4>(0) else {
        return EINVAL;
    };
    match TIMERS.get_ptr_mut(index.word(0)) {
        Some(timer) => arm(timer),
        None => EINVAL,
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "an errno is small")]
fn arm(timer: *mut Timer) -> u32 {
    const CLOCK_MONOTONIC: u64 = 1;
    const EBUSY: i64 = 16;
    // SAFETY: the element is the map's, and the helpers check that it is.
    unsafe {
        let timer = &raw mut (*timer).timer;
        let initialised = bpf_timer_init(timer, (&raw const TIMERS).cast_mut().cast(), CLOCK_MONOTONIC);
        if initialised != 0 && initialised != -EBUSY {
            return initialised.unsigned_abs() as u32;
        }
        let set = bpf_timer_set_callback(timer, hb_watch as *mut c_void);
        if set != 0 {
            return set.unsigned_abs() as u32;
        }
        bpf_timer_start(timer, 0, 0).unsigned_abs() as u32
    }
}

/// A timer has gone off.
extern "C" fn hb_watch(_map: *mut c_void, index: *mut u32, timer: *mut Timer) -> c_int {
    // SAFETY: the kernel passes the element's index and value.
    let index = unsafe { *index };
    if let Some(again) = look(index) {
        // SAFETY: as above.
        unsafe { bpf_timer_start(&raw mut (*timer).timer, again.0, 0) };
    }
    0
}

/// In how long to look again; never, where nothing is watched.
#[inline(always)]
fn look(index: u32) -> Option<Nanos> {
    let watch = WATCHES.get(index)?;
    if watch.deadtime.0 == 0 {
        return None;
    }
    let awake = AWAKE.get_ptr_mut(0)?;
    let now = Kernel.now();
    if index == watch::MACHINE {
        // SAFETY: this timer is the value's one writer.
        return Some(unsafe { &mut *awake }.tick(watch, now));
    }
    let mut newest = Newest::default();
    for (place, slot) in watch.slots.iter().enumerate() {
        if place < watch.count as usize
            && let Some(liveness) = LIVENESS.get(*slot)
        {
            // The program may be writing: then this is of the newest beat and the one before, which will do.
            newest.or(liveness.newest());
        }
    }
    let silence = SILENCES.get_ptr_mut(index)?;
    // SAFETY: this timer is the value's one writer, and the other only read, whole words at a time.
    let found = unsafe { (*silence).look(watch, &newest, &*awake, now) };
    if found.is_news {
        Kernel.announce(&Event {
            seen: now,
            slot: index,
            changes: change::SILENT,
        });
    }
    Some(found.again)
}

/// The frame, between the two pointers that the verifier knows.
#[derive(Clone, Copy)]
struct Packet {
    start: usize,
    end: usize,
}

impl Frame for Packet {
    #[inline(always)]
    fn bytes<const LEN: usize>(&self, offset: usize) -> Option<Window<'_, LEN>> {
        let at = self.start + offset;
        if at + LEN > self.end {
            return None;
        }
        // SAFETY: the LEN bytes lie in the frame, as just checked, and nobody writes to it while the program runs.
        Some(Window(unsafe { &*ptr::with_exposed_provenance::<[u8; LEN]>(at) }))
    }
}

/// Maps and helpers.
struct Kernel;

impl World for Kernel {
    #[inline(always)]
    fn own(&self) -> Own {
        // SAFETY: all are valid for reads; volatile, because the loader writes them after compilation.
        unsafe {
            Own {
                node: NodeId(ptr::read_volatile(&raw const OWN_NODE)),
                incarnation: ptr::read_volatile(&raw const OWN_INCARNATION),
                port: ptr::read_volatile(&raw const UDP_PORT),
            }
        }
    }

    #[inline(always)]
    fn key(&self, id: KeyId) -> Option<&Midstates> {
        KEYS.get(u32::from(id.0))
    }

    #[inline(always)]
    fn peer(&self, id: NodeId) -> Option<&Peer> {
        // SAFETY: valid for reads; volatile, because the loader writes it after compilation.
        let mask = unsafe { ptr::read_volatile(&raw const PEER_MASK) };
        // No branch, of which the verifier would follow both ways.
        let first = (*HALF.get(0)? & 1) * (mask + 1);
        peers::find(id, mask, |index| PEERS.get(first + index))
    }

    #[inline(always)]
    fn liveness(&self, slot: u32) -> Option<&mut Liveness> {
        // SAFETY: array elements live as long as the map, and one receive queue at a time runs a link's frames.
        LIVENESS.get_ptr_mut(slot).map(|value| unsafe { &mut *value })
    }

    #[inline(always)]
    fn now(&self) -> Nanos {
        // SAFETY: the helper has no preconditions.
        Nanos(unsafe { bpf_ktime_get_ns() })
    }

    #[inline(always)]
    fn tick(&self) -> Nanos {
        // SAFETY: the helper has no preconditions. The other is valid for reads; volatile, because the loader writes it.
        Nanos(unsafe { bpf_jiffies64() * ptr::read_volatile(&raw const TICK) })
    }

    #[inline(always)]
    fn authenticate(&self, beat: &Payload<'_>, key: &Midstates, liveness: &mut Liveness, slot: u32) -> Verdict {
        Verdict::from_u32(hb_authenticate(beat.0, key, liveness, slot))
    }

    #[inline(always)]
    fn count(&self, counter: u32) {
        if let Some(value) = COUNTERS.get_ptr_mut(counter) {
            // SAFETY: the element is this processor's own.
            unsafe { *value += 1 };
        }
    }

    #[inline(always)]
    fn announce(&self, event: &Event) {
        // A full ring loses an edge; userspace finds the level at its next beat.
        let _ = EVENTS.output(event, 0);
    }
}

/// [`admit::authenticate`] as a global BPF function: the verifier looks at it once, and not on each way that leads here.
///
/// Such a function takes pointers that may be null and returns an integer.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the caller is the verifier's charge, not the compiler's"
)]
pub extern "C" fn hb_authenticate(
    beat: *const [u8; beat::LEN],
    key: *const Midstates,
    liveness: *mut Liveness,
    slot: u32,
) -> u32 {
    // SAFETY: the verifier holds callers to a null pointer or a whole value, and so for the others.
    let beat = unsafe { beat.as_ref() };
    // SAFETY: as above.
    let key = unsafe { key.as_ref() };
    // SAFETY: as above, and the caller's reference is the only one.
    let liveness = unsafe { liveness.as_mut() };
    let (Some(beat), Some(key), Some(liveness)) = (beat, key, liveness) else {
        return Verdict::Tag as u32;
    };
    admit::authenticate(&Kernel, &Window(beat), key, liveness, slot) as u32
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
