//! The real-time thread: sends beats, watches deadlines.

mod signer;

pub use signer::{Signer, midstates};
