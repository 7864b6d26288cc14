//! The harness.
pub mod frames;
