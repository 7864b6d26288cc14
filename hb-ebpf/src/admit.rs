//! The decision: is this frame a beat of a peer, and a new one? From cheap to expensive; the tag comes last.

use crate::beat::{self, Flags, Message, Status, Tag};
use crate::frame::{self, Datagram, Frame, Window};
use crate::hmac::Midstates;
use crate::liveness::{Event, Heard};
use crate::tables::{Address, Own, Peer};
use crate::{Incarnation, KeyId, Liveness, Nanos, NodeId, Sequence, Verdict};

/// A datagram that is as long as a beat, where it lies.
pub type Payload<'a> = Window<'a, { beat::LEN }>;

/// What the decision needs from where it runs: maps and helpers in the kernel, plain memory on the host.
pub trait World {
    /// Our own name, life and port.
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
    /// The time of the last tick, up to ten milliseconds ago, by a clock of its own. It costs a load, where the other is a
    /// call.
    fn tick(&self) -> Nanos;
    /// [`authenticate`] with this world.
    fn authenticate(&self, beat: &Payload<'_>, key: &Midstates, liveness: &mut Liveness, slot: u32) -> Verdict;
    /// Counts a verdict by [`Verdict::counter`].
    fn count(&self, counter: u32);
    /// Tells userspace about a change. May fail in silence: the map has the level.
    fn announce(&self, event: &Event);
}

/// Judges a frame, and does what the verdict entails: records the beat, announces what changed, counts.
///
/// This half reads of the beat what it needs, where it lies, so that most of what is refused costs little. The other,
/// [`authenticate`], is behind [`World`] so that the verifier, which follows each way through the headers, follows them
/// no further than this.
#[inline(always)]
pub fn admit<F: Frame, W: World>(frame: &F, world: &W) -> Verdict {
    let refuse = |verdict: Verdict, slot| {
        world.count(verdict.counter(slot));
        verdict
    };
    let (payload, source, key, peer) = match recognise(frame, world) {
        Ok(recognised) => recognised,
        Err(verdict) => return refuse(verdict, None),
    };
    let Some(slot) = peer.slot(&source) else {
        return refuse(Verdict::Source, None);
    };
    let Some(liveness) = world.liveness(slot) else {
        return refuse(Verdict::Source, Some(slot));
    };
    match check_fields(&payload).and_then(|()| check_freshness(world, liveness, &payload)) {
        Ok(()) => world.authenticate(&payload, key, liveness, slot),
        Err(Verdict::Duplicate) => Verdict::Duplicate,
        Err(verdict) => refuse(verdict, Some(slot)),
    }
}

#[inline(always)]
fn recognise<'f, 'w, F: Frame, W: World>(
    frame: &'f F,
    world: &'w W,
) -> Result<(Payload<'f>, Address, &'w Midstates, &'w Peer), Verdict> {
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
    let key = world.key(payload.key()).ok_or(Verdict::UnknownKey)?;
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
    if (first_word >> 12) & 0xf != u32::from(beat::VERSION) {
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

/// The other half: the tag, and what follows from a beat whose tag is right.
#[inline(always)]
pub fn authenticate<W: World>(
    world: &W,
    beat: &Payload<'_>,
    key: &Midstates,
    liveness: &mut Liveness,
    slot: u32,
) -> Verdict {
    if !key.tag(beat).matches(&tag(beat)) {
        world.count(Verdict::Tag.counter(Some(slot)));
        return Verdict::Tag;
    }
    let seen = world.now();
    let difference = liveness.record(&heard(beat, seen));
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
    Verdict::Accepted
}

#[inline(always)]
fn check_fields<M: Message>(message: &M) -> Result<(), Verdict> {
    let in_range = message.incarnation() != Incarnation(0)
        && message.sequence() != Sequence(0)
        && message.promise_ms() != 0
        && message.flags() & Flags::STATUS <= Status::Leaving as u8;
    if in_range { Ok(()) } else { Err(Verdict::Field) }
}

/// Newer than what the link heard last? A stranger's claim of a new incarnation costs a hash, so such claims have a budget.
///
/// Nobody else touches it: neither the incarnation that is known, nor a new one that echoes our own. A peer that has
/// restarted does so as soon as it has heard us, and no flood of strangers, who would have to guess it, keeps it out.
/// Whoever can read either number on the wire can make us hash anyway.
#[inline(always)]
fn check_freshness<W: World, M: Message>(world: &W, liveness: &mut Liveness, message: &M) -> Result<(), Verdict> {
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
    } else if message.echo().incarnation != world.own().incarnation && !liveness.may_hash(world.tick()) {
        return Err(Verdict::Budget);
    }
    Ok(())
}

#[inline(always)]
fn tag(beat: &Payload<'_>) -> Tag {
    Tag([0, 1, 2, 3, 4].map(|index| beat.word(beat::MESSAGE_LEN + 4 * index)))
}

#[inline(always)]
fn heard<M: Message>(message: &M, seen: Nanos) -> Heard {
    Heard {
        seen,
        incarnation: message.incarnation(),
        sequence: message.sequence(),
        digest: message.digest(),
        promise_ms: message.promise_ms(),
        present: message.present(),
        echo: message.echo(),
        groups: message.groups(),
        flags: u32::from(message.flags()),
    }
}

#[cfg(test)]
mod tests;
