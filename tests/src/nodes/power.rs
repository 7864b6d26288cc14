//! Power, and the loss of it: by the test, by a program on the host itself, and by a switch that nodes can reach.

use std::{
    net::SocketAddrV4,
    process::Command,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{Nodes, lan::GATEWAY_IP};
use crate::{
    clock::{Moment, lock},
    host::Host,
    service::{Service, listen},
    stamp,
};

/// The program by which a host loses its power. What it does goes on when who started it has been killed by it.
pub const LOSE_POWER: &str = "/usr/local/sbin/lose-power";

/// The plugin by which cluster-glue's `stonith` reaches the switch: `stonith_host * external/hb-switch PARAMETERS`.
pub const PLUGIN: &str = "external/hb-switch";

/// Where `stonith` looks for it.
const PLUGINS: &str = "/usr/lib/stonith/plugins/external";

/// The switch's port.
const PORT: u16 = 4500;

/// Sends a signal to all that runs on a host but its first process, what keeps that alive (`cat`, its child), and this.
/// It goes on until nobody is left in whom it had no effect: meanwhile processes may start others.
const SIGNAL_ALL: &str = r#"left=1
while [ "$left" != 0 ]; do
    left=0
    for stat in /proc/[0-9]*/stat; do
        read -r pid command state parent rest <"$stat" 2>/dev/null || continue
        case "$pid $command $parent" in
        "1 "* | "$$ "* | *" (cat) 1") continue ;;
        esac
        case "$1$state" in
        ?*Z | ?*X | STOPT | STOPt) continue ;;
        CONTT | CONTt) ;;
        CONT*) continue ;;
        esac
        kill -s "$1" "$pid" 2>/dev/null && left=1
    done
done"#;

/// [`SIGNAL_ALL`] with SIGKILL, and then `LOSE` of the resources; `at-once` when it need not be safe from itself.
const SCRIPT: &str = r#"#!/bin/bash
if [ "$1" != at-once ]; then exec setsid --fork "$0" at-once; fi
"#;

/// The plugin: asks the switch, and believes what it answers.
const ASK: &str = r#"#!/bin/bash
case $1 in
getconfignames) echo "switch hostlist"; exit 0 ;;
gethosts) echo "$hostlist"; exit 0 ;;
reset) ;;
*) exit 0 ;;
esac
exec 3<>"/dev/tcp/${switch/:/\/}" || exit 1
echo "$2" >&3
read -r answer <&3
if [ "$answer" = off ]; then exit 0; fi
echo "the power switch says: $answer" >&2
exit 1
"#;

/// Sends a signal to all that runs on a host, but for what keeps it alive.
pub(super) fn signal_all(host: &Host, signal: &str) -> Result<()> {
    host.run_ok("bash", &["-c", SIGNAL_ALL, "signal-all", signal])
        .map(|_| ())
}

/// Lets a host lose its power: all that runs on it is killed, and its resources are lost.
pub(super) fn lose(host: &Host) -> Result<()> {
    host.run_ok(LOSE_POWER, &["at-once"]).map(|_| ())
}

/// Puts the program on a host.
pub(super) fn install(host: &Host) -> Result<()> {
    let script = format!("{SCRIPT}set -- KILL\n{SIGNAL_ALL}\n{}\n", stamp::LOSE);
    host.write_file(LOSE_POWER, 0o755, script)
}

/// What the switch does when it is told to reset a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// It takes its power away.
    Works,
    /// It says that it cannot.
    Fails,
    /// It says nothing.
    Hangs,
}

/// One call of the switch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// When it came.
    pub at: Moment,
    /// The node to reset.
    pub node: String,
    /// What the switch did about it.
    pub manner: Manner,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    calls: Vec<Call>,
}

/// A power switch on the gateway, which takes the power of nodes away.
#[derive(Debug)]
pub struct Switch {
    state: Arc<Mutex<State>>,
    _service: Service,
}

impl Switch {
    /// Starts it, and gives all nodes what it takes to use it.
    pub fn start(nodes: &Nodes, manner: Manner) -> Result<Self> {
        let mut hosts = Vec::new();
        for host in &nodes.lan.nodes {
            // Seen by this host alone: its mounts are its own.
            host.run_ok("mount", &["-t", "tmpfs", "plugins", PLUGINS])?;
            host.write_file(&format!("{PLUGINS}/hb-switch"), 0o755, ASK)?;
            hosts.push((host.name().to_owned(), host.pid()));
        }
        let state = Arc::new(Mutex::new(State {
            manner,
            calls: Vec::new(),
        }));
        let listener = listen(&nodes.lan.gateway, SocketAddrV4::new(GATEWAY_IP, PORT))?;
        let service = {
            let state = Arc::clone(&state);
            Service::start(&nodes.lan.gateway, "switch", move || serve(listener, hosts, state))?
        };
        Ok(Self {
            state,
            _service: service,
        })
    }

    /// The line of ha.cf that lets all nodes use it.
    #[must_use]
    pub fn directive(nodes: usize) -> String {
        let names: Vec<_> = (0..nodes).map(super::lan::name).collect();
        format!("stonith_host * {PLUGIN} {GATEWAY_IP}:{PORT} {}", names.join(" "))
    }

    /// From now on it does otherwise.
    pub fn set(&self, manner: Manner) {
        lock(&self.state).manner = manner;
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }
}

async fn serve(listener: std::net::TcpListener, hosts: Vec<(String, u32)>, state: Arc<Mutex<State>>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    // Callers that are not answered must not see their connection closed.
    let mut unanswered = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        if let Ok(Some(stream)) = answer(stream, &hosts, &state).await {
            unanswered.push(stream);
        }
    }
}

/// Answers one call; gives the stream back if it is not to be answered.
async fn answer(stream: TcpStream, hosts: &[(String, u32)], state: &Mutex<State>) -> Result<Option<TcpStream>> {
    let mut stream = BufReader::new(stream);
    let mut node = String::new();
    stream.read_line(&mut node).await?;
    let node = node.trim().to_owned();
    let manner = {
        let mut state = lock(state);
        let (at, manner) = (Moment::now(), state.manner);
        state.calls.push(Call {
            at,
            node: node.clone(),
            manner,
        });
        manner
    };
    let answer = match manner {
        Manner::Works => match take_power(hosts, &node) {
            Ok(()) => "off\n".to_owned(),
            Err(error) => format!("{error:#}\n"),
        },
        Manner::Fails => "a fuse has blown\n".to_owned(),
        Manner::Hangs => return Ok(Some(stream.into_inner())),
    };
    stream.get_mut().write_all(answer.as_bytes()).await?;
    Ok(None)
}

fn take_power(hosts: &[(String, u32)], node: &str) -> Result<()> {
    let host = hosts.iter().find(|(name, _)| name == node);
    let (_, pid) = host.with_context(|| format!("nothing is plugged in that is called {node:?}"))?;
    let target = pid.to_string();
    let nsenter = ["--target", &target, "--all", LOSE_POWER, "at-once"];
    let ran = Command::new("nsenter").args(nsenter).output()?;
    let error = String::from_utf8_lossy(&ran.stderr).replace('\n', " ");
    ensure!(ran.status.success(), "{}: {error}", ran.status);
    Ok(())
}
