//! The XDP program as a function of a frame and what it heard before (`BPF_PROG_TEST_RUN`): every verdict and every field
//! of what it records, and the same from the library on the host.
//!
//! The kernel runs a program on no frame shorter than an Ethernet header (14 bytes), so none is shorter here; the unit
//! tests of hb-ebpf cut frames down to nothing. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accepted;
mod events;
mod history;
mod passed;
mod pinned;
mod program;
mod random;
mod refused;
mod rig;
mod watch;
