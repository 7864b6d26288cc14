//! The bfdd of FRR: it gives a verdict, and does nothing about it.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{Contender, Noticing, Timers, Verdict};
use crate::{
    bench::{
        arena::View,
        observer::packet::{BfdState, Packet},
        processes,
    },
    clock::{Moment, days_from_civil, pause, poll},
    host::Host,
    network::INTERFACE,
    nodes::lan::address,
};

/// bfdd, and the zebra that it asks for interfaces.
#[derive(Debug)]
pub struct Bfdd(());

const DAEMON: &str = "/usr/lib/frr/bfdd";
const ZEBRA: &str = "/usr/lib/frr/zebra";
const CONFIGURATION: &str = "/etc/frr/bfdd.conf";
const ZEBRA_SOCKET: &str = "/run/frr/zserv.api";
const LOOK: Duration = Duration::from_millis(10);

/// It has no option for a priority of its own: chrt(1) gives it one.
const PRIORITY: &str = "50";

/// What its log says of a verdict.
const DOWN: &str = "up -> down";

/// A session is settled when so many beats came in so much time, and all said that it is up.
const SETTLED: Duration = Duration::from_millis(300);
const ENOUGH: usize = 20;

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

    fn noticing(&self, host: &Host) -> Result<Noticing> {
        let log = format!("/proc/{}/root{}", host.pid(), Self::LOG);
        let count = move || std::fs::read_to_string(&log).map_or(0, |log| log.matches(DOWN).count());
        let before = count();
        Ok(Box::new(move || count() > before))
    }

    fn install(&self, host: &Host, node: usize) -> Result<()> {
        let (own, peer) = (address(node), address(1 - node));
        let configuration = format!(
            "log file {LOG} debugging
            log timestamp precision 6
            debug bfd peer
            bfd
             peer {peer} local-address {own} interface {INTERFACE}
              detect-multiplier 3
              receive-interval 10
              transmit-interval 10
            ",
            LOG = Self::LOG
        );
        host.write_file(CONFIGURATION, 0o644, configuration)?;
        host.write_file(Self::LOG, 0o666, "")?;
        // FRR's daemons run as its own user.
        host.run_ok("sh", &["-c", "mkdir -p /run/frr && chown frr:frr /run/frr"])?;
        super::launch(host, &[ZEBRA, "--config_file", "/dev/null"])?;
        // Whoever does not find it at once tries again after ten seconds.
        let ready = poll(super::STARTING, || {
            let ready = host.enter(|| Path::new(ZEBRA_SOCKET).exists())?;
            if !ready {
                pause(LOOK);
            }
            Ok(ready.then_some(()))
        })?;
        ready.with_context(|| {
            format!(
                "{}: zebra does not listen at {ZEBRA_SOCKET}: {}",
                host.name(),
                host.log()
            )
        })
    }

    fn start(&self, host: &Host, _node: usize) -> Result<()> {
        let mut words = vec!["chrt", "--fifo", PRIORITY, "env", "TZ=UTC"];
        words.extend([DAEMON, "--config_file", CONFIGURATION]);
        super::launch(host, &words)
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

    /// While a session comes up its packets come once a second.
    fn is_settled(&self, view: &View<'_>) -> Result<bool> {
        let recent = view.observer.since(Moment::now().earlier(SETTLED))?;
        let beats = |node| {
            recent.iter().filter(move |seen| {
                let up = matches!(
                    seen.packet,
                    Packet::Bfd {
                        state: BfdState::Up,
                        ..
                    }
                );
                seen.sender == node && up
            })
        };
        Ok((0..view.hosts.len()).all(|node| beats(node).count() >= ENOUGH))
    }

    fn verdicts(&self, view: &View<'_>, since: Moment) -> Result<Vec<Verdict>> {
        let mut verdicts = Vec::new();
        for (by, host) in view.hosts.iter().enumerate() {
            let log = host.read_file(Self::LOG)?;
            let times = log.lines().filter(|line| line.contains(DOWN)).map(|line| {
                let time = time_of(line).with_context(|| format!("{}: no time: {line}", host.name()))?;
                Ok(view.clock.moment(time))
            });
            for at in times.collect::<Result<Vec<_>>>()? {
                verdicts.push(Verdict { by, at });
            }
        }
        verdicts.retain(|verdict| verdict.at >= since);
        verdicts.sort_by_key(|verdict| verdict.at);
        Ok(verdicts)
    }
}

/// When a line was logged: it begins with `2026/11/25 13:39:01.123456`. The time is since 1970.
fn time_of(line: &str) -> Option<Duration> {
    let mut words = line.split(' ');
    let (date, time) = (words.next()?, words.next()?);
    let number = |word: &str| word.parse::<u64>().ok();
    let mut date = date.split('/').map_while(number);
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let (time, micros) = time.split_once('.')?;
    let mut time = time.split(':').map_while(number);
    let (hours, minutes, seconds) = (time.next()?, time.next()?, time.next()?);
    if year < 1970 || micros.len() != 6 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let seconds = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    Some(Duration::from_secs(seconds) + Duration::from_micros(number(micros)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lines_time_is_read_to_the_microsecond() {
        let expected = Duration::from_micros(1_795_613_941_123_456);
        assert_eq!(
            time_of("2026/11/25 13:39:01.123456 BFD: [X] state-change"),
            Some(expected)
        );
        assert_eq!(time_of("2026/11/25 13:39:01 BFD: no digits after the second"), None);
        assert_eq!(time_of("a b c"), None);
    }
}
