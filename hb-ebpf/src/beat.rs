//! The layout of a beat: docs/PROTOCOL.md, byte by byte.
//!
//! All fields lie so that none but the incarnation and the sequence crosses a 32-bit word, because the kernel reads a
//! beat as the words that SHA-1 wants anyway.

use crate::frame::Window;
use crate::{Incarnation, KeyId, Nanos, NodeId, Sequence};

/// The first two bytes of a beat, `hb`.
pub const MAGIC: u16 = 0x6862;
/// The version that this code speaks.
pub const VERSION: u8 = 2;
/// What the tag authenticates, in bytes. 55 is the most that fits one SHA-1 block with its padding.
pub const MESSAGE_LEN: usize = 55;
/// An HMAC-SHA1, in bytes.
pub const TAG_LEN: usize = 20;
/// A whole beat, in bytes.
pub const LEN: usize = MESSAGE_LEN + TAG_LEN;
/// How many resource groups a beat can speak of.
pub const MAX_GROUPS: usize = 32;
/// How many nodes a beat can speak of.
pub const MAX_NODES: usize = 16;

/// The first four bytes of Linux-HA's netstring packets.
pub const LINUX_HA_NETSTRING: u32 = 0x2323_230a;
/// The first four bytes of Linux-HA's classic packets.
pub const LINUX_HA_CLASSIC: u32 = 0x3e3e_3e0a;

/// What a sender says in one beat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Beat {
    /// The key that signs.
    pub key: KeyId,
    /// Who sends.
    pub source: NodeId,
    /// To whom. Over a medium that several nodes hear, each has its own beats.
    pub destination: NodeId,
    /// Which life of the sender.
    pub incarnation: Incarnation,
    /// A digest of the cluster's configuration, which must be alike on all nodes.
    pub digest: u32,
    /// The next beat comes within this many milliseconds. Never 0.
    pub promise_ms: u16,
    /// What the sender last heard from the destination.
    pub echo: Echo,
    /// Which beat of this life. Never 0.
    pub sequence: Sequence,
    /// Where the sender is in its life, and what else it says in a bit or four.
    pub flags: Flags,
    /// What it does with each resource group.
    pub groups: Groups,
    /// Whom it counts as present: bit i is for node i in ha.cf's order, its own among them.
    pub present: u16,
}

/// What a node last heard from the node that it talks to; all zero if nothing.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Echo {
    /// [`Incarnation::low`].
    pub incarnation: u32,
    /// [`Sequence::low`].
    pub sequence: u32,
}

/// Where a node is in its life.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Status {
    /// Started, and not yet settled with its peers.
    Init = 0,
    /// Takes part.
    Up = 1,
    /// Stopping in good order; takes nothing over any more.
    Leaving = 2,
}

impl Status {
    /// The status of this number.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Init),
            1 => Some(Self::Up),
            2 => Some(Self::Leaving),
            _ => None,
        }
    }
}

/// What a beat says in its byte of flags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flags {
    /// Where the sender is in its life.
    pub status: Status,
    /// Whether its operator asked it to touch nothing.
    pub maintenance: bool,
    /// Flips when the sender answers news out of turn: a change that means nothing, so that the receiver is woken.
    pub answer: bool,
    /// How many ping nodes and groups of them it reaches, up to [`Flags::MAX_PINGS`].
    pub pings: u8,
}

impl Flags {
    /// The greatest number of pings that a beat tells.
    pub const MAX_PINGS: u8 = 15;

    /// Where in the byte the status is.
    pub(crate) const STATUS: u8 = 0b11;
    const MAINTENANCE: u8 = 1 << 2;
    const ANSWER: u8 = 1 << 3;
    const PINGS: u32 = 4;

    /// A status, and nothing else.
    #[must_use]
    pub const fn of(status: Status) -> Self {
        Self {
            status,
            maintenance: false,
            answer: false,
            pings: 0,
        }
    }

    /// What the byte says; `None` if its status is none.
    #[must_use]
    pub const fn decode(byte: u8) -> Option<Self> {
        let Some(status) = Status::from_u8(byte & Self::STATUS) else {
            return None;
        };
        Some(Self {
            status,
            maintenance: byte & Self::MAINTENANCE != 0,
            answer: byte & Self::ANSWER != 0,
            pings: byte >> Self::PINGS,
        })
    }

    /// The byte. More pings than it can tell are as many as it can.
    #[must_use]
    pub const fn encode(self) -> u8 {
        let pings = if self.pings > Self::MAX_PINGS {
            Self::MAX_PINGS
        } else {
            self.pings
        };
        let maintenance = if self.maintenance { Self::MAINTENANCE } else { 0 };
        let answer = if self.answer { Self::ANSWER } else { 0 };
        self.status as u8 | maintenance | answer | (pings << Self::PINGS)
    }
}

/// The states of up to [`MAX_GROUPS`] resource groups, four bits each: group 0 in the most significant bits.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Groups(pub [u32; 4]);

impl Groups {
    /// The four bits of group `index`; 0 for an index out of range.
    #[must_use]
    pub const fn get(self, index: usize) -> u8 {
        if index >= MAX_GROUPS {
            return 0;
        }
        ((self.0[index / 8] >> Self::shift(index)) & 0xf) as u8
    }

    /// These, with the four low bits of `state` for group `index`. An index out of range changes nothing.
    #[must_use]
    pub const fn with(mut self, index: usize, state: u8) -> Self {
        if index >= MAX_GROUPS {
            return self;
        }
        let cleared = self.0[index / 8] & !(0xf << Self::shift(index));
        self.0[index / 8] = cleared | ((state as u32 & 0xf) << Self::shift(index));
        self
    }

    const fn shift(index: usize) -> usize {
        28 - 4 * (index % 8)
    }
}

/// An HMAC-SHA1, as five big-endian words.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Tag(pub [u32; 5]);

impl Tag {
    /// Equality in constant time: a comparison of five words that LLVM must not see through, or it would stop at the
    /// first that differs.
    #[must_use]
    #[inline(always)]
    pub fn matches(&self, other: &Self) -> bool {
        let difference = (self.0[0] ^ other.0[0])
            | (self.0[1] ^ other.0[1])
            | (self.0[2] ^ other.0[2])
            | (self.0[3] ^ other.0[3])
            | (self.0[4] ^ other.0[4]);
        core::hint::black_box(difference) == 0
    }
}

/// The message of a beat as fourteen big-endian words. The last byte of the last word is the tag's first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Words(pub [u32; 14]);

/// The fields of a message, wherever its words are: each lies where its accessor says. [`Beat::encode`] is the inverse.
#[expect(missing_docs, reason = "the fields are documented at `Beat`")]
#[expect(clippy::cast_possible_truncation, reason = "fields are cut out of words")]
pub trait Message {
    /// The big-endian word of this index, below 14.
    fn at(&self, index: usize) -> u32;

    #[inline(always)]
    fn magic(&self) -> u16 {
        (self.at(0) >> 16) as u16
    }

    /// The high half of the byte that it shares with the key.
    #[inline(always)]
    fn version(&self) -> u8 {
        (self.at(0) >> 12) as u8 & 0xf
    }

    #[inline(always)]
    fn key(&self) -> KeyId {
        KeyId((self.at(0) >> 8) as u8 & 0xf)
    }

    /// [`Flags::encode`]; the bits of the status may be none of [`Status`].
    #[inline(always)]
    fn flags(&self) -> u8 {
        self.at(0) as u8
    }

    #[inline(always)]
    fn source(&self) -> NodeId {
        NodeId(self.at(1))
    }

    #[inline(always)]
    fn destination(&self) -> NodeId {
        NodeId(self.at(2))
    }

    #[inline(always)]
    fn incarnation(&self) -> Incarnation {
        Incarnation((u64::from(self.at(3)) << 16) | u64::from(self.at(4) >> 16))
    }

    #[inline(always)]
    fn promise_ms(&self) -> u16 {
        self.at(4) as u16
    }

    #[inline(always)]
    fn digest(&self) -> u32 {
        self.at(5)
    }

    #[inline(always)]
    fn echo(&self) -> Echo {
        Echo {
            incarnation: self.at(6),
            sequence: self.at(7),
        }
    }

    #[inline(always)]
    fn groups(&self) -> Groups {
        Groups([self.at(8), self.at(9), self.at(10), self.at(11)])
    }

    #[inline(always)]
    fn sequence(&self) -> Sequence {
        Sequence((u64::from(self.at(12)) << 8) | u64::from(self.at(13) >> 24))
    }

    #[inline(always)]
    fn present(&self) -> u16 {
        (self.at(13) >> 8) as u16
    }
}

impl Message for Words {
    #[inline(always)]
    fn at(&self, index: usize) -> u32 {
        self.0[index]
    }
}

/// A beat that is still in its frame.
impl Message for Window<'_, LEN> {
    #[inline(always)]
    fn at(&self, index: usize) -> u32 {
        self.word(4 * index)
    }
}

impl Words {
    /// The words of a whole message.
    #[must_use]
    pub fn of_message(message: &[u8; MESSAGE_LEN]) -> Self {
        let mut words = [0; 14];
        for (word, bytes) in words.iter_mut().zip(message.chunks(4)) {
            *word = bytes.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        }
        // The last chunk has three bytes; they are the word's most significant.
        words[13] <<= 8;
        Self(words)
    }
}

impl Beat {
    /// An interval as a beat promises it: rounded up, not 0, and no more than the field can say.
    #[must_use]
    pub fn promise_ms(interval: Nanos) -> u16 {
        let millis = interval.0.div_ceil(Nanos::from_millis(1).0);
        u16::try_from(millis).unwrap_or(u16::MAX).max(1)
    }

    /// The message, without the tag.
    #[must_use]
    pub fn encode(&self) -> [u8; MESSAGE_LEN] {
        let mut message = [0; MESSAGE_LEN];
        message[0..2].copy_from_slice(&MAGIC.to_be_bytes());
        message[2] = (VERSION << 4) | (self.key.0 & 0xf);
        message[3] = self.flags.encode();
        message[4..8].copy_from_slice(&self.source.0.to_be_bytes());
        message[8..12].copy_from_slice(&self.destination.0.to_be_bytes());
        message[12..18].copy_from_slice(&self.incarnation.0.to_be_bytes()[2..]);
        message[18..20].copy_from_slice(&self.promise_ms.to_be_bytes());
        message[20..24].copy_from_slice(&self.digest.to_be_bytes());
        message[24..28].copy_from_slice(&self.echo.incarnation.to_be_bytes());
        message[28..32].copy_from_slice(&self.echo.sequence.to_be_bytes());
        for (bytes, word) in message[32..48].chunks_exact_mut(4).zip(self.groups.0) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        message[48..53].copy_from_slice(&self.sequence.0.to_be_bytes()[3..]);
        message[53..55].copy_from_slice(&self.present.to_be_bytes());
        message
    }
}

#[cfg(test)]
mod tests;
