//! The sender's half of the authentication: HMAC-SHA1 (RFC 2104) under the signing key.

use hb_ebpf::beat::{LEN, MESSAGE_LEN};
use hb_ebpf::hmac::Midstates;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha1::{Digest, Sha1};

/// Signs beats. Holds the key only as the state after its pads.
#[derive(Clone)]
pub struct Signer {
    keyed: Hmac<Sha1>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// A signer under a key of any length.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self {
            keyed: Hmac::new(&block(key).into()),
        }
    }

    /// The beat: the message and its tag. Does not allocate.
    #[must_use]
    pub fn sign(&self, message: &[u8; MESSAGE_LEN]) -> [u8; LEN] {
        let mut mac = self.keyed.clone();
        mac.update(message);
        let mut beat = [0; LEN];
        beat[..MESSAGE_LEN].copy_from_slice(message);
        beat[MESSAGE_LEN..].copy_from_slice(&mac.finalize().into_bytes());
        beat
    }
}

/// What the kernel needs in order to verify under the same key.
#[must_use]
pub fn midstates(key: &[u8]) -> Midstates {
    Midstates::of_block(&block(key))
}

/// A key of one block: padded with zeros; hashed first if it is longer (RFC 2104, section 2).
fn block(key: &[u8]) -> [u8; 64] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        let hashed = Sha1::digest(key);
        block[..hashed.len()].copy_from_slice(&hashed);
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    block
}

#[cfg(test)]
mod tests;
