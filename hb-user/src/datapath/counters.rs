//! Frames by verdict, as the program counts them on each processor.

use aya::maps::{MapData, MapError, PerCpuArray};
use hb_ebpf::Verdict;

/// Reads the map `COUNTERS`.
pub struct Counters {
    map: PerCpuArray<MapData, u64>,
}

impl Counters {
    pub(super) fn new(map: PerCpuArray<MapData, u64>) -> Self {
        Self { map }
    }

    /// How many frames got this verdict: of the link with this slot, or of no known link.
    pub fn read(&self, slot: Option<u32>, verdict: Verdict) -> Result<u64, MapError> {
        let values = self.map.get(&verdict.counter(slot), 0)?;
        Ok(values.iter().sum())
    }
}
