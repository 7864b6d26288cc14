//! What a takeover does: scripts and cloud floating IPs.

pub mod digitalocean;
pub mod environment;
pub mod group;
pub mod monitor;
mod output;
pub mod scripts;
#[cfg(test)]
mod testing;

pub use output::is_running;
