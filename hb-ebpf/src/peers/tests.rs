extern crate std;

use core::mem::{offset_of, size_of};
use std::collections::BTreeSet;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn numbered(ids: impl IntoIterator<Item = u32>) -> Vec<(NodeId, Peer)> {
    let peer = |count| Peer {
        count,
        ..Peer::default()
    };
    ids.into_iter()
        .zip(1..)
        .map(|(id, count)| (NodeId(id), peer(count)))
        .collect()
}

fn found(buckets: &[Bucket], id: u32) -> Option<u32> {
    let mask = u32::try_from(buckets.len()).expect("few") - 1;
    let peer = find(NodeId(id), mask, |index| buckets.get(index as usize));
    peer.map(|peer| peer.count)
}

#[test]
fn layouts_are_pinned() {
    assert_eq!(size_of::<Bucket>(), 168);
    assert_eq!(offset_of!(Bucket, id), 0);
    assert_eq!(offset_of!(Bucket, peer), 4);
}

proptest! {
    #[test]
    fn finds_those_that_are_there_and_nobody_else(
        peers in prop::collection::btree_set(1_u32..200, 0..16),
        high in any::<u32>(),
        asked in 0_u32..256,
    ) {
        // Few low bits that differ: many want one bucket.
        let ids = |id: u32| id.rotate_right(5) ^ (high & 0x0000_ff00);
        let peers: BTreeSet<u32> = peers.into_iter().map(ids).filter(|id| *id != 0).collect();
        let peers = numbered(peers);
        let mask = mask_for(16, &peers).expect("sixteen fit");
        prop_assert_eq!(mask, 63);
        let buckets = lay_out(&peers, mask).expect("the mask is for them");
        for (id, peer) in &peers {
            prop_assert_eq!(found(&buckets, id.0), Some(peer.count));
        }
        let expected = peers.iter().find(|(id, _)| id.0 == ids(asked)).map(|(_, peer)| peer.count);
        prop_assert_eq!(found(&buckets, ids(asked)), expected);
    }
}

#[test]
fn sixteen_that_want_one_bucket_fit_and_a_seventeenth_makes_the_half_larger() {
    let same = |count: u32| numbered((1..=count).map(|id| id << 6));
    let buckets = lay_out(&same(16), 63).expect("as many as are looked for");
    for id in 1..=16 {
        assert_eq!(found(&buckets, id << 6), Some(id));
    }
    assert_eq!(found(&buckets, 17 << 6), None);
    assert!(lay_out(&same(17), 63).is_none());
    let mask = mask_for(17, &same(17)).expect("there are larger ones");
    let buckets = lay_out(&same(17), mask).expect("the mask is for them");
    assert_eq!(found(&buckets, 17 << 6), Some(17));
}

#[test]
fn nobody_is_no_peer() {
    assert!(lay_out(&numbered([5, 0]), 63).is_none());
    assert_eq!(mask_for(16, &numbered([0])), None);
    let buckets = lay_out(&numbered([5]), 63).expect("there is room");
    assert_eq!(found(&buckets, 0), None);
}

#[test]
fn a_table_of_thousands_stays_within_bounds() {
    // Numbers as hashes are.
    let ids = (1..=4096_u32).map(|id| id.wrapping_mul(0x9e37_79b1) ^ (id << 13));
    let peers = numbered(ids);
    let mask = mask_for(4096, &peers).expect("there is room");
    assert!(mask < 1 << 16, "{mask}");
    assert_eq!(mask_for(u32::MAX, &peers), None);
}
