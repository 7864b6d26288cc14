//! What both sides of the kernel boundary share: the layout of a beat, SHA-1 for a 512-byte stack, the parsing of
//! frames, the decision to admit, and the layout of map values.
//!
//! The XDP program (`main.rs`) is glue around [`admit::admit`]; the daemon and the tests use the same code on the host.
#![no_std]
#![allow(
    clippy::inline_always,
    reason = "LLVM makes a BPF function of what is not inlined, with a frame of its own on the stack"
)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod admit;
pub mod beat;
pub mod frame;
pub mod hmac;
#[cfg(not(feature = "xdp"))]
pub mod host;
pub mod liveness;
pub mod peers;
pub mod sha1;
pub mod tables;
pub mod units;
pub mod verdict;
pub mod watch;

pub use admit::admit;
pub use beat::Beat;
pub use liveness::{Heard, Liveness};
pub use units::{Incarnation, KeyId, Nanos, NodeId, Sequence};
pub use verdict::Verdict;
