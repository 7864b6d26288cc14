extern crate std;

use core::mem::{offset_of, size_of};

use ::hmac::{Hmac, KeyInit, Mac};
use ::sha1::Sha1;
use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::beat::{MESSAGE_LEN, Words};

fn tag(key: &[u8; 64], message: &[u8; MESSAGE_LEN]) -> Vec<u8> {
    let tag = Midstates::of_block(key).tag(&Words::of_message(message));
    tag.0.iter().flat_map(|word| word.to_be_bytes()).collect()
}

proptest! {
    #[test]
    fn tags_are_those_of_the_hmac_crate(key in any::<[u8; 32]>(), rest in any::<[u8; 32]>(), message in any::<[u8; MESSAGE_LEN]>()) {
        let mut block = [0; 64];
        block[..32].copy_from_slice(&key);
        block[32..].copy_from_slice(&rest);
        let mut expected = Hmac::<Sha1>::new(&block.into());
        expected.update(&message);
        prop_assert_eq!(tag(&block, &message), expected.finalize().into_bytes().to_vec());
    }
}

/// The kernel leaves the first byte of the tag in the message's last word.
#[test]
fn the_byte_behind_the_message_does_not_matter() {
    let key = Midstates::of_block(&[0x0b; 64]);
    let mut words = Words::of_message(&[0x55; MESSAGE_LEN]);
    let expected = key.tag(&words);
    words.0[13] |= 0xff;
    assert!(key.tag(&words).matches(&expected));
}

#[test]
fn layouts_are_pinned() {
    assert_eq!(size_of::<Midstates>(), 44);
    assert_eq!(offset_of!(Midstates, inner), 0);
    assert_eq!(offset_of!(Midstates, outer), 20);
    assert_eq!(offset_of!(Midstates, valid), 40);
}
