//! What is asked of a mover, what it tells on the way, and what comes of it.

use std::sync::Arc;
use std::time::Duration;

use hb_ebpf::Nanos;

use crate::resources::cloud::provider::{ActionId, Failure, InstanceId, Owner};

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    /// Who is to have the address; `None`: this host.
    pub to: Option<InstanceId>,
    /// From whom it may be taken.
    pub claim: Claim,
    /// How long it may take in all.
    pub within: Duration,
}

/// From whom an address may be taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Claim {
    /// From whoever has it.
    Anybody,
    /// From this one only, or from nobody: whoever has got it since has it for a reason.
    From(Vec<Option<InstanceId>>),
}

/// An address that was read back as ours, and the times on the way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moved {
    /// Who has it.
    pub instance: InstanceId,
    /// Who had it. The same as `instance`: nothing was to be done.
    pub from: Option<InstanceId>,
    /// The action that moved it, where the API has actions and ours is known.
    pub action: Option<ActionId>,
    /// When it began.
    pub begun: Nanos,
    /// When the API accepted the move; `None` where that was not seen: it was ours already, or the answer was lost.
    pub accepted: Option<Nanos>,
    /// When the API said that it was done; `None` as above, or where it does not tell.
    pub completed: Option<Nanos>,
    /// When the address was read back as ours, and is active here by the metadata service, if that tells.
    pub verified: Nanos,
    /// What the metadata service said at last; `None` where it does not tell, or was not asked.
    pub is_active: Option<bool>,
}

impl Moved {
    /// Whether nothing was to be done.
    #[must_use]
    pub fn was_ours(&self) -> bool {
        self.from.as_ref() == Some(&self.instance) && self.accepted.is_none()
    }
}

/// What happens on the way, and when.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The owner was read before anything was asked for.
    Found {
        /// Who has it.
        owner: Owner,
        /// When.
        at: Nanos,
    },
    /// The API has accepted the move.
    Accepted {
        /// Its action, where it has actions.
        action: Option<ActionId>,
        /// When.
        at: Nanos,
    },
    /// The API says that the move is done.
    Completed {
        /// Its action, where it has actions.
        action: Option<ActionId>,
        /// When.
        at: Nanos,
    },
    /// The address was read back as ours, and is active here where that can be told.
    Verified {
        /// When.
        at: Nanos,
    },
    /// Something failed for a passing reason, and is tried again.
    Retrying {
        /// The reason.
        reason: String,
        /// The pause before.
        pause: Duration,
        /// When.
        at: Nanos,
    },
}

/// Is told what happens on the way, in the thread in which it happens: it must not wait for anything.
pub type Watch = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Why an address is not ours.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MoveError {
    /// Trying again does not help.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The action was accepted, and then failed, and so did the next ones.
    #[error("action {action} was accepted but ended in an error: {message}")]
    Action {
        /// Its name.
        action: ActionId,
        /// The provider's words.
        message: String,
    },
    /// The move is done, and the address is somebody else's all the same.
    #[error("the move has completed, but the address belongs to {owner}")]
    NotOurs {
        /// Whose it is.
        owner: Owner,
    },
    /// The API says that the address is ours, and the metadata service that it is not here.
    #[error("the API says that the address is ours, but the metadata service says that it is not active here")]
    NotActive,
    /// Somebody else has it than was seen last.
    #[error("the address belongs to {owner}, which was not its owner when it was last seen: not taken")]
    Contended {
        /// Whose it is.
        owner: Owner,
    },
    /// The time is over.
    #[error("not assigned within {} s; last: {last}", .within.as_secs_f32())]
    Deadline {
        /// The time there was.
        within: Duration,
        /// The last thing that went wrong or was waited for.
        last: String,
    },
}
