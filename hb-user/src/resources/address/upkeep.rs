//! What happens to an address while it is here: it is looked for every so often, and whoever else uses it is told of.

use std::sync::{Arc, Weak};
use std::time::Duration;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::LinkAddr;
use tokio::task::AbortHandle;

use super::book::{Findings, Held, Probe, Twin};
use super::order::{Answer, Heard, Task};
use super::{Hands, Inner, PlaceError, Ready, Shared, explain};
use crate::clock;
use crate::config::{Address, ConflictPolicy};

/// A question is asked so often within the time that an answer is waited for: a frame may be lost.
const QUESTIONS: u32 = 3;

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
        self.lock().deadtime = hb_ebpf::Nanos(u64::try_from(deadtime.as_nanos()).unwrap_or(u64::MAX));
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
            Err(error) => return self.miss(held, crate::cli::causes(&error)),
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
        if answer.is_quiet {
            return;
        }
        let is_told = tells && answer.was_here == Ok(true);
        if is_told || !tells {
            self.see(held, &ready, is_told);
        }
        let is_unknown = self.lock().entry(address).findings.probe == Probe::Unknown;
        // Of one that was removed meanwhile nobody was asked.
        let is_asked = answer.asked.is_some() && unasked(&ready, &answer).is_none();
        if is_unknown && upkeep.listens && answer.was_here.is_ok() && is_asked {
            self.await_verdict(address, asked, None);
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
            entry.findings.probe = Probe::Waiting;
            (entry.key, book.settings.probe, book.upkeep())
        };
        let since = clock::now();
        let mut unknown = None;
        for _ in 0..QUESTIONS {
            // For all of it from now on, so that no moment between two questions is left out.
            let until = hb_ebpf::Nanos(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
            let until = clock::now().saturating_add(until);
            let task = Task::Probe { until };
            let answer = self.0.thread.order(task, key, &ready.prepared, upkeep).await;
            unknown = unasked(ready, &answer.map_err(|error| error.to_string())?);
            if unknown.is_some() {
                break;
            }
            if let Some((twin, what)) = self.twin_within(address, since, wait / QUESTIONS).await {
                let (ip, interface) = (address.ip, &ready.plan.interface);
                return Err(format!(
                    "{ip} is {what} on {interface} by {} (hb.toml: address.conflict is refuse)",
                    twin.shown()
                ));
            }
        }
        let mut book = self.lock();
        book.entry(address).findings.probe = if let Some(reason) = unknown {
            tell_unknown(address, &reason)
        } else {
            tracing::debug!(address = %address.ip, "nobody else has it");
            Probe::Free
        };
        Ok(())
    }

    /// Who uses an address, or is about to, as far as that is heard from a moment on, within a time; and which of them.
    async fn twin_within(
        &self,
        address: &Address,
        since: hb_ebpf::Nanos,
        wait: Duration,
    ) -> Option<(Twin, &'static str)> {
        let listening = async {
            loop {
                let heard = self.0.shared.heard.notified();
                let found = {
                    let mut book = self.lock();
                    let entry = book.entry(address);
                    let all = [(entry.twin, "in use"), (entry.rival, "asked for")];
                    let mut all = all.into_iter().filter_map(|(twin, what)| Some((twin?, what)));
                    all.find(|(twin, _)| twin.at >= since)
                };
                if let Some(found) = found {
                    return found;
                }
                heard.await;
            }
        };
        tokio::time::timeout(wait, listening).await.ok()
    }

    /// Beside a takeover: what comes within the time is the verdict; none, where it is not known whether others were asked.
    pub(super) fn await_verdict(&self, address: &Address, since: hb_ebpf::Nanos, unknown: Option<String>) {
        let wait = {
            let mut book = self.lock();
            let findings = &mut book.entry(address).findings;
            if let Some(reason) = unknown {
                findings.probe = tell_unknown(address, &reason);
                return;
            }
            findings.probe = Probe::Waiting;
            book.settings.probe
        };
        let (weak, address) = (Arc::downgrade(&self.0), address.clone());
        tokio::spawn(async move {
            clock::sleep(wait).await;
            let Some(inner) = weak.upgrade() else { return };
            let mut book = inner.shared.lock();
            let entry = book.entry(&address);
            let is_free = entry.twin.is_none_or(|twin| twin.at < since);
            if entry.findings.probe == Probe::Waiting && is_free {
                entry.findings.probe = Probe::Free;
                tracing::info!(address = %address.ip, "nobody else has it");
            }
        });
    }

    /// Whether others that use an address are asked for beside its takeover, and whether before.
    pub(super) fn conflict_policy(&self) -> ConflictPolicy {
        self.lock().settings.conflict
    }
}

/// Somebody else uses an address: unless it is this host by another interface, which hears its own announcements where both are
/// on one network, that is told.
pub(super) fn heard(shared: &Arc<Shared>, heard: Heard) {
    let shared = shared.clone();
    // Asking the kernel for its interfaces may take as long as somebody else holds its lock.
    tokio::task::spawn_blocking(move || {
        let Heard { key, mac, is_probe, at } = heard;
        if is_ours(mac) {
            return;
        }
        let twin = Twin { mac, at };
        if is_probe {
            if let Some(address) = shared.lock().contest(key, twin) {
                tracing::warn!(address = %address.ip, mac = twin.shown(), "another machine is about to take it, too");
            }
        } else if let Some((address, entry)) = shared.lock().claim(key, twin) {
            let (ip, here, mac) = (address.ip, entry.used.is_some(), twin.shown());
            tracing::error!(address = %ip, %mac, here, "is in use by another machine");
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

fn tell_unknown(address: &Address, reason: &str) -> Probe {
    tracing::warn!(address = %address.ip, reason, "it is not known whether another machine has it");
    Probe::Unknown
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
