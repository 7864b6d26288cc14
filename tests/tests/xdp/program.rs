//! The program itself: its size, and the log that may be on.

use hb_ebpf::beat::Beat;
use hb_ebpf::{NodeId, Verdict};
use hb_tests::bench::packet::MAX_INSTRUCTIONS;

use crate::rig::{Rig, datagram, forged, frame, numbered};

#[test]
fn verdicts_are_the_same_with_the_log_on() {
    let mut rig = Rig::logging(true);
    let stranger = Beat {
        source: NodeId(9),
        ..numbered(1)
    };
    rig.expect(&frame(&numbered(1)), Verdict::Accepted, 0);
    rig.expect(&frame(&numbered(1)), Verdict::Duplicate, 0);
    rig.expect(&forged(&numbered(2)), Verdict::Tag, 0);
    rig.expect(&frame(&stranger), Verdict::UnknownNode, None);
    rig.expect(&datagram(b"###\n1:t,".to_vec()).frame(), Verdict::LinuxHa, None);
    rig.expect(&[0; 60], Verdict::NotOurs, None);
    rig.expect(&frame(&numbered(2)), Verdict::Accepted, 0);
}

#[test]
fn the_verifier_has_little_to_look_at() {
    let mut rig = Rig::new();
    let info = rig.program().xdp().unwrap().info().unwrap();
    let Some(count) = info.verified_instruction_count() else {
        println!("not checked: this kernel (before 5.16) does not tell how many instructions it verified");
        return;
    };
    assert!(count <= MAX_INSTRUCTIONS, "{count} instructions verified");
}
