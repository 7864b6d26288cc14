//! The table of peers: open addressing in an array, which the kernel looks into without a call.
//!
//! A map of the kernel's hash type would cost a frame more than all else before its tag. A [`NodeId`] is a hash already,
//! so its low bits say where the search begins.
//!
//! An array's value cannot be replaced at once, so there are two halves. One is in use, and never changed; userspace fills
//! the other, and then says that it is in use.

use crate::NodeId;
use crate::tables::Peer;

/// How many buckets a search goes through at the most. So any so many peers fit, whatever their names are.
pub const PROBES: u32 = 16;

/// A value of the map `PEERS`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Bucket {
    /// Who; 0, which is nobody, where the bucket is empty.
    pub id: NodeId,
    /// Where its beats come from.
    pub peer: Peer,
}

/// The peer of this name, in a half that has one more bucket than `mask` says; `bucket` gives the one of an index.
#[inline(always)]
pub fn find<'a>(id: NodeId, mask: u32, bucket: impl Fn(u32) -> Option<&'a Bucket>) -> Option<&'a Peer> {
    for step in 0..PROBES {
        let bucket = bucket(place(id, step, mask))?;
        if bucket.id.0 == 0 {
            return None;
        }
        if bucket.id == id {
            return Some(&bucket.peer);
        }
    }
    None
}

#[inline(always)]
fn place(id: NodeId, step: u32, mask: u32) -> u32 {
    id.0.wrapping_add(step) & mask
}

#[cfg(not(feature = "xdp"))]
pub use filling::{lay_out, mask_for};

/// Userspace's side.
#[cfg(not(feature = "xdp"))]
mod filling {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::{Bucket, PROBES, place};
    use crate::NodeId;
    use crate::tables::Peer;

    /// The mask of the smallest half with at least four buckets for each of so many peers in which these find their place.
    /// `None` if there is none of a size that an array can have.
    #[must_use]
    pub fn mask_for(room: u32, peers: &[(NodeId, Peer)]) -> Option<u32> {
        const MAX_BUCKETS: u32 = 1 << 20;
        let least = room.max(PROBES).checked_mul(4)?.checked_next_power_of_two()?;
        core::iter::successors(Some(least), |buckets| buckets.checked_mul(2))
            .take_while(|buckets| *buckets <= MAX_BUCKETS)
            .map(|buckets| buckets - 1)
            .find(|mask| lay_out(peers, *mask).is_some())
    }

    /// The buckets of a half in which every one of these peers is found; `None` if one is nobody, or they are too many.
    #[must_use]
    pub fn lay_out(peers: &[(NodeId, Peer)], mask: u32) -> Option<Vec<Bucket>> {
        let mut buckets = vec![Bucket::default(); mask as usize + 1];
        for (id, peer) in peers {
            if id.0 == 0 {
                return None;
            }
            let free = (0..PROBES)
                .map(|step| place(*id, step, mask) as usize)
                .find(|index| buckets[*index].id.0 == 0 || buckets[*index].id == *id)?;
            buckets[free] = Bucket { id: *id, peer: *peer };
        }
        Some(buckets)
    }
}

#[cfg(test)]
mod tests;
