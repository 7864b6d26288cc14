//! What can become of a frame. Every verdict but [`Verdict::Accepted`] and [`Verdict::Duplicate`], which a link's
//! [`crate::Liveness`] counts, has a counter in the map `COUNTERS`.

/// What became of a frame, in the order in which it is found out.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u32)]
pub enum Verdict {
    /// Not a whole UDP datagram to our port. Passed.
    NotOurs = 0,
    /// A packet of Linux-HA Heartbeat (`###\n` or `>>>\n`) on our port. Passed.
    LinuxHa = 1,
    /// Something else on our port, without the magic of a beat. Passed.
    Foreign = 2,
    /// A beat of a version that this program does not speak.
    Version = 3,
    /// A beat that is not exactly [`crate::beat::LEN`] bytes long.
    Length = 4,
    /// A beat to another node, which this host may be routing. Passed.
    Elsewhere = 5,
    /// Signed with a key that is not among ours.
    UnknownKey = 6,
    /// From a node that is not in the configuration, ourselves included.
    UnknownNode = 7,
    /// From a known node, but not from an address of one of its links.
    Source = 8,
    /// A field out of its range: an incarnation, a sequence or a promise of zero, or a status that is none.
    Field = 9,
    /// From an earlier life of the sender.
    OldIncarnation = 10,
    /// The sequence that this link heard last, once more.
    Duplicate = 11,
    /// A sequence before the one that this link heard last.
    OldSequence = 12,
    /// A new incarnation that does not echo ours, and the link's budget of hashes for such claims is used up.
    Budget = 13,
    /// The tag is not ours.
    Tag = 14,
    /// A beat of a peer. Recorded, and consumed.
    Accepted = 15,
}

/// How many verdicts there are.
pub const COUNT: u32 = 16;

impl Verdict {
    /// All verdicts, by number.
    pub const ALL: [Self; COUNT as usize] = [
        Self::NotOurs,
        Self::LinuxHa,
        Self::Foreign,
        Self::Version,
        Self::Length,
        Self::Elsewhere,
        Self::UnknownKey,
        Self::UnknownNode,
        Self::Source,
        Self::Field,
        Self::OldIncarnation,
        Self::Duplicate,
        Self::OldSequence,
        Self::Budget,
        Self::Tag,
        Self::Accepted,
    ];

    /// The verdict of this number; [`Verdict::Source`] for a number that is none.
    #[must_use]
    #[inline(always)]
    pub const fn from_u32(number: u32) -> Self {
        match number {
            0 => Self::NotOurs,
            1 => Self::LinuxHa,
            2 => Self::Foreign,
            3 => Self::Version,
            4 => Self::Length,
            5 => Self::Elsewhere,
            6 => Self::UnknownKey,
            7 => Self::UnknownNode,
            9 => Self::Field,
            10 => Self::OldIncarnation,
            11 => Self::Duplicate,
            12 => Self::OldSequence,
            13 => Self::Budget,
            14 => Self::Tag,
            15 => Self::Accepted,
            _ => Self::Source,
        }
    }

    /// Whether the frame goes on to the network stack, untouched.
    #[must_use]
    #[inline(always)]
    pub const fn passes(self) -> bool {
        matches!(self, Self::NotOurs | Self::LinuxHa | Self::Foreign | Self::Elsewhere)
    }

    /// The name in `hb status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::LinuxHa => "linux_ha",
            Self::Foreign => "foreign",
            Self::Version => "version",
            Self::Length => "length",
            Self::Elsewhere => "elsewhere",
            Self::UnknownKey => "unknown_key",
            Self::UnknownNode => "unknown_node",
            Self::Source => "source",
            Self::Field => "field",
            Self::OldIncarnation => "old_incarnation",
            Self::Duplicate => "duplicate",
            Self::OldSequence => "old_sequence",
            Self::Budget => "budget",
            Self::Tag => "tag",
            Self::Accepted => "accepted",
        }
    }

    /// The index of this verdict's counter in `COUNTERS`: the first row counts frames of no known link, and one row
    /// for each slot follows.
    #[must_use]
    #[inline(always)]
    pub const fn counter(self, slot: Option<u32>) -> u32 {
        let row = match slot {
            None => 0,
            Some(slot) => slot + 1,
        };
        row * COUNT + self as u32
    }
}
