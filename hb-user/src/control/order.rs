//! What an operator orders.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::Which;

/// Longest that an order may be waited for.
pub const MAX_TIMEOUT: Duration = Duration::from_hours(1);

/// An order, and for how long it is waited for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// What is to be done.
    pub order: Order,
    /// Whether the answer comes when it has happened, and not when it was begun.
    pub wait: bool,
    /// How long it may take, if it is waited for: at most [`MAX_TIMEOUT`].
    pub timeout_ms: u64,
}

impl OrderRequest {
    /// How long the answer may take.
    #[must_use]
    pub fn limit(&self) -> Duration {
        if self.wait {
            Duration::from_millis(self.timeout_ms).min(MAX_TIMEOUT)
        } else {
            Duration::ZERO
        }
    }
}

/// Something to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Give groups to the others.
    Standby {
        /// Which.
        which: Which,
    },
    /// Take groups from the others.
    Takeover {
        /// Which.
        which: Which,
    },
    /// Touch nothing, or go on.
    Maintenance {
        /// Which of the two.
        on: bool,
    },
    /// Forget what went wrong with a group.
    Cleanup {
        /// Its name: its first resource, as haresources writes it.
        group: String,
    },
    /// Read the configuration again.
    Reload,
    /// Go on in a new process.
    Restart,
}
