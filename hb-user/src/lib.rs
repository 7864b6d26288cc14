//! The library behind the daemon and command line `hb`: see ARCHITECTURE.md for the cut.

mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod core;
pub mod daemon;
pub mod datapath;
pub mod fencing;
pub mod incarnation;
pub mod logging;
pub mod pings;
pub mod process;
pub mod pulse;
pub mod realtime;
pub mod reboot;
pub mod recorder;
pub mod resources;
pub mod secret;
