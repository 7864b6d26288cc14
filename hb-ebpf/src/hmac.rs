//! HMAC-SHA1 (RFC 2104) of a beat, from midstates: the two chaining values after the key's inner and outer pad.
//!
//! Userspace computes the midstates, so the key itself never enters the kernel, and a beat costs two compressions.

use crate::beat::{self, Tag};
use crate::sha1::{self, State, Work};
use crate::units::put;

/// What the kernel knows of a key.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Midstates {
    /// After `key ^ ipad`.
    pub inner: State,
    /// After `key ^ opad`.
    pub outer: State,
    /// 1 where there is a key of this number, else 0.
    pub valid: u32,
}

impl Midstates {
    /// Of a key that is already one block long: padded with zeros or, if it was longer than 64 bytes, hashed first.
    #[must_use]
    pub fn of_block(key: &[u8; 64]) -> Self {
        Self {
            inner: after_pad(key, 0x36),
            outer: after_pad(key, 0x5c),
            valid: 1,
        }
    }

    /// The tag of a beat's message. `compress` is [`sha1::compress`] or a BPF function around it.
    #[inline(always)]
    pub fn tag(&self, message: &beat::Words, compress: impl Fn(&mut Work)) -> Tag {
        let mut work = Work {
            state: self.inner,
            block: [0; 16],
        };
        for index in 0..13 {
            put(&mut work.block[index], message.0[index]);
        }
        // The message ends one byte before its last word does; the padding's first bit follows it.
        put(&mut work.block[13], (message.0[13] & 0xffff_ff00) | 0x80);
        put(&mut work.block[15], bits_after_pad(beat::MESSAGE_LEN));
        compress(&mut work);

        for index in 0..5 {
            put(&mut work.block[index], work.state[index]);
            put(&mut work.state[index], self.outer[index]);
        }
        put(&mut work.block[5], 0x8000_0000);
        for index in 6..15 {
            put(&mut work.block[index], 0);
        }
        put(&mut work.block[15], bits_after_pad(beat::TAG_LEN));
        compress(&mut work);
        Tag(work.state)
    }
}

/// The length in bits, as the padding states it, of `bytes` after the block of the pad.
#[expect(clippy::cast_possible_truncation, reason = "both lengths are small constants")]
const fn bits_after_pad(bytes: usize) -> u32 {
    (64 + bytes as u32) * 8
}

fn after_pad(key: &[u8; 64], pad: u8) -> State {
    let mut work = Work {
        state: sha1::IV,
        block: [0; 16],
    };
    for (word, bytes) in work.block.iter_mut().zip(key.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0] ^ pad, bytes[1] ^ pad, bytes[2] ^ pad, bytes[3] ^ pad]);
    }
    sha1::compress(&mut work);
    work.state
}

#[cfg(test)]
mod tests;
