//! ha.cf: nodes, media, timers, logging.

mod directives;
mod facility;
mod links;
mod pings;
mod settings;
mod stonith;
mod values;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

pub use facility::Facility;
pub(super) use links::{Owners, Ucast};
pub use pings::{PingTarget, Pings};
pub use stonith::{Stonith, StonithParameters};

use super::error::{Fault, Faults, Quoted};
use super::timers::{self, Timers};
use super::{AutoFailback, Host, Logging, Setting, Warning, node_id, text, time};
use crate::realtime::Priority;

use values::Family;

#[cfg(test)]
mod tests;

const DEFAULT_UDP_PORT: u16 = 694;
const DEFAULT_AUTO_FAILBACK: AutoFailback = AutoFailback::Legacy;
const MAX_NODES: usize = 16;
/// Linux's `HOST_NAME_MAX`.
const MAX_NODE_NAME: usize = 64;
/// Who has more lines to mend has not meant this file.
const MAX_FAULTS: usize = 20;

/// Everything that ha.cf says.
#[derive(Debug)]
pub(super) struct HaCf {
    pub(super) nodes: Vec<String>,
    pub(super) me: usize,
    pub(super) ucasts: Vec<Ucast>,
    /// The addresses of all `ucast` lines, those of this host's, too, and the lines.
    pub(super) all_ucasts: Vec<(IpAddr, u32)>,
    /// The interfaces with a `ucast` line that names this host.
    pub(super) own_interfaces: Vec<String>,
    pub(super) timers: Timers,
    pub(super) udp_port: u16,
    pub(super) auto_failback: AutoFailback,
    pub(super) pings: Pings,
    pub(super) stonith: Vec<Stonith>,
    pub(super) watchdog: Option<PathBuf>,
    pub(super) realtime: bool,
    pub(super) rtprio: Priority,
    pub(super) logging: Logging,
    pub(super) directives: Vec<(String, String)>,
    pub(super) settings: Vec<Setting>,
    pub(super) warnings: Vec<Warning>,
}

/// How a host name in a `ucast` line becomes addresses.
pub(super) type Resolve<'a> = &'a dyn Fn(&str) -> io::Result<Vec<IpAddr>>;

/// Reads ha.cf as `host` would. Every line that is refused is told of; what follows from all lines together is looked at
/// only where none is.
pub(super) fn parse(bytes: &[u8], host: &Host, resolve: Resolve<'_>) -> Result<HaCf, Faults> {
    let mut draft = Draft::default();
    let mut faults = Vec::new();
    for (number, text) in text::lines(text::checked(bytes)?) {
        let text = text::without_comment(text);
        let mut words = text.split_ascii_whitespace();
        let Some(directive) = words.next() else { continue };
        let values: Vec<&str> = words.collect();
        let line = Line {
            number,
            directive,
            values,
            text,
        };
        faults.extend(draft.read(&line, host, resolve).err());
        if faults.len() == MAX_FAULTS {
            break;
        }
    }
    Faults::check(faults)?;
    Ok(draft.finish(host)?)
}

/// A value, the text that gave it, and the line where that stands.
#[derive(Debug)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) text: String,
    pub(super) line: u32,
}

impl<T> Given<T> {
    pub(super) fn origin(given: Option<&Self>) -> String {
        given.map_or_else(|| "default".to_owned(), |given| origin(given.line))
    }

    pub(super) fn warning(&self, message: String) -> Warning {
        warning(self.line, message)
    }
}

fn warning(line: u32, message: String) -> Warning {
    Warning {
        origin: origin(line),
        message,
    }
}

fn origin(line: u32) -> String {
    format!("ha.cf:{line}")
}

struct Line<'a> {
    number: u32,
    directive: &'a str,
    values: Vec<&'a str>,
    /// All of it but a comment.
    text: &'a str,
}

impl Line<'_> {
    /// The value of a directive. As in Heartbeat, several words are as many values, every one of them is checked, and
    /// the last one wins.
    fn given<T>(&self, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<Given<T>>, Fault> {
        let mut last = None;
        for text in &self.values {
            let value = parse(text).map_err(|expected| self.refuse(text, expected))?;
            last = Some(Given {
                value,
                text: (*text).to_owned(),
                line: self.number,
            });
        }
        if last.is_none() {
            return Err(Fault::at(self.number, format!("{}: expected a value", self.directive)));
        }
        Ok(last)
    }

    fn refuse(&self, value: &str, expected: impl std::fmt::Display) -> Fault {
        Fault::value(self.number, self.directive, value, expected)
    }
}

/// ha.cf as far as it has been read.
#[derive(Default)]
struct Draft {
    nodes: Vec<String>,
    ucasts: Vec<Ucast>,
    all_ucasts: Vec<(IpAddr, u32)>,
    own_interfaces: Vec<String>,
    timers: timers::Draft,
    pings: pings::Draft,
    stonith: Vec<stonith::Draft>,
    watchdog: Option<Given<PathBuf>>,
    realtime: Option<Given<bool>>,
    rtprio: Option<Given<Priority>>,
    udp_port: Option<Given<u16>>,
    auto_failback: Option<Given<AutoFailback>>,
    logfile: Option<Given<PathBuf>>,
    facility: Option<Given<Option<Facility>>>,
    debug: Option<Given<u8>>,
    directives: Vec<(String, String)>,
    warnings: Vec<Warning>,
}

impl Draft {
    fn read(&mut self, line: &Line<'_>, host: &Host, resolve: Resolve<'_>) -> Result<(), Fault> {
        match line.directive {
            "node" => return self.read_nodes(line),
            "ucast" => return self.read_ucast(line, host, resolve),
            "ping" | "ping6" => {
                let family = if line.directive == "ping" {
                    Family::V4
                } else {
                    Family::V6
                };
                return self.pings.read_hosts(line, family, (host, resolve), &mut self.warnings);
            }
            "ping_group" => return self.pings.read_group(line, (host, resolve), &mut self.warnings),
            "stonith" => {
                self.stonith.push(stonith::read_device(line)?);
                return Ok(());
            }
            "stonith_host" => {
                self.stonith.push(stonith::read_host(line)?);
                return Ok(());
            }
            "watchdog" => self.watchdog = line.given(values::absolute_path)?,
            "realtime" => self.realtime = line.given(values::boolean)?,
            "rtprio" => self.rtprio = line.given(values::rtprio)?,
            "deadping" => self.pings.deadping = line.given(values::time)?,
            "keepalive" => self.timers.keepalive = line.given(values::time)?,
            "deadtime" => self.timers.deadtime = line.given(values::time)?,
            "warntime" => self.timers.warntime = line.given(values::time)?,
            "initdead" => self.timers.initdead = line.given(values::time)?,
            "udpport" => self.read_udpport(line)?,
            "auto_failback" => self.auto_failback = line.given(values::auto_failback)?,
            "logfile" => self.logfile = line.given(values::absolute_path)?,
            "logfacility" => self.facility = line.given(values::facility)?,
            "debug" => self.debug = line.given(values::debug)?,
            other => return Err(directives::refusal(line.number, other, &line.values)),
        }
        if let Some(value) = line.values.last() {
            self.set_directive(line.directive, value);
        }
        Ok(())
    }

    fn set_directive(&mut self, directive: &str, value: &str) {
        self.directives.retain(|(name, _)| name != directive);
        self.directives.push((directive.to_owned(), value.to_owned()));
    }

    fn read_nodes(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        if line.values.is_empty() {
            return Err(Fault::at(line.number, "node: expected a host's name (`uname -n`)"));
        }
        for text in &line.values {
            let name = text.to_ascii_lowercase();
            if self.nodes.contains(&name) {
                continue;
            }
            if name.len() > MAX_NODE_NAME {
                return Err(line.refuse(
                    text,
                    format_args!("expected at most {MAX_NODE_NAME} bytes (`uname -n`)"),
                ));
            }
            if self.nodes.len() == MAX_NODES {
                return Err(line.refuse(text, format_args!("expected at most {MAX_NODES} nodes")));
            }
            if let Some(twin) = self.nodes.iter().find(|node| node_id(node) == node_id(&name)) {
                let expected = format!(
                    "its 32-bit id is the same as that of {}: rename one of the hosts",
                    Quoted(twin)
                );
                return Err(line.refuse(text, expected));
            }
            self.nodes.push(name);
        }
        Ok(())
    }

    fn read_udpport(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let port = line.given(values::udp_port)?;
        // Heartbeat's media take the port that is set when their line is read: a later one would not reach them.
        if let Some(port) = &port
            && !self.all_ucasts.is_empty()
            && port.value != self.udp_port()
        {
            return Err(line.refuse(&port.text, "expected before the first ucast line"));
        }
        self.udp_port = port;
        Ok(())
    }

    fn udp_port(&self) -> u16 {
        self.udp_port.as_ref().map_or(DEFAULT_UDP_PORT, |given| given.value)
    }

    fn realtime(&self) -> bool {
        self.realtime.as_ref().is_none_or(|given| given.value)
    }

    fn rtprio(&self) -> Priority {
        self.rtprio.as_ref().map_or(Priority::MIDDLE, |given| given.value)
    }

    fn auto_failback(&self) -> AutoFailback {
        self.auto_failback
            .as_ref()
            .map_or(DEFAULT_AUTO_FAILBACK, |given| given.value)
    }

    fn finish(mut self, host: &Host) -> Result<HaCf, Fault> {
        let me = self.find_me(host)?;
        self.check_links()?;
        if self.nodes.len() == 1 {
            let message = "this host is the only node: nobody can take over from it".to_owned();
            self.warnings.push(Warning {
                origin: "ha.cf".to_owned(),
                message,
            });
        }
        if self.auto_failback() == AutoFailback::Legacy {
            self.warn_of_legacy();
        }
        let timers = self.timers.finish(&mut self.warnings)?;
        let deadping = Given::origin(self.pings.deadping.as_ref());
        let pings = std::mem::take(&mut self.pings).finish(&self.nodes, &timers, &mut self.warnings)?;
        let mut settings = self.settings(&timers);
        settings.push(Setting {
            name: "deadping".to_owned(),
            value: time::shown(pings.deadping),
            origin: deadping,
        });
        self.add_default_directives(&timers);
        let stonith = std::mem::take(&mut self.stonith).into_iter();
        let stonith = stonith.map(|device| device.finish(&self.nodes));
        let stonith = stonith.collect::<Result<_, _>>()?;
        Ok(HaCf {
            pings,
            stonith,
            me,
            timers,
            udp_port: self.udp_port(),
            realtime: self.realtime(),
            rtprio: self.rtprio(),
            auto_failback: self.auto_failback(),
            settings,
            watchdog: self.watchdog.map(|given| given.value),
            logging: Logging {
                logfile: self.logfile.map(|given| given.value),
                facility: self.facility.and_then(|given| given.value),
                debug: self.debug.map_or(0, |given| given.value),
            },
            nodes: self.nodes,
            ucasts: self.ucasts,
            all_ucasts: self.all_ucasts,
            own_interfaces: self.own_interfaces,
            directives: self.directives,
            warnings: self.warnings,
        })
    }

    fn warn_of_legacy(&mut self) {
        let message = "auto_failback is legacy: a group returns to its preferred node as soon as that is back, as with \
                       `on`, and the service is interrupted for it; say on or off";
        let origin = match &self.auto_failback {
            Some(given) => origin(given.line),
            None => "ha.cf".to_owned(),
        };
        self.warnings.push(Warning {
            origin,
            message: message.to_owned(),
        });
    }

    fn find_me(&self, host: &Host) -> Result<usize, Fault> {
        if self.nodes.is_empty() {
            return Err(Fault::file(
                "no nodes defined: expected a line `node NAME` for every host (`uname -n`)",
            ));
        }
        let name = host.name.to_ascii_lowercase();
        self.nodes.iter().position(|node| *node == name).ok_or_else(|| {
            let nodes = self.nodes.join(", ");
            Fault::file(format!(
                "this host is {} (`uname -n`): expected it among the nodes ({nodes})",
                Quoted(&host.name)
            ))
        })
    }

    fn check_links(&self) -> Result<(), Fault> {
        if self.all_ucasts.is_empty() {
            return Err(Fault::file(
                "no heartbeat media defined: expected a line `ucast INTERFACE ADDRESS`",
            ));
        }
        if self.ucasts.is_empty() {
            return Err(Fault::file(
                "every ucast line names this host: expected one with the other host's address",
            ));
        }
        Ok(())
    }
}
