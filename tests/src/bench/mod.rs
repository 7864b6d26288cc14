//! The measurements of docs/BENCHMARKS.md, a file each. All run on two hosts with nothing on them but `hb`.

pub mod detect;
pub mod handover;
pub mod idle;
pub mod machine;
mod pair;
pub mod report;
