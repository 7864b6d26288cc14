//! Newtypes for numbers that must not be mixed up.

/// A point in time or a span, in nanoseconds of `CLOCK_MONOTONIC`, which is the clock of `bpf_ktime_get_ns`.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The latest time; a deadline that never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// The span `micros`, in microseconds.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// The span `millis`, in milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// This time in whole microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// The sum, or the end of time.
    #[must_use]
    pub const fn saturating_add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

/// One life of a daemon, in 48 bits: greater for every start of a node, unpredictable in its low 16 bits, which are not
/// all 0. 0 is nobody's.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// The greatest incarnation that fits a beat.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// The low 32 bits, as a beat echoes them.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
    pub const fn low(self) -> u32 {
        self.0 as u32
    }
}

/// The number of a beat within its incarnation: from 1, 40 bits (at 1 kHz that lasts 34 years).
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The greatest sequence that fits a beat.
    pub const MAX: Self = Self((1 << 40) - 1);

    /// The low 32 bits, as a beat echoes them.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
    pub const fn low(self) -> u32 {
        self.0 as u32
    }
}

/// A node in a beat: the first four bytes of the SHA-1 of its name in lower case, most significant first. 0 is nobody's.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct NodeId(pub u32);

/// The number of a key in authkeys, 1 to 15.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct KeyId(pub u8);

/// Stores a word now: LLVM would otherwise load a whole block of words before it stores the first, and spill them all
/// onto the 512 bytes of stack.
#[inline(always)]
pub(crate) fn put(place: &mut u32, word: u32) {
    // SAFETY: a reference is valid for writes.
    unsafe { core::ptr::write_volatile(place, word) };
}
