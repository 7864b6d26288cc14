//! The harness.
pub mod bench;
pub mod frames;
