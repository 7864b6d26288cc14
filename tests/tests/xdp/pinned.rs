//! What a killed daemon has left on an interface.

use std::{mem, path::Path, process::Command, thread};

use hb_user::datapath::{Pins, Program};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::rig::tables;

const INTERFACE: &str = "eth0";

#[test]
fn the_link_of_a_killed_daemon_does_not_hold_its_interface() {
    let lives = || {
        enter_a_place_of_ones_own();
        let run = tempfile::tempdir().unwrap();
        live_and_die(run.path());
        // The interface is taken from the link that is pinned where this one's goes.
        live_and_die(run.path());
        // What a new daemon does first.
        Pins::clear(run.path()).unwrap();
        live_and_die(run.path());
    };
    thread::spawn(lives).join().unwrap();
}

/// A daemon that is killed removes nothing. Beyond that its link is kept open here, as by somebody who looks at it, so that
/// the interface is never free by chance.
fn live_and_die(run: &Path) {
    let pins = Pins::open(run).unwrap();
    let mut program = Program::load_pinned(&tables(false), Some(&pins)).unwrap();
    let attached = program.attach(INTERFACE, Some(&pins), None).unwrap();
    assert!(attached.is_pinned());
    mem::forget((pins, attached));
}

/// A network with one interface and a BPF file system, for this thread only. A [`Host`](hb_tests::host::Host) would not do: by
/// its /proc a thread that came from outside does not find itself.
fn enter_a_place_of_ones_own() {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("bpf"), "/sys/fs/bpf", Some("bpf"), MsFlags::empty(), none).unwrap();
    let mut ip = Command::new("ip");
    let added = ip.args(["link", "add", INTERFACE, "type", "veth", "peer", "name", "eth1"]);
    assert!(added.status().unwrap().success());
}
