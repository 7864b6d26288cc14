//! The Unix socket that `hb status` talks to.
//!
//! One line asks, one line of JSON answers. Whoever floods it takes nobody else's time: connections are few, short, and
//! end by themselves.

mod client;
mod server;
mod status;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use client::{ClientError, ask};
pub use server::{Asked, Server, ServerError};
pub use status::{
    DatapathStatus, GroupStatus, LinkStatus, PeerStatus, PulseStatus, RealtimeStatus, Status, StepStatus, Takeover,
};

/// Where sockets and locks live by default.
pub const RUN_DIR: &str = "/run/hb";

/// The socket in a run directory.
#[must_use]
pub fn socket_path(run_dir: &Path) -> PathBuf {
    run_dir.join("hb.sock")
}

/// What can be asked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How it stands.
    Status,
}

/// What is answered.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// How it stands.
    Status(Box<Status>),
    /// Why not.
    Error(String),
}
