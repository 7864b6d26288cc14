//! What a node does with a resource group: four bits of a beat.

/// What a node does with a resource group.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum GroupState {
    /// It has nothing to do with it.
    #[default]
    Released = 0,
    /// Its scripts are starting.
    Acquiring = 1,
    /// It runs here.
    Running = 2,
    /// Its scripts are stopping.
    Releasing = 3,
    /// It could not be started here, and was stopped.
    Failed = 4,
    /// It could not be stopped here.
    Stuck = 5,
    /// It runs here, taken over from a node that is presumed dead and was not heard since.
    Claimed = 6,
}

impl GroupState {
    /// All states, by number.
    pub const ALL: [Self; 7] = [
        Self::Released,
        Self::Acquiring,
        Self::Running,
        Self::Releasing,
        Self::Failed,
        Self::Stuck,
        Self::Claimed,
    ];

    /// The state of four bits of a beat. The others are reserved and read as [`GroupState::Stuck`]: better no owner than
    /// two.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self::ALL.get(usize::from(bits)).copied().unwrap_or(Self::Stuck)
    }

    /// Whether the group's resources are here, or may be: nobody else may start it.
    #[must_use]
    pub fn is_held(self) -> bool {
        match self {
            Self::Acquiring | Self::Running | Self::Releasing | Self::Stuck | Self::Claimed => true,
            Self::Released | Self::Failed => false,
        }
    }

    /// Whether the node means to have the group.
    #[must_use]
    pub fn is_owned(self) -> bool {
        match self {
            Self::Acquiring | Self::Running | Self::Claimed => true,
            Self::Released | Self::Releasing | Self::Failed | Self::Stuck => false,
        }
    }

    /// Who had an owned group first, as far as states tell: the lower number.
    pub(super) fn youth(self) -> u8 {
        match self {
            Self::Running => 0,
            // During a partition, from one who may have had it all along.
            Self::Claimed => 1,
            Self::Acquiring => 2,
            Self::Released | Self::Releasing | Self::Failed | Self::Stuck => 3,
        }
    }

    /// The name in `hb status` and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Acquiring => "acquiring",
            Self::Running => "running",
            Self::Releasing => "releasing",
            Self::Failed => "failed",
            Self::Stuck => "stuck",
            Self::Claimed => "claimed",
        }
    }
}
