//! HMAC-SHA1 (RFC 2104) of a beat, from midstates: the two chaining values after the key's inner and outer pad.
//!
//! Userspace computes the midstates, so the key itself never enters the kernel, and a beat costs two compressions.

use crate::beat::{self, Message, Tag};
use crate::sha1::{self, Schedule, State};
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

    /// The tag of a beat's message. The compression stands in the code once: it is long, and in a cold cache that counts.
    #[inline(always)]
    pub fn tag<M: Message>(&self, message: &M) -> Tag {
        let mut schedule = Schedule([0; 32]);
        let words = &mut schedule.0;
        for (index, word) in words.iter_mut().take(13).enumerate() {
            put(word, message.at(index));
        }
        // The message ends one byte before its last word does; the padding's first bit follows it.
        put(&mut words[13], (message.at(13) & 0xffff_ff00) | 0x80);
        put(&mut words[15], bits_after_pad(beat::MESSAGE_LEN));

        let mut before = &self.inner;
        let mut is_outer = false;
        loop {
            sha1::compress(before, &mut schedule);
            let words = &mut schedule.0;
            if is_outer {
                return Tag([words[0], words[1], words[2], words[3], words[4]]);
            }
            // The inner digest is where the outer block begins.
            put(&mut words[5], 0x8000_0000);
            for word in &mut words[6..15] {
                put(word, 0);
            }
            put(&mut words[15], bits_after_pad(beat::TAG_LEN));
            before = &self.outer;
            is_outer = true;
        }
    }
}

/// The length in bits, as the padding states it, of `bytes` after the block of the pad.
#[expect(clippy::cast_possible_truncation, reason = "both lengths are small constants")]
const fn bits_after_pad(bytes: usize) -> u32 {
    (64 + bytes as u32) * 8
}

fn after_pad(key: &[u8; 64], pad: u8) -> State {
    let mut schedule = Schedule([0; 32]);
    for (word, bytes) in schedule.0.iter_mut().zip(key.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0] ^ pad, bytes[1] ^ pad, bytes[2] ^ pad, bytes[3] ^ pad]);
    }
    sha1::compress(&sha1::IV, &mut schedule);
    let words = schedule.0;
    [words[0], words[1], words[2], words[3], words[4]]
}

#[cfg(test)]
mod tests;
