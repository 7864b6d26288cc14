//! From the shape of hb.toml to values: each is checked, gets its default, and is noted as a setting.

mod clouds;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::file::{self, File, Number, Time, WrittenTime};
use super::{HbToml, Named, Placed};
use crate::config::error::{Fault, Quoted};
use crate::config::{
    Addresses, ConflictPolicy, Deadlines, Fencing, Monitor, Policy, Realtime, Recorder, Restart, Scheduling, Scripts,
    Setting, StuckPolicy, text, time,
};
use crate::realtime::{Priority, Programs};

const MAX_COUNT: u32 = 1000;
const DEFAULT_RECORDER_MB: u32 = 64;
const MAX_RECORDER_MB: u32 = 1 << 20;
/// As many as `sched_setaffinity` of the C library takes.
const MAX_CPUS: u16 = 1024;
/// RFC 5227 itself waits for no longer: three probes within a second or two of each other, and two seconds more.
const MAX_PROBE: Duration = Duration::from_secs(10);

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    settings: Vec<Setting>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            settings: Vec::new(),
        }
    }

    pub(super) fn read(mut self, file: File) -> Result<HbToml, Fault> {
        Ok(HbToml {
            scripts: self.scripts(&file.scripts)?,
            cpus_line: file.realtime.cpus.as_ref().map(|given| self.line(given)),
            realtime: self.realtime(&file.realtime)?,
            policy: self.policy(&file.cluster)?,
            fencing: self.fencing(&file.fencing)?,
            recorder: self.recorder(&file.recorder)?,
            promised: file.restart.promise.as_ref().map(|promise| self.line(promise)),
            restart: self.restart(&file.restart)?,
            addresses: self.addresses(&file.address)?,
            clouds: self.clouds(&file)?,
            monitors: self.monitors(file.monitor)?,
            nodes: self.nodes(file.nodes)?,
            settings: self.settings,
        })
    }

    fn scripts(&mut self, file: &file::Scripts) -> Result<Scripts, Fault> {
        let default = Scripts::default();
        Ok(Scripts {
            timeout: self.time("scripts.timeout", &file.timeout, default.timeout)?,
            stop_retries: self.number(
                "scripts.stop_retries",
                &file.stop_retries,
                default.stop_retries,
                0,
                MAX_COUNT,
            )?,
            stop_pause: self.time_or_zero("scripts.stop_pause", &file.stop_pause, default.stop_pause)?,
            programs: self.programs(file)?,
            pass_env: self.variables("scripts.pass_env", file.pass_env.as_ref())?,
        })
    }

    fn variables(&mut self, key: &str, given: Option<&Spanned<Vec<String>>>) -> Result<Vec<String>, Fault> {
        let names = given.map_or(&[][..], |given| given.get_ref());
        if let (Some(bad), Some(given)) = (names.iter().find(|name| !is_variable(name)), given) {
            let expected = "expected names of variables: letters, digits and underscores";
            return Err(Fault::value(self.line(given), key, bad, expected));
        }
        let shown = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(" ")
        };
        self.note(key, shown, given.map(|given| self.line(given)));
        Ok(names.to_vec())
    }

    fn programs(&mut self, file: &file::Scripts) -> Result<Programs, Fault> {
        let shown = |priority: &Option<Priority>| priority.map_or("none".to_owned(), |priority| priority.to_string());
        let priority = self.given(
            "scripts.rtprio",
            file.rtprio.as_ref(),
            None,
            |number| rtprio(*number),
            shown,
        )?;
        if let (Some(_), Some(nice)) = (priority, &file.nice) {
            return Err(Fault::value(
                self.line(nice),
                "scripts.nice",
                &nice.get_ref().to_string(),
                "with scripts.rtprio it means nothing: expected one of the two",
            ));
        }
        let nice = self.given(
            "scripts.nice",
            file.nice.as_ref(),
            0,
            |number| nice(*number),
            ToString::to_string,
        )?;
        Ok(Programs { priority, nice })
    }

    fn realtime(&mut self, file: &file::Realtime) -> Result<Realtime, Fault> {
        let default = Realtime::default();
        let preferred = self.given(
            "realtime.scheduling",
            file.scheduling.as_ref(),
            default.preferred,
            scheduling,
            ToString::to_string,
        )?;
        let numbers = file.cpus.as_ref();
        let cpus = match numbers {
            Some(given) => cpus(given.get_ref())
                .map_err(|(value, expected)| Fault::value(self.line(given), "realtime.cpus", &value, expected))?,
            None => default.cpus,
        };
        let shown: Vec<String> = cpus.iter().map(ToString::to_string).collect();
        let shown = if shown.is_empty() {
            "all".to_owned()
        } else {
            shown.join(" ")
        };
        self.note("realtime.cpus", shown, numbers.map(|given| self.line(given)));
        let deadlines = self.given(
            "realtime.deadlines",
            file.deadlines.as_ref(),
            default.deadlines,
            deadlines,
            ToString::to_string,
        )?;
        Ok(Realtime {
            preferred,
            cpus,
            deadlines,
            ..default
        })
    }

    fn policy(&mut self, file: &file::Cluster) -> Result<Policy, Fault> {
        let default = Policy::default();
        let takeover_delay = &file.takeover_delay;
        Ok(Policy {
            takeover_delay: self.time_or_zero("cluster.takeover_delay", takeover_delay, default.takeover_delay)?,
            start_retry: self.time("cluster.start_retry", &file.start_retry, default.start_retry)?,
            stuck: self.given(
                "cluster.stuck",
                file.stuck.as_ref(),
                default.stuck,
                stuck,
                ToString::to_string,
            )?,
            reboot_command: self.command(
                "cluster.reboot_command",
                file.reboot_command.as_ref(),
                default.reboot_command,
            )?,
        })
    }

    fn fencing(&mut self, file: &file::Fencing) -> Result<Fencing, Fault> {
        let default = Fencing::default();
        Ok(Fencing {
            program: self.given(
                "fencing.program",
                file.program.as_ref(),
                default.program,
                absolute,
                |path| path.display().to_string(),
            )?,
            timeout: self.time("fencing.timeout", &file.timeout, default.timeout)?,
            retry: self.time("fencing.retry", &file.retry, default.retry)?,
        })
    }

    fn recorder(&mut self, file: &file::Recorder) -> Result<Option<Recorder>, Fault> {
        let path = self.given(
            "recorder.file",
            file.file.as_ref(),
            None,
            |text: &str| absolute(text).map(Some),
            |path| {
                path.as_ref()
                    .map_or("none".to_owned(), |path| path.display().to_string())
            },
        )?;
        if let (None, Some(size)) = (&path, &file.max_size_mb) {
            return Err(Fault::at(
                self.line(size),
                "recorder.max_size_mb: without a file nothing is recorded: expected recorder.file as well",
            ));
        }
        let Some(file_name) = path else { return Ok(None) };
        let megabytes = self.number(
            "recorder.max_size_mb",
            &file.max_size_mb,
            DEFAULT_RECORDER_MB,
            1,
            MAX_RECORDER_MB,
        )?;
        Ok(Some(Recorder {
            file: file_name,
            max_bytes: u64::from(megabytes) * 1_000_000,
        }))
    }

    fn restart(&mut self, file: &file::Restart) -> Result<Restart, Fault> {
        let default = Restart::default();
        let pin = |pin: &bool| Ok(*pin);
        Ok(Restart {
            promise: self.given(
                "restart.promise",
                file.promise.as_ref(),
                default.promise,
                promise,
                |time| time::shown(*time),
            )?,
            pin: self.given("restart.pin", file.pin.as_ref(), default.pin, pin, ToString::to_string)?,
        })
    }

    fn addresses(&mut self, file: &file::Address) -> Result<Addresses, Fault> {
        let default = Addresses::default();
        Ok(Addresses {
            refresh: self.time_or_zero("address.refresh", &file.refresh, default.refresh)?,
            check: self.time_or_zero("address.check", &file.check, default.check)?,
            conflict: self.given(
                "address.conflict",
                file.conflict.as_ref(),
                default.conflict,
                conflict,
                ToString::to_string,
            )?,
            probe: self.given("address.probe", file.probe.as_ref(), default.probe, probe, |time| {
                time::shown(*time)
            })?,
        })
    }

    fn monitors(&mut self, tables: BTreeMap<Spanned<String>, file::Monitor>) -> Result<Vec<Named<Monitor>>, Fault> {
        let mut monitors = Vec::new();
        for (name, table) in tables {
            let default = Monitor::default();
            let key = |key: &str| format!("monitor.{}.{key}", Quoted(name.get_ref()));
            let value = Monitor {
                interval: self.time(&key("interval"), &table.interval, default.interval)?,
                failures: self.number(&key("failures"), &table.failures, default.failures, 1, MAX_COUNT)?,
            };
            monitors.push(self.named(name, value));
        }
        Ok(monitors)
    }

    fn nodes(&self, tables: BTreeMap<Spanned<String>, Vec<Spanned<String>>>) -> Result<Vec<Named<Vec<Placed>>>, Fault> {
        let mut nodes = Vec::new();
        for (name, texts) in tables {
            let mut addresses = Vec::new();
            for text in &texts {
                let line = self.line(text);
                let Ok(address) = text.get_ref().parse::<IpAddr>() else {
                    let key = format!("nodes.{}", name.get_ref());
                    return Err(Fault::value(line, &key, text.get_ref(), "expected an IP address"));
                };
                addresses.push(Placed { address, line });
            }
            nodes.push(self.named(name, addresses));
        }
        Ok(nodes)
    }

    fn named<T>(&self, name: Spanned<String>, value: T) -> Named<T> {
        Named {
            line: self.line(&name),
            name: name.into_inner(),
            value,
        }
    }

    fn time(&mut self, key: &str, given: &Time, default: Duration) -> Result<Duration, Fault> {
        self.given(key, given.as_ref(), default, time_of, |time| time::shown(*time))
    }

    fn time_or_zero(&mut self, key: &str, given: &Time, default: Duration) -> Result<Duration, Fault> {
        self.given(key, given.as_ref(), default, time_or_zero, |time| time::shown(*time))
    }

    fn number(&mut self, key: &str, given: &Number, default: u32, min: u32, max: u32) -> Result<u32, Fault> {
        let parse = |number: &i64| {
            let number = u32::try_from(*number)
                .ok()
                .filter(|number| (min..=max).contains(number));
            number.ok_or_else(|| format!("expected a number from {min} to {max}"))
        };
        self.given(key, given.as_ref(), default, parse, ToString::to_string)
    }

    fn command(
        &mut self,
        key: &str,
        given: Option<&Spanned<Vec<String>>>,
        default: Vec<String>,
    ) -> Result<Vec<String>, Fault> {
        let words = match given {
            Some(given) => command(given.get_ref()).map_err(|expected| {
                let shown = given.get_ref().join(" ");
                Fault::value(self.line(given), key, &shown, expected)
            })?,
            None => default,
        };
        self.note(key, words.join(" "), given.map(|given| self.line(given)));
        Ok(words)
    }

    /// One value: checked where it is given, `default` where not.
    fn given<G: ToString + Borrow<B>, B: ?Sized, T>(
        &mut self,
        key: &str,
        given: Option<&Spanned<G>>,
        default: T,
        parse: impl Fn(&B) -> Result<T, String>,
        shown: impl Fn(&T) -> String,
    ) -> Result<T, Fault> {
        let value = match given {
            Some(given) => parse(given.get_ref().borrow())
                .map_err(|expected| Fault::value(self.line(given), key, &given.get_ref().to_string(), expected))?,
            None => default,
        };
        self.note(key, shown(&value), given.map(|given| self.line(given)));
        Ok(value)
    }

    fn note(&mut self, key: &str, value: String, line: Option<u32>) {
        self.settings.push(Setting {
            name: key.to_owned(),
            value,
            origin: line.map_or("default".to_owned(), |line| format!("hb.toml:{line}")),
        });
    }

    fn line<T>(&self, spanned: &Spanned<T>) -> u32 {
        text::line_of(self.bytes, spanned.span().start)
    }
}

fn time_of(given: &WrittenTime) -> Result<Duration, String> {
    time::parse_toml(quoted(given)?).map_err(|error| error.to_string())
}

fn time_or_zero(given: &WrittenTime) -> Result<Duration, String> {
    time::parse_toml_or_zero(quoted(given)?).map_err(|error| error.to_string())
}

fn quoted(given: &WrittenTime) -> Result<&str, String> {
    match given {
        WrittenTime::Quoted(text) => Ok(text),
        WrittenTime::Bare(number) => Err(format!(
            "expected its unit as well, in quotes: \"{number}s\", \"{number}ms\" or \"{number}m\""
        )),
    }
}

fn promise(given: &WrittenTime) -> Result<Duration, String> {
    let promise = time_of(given)?;
    (promise <= Restart::LONGEST)
        .then_some(promise)
        .ok_or_else(|| format!("expected at most {}", time::shown(Restart::LONGEST)))
}

fn conflict(text: &str) -> Result<ConflictPolicy, String> {
    match text {
        "ignore" => Ok(ConflictPolicy::Ignore),
        "log" => Ok(ConflictPolicy::Log),
        "refuse" => Ok(ConflictPolicy::Refuse),
        _ => Err("expected ignore, log or refuse".to_owned()),
    }
}

fn probe(given: &WrittenTime) -> Result<Duration, String> {
    let wait = time_of(given)?;
    (wait <= MAX_PROBE)
        .then_some(wait)
        .ok_or_else(|| format!("expected at most {}", time::shown(MAX_PROBE)))
}

fn stuck(text: &str) -> Result<StuckPolicy, String> {
    match text {
        "reboot" => Ok(StuckPolicy::Reboot),
        "hold" => Ok(StuckPolicy::Hold),
        _ => Err("expected reboot or hold".to_owned()),
    }
}

fn rtprio(number: i64) -> Result<Option<Priority>, String> {
    let priority = u8::try_from(number).ok().and_then(Priority::new);
    priority
        .map(Some)
        .ok_or_else(|| "expected a priority from 1 to 99".to_owned())
}

fn nice(number: i64) -> Result<i8, String> {
    let nice = i8::try_from(number).ok().filter(|nice| (-20..=19).contains(nice));
    nice.ok_or_else(|| "expected a number from -20 to 19".to_owned())
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

fn scheduling(text: &str) -> Result<Scheduling, String> {
    match text {
        "deadline" => Ok(Scheduling::Deadline),
        "fifo" => Ok(Scheduling::Fifo),
        "none" => Ok(Scheduling::None),
        _ => Err("expected deadline, fifo or none".to_owned()),
    }
}

fn deadlines(text: &str) -> Result<Deadlines, String> {
    match text {
        "kernel" => Ok(Deadlines::Kernel),
        "thread" => Ok(Deadlines::Thread),
        _ => Err("expected kernel or thread".to_owned()),
    }
}

/// Whether they are there is for the kernel to say: processors come and go.
fn cpus(numbers: &[i64]) -> Result<Vec<u16>, (String, String)> {
    let mut cpus = Vec::new();
    for number in numbers {
        let cpu = u16::try_from(*number).ok().filter(|cpu| *cpu < MAX_CPUS);
        let cpu = cpu.ok_or_else(|| {
            (
                number.to_string(),
                format!("expected numbers from 0 to {}", MAX_CPUS - 1),
            )
        })?;
        if cpus.contains(&cpu) {
            return Err((number.to_string(), "expected each processor once".to_owned()));
        }
        cpus.push(cpu);
    }
    Ok(cpus)
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    // An escape can write a NUL, which no path holds.
    let path = PathBuf::from(text);
    (path.is_absolute() && !text.contains('\0'))
        .then_some(path)
        .ok_or_else(|| "expected an absolute path".to_owned())
}

fn command(words: &[String]) -> Result<Vec<String>, String> {
    let good =
        words.first().is_some_and(|program| absolute(program).is_ok()) && words.iter().all(|word| !word.contains('\0'));
    good.then(|| words.to_vec())
        .ok_or_else(|| "expected a program's absolute path and its arguments".to_owned())
}
