//! A table of many peers: what a frame costs in the kernel (`BPF_PROG_TEST_RUN`), and a round of looks at all of them.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use hb_ebpf::{
    Liveness, Nanos, NodeId, Sequence,
    beat::{Beat, Echo},
    tables::Address,
};
use hb_user::{
    clock,
    core::{Detector, Timing, Wake},
    datapath::{LivenessMap, Program},
};

use crate::{
    bench::{
        machine::Watch,
        report::{Figure, Report, Unit},
        rig::{self, OUR_LIFE, PORT, US, load_empty, repeated},
    },
    frames::{Datagram, KEY, beat, signed},
    random::Random,
};

/// How many peers there are.
pub(super) const PEERS: [u32; 5] = [1, 16, 256, 1024, 4096];

/// Frames in each run of one frame again and again.
const REPEAT: u32 = 100_000;
/// Frames that go into the kernel one by one, each a beat of another peer's; at least so many.
const SINGLE: u32 = 4096;
/// Rounds of looks in each run.
const ROUNDS: u32 = 20;

/// Every peer has an address of its own.
const FIRST_ADDRESS: u32 = 0x0a00_0001;
const OUR_ADDRESS: u32 = 0x0aff_fffe;

/// Measures a table of so many peers.
pub(super) fn measure(peers: u32, runs: usize) -> Result<Report> {
    let watch = Watch::start()?;
    let ids = ids(peers);
    let mut floor = load(&ids)?;
    let floor = load_empty(&mut floor)?;
    let mut program = load(&ids)?;
    let liveness = program.liveness()?;
    let last = u32::try_from(ids.len())? - 1;

    // Everybody is heard, round by round, so that all stand in the table.
    let rounds = u64::from(SINGLE.div_ceil(peers));
    let mut single = Vec::new();
    let mut alone = Vec::new();
    for sequence in 1..=rounds {
        for index in 0..peers {
            let frame = frame(&ids, index, sequence);
            alone.push(repeated(floor, &frame, 1)?);
            single.push(repeated(program.xdp()?, &frame, 1)?);
        }
    }
    for slot in [0, last] {
        let accepted = liveness.get(slot).context("no slot")?.accepted();
        ensure!(
            accepted == rounds,
            "of the peer {slot} {accepted} of {rounds} beats were accepted"
        );
    }

    let old = frame(&ids, last, 1);
    let stranger = {
        let mut all = ids.clone();
        all[0] = NodeId(u32::MAX);
        frame(&all, 0, rounds + 1)
    };
    let (mut refused, mut unknown, mut empty) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        empty.push(repeated(floor, &old, REPEAT)?);
        refused.push(repeated(program.xdp()?, &old, REPEAT)?);
        unknown.push(repeated(program.xdp()?, &stranger, REPEAT)?);
    }
    let (looks, each) = looks(&liveness, peers, runs)?;
    let ns = |name: &str, values| Figure::new(name, Unit::Nanos, values);
    Ok(Report {
        title: format!("SCALE: a table of {peers} peers with a link each, by test run"),
        subject: None,
        figures: vec![
            ns("empty program, one frame repeated", empty)?,
            ns("old sequence, one frame repeated", refused)?,
            ns("unknown node, one frame repeated", unknown)?,
            ns("empty program, frames one by one", alone)?,
            ns("accepted, each of another peer, one by one", single)?,
            Figure::new("a look at all peers", Unit::Micros, looks)?,
            ns("a look at all peers, for each", each)?,
        ],
        counts: [("peers", u64::from(peers))].into(),
        load: watch.stop()?,
    })
}

/// What the pulse thread does with its peers in one round: it reads what each link heard last, out of the same memory, and
/// shows it to the peer's detector. In microseconds for all, and in nanoseconds for each.
#[expect(clippy::cast_precision_loss, reason = "some milliseconds, in nanoseconds")]
fn looks(liveness: &LivenessMap, peers: u32, runs: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    // The beats may be some seconds old by now.
    let hour = Nanos::from_millis(3_600_000);
    let timing = Timing {
        deadtime: hour,
        warntime: hour,
        initdead: hour,
    };
    let mut now = clock::now();
    let mut detectors: Vec<_> = (0..peers).map(|_| Detector::new(timing, OUR_LIFE, now)).collect();
    let (mut all, mut each) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let began = clock::now();
        for _ in 0..ROUNDS {
            // The beats are old, and time stands still: nobody dies.
            now = Nanos(now.0 + 1);
            let wake = Wake {
                now,
                planned: now,
                sent: 9,
                alone: false,
            };
            for (slot, detector) in (0..).zip(&mut detectors) {
                let links = liveness.get(slot).and_then(Liveness::heard).into_iter();
                black_box(detector.look(links, None, wake));
            }
        }
        let took = clock::now().since(began).0 as f64 / f64::from(ROUNDS);
        all.push(took / 1_000.0);
        each.push(took / f64::from(peers));
    }
    let up = detectors.iter().filter(|detector| detector.is_up()).count();
    ensure!(up == detectors.len(), "of {peers} peers {up} are up");
    Ok((all, each))
}

/// Numbers as those of real names are: random, and none twice.
fn ids(peers: u32) -> Vec<NodeId> {
    let mut random = Random::new(4096);
    let mut ids = std::collections::BTreeSet::new();
    while ids.len() < peers as usize {
        let id = u32::try_from(random.number() >> 32).unwrap_or(0);
        if ![0, US.0, u32::MAX].contains(&id) {
            ids.insert(id);
        }
    }
    ids.into_iter().map(NodeId).collect()
}

fn load(ids: &[NodeId]) -> Result<Program> {
    rig::load(
        (0..)
            .zip(ids)
            .map(|(slot, id)| (*id, Address::v4(FIRST_ADDRESS + slot), slot)),
    )
}

/// A beat of a peer's that hears us.
fn frame(ids: &[NodeId], index: u32, sequence: u64) -> Vec<u8> {
    let beat = Beat {
        sequence: Sequence(sequence),
        echo: Echo {
            incarnation: OUR_LIFE.low(),
            sequence: 1,
        },
        ..beat(ids[index as usize], US)
    };
    let address = |bits: u32| std::net::Ipv4Addr::from_bits(bits).into();
    Datagram::new(
        address(FIRST_ADDRESS + index),
        address(OUR_ADDRESS),
        PORT,
        signed(&beat, KEY),
    )
    .frame()
}
