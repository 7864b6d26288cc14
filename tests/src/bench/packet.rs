//! What a frame costs in the XDP program, by verdict, measured by the kernel itself (`BPF_PROG_TEST_RUN`).

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use aya::Btf;
use aya::programs::xdp::Xdp;
use hb_ebpf::beat::Beat;
use hb_ebpf::tables::Address;
use hb_ebpf::{Incarnation, NodeId, Sequence, Verdict};
use hb_user::clock;
use hb_user::datapath::{Counters, LivenessMap, Program};
use serde::{Deserialize, Serialize};

use super::rig::{self, PORT, US, load_empty, repeated};
use crate::frames::{Datagram, KEY, beat, signed};

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Runs for each figure; the median and the maximum of them are reported.
    pub runs: usize,
    /// Frames in each run.
    pub repeat: u32,
    /// Frames where each is another, as accepted beats are.
    pub single: usize,
    /// Times to load the program.
    pub loads: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            runs: 21,
            repeat: 200_000,
            single: 16_384,
            loads: 10,
        }
    }
}

/// A frame's cost.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Figure {
    /// What kind of frame.
    pub what: Cow<'static, str>,
    /// Nanoseconds: the median of the runs.
    pub median_ns: f64,
    /// Nanoseconds: the fastest run, which is what is left where nobody else wants the processor.
    pub min_ns: f64,
    /// Nanoseconds: the slowest run.
    pub max_ns: f64,
    /// How many times the empty program takes that long.
    pub times_floor: f64,
    /// The most that the project allows, in nanoseconds or times the floor.
    pub target: Option<Target>,
}

/// The most that a frame may cost.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// At most so many nanoseconds.
    Nanoseconds(f64),
    /// At most so many times the empty program.
    TimesFloor(f64),
}

/// What the benchmark found.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PacketReport {
    /// Each kind of frame, repeated in the kernel with everything in the cache.
    pub repeated: Vec<Figure>,
    /// Frames that go into the kernel one by one, as an accepted beat must because it is a duplicate the second time:
    /// with a system call's cold caches and the reading of the clock in each.
    pub single: Vec<Figure>,
    /// Instructions that the verifier looked at; `None` where the kernel does not tell.
    pub verified_instructions: Option<u32>,
    /// Machine code, in bytes; 0 without a JIT compiler.
    pub jited_bytes: u32,
    /// Loading, from the object's bytes to the verified program with its tables filled: the median, in milliseconds.
    pub load_ms: f64,
    /// The part of it in which aya reads the kernel's own BTF, which it does unasked: the median, in milliseconds.
    pub kernel_btf_ms: f64,
}

/// The most instructions that the verifier should have to look at. It goes through SHA-1's rounds twice, once for each
/// compression: a function that it would look at once is a call more for each, which costs more in every beat.
pub const MAX_INSTRUCTIONS: u32 = 12_000;
/// The longest that loading should take, without the kernel's BTF.
const MAX_LOAD_MS: f64 = 20.0;

const SLOT: u32 = 0;
const THEM: NodeId = NodeId(1);
const THEIR_LIFE: Incarnation = Incarnation(0x6920_f000_cdef);
const THEIR_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OUR_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Measures. Takes some seconds; needs root.
pub fn run(effort: Effort) -> Result<PacketReport> {
    let mut empty = load()?;
    let empty = load_empty(&mut empty)?;
    let mut bench = Bench::new()?;

    bench.expect(&frame(&numbered(2)), Verdict::Accepted)?;
    let kinds = kinds();
    for kind in &kinds {
        bench.expect(&kind.frame, kind.verdict)?;
    }
    // In turn, so that a change of the processor's speed meets all alike.
    let (mut floor, mut ns) = (Vec::new(), vec![Vec::new(); kinds.len()]);
    for _ in 0..effort.runs.max(1) {
        floor.push(repeated(empty, &frame(&numbered(1)), effort.repeat)?);
        for (ns, kind) in ns.iter_mut().zip(&kinds) {
            ns.push(repeated(bench.program.xdp()?, &kind.frame, effort.repeat)?);
        }
    }
    for ns in ns.iter_mut().chain([&mut floor]) {
        ns.sort_by(f64::total_cmp);
    }
    let floor_ns = median(&floor);
    let mut figures = vec![figure("empty program", &floor, floor_ns, None)];
    let measured = kinds.iter().zip(&ns);
    figures.extend(measured.map(|(kind, ns)| figure(kind.what, ns, floor_ns, kind.target)));
    let single = bench.single(empty, effort.single)?;
    figures.push(accepted(&figures, &single, floor_ns)?);

    let info = bench.program.xdp()?.info()?;
    Ok(PacketReport {
        repeated: figures,
        single,
        verified_instructions: info.verified_instruction_count(),
        jited_bytes: info.size_jitted(),
        load_ms: time(effort.loads, load)?,
        kernel_btf_ms: time(effort.loads, || Ok(Btf::from_sys_fs()?))?,
    })
}

/// A repeated beat is a duplicate, so an accepted one cannot be measured with everything in the cache. But it costs
/// what a bad tag costs, and then the recording: which is what it costs more than a bad tag where each is measured
/// alone.
fn accepted(repeated: &[Figure], single: &[Figure], floor_ns: f64) -> Result<Figure> {
    let find = |figures: &[Figure], what| {
        let figure = figures.iter().find(|figure| figure.what == what).cloned();
        figure.with_context(|| format!("no figure for {what}"))
    };
    let bad_tag = find(repeated, BAD_TAG)?;
    let recording = (find(single, ACCEPTED)?.median_ns - find(single, BAD_TAG)?.median_ns).max(0.0);
    let median_ns = bad_tag.median_ns + recording;
    Ok(Figure {
        what: ACCEPTED.into(),
        median_ns,
        min_ns: bad_tag.min_ns + recording,
        max_ns: bad_tag.max_ns + recording,
        times_floor: median_ns / floor_ns,
        target: Some(TAKEN),
    })
}

const ACCEPTED: &str = "accepted";
const BAD_TAG: &str = "bad tag";

struct Kind {
    what: &'static str,
    verdict: Verdict,
    frame: Vec<u8>,
    target: Option<Target>,
}

/// The most that a frame may cost that is refused before its tag is looked at, and one that is accepted: as many times the
/// empty program as 60 and 500 ns are of the 34 that it took where these goals were set.
const REFUSED: Target = Target::TimesFloor(1.8);
const TAKEN: Target = Target::TimesFloor(14.7);

/// A frame for every verdict but accepted, to repeat once the beat with the sequence 2 was accepted.
fn kinds() -> Vec<Kind> {
    let kind = |what, verdict, frame, target| Kind {
        what,
        verdict,
        frame,
        target,
    };
    let next = numbered(3);
    let of = |beat: Beat| frame(&beat);
    let at = |place: usize, byte: u8| {
        let mut payload = signed(&next, KEY);
        payload[place] = byte;
        datagram(payload).frame()
    };
    let mut arp = frame(&next);
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let mut other_port = datagram(signed(&next, KEY));
    other_port.ports.1 += 1;
    let linux_ha = datagram(b"###\n150:".repeat(20));
    let longer = datagram([signed(&next, KEY), vec![0]].concat());
    let mut other_address = datagram(signed(&next, KEY));
    other_address.source = Ipv4Addr::new(192, 0, 2, 9).into();
    let life = |incarnation| Beat {
        incarnation: Incarnation(incarnation),
        ..next
    };
    let stranger = Beat {
        source: NodeId(7),
        ..next
    };
    let elsewhere = Beat {
        destination: NodeId(7),
        ..next
    };
    let unpromising = Beat { promise_ms: 0, ..next };
    let all = [
        ("not IP", Verdict::NotOurs, arp, None),
        ("another UDP port", Verdict::NotOurs, other_port.frame(), None),
        ("Linux-HA's packet", Verdict::LinuxHa, linux_ha.frame(), None),
        ("no beat", Verdict::Foreign, at(0, b'H'), None),
        ("another version", Verdict::Version, at(2, 0x31), Some(REFUSED)),
        ("another length", Verdict::Length, longer.frame(), Some(REFUSED)),
        ("to another node", Verdict::Elsewhere, of(elsewhere), None),
        ("unknown key", Verdict::UnknownKey, at(2, 0x22), Some(REFUSED)),
        ("unknown node", Verdict::UnknownNode, of(stranger), Some(REFUSED)),
        ("wrong address", Verdict::Source, other_address.frame(), Some(REFUSED)),
        ("a field out of range", Verdict::Field, of(unpromising), Some(REFUSED)),
        (
            "an older life",
            Verdict::OldIncarnation,
            of(life(THEIR_LIFE.0 - 1)),
            Some(REFUSED),
        ),
        ("duplicate", Verdict::Duplicate, of(numbered(2)), Some(REFUSED)),
        ("old sequence", Verdict::OldSequence, of(numbered(1)), Some(REFUSED)),
        (
            "a stranger's claim",
            Verdict::Budget,
            forged(&life(THEIR_LIFE.0 + 1)),
            Some(REFUSED),
        ),
        (BAD_TAG, Verdict::Tag, forged(&next), None),
    ];
    all.map(|(what, verdict, frame, target)| kind(what, verdict, frame, target))
        .into()
}

struct Bench {
    program: Program,
    counters: Counters,
    liveness: LivenessMap,
}

impl Bench {
    fn new() -> Result<Self> {
        let mut program = load()?;
        Ok(Self {
            counters: program.take_counters()?,
            liveness: program.liveness()?,
            program,
        })
    }

    /// Sees to it that what is measured is what is meant.
    fn expect(&mut self, frame: &[u8], verdict: Verdict) -> Result<()> {
        // Of strangers' claims a few are hashed, now and again.
        let (times, least) = if verdict == Verdict::Budget {
            (1_000, 900)
        } else {
            (1, 1)
        };
        let before = self.count(verdict)?;
        repeated(self.program.xdp()?, frame, times)?;
        ensure!(
            self.count(verdict)? >= before + least,
            "a frame does not get the verdict {} that it should",
            verdict.name()
        );
        Ok(())
    }

    fn count(&self, verdict: Verdict) -> Result<u64> {
        let link = self.liveness.get(SLOT).context("there is no slot")?;
        if verdict == Verdict::Accepted {
            return Ok(link.accepted());
        }
        if verdict == Verdict::Duplicate {
            return Ok(link.duplicates);
        }
        Ok(self.counters.read(None, verdict)? + self.counters.read(Some(SLOT), verdict)?)
    }

    /// Each frame goes in alone; in turn, so that a change of the processor's speed meets all alike.
    fn single(&mut self, empty: &Xdp, count: usize) -> Result<Vec<Figure>> {
        let first = 1_000;
        let beats: Vec<Beat> = (first..).take(count).map(numbered).collect();
        let frames: Vec<_> = beats.iter().map(|beat| (frame(beat), forged(beat))).collect();
        let before = self.count(Verdict::Accepted)?;
        let mut ns: [Vec<f64>; 3] = Default::default();
        let xdp = self.program.xdp()?;
        for (good, bad) in &frames {
            ns[0].push(repeated(empty, good, 1)?);
            ns[1].push(repeated(xdp, bad, 1)?);
            ns[2].push(repeated(xdp, good, 1)?);
        }
        let accepted = self.count(Verdict::Accepted)? - before;
        ensure!(accepted == count as u64, "{accepted} of {count} beats were accepted");
        for ns in &mut ns {
            ns.sort_by(f64::total_cmp);
        }
        let floor_ns = median(&ns[0]);
        Ok(["empty program", BAD_TAG, ACCEPTED]
            .into_iter()
            .zip(&ns)
            .map(|(what, ns)| figure(what, ns, floor_ns, None))
            .collect())
    }
}

fn sorted(runs: usize, mut run: impl FnMut() -> Result<f64>) -> Result<Vec<f64>> {
    let mut ns = (0..runs.max(1)).map(|_| run()).collect::<Result<Vec<_>>>()?;
    ns.sort_by(f64::total_cmp);
    Ok(ns)
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

fn figure(what: &'static str, sorted: &[f64], floor_ns: f64, target: Option<Target>) -> Figure {
    let median_ns = median(sorted);
    Figure {
        what: what.into(),
        median_ns,
        min_ns: sorted[0],
        max_ns: sorted[sorted.len() - 1],
        times_floor: median_ns / floor_ns,
        target,
    }
}

#[expect(clippy::cast_precision_loss, reason = "some milliseconds, in microseconds")]
fn time<T>(times: usize, mut what: impl FnMut() -> Result<T>) -> Result<f64> {
    let ms = sorted(times, || {
        let start = clock::now();
        let made = what()?;
        let took = clock::now().since(start);
        drop(made);
        Ok(took.as_micros() as f64 / 1_000.0)
    })?;
    Ok(median(&ms))
}

fn load() -> Result<Program> {
    rig::load([(THEM, Address::v4(THEIR_ADDRESS.to_bits()), SLOT)])
}

fn numbered(sequence: u64) -> Beat {
    Beat {
        incarnation: THEIR_LIFE,
        sequence: Sequence(sequence),
        ..beat(THEM, US)
    }
}

fn frame(beat: &Beat) -> Vec<u8> {
    datagram(signed(beat, KEY)).frame()
}

/// The beat, with a tag that is wrong in its last bit.
fn forged(beat: &Beat) -> Vec<u8> {
    let mut payload = signed(beat, KEY);
    payload[hb_ebpf::beat::LEN - 1] ^= 1;
    datagram(payload).frame()
}

fn datagram(payload: Vec<u8>) -> Datagram {
    Datagram::new(THEIR_ADDRESS.into(), OUR_ADDRESS.into(), PORT, payload)
}

impl PacketReport {
    /// What misses its target, in words; empty if nothing does.
    #[must_use]
    pub fn misses(&self) -> Vec<String> {
        let mut misses: Vec<String> = self.repeated.iter().filter_map(Figure::miss).collect();
        if self.verified_instructions.is_some_and(|count| count > MAX_INSTRUCTIONS) {
            misses.push(format!("more than {MAX_INSTRUCTIONS} instructions verified"));
        }
        let own = self.load_ms - self.kernel_btf_ms;
        if own > MAX_LOAD_MS {
            misses.push(format!(
                "loading takes {own:.1} ms of our own; at most {MAX_LOAD_MS} are wanted"
            ));
        }
        misses
    }
}

impl Figure {
    /// Its goal in words, and whether it is met, if there is one.
    #[must_use]
    pub fn goal(&self) -> Option<(String, bool)> {
        let (goal, figure, most) = match self.target? {
            Target::Nanoseconds(most) => (format!("median at most {most} ns"), self.median_ns, most),
            Target::TimesFloor(most) => (
                format!("median at most {most} times the empty program"),
                self.times_floor,
                most,
            ),
        };
        Some((goal, figure <= most))
    }

    fn miss(&self) -> Option<String> {
        let (figure, most, unit) = match self.target? {
            Target::Nanoseconds(most) => (self.median_ns, most, "ns"),
            Target::TimesFloor(most) => (self.times_floor, most, "times the empty program"),
        };
        (figure > most).then(|| format!("{}: {figure:.1} {unit}; at most {most} are wanted", self.what))
    }
}

impl fmt::Display for PacketReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table(f, "repeated in the kernel", &self.repeated)?;
        table(f, "one by one", &self.single)?;
        let verified = self
            .verified_instructions
            .map_or("unknown".to_owned(), |count| count.to_string());
        writeln!(
            f,
            "instructions verified: {verified}; machine code: {} bytes",
            self.jited_bytes
        )?;
        writeln!(
            f,
            "loading: {:.1} ms, {:.1} of them reading the kernel's BTF",
            self.load_ms, self.kernel_btf_ms
        )?;
        for miss in self.misses() {
            writeln!(f, "missed: {miss}")?;
        }
        Ok(())
    }
}

fn table(f: &mut fmt::Formatter<'_>, title: &str, figures: &[Figure]) -> fmt::Result {
    writeln!(
        f,
        "{title:<24} {:>10} {:>10} {:>10} {:>8}",
        "median ns", "min ns", "max ns", "x floor"
    )?;
    for figure in figures {
        writeln!(
            f,
            "  {:<22} {:>10.0} {:>10.0} {:>10.0} {:>8.1}",
            figure.what, figure.median_ns, figure.min_ns, figure.max_ns, figure.times_floor
        )?;
    }
    Ok(())
}
