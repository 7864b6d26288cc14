//! A resource for tests that are about when: its script stamps the begin and the end of every call, takes as long as it
//! is told, and fails when it is told. [`ownership`](crate::ownership) makes intervals of the stamps.
//!
//! Unlike `status` of the tutorial's script, its `status` tells the truth: it remembers whether it runs on its host.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    clock::{DayClock, Moment},
    host::Host,
};

/// The script's name in haresources: `stamp` is the resource `stamp`, `stamp::web` is the resource `web`.
pub const NAME: &str = "stamp";

/// Where the script is: both hb and Heartbeat look there first.
pub(crate) const PATH: &str = "/etc/ha.d/resource.d/stamp";

/// What each host remembers: `running/ID`, `held/ID` (from the first start on, until a stop succeeded), and what is
/// asked of its calls, `faults/ID.OPERATION.{fails,hangs,takes}`.
const STATE: &str = "/run/stamp";

/// Where each host's stamps are: `TIME PID ID WHAT [CODE]`, the time being of day, in seconds.
const STAMPS: &str = "/var/log/stamps";

/// The script. It stamps as its first deed, and when it has ended but for remembering whether it runs.
const SCRIPT: &str = r#"#!/bin/bash
begun=$EPOCHREALTIME
operation=${!#}
if [ $# -gt 1 ]; then id=${*:1:$#-1} id=${id// /::}; else id=${0##*/}; fi
stamp() { echo "$1 $$ $id $2" >>/var/log/stamps; }
state=/run/stamp
fault=$state/faults/$id.$operation
case $operation in
status)
    stamp "$begun" status
    if [ -e "$fault.hangs" ]; then sleep 1000; fi
    if [ -e "$fault.fails" ]; then exit 1; fi
    if [ -e "$state/running/$id" ]; then echo running; else echo stopped; exit 3; fi
    exit 0
    ;;
start | stop) ;;
*)
    echo "no such operation: $operation" >&2
    exit 2
    ;;
esac
stamp "$begun" "$operation-begin"
if [ "$operation" = start ]; then : >"$state/held/$id"; fi
if [ -e "$fault.takes" ]; then sleep "$(<"$fault.takes")"; fi
if [ -e "$fault.hangs" ]; then sleep 1000; fi
if [ -e "$fault.fails" ]; then
    echo "told to fail"
    stamp "$EPOCHREALTIME" "$operation-end 1"
    exit 1
fi
if [ "$operation" = stop ]; then rm -f "$state/held/$id"; fi
stamp "$EPOCHREALTIME" "$operation-end 0"
# After the stamp: who sees where it runs finds the stamp of it, too.
if [ "$operation" = start ]; then : >"$state/running/$id"; else rm -f "$state/running/$id"; fi
exit 0
"#;

/// Notes the loss of all that is held on a host.
pub(crate) const LOSE: &str = r#"cd /run/stamp/held || exit 1
for id in *; do
    [ -e "$id" ] || continue
    rm -f "/run/stamp/running/$id" "$id"
    echo "$EPOCHREALTIME $$ $id lost" >>/var/log/stamps
done"#;

/// What a resource does that was not asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The operation fails. A failed stop leaves it running.
    Fails,
    /// The operation does not end.
    Hangs,
    /// The operation takes so long.
    Takes(Duration),
}

/// What was stamped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// The script was called with `start`.
    StartBegin,
    /// That call ended.
    StartEnd {
        /// With success.
        ok: bool,
    },
    /// The script was called with `stop`.
    StopBegin,
    /// That call ended.
    StopEnd {
        /// With success.
        ok: bool,
    },
    /// The script was called with `status`.
    Status,
    /// The host lost power, and the resource with it.
    Lost,
}

/// A stamp.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stamp {
    /// When.
    pub at: Moment,
    /// On which host.
    pub host: String,
    /// Of which resource.
    pub resource: String,
    /// By which of the script's processes, as the host numbers them.
    pub pid: u32,
    /// What.
    pub what: What,
}

/// Puts the script on a host.
pub fn install(host: &Host) -> Result<()> {
    host.write_file(PATH, 0o755, SCRIPT)?;
    let made = host.enter(|| {
        for directory in ["running", "held", "faults"] {
            std::fs::create_dir_all(format!("{STATE}/{directory}"))?;
        }
        std::fs::set_permissions(STATE, std::fs::Permissions::from_mode(0o777))
    });
    made?.with_context(|| format!("{}: cannot make {STATE}", host.name()))
}

/// All stamps of these hosts, in the order of their times. The clock must be from before the first of them.
pub fn read<'a>(hosts: impl IntoIterator<Item = &'a Host>, clock: &DayClock) -> Result<Vec<Stamp>> {
    let mut stamps = Vec::new();
    for host in hosts {
        let text = host.run_ok("sh", &["-c", &format!("cat {STAMPS} 2>/dev/null; :")])?;
        for line in text.lines() {
            stamps.push(parse(host.name(), line, clock).with_context(|| format!("{}: no stamp: {line}", host.name()))?);
        }
    }
    clock.ensure_steady()?;
    stamps.sort_by_key(|stamp| stamp.at);
    Ok(stamps)
}

/// Whether a resource runs on a host.
pub fn runs_on(host: &Host, resource: &str) -> Result<bool> {
    host.enter(|| std::fs::exists(format!("{STATE}/running/{resource}")))?
        .context("cannot look for the resource")
}

/// The file that is there as long as a resource runs on a host, by its path outside.
#[must_use]
pub fn seen_from_outside(host: &Host, resource: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{STATE}/running/{resource}", host.pid()))
}

/// Stops a resource on a host behind everybody's back, as an operator does.
pub fn stop(host: &Host, resource: &str) -> Result<()> {
    host.run_ok(PATH, &[resource, "stop"]).map(|_| ())
}

/// Lets `start`, `stop` or `status` of a resource misbehave on a host from now on.
pub fn spoil(host: &Host, resource: &str, operation: &str, fault: Fault) -> Result<()> {
    let (kind, contents) = match fault {
        Fault::Fails => ("fails", String::new()),
        Fault::Hangs => ("hangs", String::new()),
        Fault::Takes(time) => ("takes", format!("{:.3}\n", time.as_secs_f64())),
    };
    host.write_file(
        &format!("{STATE}/faults/{resource}.{operation}.{kind}"),
        0o644,
        contents,
    )
}

/// Undoes every [`spoil`] of an operation.
pub fn mend(host: &Host, resource: &str, operation: &str) -> Result<()> {
    let files = ["fails", "hangs", "takes"].map(|kind| format!("{STATE}/faults/{resource}.{operation}.{kind}"));
    let files: Vec<_> = ["-f"].into_iter().chain(files.iter().map(String::as_str)).collect();
    host.run_ok("rm", &files).map(|_| ())
}

/// Stops everything on a host behind everybody's back, as a loss of power does, and stamps that it was lost.
pub fn lose_all(host: &Host) -> Result<()> {
    host.run_ok("bash", &["-c", LOSE]).map(|_| ())
}

fn parse(host: &str, line: &str, clock: &DayClock) -> Result<Stamp> {
    let words: Vec<_> = line.split(' ').collect();
    let [time, pid, resource, what, code @ ..] = words.as_slice() else {
        bail!("expected TIME PID ID WHAT [CODE]");
    };
    let (seconds, micros) = time.split_once('.').context("expected SECONDS.MICROSECONDS")?;
    ensure!(micros.len() == 6, "expected six digits after the point");
    let time = Duration::from_secs(seconds.parse()?) + Duration::from_micros(micros.parse()?);
    let ok = *code == ["0"];
    let (what, has_code) = match *what {
        "start-begin" => (What::StartBegin, false),
        "start-end" => (What::StartEnd { ok }, true),
        "stop-begin" => (What::StopBegin, false),
        "stop-end" => (What::StopEnd { ok }, true),
        "status" => (What::Status, false),
        "lost" => (What::Lost, false),
        other => bail!("expected start-begin, start-end, stop-begin, stop-end, status or lost, not {other}"),
    };
    ensure!(
        code.len() == usize::from(has_code),
        "an end has a code, nothing else has"
    );
    Ok(Stamp {
        at: clock.moment(time),
        host: host.to_owned(),
        resource: (*resource).to_owned(),
        pid: pid.parse()?,
        what,
    })
}

#[cfg(test)]
mod tests;
