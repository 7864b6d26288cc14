//! The layout of a beat: docs/PROTOCOL.md, byte by byte.
//!
//! All fields lie so that none but the sequence and the group states crosses a 32-bit word, because the kernel reads
//! a beat as the words that SHA-1 wants anyway.

use crate::frame::Window;
use crate::{Incarnation, KeyId, NodeId, Sequence};

/// The first two bytes of a beat, `hb`.
pub const MAGIC: u16 = 0x6862;
/// The version that this code speaks.
pub const VERSION: u8 = 1;
/// What the tag authenticates, in bytes. 55 is the most that fits one SHA-1 block with its padding.
pub const MESSAGE_LEN: usize = 55;
/// An HMAC-SHA1, in bytes.
pub const TAG_LEN: usize = 20;
/// A whole beat, in bytes.
pub const LEN: usize = MESSAGE_LEN + TAG_LEN;
/// How many resource groups a beat can speak of.
pub const MAX_GROUPS: usize = 32;

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
    /// The next beat comes within this many microseconds. Never 0.
    pub promise_us: u32,
    /// What the sender last heard from the destination.
    pub echo: Echo,
    /// Which beat of this life. Never 0.
    pub sequence: Sequence,
    /// Where the sender is in its life.
    pub status: Status,
    /// What it does with each resource group.
    pub groups: Groups,
}

/// What a node last heard from the node that it talks to; all zero if nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Echo {
    /// [`Incarnation::low`].
    pub incarnation: u32,
    /// [`Sequence::low`].
    pub sequence: u32,
}

/// Where a node is in its life.
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

/// The states of up to [`MAX_GROUPS`] resource groups, three bits each: group 0 in the most significant bits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Groups(pub [u32; 3]);

impl Groups {
    /// The three bits of group `index`; 0 for an index out of range.
    #[must_use]
    pub const fn get(self, index: usize) -> u8 {
        if index >= MAX_GROUPS {
            return 0;
        }
        ((self.bits() >> Self::shift(index)) & 0b111) as u8
    }

    /// These, with the three low bits of `state` for group `index`. An index out of range changes nothing.
    #[must_use]
    pub const fn with(self, index: usize, state: u8) -> Self {
        if index >= MAX_GROUPS {
            return self;
        }
        let cleared = self.bits() & !(0b111 << Self::shift(index));
        Self::from_bits(cleared | ((state as u128 & 0b111) << Self::shift(index)))
    }

    const fn shift(index: usize) -> usize {
        93 - 3 * index
    }

    const fn bits(self) -> u128 {
        ((self.0[0] as u128) << 64) | ((self.0[1] as u128) << 32) | self.0[2] as u128
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low word of what is left is wanted")]
    const fn from_bits(bits: u128) -> Self {
        Self([(bits >> 64) as u32, (bits >> 32) as u32, bits as u32])
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

    #[inline(always)]
    fn version(&self) -> u8 {
        (self.at(0) >> 8) as u8
    }

    #[inline(always)]
    fn key(&self) -> KeyId {
        KeyId(self.at(0) as u8)
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
        Incarnation((u64::from(self.at(3)) << 32) | u64::from(self.at(4)))
    }

    #[inline(always)]
    fn digest(&self) -> u32 {
        self.at(5)
    }

    #[inline(always)]
    fn promise_us(&self) -> u32 {
        self.at(6)
    }

    #[inline(always)]
    fn echo(&self) -> Echo {
        Echo {
            incarnation: self.at(7),
            sequence: self.at(8),
        }
    }

    #[inline(always)]
    fn sequence(&self) -> Sequence {
        Sequence((u64::from(self.at(9)) << 16) | u64::from(self.at(10) >> 16))
    }

    /// The number of the status, which may be none of [`Status`].
    #[inline(always)]
    fn status(&self) -> u8 {
        (self.at(10) >> 8) as u8
    }

    #[inline(always)]
    fn groups(&self) -> Groups {
        Groups([
            (self.at(10) << 24) | (self.at(11) >> 8),
            (self.at(11) << 24) | (self.at(12) >> 8),
            (self.at(12) << 24) | (self.at(13) >> 8),
        ])
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
    /// The message, without the tag.
    #[must_use]
    pub fn encode(&self) -> [u8; MESSAGE_LEN] {
        let mut message = [0; MESSAGE_LEN];
        message[0..2].copy_from_slice(&MAGIC.to_be_bytes());
        message[2] = VERSION;
        message[3] = self.key.0;
        message[4..8].copy_from_slice(&self.source.0.to_be_bytes());
        message[8..12].copy_from_slice(&self.destination.0.to_be_bytes());
        message[12..20].copy_from_slice(&self.incarnation.0.to_be_bytes());
        message[20..24].copy_from_slice(&self.digest.to_be_bytes());
        message[24..28].copy_from_slice(&self.promise_us.to_be_bytes());
        message[28..32].copy_from_slice(&self.echo.incarnation.to_be_bytes());
        message[32..36].copy_from_slice(&self.echo.sequence.to_be_bytes());
        message[36..42].copy_from_slice(&self.sequence.0.to_be_bytes()[2..]);
        message[42] = self.status as u8;
        for (bytes, word) in message[43..55].chunks_exact_mut(4).zip(self.groups.0) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        message
    }
}

#[cfg(test)]
mod tests;
