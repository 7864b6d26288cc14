//! keepalived, speaking VRRP version 3.

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};

use super::{ADDRESS, Contender, RESOURCE, Timers, Verdict};
use crate::{
    bench::{arena::View, observer::packet::Packet, processes},
    clock::Moment,
    host::Host,
    network::INTERFACE,
    nodes::lan::address,
    stamp,
};

/// keepalived.
#[derive(Debug)]
pub struct Keepalived(());

const DAEMON: &str = "/usr/sbin/keepalived";
const CONFIGURATION: &str = "/etc/keepalived/keepalived.conf";

impl Keepalived {
    /// Its name.
    pub const NAME: &'static str = "keepalived";

    /// The machine's own; an error that says what helps if it is not installed.
    pub fn find() -> Result<Self> {
        ensure!(
            Path::new(DAEMON).is_file(),
            "keepalived is not installed: run `cargo xtask setup --rivals`"
        );
        Ok(Self(()))
    }
}

/// A pair is settled when so many advertisements came in so much time, all of them from one node.
const SETTLED: Duration = Duration::from_millis(300);
const ENOUGH: usize = 20;

/// What its log says when it has started, and when it declares the other one dead.
const LISTENS: &str = "Entering BACKUP STATE";
const TAKES_OVER: &str = "Entering MASTER STATE";

/// The nodes' priorities: the higher they are the less is added to the deadtime, and 255 is for who owns the address.
const PRIORITIES: [u16; 2] = [254, 253];

impl Contender for Keepalived {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// Three intervals, and (256 - priority) / 256 of one (RFC 5798, 6.1): 0.1 ms, which counts as part of the overshoot.
    fn timers(&self) -> Timers {
        Timers::millis(10, 30)
    }

    fn setup(&self) -> &'static str {
        "VRRPv3, unicast, real-time priority 50, no swap, CPU limit raised to 100 ms"
    }

    fn processes(&self) -> &'static [&'static str] {
        &["keepalived"]
    }

    fn moves_address(&self) -> bool {
        true
    }

    fn install(&self, host: &Host, node: usize) -> Result<()> {
        let priority = PRIORITIES[node];
        let (own, peer) = (address(node), address(1 - node));
        let script = |operation| format!("\"{} {RESOURCE} {operation}\" root root", stamp::PATH);
        let (start, stop) = (script("start"), script("stop"));
        // Its own limit of 10 ms on the processor would kill it on a busy machine.
        let configuration = format!(
            "global_defs {{
                router_id n{number}
                vrrp_version 3
                script_user root
                vrrp_rt_priority 50
                vrrp_rlimit_rttime 100000
                vrrp_no_swap
            }}
            vrrp_instance web {{
                state BACKUP
                nopreempt
                interface {INTERFACE}
                virtual_router_id 51
                priority {priority}
                advert_int 0.01
                unicast_src_ip {own}
                unicast_peer {{
                    {peer}
                }}
                virtual_ipaddress {{
                    {ADDRESS}/24 dev {INTERFACE}
                }}
                notify_master {start}
                notify_backup {stop}
                notify_fault {stop}
                notify_stop {stop}
            }}\n",
            number = node + 1
        );
        host.write_file(CONFIGURATION, 0o644, configuration)
    }

    fn start(&self, host: &Host, _node: usize) -> Result<()> {
        super::launch(
            host,
            &[
                DAEMON,
                "--dont-fork",
                "--log-console",
                "--vrrp",
                "--use-file",
                CONFIGURATION,
            ],
        )
    }

    fn stop(&self, host: &Host) -> Result<()> {
        processes::terminate(host, self.processes())
    }

    fn is_beat(&self, packet: &Packet) -> bool {
        matches!(packet, Packet::Vrrp { priority: 1.., .. })
    }

    /// One of them advertises, and the other one listens.
    fn is_settled(&self, view: &View<'_>) -> Result<bool> {
        let recent = view.observer.since(Moment::now().earlier(SETTLED))?;
        let beats = |node| {
            recent
                .iter()
                .filter(move |seen| seen.sender == node && self.is_beat(&seen.packet))
                .count()
        };
        let mut each = [beats(0), beats(1)];
        each.sort_unstable();
        let both_run = view.hosts.iter().all(|host| host.log().contains(LISTENS));
        Ok(both_run && each[0] == 0 && each[1] >= ENOUGH)
    }

    /// Who advertised nothing for a while, and begins, has declared the other one dead. Its log has whole seconds only.
    fn verdicts(&self, view: &View<'_>, since: Moment) -> Result<Vec<Verdict>> {
        let seen = view.observer.since(since.earlier(SETTLED))?;
        let mut verdicts = Vec::new();
        for by in 0..view.hosts.len() {
            let mut own = seen
                .iter()
                .filter(|seen| seen.sender == by && self.is_beat(&seen.packet));
            verdicts.extend(
                own.next()
                    .filter(|first| first.at >= since)
                    .map(|first| Verdict { by, at: first.at }),
            );
        }
        verdicts.sort_by_key(|verdict| verdict.at);
        Ok(verdicts)
    }

    fn deaths(&self, view: &View<'_>, by: usize, _since: Moment) -> Result<u64> {
        Ok(view.hosts[by].log().matches(TAKES_OVER).count() as u64)
    }
}
