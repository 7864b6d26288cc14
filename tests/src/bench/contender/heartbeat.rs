//! Linux-HA Heartbeat 3.0.6.

use anyhow::Result;

use super::{Contender, Timers, Verdict, files::Settings};
use crate::{
    bench::{
        arena::View,
        heartbeat,
        observer::packet::{Message, Packet},
        processes,
    },
    clock::Moment,
    host::Host,
};

/// Heartbeat, with timers.
#[derive(Debug)]
pub struct Heartbeat {
    installed: heartbeat::Heartbeat,
    settings: Settings,
}

impl Heartbeat {
    /// Its name.
    pub const NAME: &'static str = "heartbeat";

    /// The shortest timers with which it declares nobody dead who lives, as long as nothing else runs.
    pub const FASTEST: Timers = Timers::millis(50, 200);

    /// Its log, on each host.
    pub const LOG: &'static str = "/var/log/ha-log";

    /// The machine's own, with these timers; an error that says what helps if it is not installed.
    pub fn find(timers: Timers) -> Result<Self> {
        Ok(Self {
            installed: heartbeat::Heartbeat::find()?,
            settings: Settings {
                timers,
                moves_address: false,
            },
        })
    }

    /// The same, with an address to move, by the script that comes with it.
    #[must_use]
    pub fn with_address(mut self) -> Self {
        self.settings.moves_address = true;
        self
    }
}

impl Contender for Heartbeat {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn timers(&self) -> Timers {
        self.settings.timers
    }

    fn setup(&self) -> &'static str {
        "real-time priority, locked memory (its defaults)"
    }

    fn processes(&self) -> &'static [&'static str] {
        &["heartbeat"]
    }

    fn moves_address(&self) -> bool {
        self.settings.moves_address
    }

    fn install(&self, host: &Host, _node: usize) -> Result<()> {
        self.settings
            .install(host, &format!("logfile {}\ninitdead 1\n", Self::LOG))?;
        self.installed.prepare(host)
    }

    fn start(&self, host: &Host, _node: usize) -> Result<()> {
        self.installed.launch(host)
    }

    fn stop(&self, host: &Host) -> Result<()> {
        processes::terminate(host, self.processes())
    }

    fn is_beat(&self, packet: &Packet) -> bool {
        matches!(packet, Packet::Heartbeat(Message::Status { .. }))
    }

    /// For the first seconds of its life a node wants to be taken for dead two seconds later than configured, and says so.
    /// And for ten seconds after both have started, they do not move resources.
    fn is_settled(&self, view: &View<'_>) -> Result<bool> {
        let active = Message::Status {
            active: true,
            deadtime_ms: u64::try_from(self.settings.timers.deadtime.as_millis())?,
        };
        for node in 0..view.hosts.len() {
            let newest = |wanted: fn(&Message) -> bool| {
                let found = view.observer.newest(
                    node,
                    |packet| matches!(packet, Packet::Heartbeat(message) if wanted(message)),
                )?;
                anyhow::Ok(found.map(|found| found.packet))
            };
            let status = newest(|message| matches!(message, Message::Status { .. }))?;
            let resources = newest(|message| matches!(message, Message::Resource { .. }))?;
            let stable = Packet::Heartbeat(Message::Resource { stable: true });
            if status != Some(Packet::Heartbeat(active)) || resources != Some(stable) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The first thing that it sends after a verdict is what became of the shooting, even where nobody can shoot.
    fn verdicts(&self, view: &View<'_>, since: Moment) -> Result<Vec<Verdict>> {
        let seen = view.observer.since(since)?;
        let told = seen
            .iter()
            .filter(|seen| seen.packet == Packet::Heartbeat(Message::Stonith));
        Ok(told
            .map(|seen| Verdict {
                by: seen.sender,
                at: seen.at,
            })
            .collect())
    }

    fn deaths(&self, view: &View<'_>, by: usize, _since: Moment) -> Result<u64> {
        let peer = view.hosts[1 - by].name();
        let log = view.hosts[by].read_file(Self::LOG)?;
        Ok(log.matches(&format!("node {peer}: is dead")).count() as u64)
    }
}
