//! What a node does with a resource group: four bits of a beat.

use serde::{Deserialize, Serialize};

/// What a node does with a resource group.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum GroupState {
    /// It has nothing to do with it.
    #[default]
    Released = 0,
    /// It would start it, and waits for the word of the others.
    Wanting = 1,
    /// It asks the node that has it to let go.
    Asking = 2,
    /// Its scripts are starting.
    Acquiring = 3,
    /// It runs here.
    Running = 4,
    /// It runs here, taken over from a node that is presumed dead and was not heard since.
    Claimed = 5,
    /// Its scripts are stopping.
    Releasing = 6,
    /// It could not be stopped here.
    Stuck = 7,
    /// It could not be started here, and was stopped.
    Failed = 8,
    /// It was moved away from here, or failed here some time ago: it comes back only when nobody else can have it.
    Declined = 9,
}

impl GroupState {
    /// All states, by number.
    pub const ALL: [Self; 10] = [
        Self::Released,
        Self::Wanting,
        Self::Asking,
        Self::Acquiring,
        Self::Running,
        Self::Claimed,
        Self::Releasing,
        Self::Stuck,
        Self::Failed,
        Self::Declined,
    ];

    /// The state of four bits of a beat. Reserved numbers are read as [`GroupState::Stuck`]: better no owner than two.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self::ALL.get(usize::from(bits)).copied().unwrap_or(Self::Stuck)
    }

    /// Whether the group's resources are here, or may be: nobody else may start it.
    #[must_use]
    pub fn is_held(self) -> bool {
        match self {
            Self::Acquiring | Self::Running | Self::Claimed | Self::Releasing | Self::Stuck => true,
            Self::Released | Self::Wanting | Self::Asking | Self::Failed | Self::Declined => false,
        }
    }

    /// Whether the node means to have the group, and has begun to.
    #[must_use]
    pub fn is_owned(self) -> bool {
        match self {
            Self::Acquiring | Self::Running | Self::Claimed => true,
            Self::Released
            | Self::Wanting
            | Self::Asking
            | Self::Releasing
            | Self::Stuck
            | Self::Failed
            | Self::Declined => false,
        }
    }

    /// Whether it is being started or stopped.
    #[must_use]
    pub fn is_moved(self) -> bool {
        match self {
            Self::Acquiring | Self::Releasing => true,
            Self::Released
            | Self::Wanting
            | Self::Asking
            | Self::Running
            | Self::Claimed
            | Self::Stuck
            | Self::Failed
            | Self::Declined => false,
        }
    }

    /// Whether it runs.
    #[must_use]
    pub fn runs(self) -> bool {
        match self {
            Self::Running | Self::Claimed => true,
            Self::Released
            | Self::Wanting
            | Self::Asking
            | Self::Acquiring
            | Self::Releasing
            | Self::Stuck
            | Self::Failed
            | Self::Declined => false,
        }
    }

    /// Whether the node waits to start it.
    #[must_use]
    pub fn is_wanted(self) -> bool {
        match self {
            Self::Wanting | Self::Asking => true,
            Self::Released
            | Self::Acquiring
            | Self::Running
            | Self::Claimed
            | Self::Releasing
            | Self::Stuck
            | Self::Failed
            | Self::Declined => false,
        }
    }

    /// Who had an owned group first, as far as states tell: the lower number.
    pub(super) fn youth(self) -> u8 {
        match self {
            Self::Running => 0,
            // During a partition, from one who may have had it all along.
            Self::Claimed => 1,
            Self::Acquiring => 2,
            Self::Released
            | Self::Wanting
            | Self::Asking
            | Self::Releasing
            | Self::Stuck
            | Self::Failed
            | Self::Declined => 3,
        }
    }

    /// The name in `hb status` and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Wanting => "wanting",
            Self::Asking => "asking",
            Self::Acquiring => "acquiring",
            Self::Running => "running",
            Self::Claimed => "claimed",
            Self::Releasing => "releasing",
            Self::Stuck => "stuck",
            Self::Failed => "failed",
            Self::Declined => "declined",
        }
    }
}
