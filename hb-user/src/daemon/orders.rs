//! What operators order: begun at once, and answered when it has happened, has failed, or is late.

use std::task::Poll;
use std::time::Duration;

use hb_ebpf::Nanos;
use tokio::sync::oneshot;

use super::Daemon;
use super::words::{self, Words};
use crate::clock;
use crate::control::{Order, OrderRequest, Reply};
use crate::core::{Command, Event, Progress};

/// The orders that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pending: Vec<Pending>,
}

#[derive(Debug)]
struct Pending {
    command: Command,
    groups: Vec<usize>,
    since: Nanos,
    deadline: Nanos,
    reply: oneshot::Sender<Reply>,
}

/// What becomes of an order that is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Waits,
    Done,
    Failed(usize),
    Overruled(usize),
    Late,
    /// Nobody waits for it any more.
    Alone,
}

impl Orders {
    /// Groups are not what they were: nobody can tell any more how far an order is.
    /// True if a takeover was among them, so that it is no longer asked for.
    pub(super) fn break_off(&mut self) -> bool {
        let is_takeover = |order: &Pending| matches!(order.command, Command::Takeover(_));
        let had_takeover = self.pending.iter().any(is_takeover);
        for order in self.pending.drain(..) {
            let message = "the configuration has changed meanwhile: see `hb status`".to_owned();
            // Who asked may have gone.
            let _ = order.reply.send(Reply::Failed { message });
        }
        had_takeover
    }

    /// Whether somebody waits for one.
    pub(super) fn are_waited_for(&self) -> bool {
        !self.pending.is_empty()
    }

    /// When the first of them is late.
    pub(super) fn deadline(&self) -> Option<Nanos> {
        self.pending.iter().map(|order| order.deadline).min()
    }

    /// When somebody who waits has hung up; never, while nobody waits.
    pub(super) async fn hung_up(&mut self) {
        std::future::poll_fn(|context| {
            // All are asked, so that each wakes us; the first that is gone is enough.
            let is_any = self
                .pending
                .iter_mut()
                .any(|order| order.reply.poll_closed(context).is_ready());
            if is_any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Daemon {
    /// Begins what is ordered, or says why not.
    pub(super) fn order(&mut self, request: &OrderRequest, reply: oneshot::Sender<Reply>) {
        if request.order == Order::Restart {
            return self.begin_restart(request.wait, reply);
        }
        let begun = match self.command(&request.order) {
            Some(Ok(command)) => self.begin_order(command, request, reply),
            Some(Err(message)) => Some((Reply::Refused { message }, reply)),
            None => {
                self.reading.begin(self.place(), Some(reply));
                None
            }
        };
        if let Some((answer, reply)) = begun {
            // Who asked may have gone.
            let _ = reply.send(answer);
        }
    }

    /// The core's name for an order; `None` for a reload or a restart, which are more than the core's.
    fn command(&self, order: &Order) -> Option<Result<Command, String>> {
        Some(Ok(match order {
            Order::Standby { which } => Command::Standby(*which),
            Order::Takeover { which } => Command::Takeover(*which),
            Order::Maintenance { on } => Command::Maintenance(*on),
            Order::Cleanup { group } => match self.words().find(group) {
                Ok(index) => Command::Cleanup(index),
                Err(message) => return Some(Err(message)),
            },
            Order::Reload | Order::Restart => return None,
        }))
    }

    /// Feeds a command; an answer, if there is one at once.
    fn begin_order(
        &mut self,
        command: Command,
        request: &OrderRequest,
        reply: oneshot::Sender<Reply>,
    ) -> Option<(Reply, oneshot::Sender<Reply>)> {
        let groups = match self.node.plan(command) {
            Ok(groups) => groups,
            Err(refusal) => {
                let message = self.words().refusal(refusal);
                return Some((Reply::Refused { message }, reply));
            }
        };
        if let (Command::Standby(_) | Command::Takeover(_), true) = (command, groups.is_empty()) {
            let message = words::nothing_to_do(command);
            return Some((Reply::Done { message }, reply));
        }
        tracing::info!(?command, groups = %self.words().list(&groups), "an operator orders");
        if let Command::Cleanup(group) = command {
            self.problems[group] = None;
        }
        let now = clock::now();
        if !request.wait {
            self.feed(&Event::Command(command));
            let message = self.words().begun(command, &groups);
            return Some((Reply::Done { message }, reply));
        }
        self.orders.pending.push(Pending {
            command,
            groups,
            since: now,
            deadline: now.saturating_add(nanos(request.limit())),
            reply,
        });
        self.feed(&Event::Command(command));
        None
    }

    /// Answers the orders that have come to an end. To be called after every event.
    pub(super) fn settle_orders(&mut self) {
        if self.orders.pending.is_empty() {
            return;
        }
        let now = clock::now();
        let mut is_withdrawn = false;
        for order in std::mem::take(&mut self.orders.pending) {
            let progress = self.node.progress(order.command, &order.groups);
            let fate = fate(progress, order.reply.is_closed(), now >= order.deadline);
            let Some(answer) = self.words().answer(&order, fate, now) else {
                if fate == Fate::Waits {
                    self.orders.pending.push(order);
                } else {
                    is_withdrawn |= matches!(order.command, Command::Takeover(_));
                }
                continue;
            };
            is_withdrawn |= fate == Fate::Late && matches!(order.command, Command::Takeover(_));
            // Who asked may have gone.
            let _ = order.reply.send(answer);
        }
        if is_withdrawn {
            tracing::info!("no longer asking for what was to be taken over: it was not got in time");
            // This settles the others again, without those that are answered.
            self.feed(&Event::Command(Command::Withdraw));
        }
    }

    pub(super) fn words(&self) -> Words<'_> {
        Words {
            node: &self.node,
            nodes: &self.cluster.nodes,
            groups: &self.cluster.groups,
            problems: &self.problems,
        }
    }
}

/// What has come to an end is told as such, even when it was late by then.
fn fate(progress: Progress, is_alone: bool, is_late: bool) -> Fate {
    match (progress, is_alone, is_late) {
        (Progress::Pending, true, _) => Fate::Alone,
        (Progress::Pending, false, true) => Fate::Late,
        (Progress::Pending, false, false) => Fate::Waits,
        (Progress::Done, _, _) => Fate::Done,
        (Progress::Failed(group), _, _) => Fate::Failed(group),
        (Progress::Overruled(node), _, _) => Fate::Overruled(node),
    }
}

impl Words<'_> {
    fn answer(&self, order: &Pending, fate: Fate, now: Nanos) -> Option<Reply> {
        let took = now.since(order.since);
        Some(match fate {
            Fate::Waits | Fate::Alone => return None,
            Fate::Done => Reply::Done {
                message: self.done(order.command, &order.groups, took),
            },
            Fate::Failed(group) => Reply::Failed {
                message: self.failed(order.command, group),
            },
            Fate::Overruled(node) => Reply::Failed {
                message: self.overruled(node),
            },
            Fate::Late => Reply::Pending {
                message: self.late(order.command, &order.groups, took),
            },
        })
    }
}

fn nanos(span: Duration) -> Nanos {
    Nanos(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
