//! What is in force, for people and for scripts.

use std::path::PathBuf;

use super::{Draft, Facility, Given};
use crate::config::{Setting, Timers};

impl Draft {
    pub(super) fn settings(&self, timers: &Timers) -> Vec<Setting> {
        let mut settings = Vec::from(self.timers.settings(timers));
        let mut add = |name: &str, value: String, origin| {
            settings.push(Setting {
                name: name.to_owned(),
                value,
                origin,
            });
        };
        add(
            "udpport",
            self.udp_port().to_string(),
            Given::origin(self.udp_port.as_ref()),
        );
        add(
            "auto_failback",
            self.auto_failback().to_string(),
            Given::origin(self.auto_failback.as_ref()),
        );
        let path = |given: &Option<Given<PathBuf>>| {
            let given = given.as_ref().map(|given| given.value.display().to_string());
            given.unwrap_or("none".to_owned())
        };
        add("logfile", path(&self.logfile), Given::origin(self.logfile.as_ref()));
        add("watchdog", path(&self.watchdog), Given::origin(self.watchdog.as_ref()));
        let realtime = if self.realtime() { "on" } else { "off" };
        add("realtime", realtime.to_owned(), Given::origin(self.realtime.as_ref()));
        add("rtprio", self.rtprio().to_string(), Given::origin(self.rtprio.as_ref()));
        let facility = self
            .facility
            .as_ref()
            .and_then(|given| given.value)
            .map_or("none", Facility::name);
        add(
            "logfacility",
            facility.to_owned(),
            Given::origin(self.facility.as_ref()),
        );
        let debug = self.debug.as_ref().map_or(0, |given| given.value);
        add("debug", debug.to_string(), Given::origin(self.debug.as_ref()));
        settings
    }

    /// Heartbeat sets the parameters that have a fixed default from it; the others only when they are given.
    pub(super) fn add_default_directives(&mut self, timers: &Timers) {
        let defaults = [
            ("keepalive", format!("{}ms", timers.keepalive.as_millis())),
            ("deadtime", format!("{}ms", timers.deadtime.as_millis())),
            ("udpport", self.udp_port().to_string()),
            ("auto_failback", self.auto_failback().to_string()),
        ];
        for (name, value) in defaults {
            if !self.directives.iter().any(|(given, _)| given == name) {
                self.set_directive(name, &value);
            }
        }
    }
}
