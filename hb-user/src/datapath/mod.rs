//! Where liveness comes from: the XDP program, and the memory that it shares with us.

mod attach;
mod counters;
mod error;
mod liveness_map;
mod log;
mod program;

pub use attach::{Attached, Mode};
pub use counters::Counters;
pub use error::DatapathError;
pub use liveness_map::LivenessMap;
pub use log::ProgramLog;
pub use program::{Program, SLOTS, Tables};
