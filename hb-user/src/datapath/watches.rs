//! The kernel's own deadlines: what its timers watch, and what they have found. See [`hb_ebpf::watch`].

use std::os::fd::AsFd;

use aya::maps::Array;
use aya::programs::{ProgramError, Xdp};
use aya::{TestRun as _, TestRunOptions};
use hb_ebpf::Nanos;
use hb_ebpf::watch::{Awake, MACHINE, PEERS, Silence, Watch};
use nix::errno::Errno;

use super::program::{Plain, map_data};
use super::{DatapathError, Program, SharedArray};

/// The program that starts timers.
const PROGRAM: &str = "hb_arm";
/// The shortest frame that the kernel runs a program on.
const FRAME: usize = 14;

/// What the timers have found, through memory.
#[derive(Debug)]
pub struct Watches {
    silences: SharedArray<Silence>,
    awake: SharedArray<Awake>,
}

impl Watches {
    /// The silence that a peer's timer found last, by the number of its watch.
    #[must_use]
    pub fn silence(&self, watch: u32) -> Option<Silence> {
        self.silences.get(watch)?.read()
    }

    /// Whether and when the machine was stopped.
    #[must_use]
    pub fn awake(&self) -> Awake {
        self.awake.get(0).copied().unwrap_or_default()
    }
}

impl Program {
    /// Loads what starts timers. Fails where the kernel has none for such programs: before 5.15, and with `PREEMPT_RT`.
    pub fn load_watches(&mut self) -> Result<(), DatapathError> {
        arming(self)?.load().map_err(|error| no_timers(&error))
    }

    /// Watches peers, by the numbers of their watches, all below [`PEERS`], and nobody else. Those that are watched already go on
    /// from the same beats.
    pub fn watch(&mut self, peers: &[(u32, Watch)]) -> Result<(), DatapathError> {
        let shortest = peers.iter().map(|(_, watch)| watch.deadtime).min();
        let machine = Watch::of_machine(shortest.unwrap_or(Nanos(0)));
        let find = |number| {
            peers
                .iter()
                .find(|(index, _)| *index == number)
                .map(|(_, watch)| *watch)
        };
        let all = (0..PEERS).map(|number| (number, find(number).unwrap_or_default()));
        // The machine's comes first: it shows to the others that there was no gap.
        for (number, watch) in std::iter::once((MACHINE, machine)).chain(all) {
            self.write(number, watch)?;
            if watch.deadtime > Nanos(0) {
                self.arm(number)?;
            }
        }
        Ok(())
    }

    /// What the timers find, through memory.
    pub fn watches(&self) -> Result<Watches, DatapathError> {
        let map = |name| map_data(self.maps().map(name), name);
        Ok(Watches {
            silences: SharedArray::new(map("SILENCES")?.fd().as_fd(), PEERS)?,
            awake: SharedArray::new(map("AWAKE")?.fd().as_fd(), 1)?,
        })
    }

    fn write(&mut self, number: u32, watch: Watch) -> Result<(), DatapathError> {
        const NAME: &str = "WATCHES";
        let map = self.ebpf().map_mut(NAME);
        let map = map.ok_or(DatapathError::Object {
            what: "map",
            name: NAME,
        })?;
        let table = |source| DatapathError::Table { name: NAME, source };
        let mut watches: Array<_, Plain<Watch>> = Array::try_from(map).map_err(table)?;
        watches.set(number, Plain(watch), 0).map_err(table)
    }

    fn arm(&mut self, number: u32) -> Result<(), DatapathError> {
        let mut frame = [0; FRAME];
        frame[..4].copy_from_slice(&number.to_be_bytes());
        let options = TestRunOptions {
            data_in: Some(&frame),
            ..TestRunOptions::default()
        };
        let result = arming(self)?.test_run(options).map_err(|error| no_timers(&error))?;
        match result.return_value {
            0 => Ok(()),
            errno => Err(DatapathError::Timers {
                reason: Errno::from_raw(i32::try_from(errno).unwrap_or(0)).to_string(),
            }),
        }
    }
}

fn arming(program: &mut Program) -> Result<&mut Xdp, DatapathError> {
    let missing = DatapathError::Object {
        what: "program",
        name: PROGRAM,
    };
    let found = program.ebpf().program_mut(PROGRAM);
    match found.map(TryInto::try_into) {
        Some(Ok(xdp)) => Ok(xdp),
        Some(Err(_)) | None => Err(missing),
    }
}

fn no_timers(error: &ProgramError) -> DatapathError {
    DatapathError::Timers {
        reason: super::attach::cause(error),
    }
}
