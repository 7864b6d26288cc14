//! The XDP program in the kernel: loaded, with its tables filled. Attaching is [`super::attach`]'s.

use std::io;
use std::os::fd::AsFd;

use aya::maps::{Array, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader, Pod};
use hb_ebpf::hmac::Midstates;
use hb_ebpf::peers::Bucket;
use hb_ebpf::tables::{Own, Peer};
use hb_ebpf::watch::Watch;
use hb_ebpf::{KeyId, NodeId, verdict};

use super::peers::PeerTable;
use super::{Counters, DatapathError, LivenessMap, Pins};
use crate::clock;

/// The object that `cargo xtask build-ebpf` made, embedded by `build.rs`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/hb-xdp.o"));

/// How many links can have a place in the liveness map, those of former configurations included.
pub const SLOTS: u32 = 256;

/// The program's name in the object.
const PROGRAM: &str = "hb_xdp";

/// What the kernel is told.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Our own name, life and port.
    pub own: Own,
    /// The keys that are valid for receiving.
    pub keys: Vec<(KeyId, Midstates)>,
    /// The peers and where their beats come from.
    pub peers: Vec<(NodeId, Peer)>,
    /// Whether verdicts other than accepted are logged, each: for diagnosis.
    pub log: bool,
}

/// There is room for every configuration, and for more where these tables are larger than any: a benchmark's.
impl Tables {
    fn slots(&self) -> u32 {
        let links = self.peers.iter().flat_map(|(_, peer)| &peer.links);
        links.map(|link| link.slot + 1).fold(SLOTS, u32::max)
    }
}

/// The loaded program. When it is dropped, and all that came from it, nothing stays in the kernel.
#[derive(Debug)]
pub struct Program {
    ebpf: Ebpf,
    peers: PeerTable,
    slots: u32,
}

impl Program {
    /// Loads the program and fills its tables.
    pub fn load(tables: &Tables) -> Result<Self, DatapathError> {
        Self::load_pinned(tables, None)
    }

    /// The same. With what is pinned already it goes on; the rest is pinned.
    pub fn load_pinned(tables: &Tables, pins: Option<&Pins>) -> Result<Self, DatapathError> {
        let slots = tables.slots();
        let peers = PeerTable::for_peers(&tables.peers)?;
        let log_level: u8 = if tables.log { u8::MAX } else { 0 };
        let mut loader = EbpfLoader::new();
        for (name, path) in pins.into_iter().flat_map(Pins::maps) {
            loader.map_pin_path(name, path);
        }
        let mut ebpf = loader
            .override_global("UDP_PORT", &tables.own.port, true)
            .override_global("OWN_NODE", &tables.own.node.0, true)
            .override_global("OWN_INCARNATION", &tables.own.incarnation, true)
            .override_global("PEER_MASK", peers.mask(), true)
            .override_global("TICK", &clock::tick().0, true)
            .override_global(aya_log::LEVEL, &log_level, true)
            .map_max_entries("PEERS", peers.buckets())
            .map_max_entries("LIVENESS", slots)
            .map_max_entries("COUNTERS", (slots + 1) * verdict::COUNT)
            .load(OBJECT)
            .map_err(load_error)?;
        fill_keys(&mut ebpf, None, tables)?;
        peers.fill(&mut ebpf, &tables.peers)?;
        xdp_mut(&mut ebpf)?
            .load()
            .map_err(|error| load_error(EbpfError::ProgramError(error)))?;
        Ok(Self { ebpf, peers, slots })
    }

    /// Changes the tables while beats are being admitted: what is valid in both is valid all the time. Our own
    /// name, life and port are fixed.
    pub fn update(&mut self, old: &Tables, new: &Tables) -> Result<(), DatapathError> {
        fill_keys(&mut self.ebpf, Some(old), new)?;
        self.peers.replace(&mut self.ebpf, &new.peers)
    }

    /// The liveness of every slot, through memory.
    pub fn liveness(&self) -> Result<LivenessMap, DatapathError> {
        let map = map_data(self.ebpf.map("LIVENESS"), "LIVENESS")?;
        LivenessMap::new(map.fd().as_fd(), self.slots)
    }

    /// The frames by verdict. Can be taken once.
    pub fn take_counters(&mut self) -> Result<Counters, DatapathError> {
        let map = self.take("COUNTERS")?;
        let counters = PerCpuArray::try_from(map).map_err(|source| DatapathError::Table {
            name: "COUNTERS",
            source,
        })?;
        Ok(Counters::new(counters))
    }

    /// The ring of [`hb_ebpf::liveness::Event`]s. Can be taken once.
    pub fn take_events(&mut self) -> Result<RingBuf<MapData>, DatapathError> {
        let map = self.take("EVENTS")?;
        RingBuf::try_from(map).map_err(|source| DatapathError::Table { name: "EVENTS", source })
    }

    /// The program itself.
    pub fn xdp(&mut self) -> Result<&mut Xdp, DatapathError> {
        xdp_mut(&mut self.ebpf)
    }

    /// The whole object, for the reader of its log.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    pub(super) fn maps(&self) -> &Ebpf {
        &self.ebpf
    }

    fn take(&mut self, name: &'static str) -> Result<Map, DatapathError> {
        self.ebpf
            .take_map(name)
            .ok_or(DatapathError::Object { what: "map", name })
    }
}

fn fill_keys(ebpf: &mut Ebpf, old: Option<&Tables>, tables: &Tables) -> Result<(), DatapathError> {
    let table = |name| move |source| DatapathError::Table { name, source };

    let map = ebpf.map_mut("KEYS").ok_or(DatapathError::Object {
        what: "map",
        name: "KEYS",
    })?;
    let mut keys: Array<_, Plain<Midstates>> = Array::try_from(map).map_err(table("KEYS"))?;
    for (id, midstates) in &tables.keys {
        keys.set(u32::from(id.0), Plain(*midstates), 0).map_err(table("KEYS"))?;
    }
    let gone = old.iter().flat_map(|old| &old.keys);
    for (id, _) in gone.filter(|(id, _)| tables.keys.iter().all(|(other, _)| other != id)) {
        keys.set(u32::from(id.0), Plain(Midstates::default()), 0)
            .map_err(table("KEYS"))?;
    }
    Ok(())
}

fn xdp_mut(ebpf: &mut Ebpf) -> Result<&mut Xdp, DatapathError> {
    let missing = DatapathError::Object {
        what: "program",
        name: PROGRAM,
    };
    let Some(program) = ebpf.program_mut(PROGRAM) else {
        return Err(missing);
    };
    program.try_into().map_err(|_| missing)
}

pub(super) fn map_data<'a>(map: Option<&'a Map>, name: &'static str) -> Result<&'a MapData, DatapathError> {
    match map {
        Some(Map::Array(data)) => Ok(data),
        _ => Err(DatapathError::Object { what: "map", name }),
    }
}

/// Sorts out a lack of permission, which needs another answer than a kernel that cannot.
fn load_error(error: EbpfError) -> DatapathError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(this) = cause {
        if let Some(io) = this.downcast_ref::<io::Error>()
            && matches!(io.raw_os_error(), Some(libc::EPERM | libc::EACCES))
            && !matches!(&error, EbpfError::ProgramError(ProgramError::LoadError { verifier_log, .. })
                if !verifier_log.to_string().is_empty())
        {
            return DatapathError::NotPermitted(Box::new(error));
        }
        cause = this.source();
    }
    DatapathError::Load(Box::new(error))
}

/// A value that the kernel shares with us, for aya, whose trait cannot be given to another crate's types.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Plain<T>(pub(super) T);

// SAFETY: `repr(C)`, only integers and arrays of them, no padding (pinned by the layout tests of hb-ebpf).
unsafe impl Pod for Plain<Midstates> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Bucket> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Watch> {}
