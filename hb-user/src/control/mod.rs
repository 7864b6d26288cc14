//! The Unix socket that `hb status` and the operator's commands talk to.
//!
//! One line of JSON asks, one line of JSON answers. Whoever floods it takes nobody else's time: it is served by a thread of
//! its own, which asks the controller only so often; connections are few, short, and end by themselves. Only an order
//! that is waited for may stay, with a limit of its own; who hangs up, or closes the sending side, no longer waits.

mod client;
mod order;
mod pace;
mod reports;
mod server;
mod status;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use client::{ClientError, ask};
pub use order::{MAX_TIMEOUT, Order, OrderRequest};
pub use server::{Asked, Server, ServerError};
pub use status::{
    AddressStatus, DatapathStatus, DetectionStatus, DiffersStatus, FloatingIpStatus, GroupStatus, LatenessStatus,
    LinkStatus, PeerStatus, PulseStatus, RealtimeStatus, RestartStatus, Status, StepStatus, Takeover,
};

/// Where sockets and locks live by default.
pub const RUN_DIR: &str = "/run/hb";

/// The socket in a run directory.
#[must_use]
pub fn socket_path(run_dir: &Path) -> PathBuf {
    run_dir.join("hb.sock")
}

/// What can be asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How it stands.
    Status,
    /// To do something.
    Order(OrderRequest),
}

/// What is answered.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// How it stands.
    Status(Box<Status>),
    /// It has happened, or there was nothing to do; where nobody waits for it: it was begun.
    Done {
        /// What happened.
        message: String,
    },
    /// It was not begun, and nothing has changed.
    Refused {
        /// Why.
        message: String,
    },
    /// It was begun, and will not happen.
    Failed {
        /// Why.
        message: String,
    },
    /// It did not happen in time.
    Pending {
        /// How far it is.
        message: String,
    },
    /// The question is none, or nobody is there to answer it.
    Error(String),
}

impl Reply {
    /// What is answered when the controller is no more.
    fn stopping() -> Self {
        Self::Error("the daemon is stopping".into())
    }
}
