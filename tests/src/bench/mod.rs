//! The measurements of docs/BENCHMARKS.md, a file each. All but `packet`, which needs no host, run on two hosts with
//! nothing on them but `hb`, or, for `heal`, Heartbeat.

pub mod detect;
pub mod handover;
pub mod heal;
mod heartbeat;
pub mod idle;
pub mod machine;
pub mod packet;
mod pair;
pub mod report;
pub mod restart;
