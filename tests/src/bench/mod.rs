//! Benchmarks: each measures one thing and gives a report that prints as text and as JSON.

pub mod packet;
