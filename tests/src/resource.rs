//! A resource for tests: its script remembers every call, and fails or hangs on demand.
//!
//! It is a file on its host. So what runs where is seen in the hosts' file systems, whatever the daemons say of it.

use anyhow::{Context, Result};

use crate::host::Host;

/// The script, under any name, with any arguments.
///
/// An id is what haresources writes: `NAME::ARG`. The resource ID runs while `/run/resources/ID` exists. An OPERATION of it fails
/// while `ID.OPERATION-fails` exists there, and hangs while `ID.OPERATION-hangs` does.
pub const SCRIPT: &str = r#"#!/bin/sh
id=${0##*/}
while [ $# -gt 1 ]; do
    id="$id::$1"
    shift
done
resource=/run/resources/$id
mkdir -p "${resource%/*}"
env >"/run/environment-$1"
echo "$(date +%s%N) $id $1" >>/var/log/calls
if [ -e "$resource.$1-hangs" ]; then
    sleep 1000
fi
if [ -e "$resource.$1-fails" ]; then
    echo "told to fail"
    exit 1
fi
case $1 in
start) touch "$resource" ;;
stop) rm -f "$resource" ;;
status) if [ -e "$resource" ]; then echo running; else echo stopped; fi ;;
esac
"#;

/// How a resource misbehaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The operation prints something and fails.
    Fails,
    /// The operation does not end.
    Hangs,
}

/// One call of the script.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// When, in nanoseconds of the machine's time of day, which all hosts share.
    pub at: u64,
    /// Of what, as haresources writes it.
    pub resource: String,
    /// `status`, `start` or `stop`.
    pub operation: String,
}

/// All calls on a host, in their order.
pub fn calls(host: &Host) -> Result<Vec<Call>> {
    let log = host.run_ok("sh", &["-c", "cat /var/log/calls 2>/dev/null; :"])?;
    log.lines()
        .map(|line| parse(line).with_context(|| format!("{}: no call: {line}", host.name())))
        .collect()
}

fn parse(line: &str) -> Option<Call> {
    let mut words = line.splitn(3, ' ');
    Some(Call {
        at: words.next()?.parse().ok()?,
        resource: words.next()?.to_owned(),
        operation: words.next()?.to_owned(),
    })
}

/// All calls on a host, each as `RESOURCE OPERATION`.
pub fn called(host: &Host) -> Result<Vec<String>> {
    let calls = calls(host)?;
    Ok(calls
        .iter()
        .map(|call| format!("{} {}", call.resource, call.operation))
        .collect())
}

/// Whether a resource runs on a host.
pub fn runs_on(host: &Host, resource: &str) -> Result<bool> {
    host.enter(|| std::fs::exists(format!("/run/resources/{resource}")))?
        .context("cannot look for the resource")
}

/// Stops a resource behind everybody's back, as a reboot does.
pub fn lose(host: &Host, resource: &str) -> Result<()> {
    host.run_ok("rm", &["-f", &format!("/run/resources/{resource}")])
        .map(|_| ())
}

/// Lets an operation of a resource misbehave from now on.
pub fn spoil(host: &Host, resource: &str, operation: &str, fault: Fault) -> Result<()> {
    let how = match fault {
        Fault::Fails => "fails",
        Fault::Hangs => "hangs",
    };
    host.write_file(&format!("/run/resources/{resource}.{operation}-{how}"), 0o644, "")
}
