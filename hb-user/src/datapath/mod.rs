//! Where liveness comes from: the XDP program and its timers, and the memory that they share with us.

mod attach;
mod counters;
mod error;
mod log;
mod peers;
mod pins;
mod program;
mod shared;
mod watches;

pub use attach::{Attached, Mode};
pub use counters::Counters;
pub use error::DatapathError;
pub use log::ProgramLog;
pub use pins::{PinError, Pins};
pub use program::{Program, SLOTS, Tables};
pub use shared::{LivenessMap, SharedArray};
pub use watches::Watches;
