//! The kernel's maps as memory: reading what it heard or found costs no system call.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use hb_ebpf::Liveness;
use hb_ebpf::watch::{Awake, Silence};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::DatapathError;

/// A value that the kernel writes while we read it.
///
/// # Safety
///
/// Every bit pattern is a value, of 8-byte alignment and a multiple of 8 bytes long, and what is read behind the shared
/// reference copes with being written: through atomics and volatile copies, or by not minding an old number.
pub unsafe trait Shared {}

// SAFETY: integers only; `Liveness::heard` copes, and counters may be old.
unsafe impl Shared for Liveness {}
// SAFETY: integers only; `Silence::read` copes.
unsafe impl Shared for Silence {}
// SAFETY: integers only, which may be old.
unsafe impl Shared for Awake {}

/// The map `LIVENESS`.
pub type LivenessMap = SharedArray<Liveness>;

/// A read-only view of an array in the kernel.
#[derive(Debug)]
pub struct SharedArray<T> {
    start: NonNull<c_void>,
    bytes: NonZeroUsize,
    slots: usize,
    values: PhantomData<T>,
}

// SAFETY: the memory is the kernel's, read-only, and mapped until the drop; any thread may read it.
unsafe impl<T: Shared> Send for SharedArray<T> {}
// SAFETY: as above.
unsafe impl<T: Shared> Sync for SharedArray<T> {}

impl<T: Shared> SharedArray<T> {
    /// Maps an array of `slots` values.
    pub(super) fn new(map: BorrowedFd<'_>, slots: u32) -> Result<Self, DatapathError> {
        const {
            assert!(
                size_of::<T>().is_multiple_of(8),
                "the stride of an array is its value's size, rounded up to 8"
            );
        };
        let slots = slots as usize;
        let bytes = NonZeroUsize::new(slots * size_of::<T>())
            .ok_or_else(|| DatapathError::Map(std::io::ErrorKind::InvalidInput.into()))?;
        // SAFETY: a new mapping at an address of the kernel's choice changes no memory of ours.
        let start = unsafe { mmap(None, bytes, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, map, 0) }
            .map_err(|errno| DatapathError::Map(errno.into()))?;
        Ok(Self {
            start,
            bytes,
            slots,
            values: PhantomData,
        })
    }

    /// The value of a slot.
    #[must_use]
    pub fn get(&self, slot: u32) -> Option<&T> {
        let slot = slot as usize;
        if slot >= self.slots {
            return None;
        }
        // SAFETY: the element lies in the mapping, which starts at a page; the rest is what `Shared` promises.
        Some(unsafe { self.start.cast::<T>().add(slot).as_ref() })
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

impl<T> Drop for SharedArray<T> {
    fn drop(&mut self) {
        // SAFETY: exactly what `mmap` gave; references into it borrow from `self` and are gone. It can only fail for
        // arguments that are no mapping.
        let _ = unsafe { munmap(self.start, self.bytes.get()) };
    }
}
