//! The measurements of docs/BENCHMARKS.md, a file each, and what they share: the arena with its contenders, its observer and
//! its ladder of stress; reports, and the tables and plots that are made of them.

pub mod address;
pub mod arena;
pub mod cloud;
pub mod contender;
pub mod detect;
pub mod drawings;
pub mod failover;
pub mod flood;
pub mod heartbeat;
pub mod journal;
pub mod ladder;
pub mod machine;
pub mod observer;
pub mod packet;
pub mod parts;
pub mod plan;
pub mod plot;
pub mod processes;
pub mod quiet;
pub mod reach;
pub mod report;
mod reserved;
pub mod restart;
pub mod results;
mod rig;
pub mod rivals;
pub mod scale;
pub mod table;
pub mod trigger;
