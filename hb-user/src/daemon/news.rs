//! What the pulse thread tells.

use hb_ebpf::beat::Groups;
use hb_ebpf::{Heard, NodeId};

use super::Daemon;
use crate::core::{Contact, Differs, Echoed, Event, Graced, Sight};
use crate::pulse::News;

impl Daemon {
    /// Takes all news of the pulse; true when it has said farewell.
    pub(super) fn hear(&mut self) -> std::io::Result<bool> {
        // Asked first: its last word may come between a look into the queue and its end.
        let has_ended = self.pulse.has_ended();
        let mut all: Vec<News> = std::iter::from_fn(|| self.pulse.read()).collect();
        // What was said before a freeze is old, however it lies in the queue.
        all.sort_by_key(|news| !matches!(news, News::Woke { .. }));
        for news in all {
            match news {
                News::Up {
                    node,
                    heard,
                    had,
                    echoed,
                } => self.meet(node, &heard, had, echoed),
                News::Dead { node, silence } => {
                    let Some(node) = self.index(node) else { continue };
                    let name = &self.cluster.nodes[node];
                    if self.node.peer(node).has_said_farewell() {
                        tracing::info!(peer = %name, "peer has left");
                    } else {
                        tracing::warn!(
                            peer = %name,
                            overshoot_us = silence.detected.since(silence.deadline).as_micros(),
                            met = silence.last_seen.is_some(),
                            by = if silence.witnessed { "kernel" } else { "thread" },
                            "peer is silent"
                        );
                    }
                    self.silences[node] = Some(silence);
                    self.feed(&Event::Silent { node });
                }
                News::LateBeat { node, gap } => {
                    tracing::warn!(peer = self.name(node), gap_us = gap.as_micros(), "late beat");
                }
                News::Graced { node, why } => match why {
                    Graced::Late(late) => tracing::warn!(
                        peer = self.name(node),
                        late_us = late.as_micros(),
                        "this node was late itself; the peer gets one deadtime more"
                    ),
                    Graced::Alone => tracing::warn!(
                        peer = self.name(node),
                        "all peers fell silent at once; the peer gets one deadtime more"
                    ),
                },
                News::Lease { held } => {
                    let needed = self.node.settings().supporters();
                    if held && needed == 0 {
                        tracing::debug!("nobody has to hear this node so that it may own groups");
                    } else if held {
                        tracing::info!(needed, "enough others hear us: this node may own groups");
                    } else {
                        tracing::warn!("too few others hear us: this node gives up what it owns");
                    }
                    self.feed(&Event::Lease { held });
                }
                News::Pings { reached } => {
                    let of = self.cluster.pings.targets.len();
                    if usize::from(reached) < of {
                        tracing::warn!(reached, of, "not all ping nodes answer");
                    } else {
                        tracing::info!(reached, of, "all ping nodes answer");
                    }
                    self.feed(&Event::Pings { reached });
                }
                News::Watchdog { error } => {
                    tracing::error!(%error, "the watchdog device cannot be fed");
                    self.troubles.insert(
                        "watchdog".to_owned(),
                        format!("the watchdog device cannot be fed: {error}"),
                    );
                }
                News::Woke { late } => {
                    tracing::warn!(
                        late_us = late.as_micros(),
                        "this node was frozen; it listens before it does anything"
                    );
                    self.feed(&Event::Woke);
                }
                News::Sending { error: Some(error) } => tracing::warn!(%error, "the kernel refuses to send beats"),
                News::Sending { error: None } => tracing::info!("beats are sent again"),
                News::Promised { lacking, lease } => self.restart.is_promised(lacking, lease),
                News::Gone => return Ok(true),
            }
        }
        if has_ended {
            // Nobody beats for us any more, and others are about to take over. A service manager starts us again, or the
            // watchdog bites.
            return Err(std::io::Error::other("the pulse thread has ended"));
        }
        Ok(false)
    }

    /// A peer is up, or says something new.
    pub(super) fn meet(&mut self, id: NodeId, heard: &Heard, had: Groups, echoed: Echoed) {
        let Some(node) = self.index(id) else { return };
        let differs = Differs::between(self.cluster.digest(), heard.digest);
        let (before, sight) = (self.node.peer(node), Sight::of(heard, had, echoed, differs));
        let name = &self.cluster.nodes[node];
        if before.contact != Contact::Up || before.sight.status != sight.status {
            let incarnation = format_args!("{:012x}", heard.incarnation.0);
            tracing::info!(peer = %name, status = ?sight.status, incarnation, "peer is up");
        }
        match (before.contact, before.sight.hears_us, sight.hears_us) {
            (Contact::Up, true, false) => tracing::warn!(peer = %name, "our beats do not reach the peer"),
            (Contact::Up, false, true) => tracing::info!(peer = %name, "our beats reach the peer again"),
            (Contact::Up | Contact::Unknown | Contact::Left | Contact::Dead, _, _) => {}
        }
        if self.differences.insert(id, differs).unwrap_or_default() != differs && differs.is_any() {
            tracing::warn!(peer = %name, %differs, "configurations differ between this node and its peer");
        }
        self.troubles.remove(&format!("fence {name}"));
        self.outside.spare(name);
        self.feed(&Event::Peer { node, sight });
        self.pulse.take_in(id, heard.sequence);
    }
}
