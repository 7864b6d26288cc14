//! The bfdd of FRR: it gives a verdict, and does nothing about it.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{Contender, Timers, Verdict};
use crate::{
    bench::{
        arena::View,
        observer::packet::{BfdState, Packet},
        processes,
    },
    clock::Moment,
    host::Host,
};

/// bfdd, and the zebra that it asks for interfaces.
#[derive(Debug)]
pub struct Bfdd(());

const DAEMON: &str = "/usr/lib/frr/bfdd";
const ZEBRA: &str = "/usr/lib/frr/zebra";

impl Bfdd {
    /// Its name.
    pub const NAME: &'static str = "bfdd";

    /// Its log, on each host.
    pub const LOG: &'static str = "/var/log/bfdd.log";

    /// The machine's own; an error that says what helps if it is not installed.
    pub fn find() -> Result<Self> {
        for program in [DAEMON, ZEBRA] {
            ensure!(
                Path::new(program).is_file(),
                "{program} is not installed: run `cargo xtask setup --rivals`"
            );
        }
        Ok(Self(()))
    }
}

impl Contender for Bfdd {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn timers(&self) -> Timers {
        Timers::millis(10, 30)
    }

    fn setup(&self) -> &'static str {
        "10 ms x 3, started with real-time priority 50; verdict only, by its log"
    }

    fn processes(&self) -> &'static [&'static str] {
        &["bfdd"]
    }

    fn acts(&self) -> bool {
        false
    }

    fn install(&self, _host: &Host, _node: usize) -> Result<()> {
        Ok(())
    }

    fn start(&self, _host: &Host, _node: usize) -> Result<()> {
        Ok(())
    }

    fn stop(&self, host: &Host) -> Result<()> {
        processes::terminate(host, self.processes())
    }

    fn is_beat(&self, packet: &Packet) -> bool {
        matches!(
            packet,
            Packet::Bfd {
                state: BfdState::Up | BfdState::Init,
                ..
            }
        )
    }

    fn is_settled(&self, _view: &View<'_>) -> Result<bool> {
        Ok(false)
    }

    fn verdicts(&self, _view: &View<'_>, _since: Moment) -> Result<Vec<Verdict>> {
        Ok(Vec::new())
    }
}
