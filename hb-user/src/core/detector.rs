//! Is a peer alive? One detector a peer, fed with what its links heard last.
//!
//! The peer is up while its beats come and echo our incarnation; it is dead when none came for the deadtime. The
//! detector is asked when its deadline is reached, not when a beat arrives.

use hb_ebpf::beat::{Echo, Groups, MAX_GROUPS};
use hb_ebpf::{Heard, Incarnation, Nanos, Sequence};
use serde::{Deserialize, Serialize};

use super::GroupState;
use super::mutation::{Mutation, is_mutated};

/// How long a silence means what.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Timing {
    /// The silence after which a peer is dead.
    pub deadtime: Nanos,
    /// The silence that is worth a warning.
    pub warntime: Nanos,
    /// The silence after our own start after which a peer that we never met is dead.
    pub initdead: Nanos,
}

/// A moment at which the pulse thread looks: when it is, and when it should have been.
#[derive(Clone, Copy, Debug)]
pub struct Wake {
    /// Now.
    pub now: Nanos,
    /// When the thread had asked to be woken; later than now if something else woke it.
    pub planned: Nanos,
    /// The low 32 bits of the sequence of our own newest beat.
    pub sent: u32,
    /// Whether of several peers that were up not one has been heard for half a deadtime: then it may be us.
    pub alone: bool,
}

impl Wake {
    /// How late the thread is.
    #[must_use]
    pub fn lateness(&self) -> Nanos {
        self.now.since(self.planned)
    }

    /// Whether we were stopped for so long that others may have declared us dead meanwhile: since our last beat, which
    /// left an interval before we meant to wake, or later.
    #[must_use]
    pub fn was_frozen(&self, deadtime: Nanos, interval: Nanos) -> bool {
        self.lateness().saturating_add(interval) > deadtime
    }
}

/// For how long a node says nothing that was frozen: until it has heard every peer that beats, which takes an interval, and
/// for less than a deadtime. A peer that was frozen with it, such as by a hypervisor, gives it a deadtime from then to be heard.
#[must_use]
pub fn hush(deadtime: Nanos, interval: Nanos) -> Nanos {
    if is_mutated(Mutation::KeepsQuiet) {
        return deadtime;
    }
    Nanos(deadtime.0.midpoint(interval.0))
}

/// A silence that the kernel found: it was listening all the time, whatever we were doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Witnessed {
    /// The beat after which it began.
    pub last_seen: Nanos,
    /// When the next one had to be here.
    pub deadline: Nanos,
    /// When it was found.
    pub found: Nanos,
}

/// Why a peer got a deadtime more.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Graced {
    /// We were so late ourselves, and had not heard it meanwhile.
    Late(Nanos),
    /// All peers fell silent at once.
    Alone,
}

/// The silence that was taken for a death.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Silence {
    /// The newest beat; `None` if we never met.
    pub last_seen: Option<Nanos>,
    /// When the next one had to be here.
    pub deadline: Nanos,
    /// When it was found that it was not.
    pub detected: Nanos,
    /// Whether it was the kernel that found it, and not we.
    pub witnessed: bool,
    /// Whether the peer had got a deadtime more before.
    pub graced: Option<Graced>,
}

/// What became of a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It hears us and we hear it; or it did already, and says something else than before.
    Up(Heard),
    /// It is silent.
    Dead(Silence),
}

/// What one look found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Findings {
    /// A change, if there is one.
    pub change: Option<Change>,
    /// A time between two beats beyond the warntime.
    pub late_beat: Option<Nanos>,
    /// The silence may be ours: the peer gets a whole deadtime from now.
    pub graced: Option<Graced>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Phase {
    /// Not met since we started.
    Unmet,
    Up,
    Dead,
}

/// We promised to be away until a time, and to count nobody as gone before it: until the peer has heard that we are back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Away {
    until: Nanos,
    /// The last of our beats that said so.
    sequence: u32,
}

/// Watches one peer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Detector {
    timing: Timing,
    /// Our own incarnation as peers echo it.
    own: u32,
    phase: Phase,
    deadline: Nanos,
    /// The deadline before it was put off.
    promised: Nanos,
    /// The newest beat of any incarnation that we looked at.
    newest: Option<Heard>,
    /// What the peer echoed last, and when that was new.
    echo: (u32, Nanos),
    /// The last beat that was told as a change, and the last that was taken in; while the peer is up.
    told: Option<Heard>,
    taken: Option<Heard>,
    /// What we echo.
    echoed: Echo,
    /// After a death the peer has to echo a later beat than this one: what it heard before says nothing of now.
    forget: Option<u32>,
    /// Whether our beats reached the peer, as last reported.
    heard_us: bool,
    /// The present silence had its extra deadtime, and why if it was for our own sake.
    graced: bool,
    grace: Option<Graced>,
    away: Option<Away>,
    /// Beats may have come that we did not look at.
    has_missed: bool,
    /// See [`Detector::had`].
    #[serde(default)]
    had: Groups,
}

impl Detector {
    /// A detector of a daemon that starts now, as `own`.
    #[must_use]
    pub fn new(timing: Timing, own: Incarnation, now: Nanos) -> Self {
        Self {
            timing,
            own: own.low(),
            phase: Phase::Unmet,
            deadline: now.saturating_add(timing.initdead),
            promised: now.saturating_add(timing.initdead),
            newest: None,
            echo: (0, Nanos(0)),
            told: None,
            taken: None,
            echoed: Echo::default(),
            forget: None,
            heard_us: false,
            graced: false,
            grace: None,
            away: None,
            has_missed: false,
            had: Groups::default(),
        }
    }

    /// Goes on with other times: a deadline under way moves with them, but not forward.
    pub fn set_timing(&mut self, timing: Timing) {
        let moved =
            |old: Nanos, new: Nanos, deadline: Nanos| Nanos(deadline.0.saturating_sub(old.0)).saturating_add(new);
        let old = self.timing;
        let (phase, newest) = (self.phase, self.newest);
        let put = |deadline: Nanos| match phase {
            Phase::Unmet => moved(old.initdead, timing.initdead, deadline),
            // The peer counts on what held when we heard it.
            Phase::Up | Phase::Dead => {
                let patience = |deadtime| newest.map_or(deadtime, |heard| heard.patience(deadtime));
                deadline.max(moved(patience(old.deadtime), patience(timing.deadtime), deadline))
            }
        };
        self.deadline = put(self.deadline);
        self.promised = put(self.promised);
        self.timing = timing;
    }

    /// When to look at the latest. A peer that is dead has no deadline.
    #[must_use]
    pub fn deadline(&self) -> Nanos {
        let until = self.away.map_or(Nanos(0), |away| away.until);
        match self.phase {
            Phase::Unmet | Phase::Up => self.deadline.max(until),
            Phase::Dead => Nanos::MAX,
        }
    }

    /// Our beat `sequence` (its low 32 bits) promises that we are away until this time at the latest. A peer that hears it
    /// relies on our counting nobody as gone before, so it is not dead for us until then, or until it has heard a later
    /// beat, and we nothing for its deadtime.
    pub fn promise(&mut self, until: Nanos, sequence: u32) {
        self.away = Some(Away { until, sequence });
    }

    /// Goes on in another process: what came while that began was not looked at, and perhaps not heard. As after any lateness of
    /// ours, the peer gets a whole deadtime from now.
    pub fn go_on(&mut self, now: Nanos) {
        self.has_missed = true;
        self.put_off(now);
    }

    /// By how much longer than a deadtime the peer's newest beat makes us patient: it is about to restart.
    #[must_use]
    pub fn stretch(&self) -> Nanos {
        let deadtime = self.timing.deadtime;
        self.newest
            .map_or(Nanos(0), |heard| heard.patience(deadtime).since(deadtime))
    }

    /// Whether the peer counts as alive.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// The newest beat of the peer.
    #[must_use]
    pub fn newest(&self) -> Option<&Heard> {
        self.newest.as_ref()
    }

    /// What our beats to the peer echo: the newest of its beats that was heard and, while the peer is up, taken in.
    ///
    /// A beat that says nothing new is taken in by being heard. One with news waits until [`Detector::take_in`]: its echo
    /// tells the peer that we decide nothing any more without knowing them.
    #[must_use]
    pub fn echo(&self) -> Echo {
        self.echoed
    }

    /// Whoever decides knows the news of the peer's beat `sequence` now. True if they are news: the peer is waiting for
    /// an answer.
    pub fn take_in(&mut self, sequence: Sequence) -> bool {
        let Some(told) = self.told.filter(|told| told.sequence == sequence) else {
            return false;
        };
        let is_news = self.taken.replace(told).is_none_or(|before| says_other(&before, &told));
        self.had = Groups::default();
        self.echoed = echo_of(&told);
        self.advance_echo();
        is_news
    }

    /// What the peer had, by its beats between its death and its being up again, in the states in which it was last heard to have
    /// it, or to run it before it let go. It may have let go of that in the moment in which it met us, and whoever decides is to know that it had it. Until
    /// that is taken in.
    #[must_use]
    pub fn had(&self) -> Groups {
        self.had
    }

    /// Whether our own beats reached the peer lately, by what it echoes.
    #[must_use]
    pub fn hears_us(&self, now: Nanos) -> bool {
        // While it restarts it echoes nothing new, as it said.
        let lately = Nanos(self.timing.deadtime.0 / 2).max(self.longer_promise());
        self.echoes_us() && now.since(self.echo.1) < lately
    }

    /// Whether the peer has confirmed that it heard our beat `sequence` (its low 32 bits) or a later one.
    #[must_use]
    pub fn has_confirmed(&self, sequence: u32) -> bool {
        self.echoes_us() && !is_later(sequence, self.echo.0)
    }

    /// The newest of our beats that the peer has echoed, by its low 32 bits.
    #[must_use]
    pub fn confirmed(&self) -> Option<u32> {
        self.echoes_us().then_some(self.echo.0)
    }

    /// Looks at what each link heard last, and at the last silence that the kernel found, if it looks for any.
    pub fn look(&mut self, links: impl Iterator<Item = Heard>, witnessed: Option<Witnessed>, wake: Wake) -> Findings {
        let mut findings = Findings::default();
        if let Some(heard) = links.reduce(newer) {
            self.take(&heard, wake, &mut findings);
        }
        self.redeem();
        let witnessed = witnessed.filter(|witnessed| self.is_about_now(witnessed, wake.now));
        if witnessed.is_none() {
            self.forgive_lateness(wake, &mut findings);
        }
        let is_over = witnessed.is_some() || wake.now >= self.deadline();
        if is_over && !self.forgive_being_alone(wake, &mut findings) {
            self.expire(witnessed, wake, &mut findings);
        }
        self.keep_in_range(wake.sent);
        if let (Phase::Up, Some(newest)) = (self.phase, self.newest)
            && self.heard_us != self.hears_us(wake.now)
        {
            self.heard_us = !self.heard_us;
            findings.change = Some(Change::Up(newest));
        }
        if let Some(Change::Up(heard)) = findings.change {
            self.told = Some(heard);
        }
        self.advance_echo();
        findings
    }

    /// The machine was suspended for so long, until now: nobody can have been heard, and our clock, which stood still, does not
    /// tell. Whoever is not dead gets a whole deadtime.
    pub fn resume(&mut self, missed: Nanos, now: Nanos) {
        if self.put_off(now) {
            self.promised = self.deadline;
            self.grace = Some(Graced::Late(missed));
        }
    }

    /// Tells the peer's newest beat once more, although it says nothing new.
    pub fn tell_again(&mut self) -> Option<Heard> {
        self.told = self.newest.filter(|_| self.phase == Phase::Up);
        self.told
    }

    fn advance_echo(&mut self) {
        let Some(newest) = self.newest else { return };
        let is_taken_in = match self.phase {
            Phase::Unmet | Phase::Dead => true,
            Phase::Up => self.taken.is_some_and(|taken| !says_other(&taken, &newest)),
        };
        if is_taken_in {
            self.echoed = echo_of(&newest);
        }
    }

    fn take(&mut self, heard: &Heard, wake: Wake, findings: &mut Findings) {
        // A map that begins anew, as after a restart, may be told old beats once more.
        let is_new = self
            .newest
            .is_none_or(|newest| heard.is_newer_than(newest.incarnation, newest.sequence, newest.seen));
        if !is_new {
            return;
        }
        let before = self.newest.replace(*heard);
        // Of beats that came while we were stopped we see the last only: that is no gap of the peer's.
        let has_missed = std::mem::take(&mut self.has_missed) || wake.lateness() > self.too_late();
        if let Some(before) = before.filter(|before| before.incarnation == heard.incarnation)
            && !has_missed
        {
            let patience = before.patience(self.timing.warntime);
            findings.late_beat = Some(heard.seen.since(before.seen)).filter(|gap| *gap > patience);
        }
        if self.phase == Phase::Dead {
            // By another configuration its groups are others.
            let of_now = |before: &Heard| (before.incarnation, before.digest) == (heard.incarnation, heard.digest);
            let is_same = before.as_ref().is_some_and(of_now);
            self.had = held(heard.groups, if is_same { self.had } else { Groups::default() });
        }
        if !self.echoes_us() {
            // It lives, and takes part once it has heard us: while that is under way it must not die for us, because
            // it may hear from us already that nobody has its groups.
            if before.is_none_or(|before| before.incarnation != heard.incarnation) {
                self.put_off(wake.now);
            }
            return;
        }
        if heard.echo.sequence != self.echo.0 || before.is_none_or(|before| before.echo.incarnation != self.own) {
            self.echo = (heard.echo.sequence, heard.seen);
        }
        let deadline = heard.seen.saturating_add(heard.patience(self.timing.deadtime));
        let is_met = self.forget.is_none_or(|forget| is_later(heard.echo.sequence, forget));
        if self.phase != Phase::Up && (deadline <= wake.now || !is_met) {
            return;
        }
        self.forget = None;
        self.promised = deadline;
        // A deadline that was put off is not brought forward by the beat that we were late to see.
        self.deadline = if self.graced {
            deadline.max(self.deadline)
        } else {
            deadline
        };
        self.graced = false;
        self.grace = None;
        if self.phase != Phase::Up || before.is_none_or(|before| says_other(&before, heard)) {
            findings.change = Some(Change::Up(*heard));
        }
        self.phase = Phase::Up;
    }

    /// Whether the kernel found the silence that is going on, of a peer that is up, and at no earlier deadline than ours.
    fn is_about_now(&self, witnessed: &Witnessed, now: Nanos) -> bool {
        let newest = self.newest.filter(|_| self.phase == Phase::Up && self.echoes_us());
        newest.is_some_and(|newest| newest.seen == witnessed.last_seen)
            && witnessed.deadline >= self.promised
            // What we have promised the kernel does not know.
            && self.away.is_none_or(|away| away.until <= now)
            // Being alone is not about who looks, but about who can be heard.
            && self.grace != Some(Graced::Alone)
    }

    /// While we were stopped, nothing may have been received either, and the silence may be ours. A beat that came
    /// meanwhile shows that the kernel was listening; and where the kernel itself looks for silences, it knows.
    fn forgive_lateness(&mut self, wake: Wake, findings: &mut Findings) {
        let heard = self.newest.filter(|_| self.echoes_us()).map(|heard| heard.seen);
        let unwatched = wake
            .now
            .since(heard.map_or(wake.planned, |seen| seen.max(wake.planned)));
        if unwatched > self.too_late() && self.put_off(wake.now) {
            self.grace = Some(Graced::Late(wake.lateness()));
            findings.graced = self.grace;
        }
    }

    /// That all peers die at once is less likely than that we are cut off, or were stopped unnoticed. True if the peer gets
    /// more time therefore.
    fn forgive_being_alone(&mut self, wake: Wake, findings: &mut Findings) -> bool {
        let is_forgiven = wake.alone && self.phase == Phase::Up && self.put_off(wake.now);
        if is_forgiven {
            self.grace = Some(Graced::Alone);
            findings.graced = self.grace;
        }
        is_forgiven
    }

    /// Gives the peer a whole deadtime from now, once a silence. False if it had that, or has more time anyway.
    fn put_off(&mut self, now: Nanos) -> bool {
        let deadline = now.saturating_add(self.timing.deadtime);
        if self.graced || deadline <= self.deadline() {
            return false;
        }
        self.graced = true;
        self.deadline = deadline;
        true
    }

    /// Once the peer knows that we are back, it does not rely on our promise any more.
    fn redeem(&mut self) {
        let echo = self.confirmed();
        self.away = self
            .away
            .filter(|away| echo.is_none_or(|echo| !is_later(echo, away.sequence)));
    }

    fn expire(&mut self, witnessed: Option<Witnessed>, wake: Wake, findings: &mut Findings) {
        findings.change = Some(Change::Dead(Silence {
            last_seen: self.newest.filter(|_| self.phase == Phase::Up).map(|heard| heard.seen),
            deadline: witnessed.map_or(self.deadline(), |witnessed| witnessed.deadline),
            detected: witnessed.map_or(wake.now, |witnessed| witnessed.found),
            witnessed: witnessed.is_some(),
            graced: self.grace,
        }));
        self.phase = Phase::Dead;
        self.away = None;
        self.forget = Some(wake.sent);
        self.heard_us = false;
        self.graced = false;
        self.grace = None;
        self.told = None;
        self.taken = None;
    }

    /// What we have forgotten long ago stays comparable: 32 bits put only half their range in order.
    fn keep_in_range(&mut self, sent: u32) {
        const RANGE: u32 = 1 << 30;
        self.forget = self.forget.map(|forget| {
            if sent.wrapping_sub(forget) > RANGE {
                sent.wrapping_sub(RANGE)
            } else {
                forget
            }
        });
    }

    /// Our own lateness from which on a silence may be ours.
    fn too_late(&self) -> Nanos {
        Nanos(self.timing.deadtime.0 / 4)
    }

    /// What the peer's newest beat promises beyond a deadtime; 0 where it promises no more than that.
    fn longer_promise(&self) -> Nanos {
        match self.stretch() {
            Nanos(0) => Nanos(0),
            stretch => stretch.saturating_add(self.timing.deadtime),
        }
    }

    fn echoes_us(&self) -> bool {
        self.newest.is_some_and(|heard| heard.echo.incarnation == self.own)
    }
}

/// The newer of two links' beats.
fn newer(a: Heard, b: Heard) -> Heard {
    if b.is_newer_than(a.incarnation, a.sequence, a.seen) {
        b
    } else {
        a
    }
}

/// Whether sequence `a` comes after `b`, of both the low 32 bits.
fn is_later(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

fn echo_of(heard: &Heard) -> Echo {
    Echo {
        incarnation: heard.incarnation.low(),
        sequence: heard.sequence.low(),
    }
}

/// Whether two beats differ in what ownership depends on.
fn says_other(a: &Heard, b: &Heard) -> bool {
    let said = |heard: &Heard| (heard.status(), heard.maintenance(), heard.pings());
    a.incarnation != b.incarnation
        || said(a) != said(b)
        || a.groups != b.groups
        || a.present != b.present
        || a.digest != b.digest
        || a.echo.incarnation != b.echo.incarnation
}

/// What is held by these, and by those before in place of what is not any more. What ran and is being stopped ran.
fn held(groups: Groups, before: Groups) -> Groups {
    let state = |groups: Groups, index| GroupState::from_bits(groups.get(index));
    (0..MAX_GROUPS).fold(Groups::default(), |all, index| {
        let (now, last) = (state(groups, index), state(before, index));
        let is_newer = now.is_held() && !(now == GroupState::Releasing && last.runs());
        all.with(index, if is_newer { groups } else { before }.get(index))
    })
}

#[cfg(test)]
mod tests;
