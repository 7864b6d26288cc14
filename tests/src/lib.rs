//! The end-to-end harness: hosts made of namespaces, a network between them, a cloud that moves a floating IP, a
//! client that looks at it, and the tutorial's cluster put together from these.
//!
//! Nothing in here has a name outside the process that made it: when that process ends, for whatever reason, the kernel
//! removes every host, interface, file and process. So tests run in parallel, and twice.

pub mod addresses;
pub mod bench;
pub mod calm;
pub mod census;
pub mod chaos;
pub mod client;
pub mod clock;
pub mod cloud;
pub mod cluster;
pub mod expect;
mod filesystem;
pub mod flood;
pub mod frames;
pub mod host;
pub mod linux_ha;
pub mod network;
pub mod nodes;
pub mod ownership;
mod places;
pub mod process;
pub mod provided;
pub mod random;
pub mod resource;
mod service;
pub mod sim;
pub mod site;
pub mod stamp;
pub mod status;
pub mod tutorial;
pub mod wire;
