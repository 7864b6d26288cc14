extern crate std;

use proptest::prelude::*;
use sha1::{Digest, Sha1};
use std::vec::Vec;

use super::{IV, Schedule, compress};

/// SHA-1 of a whole message, by our compression and the padding of FIPS 180-4, section 5.1.1.
fn digest(message: &[u8]) -> Vec<u8> {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - message.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let end = padded.len();
    padded[end - 8..].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());

    let (mut state, mut schedule) = (IV, Schedule([0; 32]));
    for block in padded.chunks_exact(64) {
        for (word, bytes) in schedule.0.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        compress(&state, &mut schedule);
        state.copy_from_slice(&schedule.0[..5]);
    }
    state.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn digests_the_vector_of_fips_180() {
    let expected = [
        0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e, 0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c, 0xd0,
        0xd8, 0x9d,
    ];
    assert_eq!(digest(b"abc"), expected);
}

proptest! {
    #[test]
    fn digests_as_the_sha1_crate_does(message in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(digest(&message), Sha1::digest(&message).to_vec());
    }
}
