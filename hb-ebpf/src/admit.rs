//! The decision: is this frame a beat of a peer, and a new one? From cheap to expensive; the tag comes last.

use core::mem::MaybeUninit;

use crate::beat::{self, Status, Tag, Words};
use crate::frame::{self, Datagram, Frame, Window};
use crate::hmac::Midstates;
use crate::liveness::{Event, Heard};
use crate::sha1::Work;
use crate::tables::{Address, Own, Peer};
use crate::{Incarnation, KeyId, Liveness, Nanos, NodeId, Sequence, Verdict};

/// What the decision needs from where it runs: maps and helpers in the kernel, plain memory on the host.
pub trait World {
    /// Our own name and port.
    fn own(&self) -> Own;
    /// The key of this number; [`Midstates::valid`] says whether there is one.
    fn key(&self, id: KeyId) -> Option<&Midstates>;
    /// The node of this name.
    fn peer(&self, id: NodeId) -> Option<&Peer>;
    /// The liveness of the link with this slot.
    #[expect(
        clippy::mut_from_ref,
        reason = "a map's value; a link's frames are judged one at a time"
    )]
    fn liveness(&self, slot: u32) -> Option<&mut Liveness>;
    /// The time.
    fn now(&self) -> Nanos;
    /// [`crate::sha1::compress`].
    fn compress(&self, work: &mut Work);
    /// [`judge`] with this world.
    fn judge(&self, received: &Received, key: &Midstates, peer: &Peer) -> Verdict;
    /// Counts a verdict by [`Verdict::counter`].
    fn count(&self, counter: u32);
    /// Tells userspace about a change. May fail in silence: the map has the level.
    fn announce(&self, event: &Event);
}

/// A datagram that looks like a beat to us, read whole.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Received {
    message: Words,
    tag: Tag,
    source: Address,
}

impl Received {
    /// Reads a beat into `space`, word by word: to fill it with zeros first would take longer than to judge an old beat.
    #[inline(always)]
    fn read<'a>(payload: &Window<'_, { beat::LEN }>, source: Address, space: &'a mut MaybeUninit<Self>) -> &'a Self {
        let place = space.as_mut_ptr();
        // SAFETY: the place is valid for writes, and every field of it is written before it counts as initialised.
        unsafe {
            (&raw mut (*place).source).write(source);
            let message = (&raw mut (*place).message.0).cast::<u32>();
            for index in 0..14 {
                message.add(index).write_volatile(payload.word(4 * index));
            }
            let tag = (&raw mut (*place).tag.0).cast::<u32>();
            for index in 0..5 {
                tag.add(index)
                    .write_volatile(payload.word(beat::MESSAGE_LEN + 4 * index));
            }
            space.assume_init_ref()
        }
    }
}

/// Judges a frame, and does what the verdict entails: records the beat, announces what changed, counts.
///
/// This half needs no more than the frame and two look-ups. The other, [`judge`], is behind [`World`] so that the
/// verifier, which follows each way through the headers, follows them no further than this.
#[inline(always)]
pub fn admit<F: Frame, W: World>(frame: &F, world: &W) -> Verdict {
    match recognise(frame, world) {
        Ok((payload, source, key, peer)) => {
            let mut space = MaybeUninit::uninit();
            world.judge(Received::read(&payload, source, &mut space), key, peer)
        }
        Err(verdict) => {
            world.count(verdict.counter(None));
            verdict
        }
    }
}

#[inline(always)]
fn recognise<'f, 'w, F: Frame, W: World>(
    frame: &'f F,
    world: &'w W,
) -> Result<(Window<'f, { beat::LEN }>, Address, &'w Midstates, &'w Peer), Verdict> {
    let own = world.own();
    let datagram = frame::datagram(frame, own.port).ok_or(Verdict::NotOurs)?;
    if datagram.length != beat::LEN {
        return Err(other_length(frame, &datagram));
    }
    let payload = frame.bytes::<{ beat::LEN }>(datagram.payload).ok_or(Verdict::NotOurs)?;
    recognise_start(payload.word(0))?;
    if NodeId(payload.word(8)) != own.node {
        return Err(Verdict::Elsewhere);
    }
    let key = world.key(KeyId(payload.byte(3))).ok_or(Verdict::UnknownKey)?;
    if key.valid == 0 {
        return Err(Verdict::UnknownKey);
    }
    let peer = world.peer(NodeId(payload.word(4))).ok_or(Verdict::UnknownNode)?;
    Ok((payload, datagram.source, key, peer))
}

/// Tells beats from Linux-HA's packets and others by the first word. The version stands before the length, because
/// the length belongs to the version.
#[inline(always)]
fn recognise_start(first_word: u32) -> Result<(), Verdict> {
    if first_word == beat::LINUX_HA_NETSTRING || first_word == beat::LINUX_HA_CLASSIC {
        return Err(Verdict::LinuxHa);
    }
    if first_word >> 16 != u32::from(beat::MAGIC) {
        return Err(Verdict::Foreign);
    }
    if (first_word >> 8) & 0xff != u32::from(beat::VERSION) {
        return Err(Verdict::Version);
    }
    Ok(())
}

/// The verdict on a datagram that has not the length of a beat.
#[inline(always)]
fn other_length<F: Frame>(frame: &F, datagram: &Datagram) -> Verdict {
    if datagram.length < 4 {
        return Verdict::Foreign;
    }
    match frame.bytes::<4>(datagram.payload) {
        None => Verdict::NotOurs,
        Some(start) => match recognise_start(start.word(0)) {
            Err(verdict) => verdict,
            Ok(()) => Verdict::Length,
        },
    }
}

/// The other half: the link, what it heard before, and the tag.
#[inline(always)]
pub fn judge<W: World>(world: &W, received: &Received, key: &Midstates, peer: &Peer) -> Verdict {
    let Some(slot) = peer.slot(&received.source) else {
        world.count(Verdict::Source.counter(None));
        return Verdict::Source;
    };
    match judge_link(world, received, key, slot) {
        Ok(()) => Verdict::Accepted,
        Err(Verdict::Duplicate) => Verdict::Duplicate,
        Err(verdict) => {
            world.count(verdict.counter(Some(slot)));
            verdict
        }
    }
}

#[inline(always)]
fn judge_link<W: World>(world: &W, received: &Received, key: &Midstates, slot: u32) -> Result<(), Verdict> {
    let message = &received.message;
    let liveness = world.liveness(slot).ok_or(Verdict::Source)?;
    check_fields(message)?;
    check_freshness(world, liveness, message)?;
    if !key.tag(message, |work| world.compress(work)).matches(&received.tag) {
        return Err(Verdict::Tag);
    }
    let seen = world.now();
    // Read the message again: kept from before the hashing, it would fill half of the stack.
    let message = &core::hint::black_box(received).message;
    let difference = liveness.record(&heard(message, seen));
    if difference.is_any() {
        world.announce(&Event {
            seen,
            slot,
            changes: difference.changes(),
        });
    }
    if let Some(gap) = difference.gap() {
        liveness.tally(gap);
    }
    Ok(())
}

#[inline(always)]
fn check_fields(message: &Words) -> Result<(), Verdict> {
    let in_range = message.incarnation() != Incarnation(0)
        && message.sequence() != Sequence(0)
        && message.promise_us() != 0
        && message.status() <= Status::Leaving as u8;
    if in_range { Ok(()) } else { Err(Verdict::Field) }
}

/// Newer than what the link heard last? A claim of a new incarnation costs a hash, so it has a budget; the incarnation
/// that is known never touches it.
#[inline(always)]
fn check_freshness<W: World>(world: &W, liveness: &mut Liveness, message: &Words) -> Result<(), Verdict> {
    let newest = liveness.newest();
    if message.incarnation() < newest.incarnation {
        return Err(Verdict::OldIncarnation);
    }
    if message.incarnation() == newest.incarnation {
        if message.sequence() < newest.sequence {
            return Err(Verdict::OldSequence);
        }
        if message.sequence() == newest.sequence {
            liveness.duplicates += 1;
            return Err(Verdict::Duplicate);
        }
    } else if !liveness.may_hash(world.now()) {
        return Err(Verdict::Budget);
    }
    Ok(())
}

#[inline(always)]
fn heard(message: &Words, seen: Nanos) -> Heard {
    Heard {
        seen,
        incarnation: message.incarnation(),
        sequence: message.sequence(),
        digest: message.digest(),
        promise_us: message.promise_us(),
        echo: message.echo(),
        groups: message.groups(),
        status: u32::from(message.status()),
    }
}

#[cfg(test)]
mod tests;
