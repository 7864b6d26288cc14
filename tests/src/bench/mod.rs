//! The measurements of docs/BENCHMARKS.md, a file each. All but `packet`, which needs no host, run on two hosts with
//! nothing on them but `hb`, or, for `heal`, Heartbeat.

pub mod arena;
pub mod contender;
pub mod detect;
pub mod drawings;
pub mod failover;
pub mod flood;
pub mod handover;
pub mod heal;
pub mod heartbeat;
pub mod ladder;
pub mod machine;
pub mod observer;
pub mod packet;
mod pair;
pub mod parts;
pub mod plan;
pub mod plot;
pub mod processes;
pub mod quiet;
pub mod reach;
pub mod report;
pub mod results;
pub mod rivals;
pub mod scale;
pub mod table;
pub mod trigger;
