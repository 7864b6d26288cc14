//! What a takeover does: scripts, local addresses and cloud floating IPs.

pub mod address;
pub mod cloud;
pub mod environment;
pub mod group;
pub mod monitor;
mod output;
pub mod scripts;
#[cfg(test)]
mod testing;

pub use output::is_running;
