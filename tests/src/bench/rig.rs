//! The XDP program with tables that somebody made up, to be run by the kernel on frames that somebody made up, too
//! (`BPF_PROG_TEST_RUN`).

use anyhow::{Context, Result};
use aya::{TestRun as _, TestRunOptions, programs::xdp::Xdp};
use hb_ebpf::{
    Incarnation, KeyId, NodeId,
    tables::{Address, Link, Own, Peer},
};
use hb_user::{
    datapath::{Program, Tables},
    pulse::midstates,
};

use crate::frames::KEY;

/// Where beats are received, by whom, and in which life.
pub(super) const PORT: u16 = 694;
pub(super) const US: NodeId = NodeId(2);
pub(super) const OUR_LIFE: Incarnation = Incarnation(0x6920_f000_4321);

/// The program, and the peers that it knows: who, at which address, and which slot its link has.
pub(super) fn load(peers: impl IntoIterator<Item = (NodeId, Address, u32)>) -> Result<Program> {
    let peers = peers.into_iter().map(|(node, address, slot)| {
        let mut peer = Peer {
            count: 1,
            ..Peer::default()
        };
        peer.links[0] = Link { address, slot };
        (node, peer)
    });
    let tables = Tables {
        own: Own {
            node: US,
            incarnation: OUR_LIFE.low(),
            port: PORT,
        },
        keys: vec![(KeyId(1), midstates(KEY))],
        peers: peers.collect(),
        log: false,
    };
    Ok(Program::load(&tables)?)
}

/// The program that does nothing.
pub(super) fn load_empty(object: &mut Program) -> Result<&Xdp> {
    let program = object.ebpf().program_mut("hb_floor");
    let xdp: &mut Xdp = program.context("the object has no program hb_floor")?.try_into()?;
    xdp.load()?;
    Ok(xdp)
}

/// Nanoseconds that a program takes for a frame, by the kernel's measurement.
#[expect(clippy::cast_precision_loss, reason = "durations of milliseconds")]
pub(super) fn repeated(xdp: &Xdp, frame: &[u8], repeat: u32) -> Result<f64> {
    let result = xdp.test_run(TestRunOptions {
        data_in: Some(frame),
        repeat,
        ..TestRunOptions::default()
    })?;
    Ok(result.duration.as_nanos() as f64)
}
