//! The table of peers in the kernel, from userspace's side: see [`hb_ebpf::peers`].

use std::thread::{self, JoinHandle};
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Array, MapError};
use hb_ebpf::NodeId;
use hb_ebpf::peers::{Bucket, lay_out, mask_for};
use hb_ebpf::tables::Peer;

use super::DatapathError;
use super::program::Plain;

/// How many peers a configuration can have.
const ROOM: u32 = 16;

/// What is where in the map `PEERS`.
#[derive(Debug)]
pub(super) struct PeerTable {
    mask: u32,
    half: u32,
    /// Ends when no frame is being judged by the half that was in use before.
    settling: Option<JoinHandle<()>>,
}

impl PeerTable {
    /// Has room for these peers, and for every configuration.
    pub fn for_peers(peers: &[(NodeId, Peer)]) -> Result<Self, DatapathError> {
        let room = u32::try_from(peers.len()).unwrap_or(u32::MAX).max(ROOM);
        let mask = mask_for(room, peers).ok_or(DatapathError::Peers { count: peers.len() })?;
        Ok(Self {
            mask,
            half: 0,
            settling: None,
        })
    }

    /// What the program has to know: one less than there are buckets in a half.
    pub fn mask(&self) -> &u32 {
        &self.mask
    }

    /// How many buckets the map has.
    pub fn buckets(&self) -> u32 {
        2 * (self.mask + 1)
    }

    /// Fills the first half of a map that is empty, before a frame is judged.
    pub fn fill(&self, ebpf: &mut Ebpf, peers: &[(NodeId, Peer)]) -> Result<(), DatapathError> {
        let buckets = self.lay_out(peers)?;
        let taken = (0..).zip(buckets).filter(|(_, bucket)| bucket.id != NodeId(0));
        write(ebpf, taken)
    }

    /// Replaces the peers at once, while frames are being judged.
    pub fn replace(&mut self, ebpf: &mut Ebpf, peers: &[(NodeId, Peer)]) -> Result<(), DatapathError> {
        let buckets = self.lay_out(peers)?;
        if let Some(settling) = self.settling.take() {
            // It does not panic; and it has ended but where two reloads follow each other within milliseconds.
            let _ = settling.join();
        }
        let other = 1 - self.half;
        write(ebpf, (other * (self.mask + 1)..).zip(buckets))?;
        let map = ebpf.map_mut("HALF").ok_or(DatapathError::Object {
            what: "map",
            name: "HALF",
        })?;
        let set = |map| Array::<_, u32>::try_from(map)?.set(0, other, 0);
        set(map).map_err(table("HALF"))?;
        self.half = other;
        self.settling = settle();
        Ok(())
    }

    fn lay_out(&self, peers: &[(NodeId, Peer)]) -> Result<Vec<Bucket>, DatapathError> {
        lay_out(peers, self.mask).ok_or(DatapathError::Peers { count: peers.len() })
    }
}

fn write(ebpf: &mut Ebpf, buckets: impl Iterator<Item = (u32, Bucket)>) -> Result<(), DatapathError> {
    let map = ebpf.map_mut("PEERS").ok_or(DatapathError::Object {
        what: "map",
        name: "PEERS",
    })?;
    let mut array: Array<_, Plain<Bucket>> = Array::try_from(map).map_err(table("PEERS"))?;
    for (index, bucket) in buckets {
        array.set(index, Plain(bucket), 0).map_err(table("PEERS"))?;
    }
    Ok(())
}

fn table(name: &'static str) -> impl Fn(MapError) -> DatapathError {
    move |source| DatapathError::Table { name, source }
}

/// Waits, in a thread of its own, until every frame that is being judged has been: some milliseconds.
fn settle() -> Option<JoinHandle<()>> {
    let thread = thread::Builder::new().name("hb-settle".into()).stack_size(64 * 1024);
    let handle = thread.spawn(wait_for_readers).ok();
    if handle.is_none() {
        wait_for_readers();
    }
    handle
}

/// A program runs as a reader of the kernel's RCU, and membarrier(2) waits for a grace period of that. Where a kernel keeps
/// processors free of ticks it does not: there a frame, which takes a microsecond, has a second.
fn wait_for_readers() {
    // SAFETY: the system call takes numbers only and touches no memory of ours.
    let waited = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if waited != 0 {
        crate::clock::pause(Duration::from_secs(1));
    }
}
