//! What happens to an address while it is here: it is looked for every so often, and whoever else uses it is told of.

use std::sync::{Arc, Weak};
use std::time::Duration;

use hb_ebpf::Nanos;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::LinkAddr;
use tokio::task::AbortHandle;

use super::book::{Findings, Held, Others, Probe, Twin};
use super::order::{Answer, Heard, News, Task};
use super::{Hands, Inner, PlaceError, Plan, Ready, Shared, explain};
use crate::clock;
use crate::config::{Address, ConflictPolicy};

/// A question is asked so often within the time that an answer is waited for: a frame may be lost.
const QUESTIONS: u32 = 3;

/// Who answers is told of so often at most, and a question may come in between: who is not heard for so long before a
/// check's question, nor after it, does not answer.
const UNTOLD: Nanos = Nanos::from_millis(1_000);

/// Looks after what is here, as often as the configuration says; never, where it says 0.
pub(super) fn begin(inner: &Arc<Inner>, check: Duration) -> Option<AbortHandle> {
    if check.is_zero() {
        return None;
    }
    let weak = Arc::downgrade(inner);
    let task = tokio::spawn(async move {
        loop {
            clock::sleep(check).await;
            let Some(inner) = Weak::upgrade(&weak) else { return };
            Hands(inner).check().await;
        }
    });
    Some(task.abort_handle())
}

impl Hands {
    /// After how long a silence others take over: who was frozen for so long says nothing of addresses for a while.
    pub fn fear_freezes(&self, deadtime: Duration) {
        self.lock().deadtime = Nanos(u64::try_from(deadtime.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Looks for each address that is here, and puts back what is missing.
    pub(super) async fn check(&self) {
        let used = self.lock().used();
        for held in used {
            self.check_one(&held).await;
        }
    }

    async fn check_one(&self, held: &Held) {
        let address = &held.address;
        let ready = match self.ready(address).await {
            Ok(ready) if ready.interface.is_up => ready,
            Ok(ready) => {
                self.lock().entry(address).seen = Some(ready.interface);
                return self.miss(held, PlaceError::Down(ready.plan.interface).to_string());
            }
            Err(error) => return self.miss(held, crate::causes::causes(&error)),
        };
        let (key, before, mends, upkeep) = {
            let mut book = self.lock();
            let entry = book.entry(address);
            (entry.key, entry.seen, !book.is_resting, book.upkeep())
        };
        let tells = before.is_some_and(|before| ready.interface.is_news_since(&before));
        let task = Task::Check {
            mends,
            tells,
            probes: upkeep.listens,
        };
        let asked = clock::now();
        let Ok(answer) = self.0.thread.order(task, key, &ready.prepared, upkeep).await else {
            return;
        };
        self.note_announced(address, &ready.plan, &answer);
        if answer.is_quiet {
            match answer.was_here {
                Ok(true) => self.find(address, |findings| findings.missing = None),
                Ok(false) => self.miss(
                    held,
                    "somebody has removed it, and this host was frozen a moment ago: nothing is put back yet"
                        .to_owned(),
                ),
                Err(refusal) => self.miss(held, explain(&ready.plan, &refusal)),
            }
            return;
        }
        let is_told = tells && answer.was_here == Ok(true);
        if is_told || !tells {
            self.see(held, &ready, is_told);
        }
        // Of one that was removed meanwhile nobody was asked.
        let is_asked = answer.asked.is_some() && unasked(&ready, &answer).is_none();
        if upkeep.listens && answer.was_here.is_ok() && is_asked {
            self.renew_verdict(address, asked);
        }
        match answer.was_here {
            Ok(true) => self.find(address, |findings| findings.missing = None),
            Ok(false) if mends => {
                tracing::warn!(address = %address.ip, interface = ready.plan.interface, "was missing, and is put back");
                self.find(address, |findings| {
                    findings.missing = None;
                    findings.repairs += 1;
                    findings.repaired = Some(answer.ended);
                });
                // It may be on another interface now.
                if self.lock().entry(address).used.is_some() {
                    self.mark(address, Some(ready.plan));
                }
            }
            Ok(false) => self.miss(
                held,
                "somebody has removed it, and in maintenance nothing is touched".to_owned(),
            ),
            Err(refusal) => self.miss(held, explain(&ready.plan, &refusal)),
        }
    }

    /// Notes how its interface is, as it was when its neighbours were told, or could not be.
    fn see(&self, held: &Held, ready: &Ready, was_told: bool) {
        let (ip, interface) = (held.address.ip, &ready.plan.interface);
        let before = self.lock().entry(&held.address).seen.replace(ready.interface);
        if was_told {
            tracing::info!(address = %ip, interface, "its interface has changed: the neighbours are told again");
        } else if !ready.interface.has_carrier && before.is_none_or(|before| before.has_carrier) {
            tracing::warn!(address = %ip, interface, "nobody hears of it: its interface has no carrier");
        }
    }

    /// Says when the neighbours cannot be told any more, and when they are told again.
    pub(super) fn note_announced(&self, address: &Address, plan: &Plan, answer: &Answer) {
        let Some(unsent) = answer.unsent else { return };
        let is_news = self.lock().announced(address, unsent);
        let (address, interface) = (plan.ip, &plan.interface);
        match unsent.last {
            Some(error) if is_news => tracing::warn!(%address, interface, %error, "the neighbours could not be told"),
            None if is_news => tracing::info!(%address, interface, "the neighbours are told again"),
            Some(_) | None => {}
        }
    }

    fn miss(&self, held: &Held, why: String) {
        let ip = held.address.ip;
        self.find(&held.address, |findings| {
            if findings.missing.as_ref() != Some(&why) {
                tracing::error!(address = %ip, why, "should be here, and is not");
            }
            findings.missing = Some(why);
        });
    }

    /// Notes something of an address that is here.
    fn find(&self, address: &Address, note: impl FnOnce(&mut Findings)) {
        let mut book = self.lock();
        let entry = book.entry(address);
        if entry.used.is_some() {
            note(&mut entry.findings);
        }
    }

    /// Asks whether somebody else has an address that is not here, and waits for an answer as long as the configuration says.
    /// Where nobody can be asked it is not known, and that is no refusal: who cannot be reached cannot be disturbed.
    pub(super) async fn ask_around(&self, address: &Address, ready: &Ready) -> Result<(), String> {
        let (key, wait, upkeep) = {
            let mut book = self.lock();
            let entry = book.entry(address);
            let key = entry.key;
            book.ask(address);
            (key, book.settings.probe, book.upkeep())
        };
        let since = clock::now();
        let mut unknown = None;
        for _ in 0..QUESTIONS {
            // For all of it from now on, so that no moment between two questions is left out.
            let until = Nanos(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
            let until = clock::now().saturating_add(until);
            let task = Task::Probe { until };
            let answer = self.0.thread.order(task, key, &ready.prepared, upkeep).await;
            unknown = unasked(ready, &answer.map_err(|error| error.to_string())?);
            if unknown.is_some() {
                break;
            }
            let is_known = |others| matches!(others, Others::Use(_) | Others::Want(_));
            let others = self.others_within(address, since, wait / QUESTIONS, is_known).await;
            refuse(address, ready, others.filter(|others| is_known(*others)))?;
        }
        if let Some(reason) = unknown {
            tell_unknown(address, &reason);
            self.lock().give_up(address);
            return Ok(());
        }
        // What was heard until now may be on its way to us, or be judged by a thread that is given no time.
        let last = self.0.thread.order(Task::Listen, key, &ready.prepared, upkeep).await;
        last.map_err(|error| error.to_string())?;
        let is_judged = |others| !matches!(others, Others::Unjudged(_));
        self.others_within(address, since, wait, is_judged).await;
        let others = self.lock().settle(address, since);
        refuse(address, ready, Some(others))?;
        tracing::debug!(address = %address.ip, "nobody else has it");
        Ok(())
    }

    /// Waits until what is known of others that were heard since some moment is enough, and says what that is; at most for
    /// a time.
    async fn others_within(
        &self,
        address: &Address,
        since: Nanos,
        wait: Duration,
        is_enough: impl Fn(Others) -> bool,
    ) -> Option<Others> {
        let listening = async {
            loop {
                let heard = self.0.shared.heard.notified();
                let others = self.lock().entry(address).others(since);
                if is_enough(others) {
                    return others;
                }
                heard.await;
            }
        };
        tokio::time::timeout(wait, listening).await.ok()
    }

    /// Beside a takeover: what comes within the time is the verdict; none, where it is not known whether others were asked.
    pub(super) fn await_verdict(&self, address: &Address, since: Nanos, unknown: Option<String>) {
        if let Some(reason) = unknown {
            tell_unknown(address, &reason);
            self.lock().give_up(address);
            return;
        }
        self.lock().ask(address);
        self.settle_later(address, since, Probe::Waiting);
    }

    /// After a check's question: who does not answer any more is gone.
    fn renew_verdict(&self, address: &Address, asked: Nanos) {
        let before = self.lock().entry(address).findings.probe;
        match before {
            // A takeover's question has its own time. Who is heard makes it taken, whenever that is.
            Probe::Waiting | Probe::Free => {}
            Probe::None | Probe::Needless | Probe::Taken | Probe::Unknown => {
                self.settle_later(address, Nanos(asked.0.saturating_sub(UNTOLD.0)), before);
            }
        }
    }

    /// When the time for answers is over: nobody else has it, if the question is still open as it was `before`, and nobody
    /// was heard since some moment.
    fn settle_later(&self, address: &Address, since: Nanos, before: Probe) {
        let wait = self.lock().settings.probe;
        let (weak, address) = (Arc::downgrade(&self.0), address.clone());
        tokio::spawn(async move {
            clock::sleep(wait).await;
            let Some(shared) = weak.upgrade().map(|inner| inner.shared.clone()) else {
                return;
            };
            loop {
                let heard = shared.heard.notified();
                let others = {
                    let mut book = shared.lock();
                    if book.entry(&address).findings.probe != before {
                        return;
                    }
                    book.settle(&address, since)
                };
                match others {
                    Others::Nobody => tracing::info!(address = %address.ip, "nobody else has it"),
                    Others::Use(_) | Others::Want(_) => {}
                    Others::Unjudged(_) => {
                        heard.await;
                        continue;
                    }
                }
                return;
            }
        });
    }

    /// Whether others that use an address are asked for beside its takeover, and whether before.
    pub(super) fn conflict_policy(&self) -> ConflictPolicy {
        self.lock().settings.conflict
    }
}

/// The thread tells something.
pub(super) fn told(shared: &Arc<Shared>, news: News) {
    match news {
        News::Heard(it) => heard(shared, it),
        News::Hushed(hush) => {
            if shared.lock().hush(hush) {
                let seconds = hush.until.since(hush.at).0 / 1_000_000_000;
                tracing::warn!(
                    seconds,
                    "this host was frozen: nothing is said of its addresses, nor are any put back"
                );
            }
        }
    }
}

/// Somebody else uses an address: unless it is this host by another interface, which hears its own announcements where both are
/// on one network, that is told.
fn heard(shared: &Arc<Shared>, heard: Heard) {
    let Heard { key, mac, is_probe, at } = heard;
    let twin = Twin { mac, at };
    shared.lock().suspect(key, twin);
    let shared = shared.clone();
    // Asking the kernel for its interfaces may take as long as somebody else holds its lock.
    tokio::task::spawn_blocking(move || {
        let is_ours = is_ours(mac);
        {
            let mut book = shared.lock();
            book.judge(key, twin);
            if is_probe && !is_ours {
                if let Some(address) = book.contest(key, twin) {
                    tracing::warn!(address = %address.ip, mac = twin.shown(), "another machine is about to take it, too");
                }
            } else if !is_ours && let Some((address, entry)) = book.claim(key, twin) {
                let (ip, here, mac) = (address.ip, entry.used.is_some(), twin.shown());
                tracing::error!(address = %ip, %mac, here, "is in use by another machine");
            }
        }
        shared.heard.notify_waiters();
    });
}

/// Why it is not known whether somebody else has an address, although he was to be asked for.
pub(super) fn unasked(ready: &Ready, answer: &Answer) -> Option<String> {
    let interface = &ready.plan.interface;
    if !ready.interface.has_carrier {
        return Some(format!("{interface} has no carrier"));
    }
    let deaf = answer
        .unheard
        .map(|errno| format!("answers are not heard: {}", errno.desc()));
    let dumb = answer
        .asked
        .and_then(Result::err)
        .map(|errno| format!("the question was not sent: {}", errno.desc()));
    dumb.or(deaf)
}

/// Why an address is not taken, if somebody has it or wants it, or may.
fn refuse(address: &Address, ready: &Ready, others: Option<Others>) -> Result<(), String> {
    let (twin, what) = match others {
        None | Some(Others::Nobody) => return Ok(()),
        Some(Others::Use(twin)) => (twin, "in use"),
        Some(Others::Want(twin)) => (twin, "asked for"),
        Some(Others::Unjudged(twin)) => (twin, "said to be in use, if that is not this host itself,"),
    };
    let (ip, interface) = (address.ip, &ready.plan.interface);
    Err(format!(
        "{ip} is {what} on {interface} by {} (hb.toml: address.conflict is refuse)",
        twin.shown()
    ))
}

fn tell_unknown(address: &Address, reason: &str) {
    tracing::warn!(address = %address.ip, reason, "it is not known whether another machine has it");
}

pub(super) fn tell_deaf(address: &Address, errno: Errno) {
    tracing::warn!(address = %address.ip, error = errno.desc(), "others that use it are not heard");
}

/// Whether an interface of this host has this Ethernet address.
fn is_ours(mac: [u8; 6]) -> bool {
    let link = |address: nix::sys::socket::SockaddrStorage| -> Option<[u8; 6]> {
        address.as_link_addr().and_then(LinkAddr::addr)
    };
    let all = getifaddrs().into_iter().flatten();
    all.filter_map(|it| it.address).filter_map(link).any(|own| own == mac)
}

#[cfg(test)]
mod tests;
