//! The library behind the daemon and command line `hb`: see ARCHITECTURE.md for the cut.

pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod datapath;
pub mod pulse;
pub mod resources;
