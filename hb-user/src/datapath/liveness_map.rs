//! The liveness map as memory: reading a link costs no system call.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use hb_ebpf::Liveness;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::DatapathError;

/// A read-only view of the map `LIVENESS`. The kernel writes while we read; [`Liveness::heard`] copes with that.
#[derive(Debug)]
pub struct LivenessMap {
    start: NonNull<c_void>,
    bytes: NonZeroUsize,
    slots: usize,
}

// SAFETY: the memory is the kernel's, read-only, and mapped until the drop; any thread may read it.
unsafe impl Send for LivenessMap {}
// SAFETY: as above.
unsafe impl Sync for LivenessMap {}

impl LivenessMap {
    /// Maps an array of `slots` values. Array elements are a multiple of 8 bytes apart, as [`Liveness`] is long.
    pub(super) fn new(map: BorrowedFd<'_>, slots: u32) -> Result<Self, DatapathError> {
        const {
            assert!(
                size_of::<Liveness>().is_multiple_of(8),
                "the stride of an array is its value's size"
            );
        };
        let slots = slots as usize;
        let bytes = NonZeroUsize::new(slots * size_of::<Liveness>())
            .ok_or_else(|| DatapathError::Map(std::io::ErrorKind::InvalidInput.into()))?;
        // SAFETY: a new mapping at an address of the kernel's choice changes no memory of ours.
        let start = unsafe { mmap(None, bytes, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, map, 0) }
            .map_err(|errno| DatapathError::Map(errno.into()))?;
        Ok(Self { start, bytes, slots })
    }

    /// The liveness of a slot.
    #[must_use]
    pub fn get(&self, slot: u32) -> Option<&Liveness> {
        let slot = slot as usize;
        if slot >= self.slots {
            return None;
        }
        // SAFETY: the element lies in the mapping, which starts at a page and holds values of 8-byte alignment whose
        // every bit pattern is valid. That the kernel changes them behind a shared reference is why `Liveness` reads
        // its published part through atomics and volatile copies, and why its counters may be old.
        Some(unsafe { self.start.cast::<Liveness>().add(slot).as_ref() })
    }

    /// How many slots there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.slots).unwrap_or(u32::MAX)
    }

    /// Whether there are no slots: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots == 0
    }
}

impl Drop for LivenessMap {
    fn drop(&mut self) {
        // SAFETY: exactly what `mmap` gave; references into it borrow from `self` and are gone. It can only fail for
        // arguments that are no mapping.
        let _ = unsafe { munmap(self.start, self.bytes.get()) };
    }
}
