//! One takeover of an address: asked for, followed to its end, and read back.

mod order;
#[cfg(test)]
mod tests;

use std::time::Duration;

use hb_ebpf::Nanos;
use tokio::time::timeout;

pub use order::{Claim, MoveError, Moved, Order, Progress, Watch};

use super::http::Http;
use super::pace::{Pacing, Pauses};
use super::provider::{ActionId, ActionState, Answer, Assignment, Failure, InstanceId, Owner, Provider};
use crate::clock::{self, sleep};

/// One takeover under way.
pub(super) struct Mover<'a> {
    provider: &'a dyn Provider,
    pacing: Pacing,
    order: &'a Order,
    /// This host, where it is known already.
    me: Option<InstanceId>,
    watch: &'a Watch,
    begun: Nanos,
    moved: Milestones,
    /// The last thing that went wrong or was waited for.
    last: String,
}

/// What was seen on the way.
#[derive(Debug, Default)]
struct Milestones {
    from: Option<InstanceId>,
    action: Option<ActionId>,
    accepted: Option<Nanos>,
    completed: Option<Nanos>,
}

impl<'a> Mover<'a> {
    pub(super) fn new(
        provider: &'a dyn Provider,
        pacing: Pacing,
        order: &'a Order,
        me: Option<InstanceId>,
        watch: &'a Watch,
    ) -> Self {
        Self {
            provider,
            pacing,
            order,
            me,
            watch,
            begun: clock::now(),
            moved: Milestones::default(),
            last: "nothing was answered".to_owned(),
        }
    }

    /// Already ours? Done. Else it is assigned, followed, and read back.
    pub(super) async fn run(mut self) -> Result<Moved, MoveError> {
        let to = match (&self.order.to, &self.me) {
            (Some(to), _) => to.clone(),
            (None, Some(me)) => me.clone(),
            (None, None) => self.ask(Provider::identity).await?,
        };
        let mut owner = self.ask(Provider::owner).await?;
        self.tell(&Progress::Found {
            owner: owner.clone(),
            at: clock::now(),
        });
        self.moved.from.clone_from(&owner.instance);
        if owner.is(&to) {
            return self.confirm(to).await;
        }
        let mut pauses = Pauses::of_retries(self.pacing.retry);
        // A look at what others do is up to three calls, so that in the long run it is left at longer pauses.
        let mut looks = Pauses::of_looks([self.pacing.poll[0], self.pacing.retry[1]]);
        let mut errors = 0;
        let mut unheard = None;
        loop {
            self.check_claim(&owner, &to)?;
            if owner.is_changing {
                let reason = format!("the address belongs to {owner}");
                self.wait_for_others(&reason, &mut looks).await?;
            } else {
                match self.assign(&to, &owner).await {
                    Ok(assignment) => match self.end(assignment).await? {
                        End::Completed | End::Untold => {
                            if self.verify(&to).await? {
                                return self.confirm(to).await;
                            }
                            // It came to nothing, or was undone by somebody; or it is shown very late.
                            unheard = Some(clock::now());
                        }
                        End::Errored { action, message } => {
                            errors += 1;
                            if errors == self.pacing.errors {
                                return Err(MoveError::Action { action, message });
                            }
                            self.retry(message, pauses.next()).await?;
                        }
                    },
                    Err(Failure::Pending { message, .. }) => {
                        self.wait_for_others(&message, &mut looks).await?;
                    }
                    // What is ours already is refused like what is impossible, and so is what somebody else was faster
                    // with: the owner tells them apart, if late.
                    Err(refused @ Failure::Refused { .. }) => {
                        let now = self.ask(Provider::owner).await?;
                        let is_done_perhaps = unheard.is_some_and(|at| since(at) < self.pacing.settle);
                        if now == owner && !is_done_perhaps {
                            return Err(refused.into());
                        }
                        owner = now;
                        if !owner.is(&to) {
                            self.retry(refused.to_string(), pauses.next()).await?;
                            continue;
                        }
                    }
                    Err(failure) => {
                        if matches!(failure, Failure::Passing { .. }) {
                            unheard = Some(clock::now());
                        }
                        self.wait(failure, &mut pauses).await?;
                    }
                }
            }
            // Whatever was said, it may have been done: by us, or by somebody else.
            owner = self.ask(Provider::owner).await?;
            if owner.is(&to) {
                return self.confirm(to).await;
            }
        }
    }

    fn check_claim(&self, owner: &Owner, to: &InstanceId) -> Result<(), MoveError> {
        let is_fine = match (&self.order.claim, &owner.instance) {
            (Claim::Anybody, _) | (Claim::From(_), None) => true,
            (Claim::From(expected), Some(instance)) => expected.contains(&Some(instance.clone())) || instance == to,
        };
        if is_fine {
            Ok(())
        } else {
            Err(MoveError::Contended { owner: owner.clone() })
        }
    }

    async fn assign(&mut self, to: &InstanceId, from: &Owner) -> Result<Assignment, Failure> {
        let provider = self.provider;
        let assignment = self.call(provider.assign(to, from)).await?;
        let at = clock::now();
        let action = match &assignment {
            Assignment::Accepted(action) => Some(action.clone()),
            Assignment::Begun | Assignment::Done => None,
        };
        self.tell(&Progress::Accepted {
            action: action.clone(),
            at,
        });
        self.moved.accepted = Some(at);
        if assignment == Assignment::Done {
            self.completed(None);
        }
        self.moved.action = action;
        Ok(assignment)
    }

    fn completed(&mut self, action: Option<ActionId>) {
        let at = clock::now();
        self.moved.completed = Some(at);
        self.tell(&Progress::Completed { action, at });
    }

    /// Waits for the end of what was accepted, where the API tells of one.
    async fn end(&mut self, assignment: Assignment) -> Result<End, MoveError> {
        let action = match assignment {
            Assignment::Done => return Ok(End::Completed),
            Assignment::Begun => return Ok(End::Untold),
            Assignment::Accepted(action) => action,
        };
        let end = self.end_of(&action).await?;
        match &end {
            End::Completed => self.completed(Some(action)),
            End::Untold | End::Errored { .. } => {}
        }
        Ok(end)
    }

    async fn end_of(&mut self, action: &ActionId) -> Result<End, MoveError> {
        let provider = self.provider;
        let mut pauses = Pauses::of_looks(self.pacing.poll);
        loop {
            self.last = format!("action {action} is in progress");
            self.pause(pauses.next()).await?;
            match self.ask(|_| provider.progress(action)).await? {
                ActionState::Running => {}
                ActionState::Completed => return Ok(End::Completed),
                ActionState::Untold => return Ok(End::Untold),
                ActionState::Errored(message) => {
                    return Ok(End::Errored {
                        action: action.clone(),
                        message,
                    });
                }
            }
        }
    }

    /// Waits for an action that is under way, whoever began it; where the API does not tell which it is, a while.
    async fn wait_for_others(&mut self, reason: &str, pauses: &mut Pauses) -> Result<(), MoveError> {
        let provider = self.provider;
        let action = match self.call(provider.pending()).await {
            Ok(action) => action,
            Err(failure @ Failure::Unauthorised { .. }) => return Err(failure.into()),
            Err(failure @ Failure::Throttled { .. }) => return self.wait(failure, pauses).await,
            // As good as an API that does not tell: a while.
            Err(failure) => {
                tracing::debug!(%failure, "cannot read what is under way");
                None
            }
        };
        let Some(action) = action else {
            return self
                .retry(format!("a move is under way: {reason}"), pauses.next())
                .await;
        };
        self.retry(format!("action {action} is under way"), pauses.next())
            .await?;
        self.end_of(&action).await.map(drop)
    }

    /// Reads the owner back until it is `to`; `false` where it is not in the end, and the API never said that the move is done.
    async fn verify(&mut self, to: &InstanceId) -> Result<bool, MoveError> {
        let begun = clock::now();
        let mut pauses = Pauses::of_looks(self.pacing.poll);
        loop {
            let owner = self.ask(Provider::owner).await?;
            if owner.is(to) {
                return Ok(true);
            }
            let reason = format!("the address belongs to {owner}");
            if since(begun) > self.pacing.settle {
                if self.moved.completed.is_some() {
                    return Err(MoveError::NotOurs { owner });
                }
                self.retry(reason, pauses.next()).await?;
                return Ok(false);
            }
            self.last = reason;
            self.pause(pauses.next()).await?;
        }
    }

    /// By the API it is `to`'s. Where that is this host, it is asked whether it sees that, too: what the API shows first may not
    /// lead here yet, whether we asked for it now, or a moment ago in another life.
    async fn confirm(mut self, to: InstanceId) -> Result<Moved, MoveError> {
        let is_active = if self.order.to.is_none() {
            self.await_active().await?
        } else {
            None
        };
        Ok(self.arrived(to, is_active))
    }

    /// The API has spoken already: a metadata service that does not answer is no reason to give the address up again.
    async fn await_active(&mut self) -> Result<Option<bool>, MoveError> {
        let begun = clock::now();
        let mut heard = begun;
        let mut pauses = Pauses::of_looks(self.pacing.poll);
        loop {
            let provider = self.provider;
            let answer = self.hear(provider.active()).await;
            let pause = pauses.next();
            let is_over = since(begun) > self.pacing.settle || pause >= self.left();
            let is_unheard = is_over || since(heard) > self.pacing.unheard;
            match answer {
                Ok(Some(true)) => return Ok(Some(true)),
                Ok(None) => return Ok(None),
                Ok(Some(false)) if is_over => return Err(MoveError::NotActive),
                Ok(Some(false)) => {
                    heard = clock::now();
                    "the metadata service does not show the address yet".clone_into(&mut self.last);
                }
                Err(failure) if is_unheard || !failure.is_passing() => {
                    tracing::warn!(%failure, "the metadata service does not say whether the address is here");
                    return Ok(None);
                }
                Err(failure) => self.last = failure.to_string(),
            }
            self.pause(pause).await?;
        }
    }

    fn arrived(self, instance: InstanceId, is_active: Option<bool>) -> Moved {
        let verified = clock::now();
        self.tell(&Progress::Verified { at: verified });
        Moved {
            instance,
            from: self.moved.from,
            action: self.moved.action,
            begun: self.begun,
            accepted: self.moved.accepted,
            completed: self.moved.completed,
            verified,
            is_active,
        }
    }

    /// Asks, and tries again as long as the reason is a passing one.
    async fn ask<'b, T>(&mut self, question: impl Fn(&'b dyn Provider) -> Answer<'b, T>) -> Result<T, MoveError>
    where
        'a: 'b,
    {
        let mut pauses = Pauses::of_retries(self.pacing.retry);
        loop {
            match self.call(question(self.provider)).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.wait(failure, &mut pauses).await?,
            }
        }
    }

    /// One call of the API, which is spared as long as it wants, where there is so much time: else it may let us in before.
    async fn call<T>(&self, answer: Answer<'_, T>) -> Result<T, Failure> {
        let spared = self.provider.api().and_then(Http::throttled);
        match spared.filter(|failure| failure.wait().is_some_and(|wait| wait < self.left())) {
            Some(failure) => Err(failure),
            None => self.hear(answer).await,
        }
    }

    /// One call, cut off where the time is over.
    async fn hear<T>(&self, answer: Answer<'_, T>) -> Result<T, Failure> {
        match timeout(self.left(), answer).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Passing {
                call: "the last call".to_owned(),
                reason: "no answer before the time was over".to_owned(),
            }),
        }
    }

    /// Waits as long as a passing failure wants; another one is returned.
    async fn wait(&mut self, failure: Failure, pauses: &mut Pauses) -> Result<(), MoveError> {
        let pause = match &failure {
            Failure::Unauthorised { .. } | Failure::Refused { .. } | Failure::Setting { .. } => {
                return Err(failure.into());
            }
            Failure::Throttled { wait, .. } => *wait,
            Failure::Pending { .. } | Failure::Passing { .. } => pauses.next(),
        };
        self.retry(failure.to_string(), pause).await
    }

    async fn retry(&mut self, reason: String, pause: Duration) -> Result<(), MoveError> {
        self.last.clone_from(&reason);
        if pause < self.left() {
            self.tell(&Progress::Retrying {
                reason,
                pause,
                at: clock::now(),
            });
        }
        self.pause(pause).await
    }

    /// Sleeps, or fails at once when the time would be over after it.
    async fn pause(&self, pause: Duration) -> Result<(), MoveError> {
        if pause >= self.left() {
            return Err(MoveError::Deadline {
                within: self.order.within,
                last: self.last.clone(),
            });
        }
        sleep(pause).await;
        Ok(())
    }

    fn tell(&self, progress: &Progress) {
        (self.watch)(progress);
    }

    fn left(&self) -> Duration {
        self.order.within.saturating_sub(since(self.begun))
    }
}

/// How an action ended.
enum End {
    Completed,
    Untold,
    Errored { action: ActionId, message: String },
}

fn since(begun: Nanos) -> Duration {
    Duration::from_nanos(clock::now().since(begun).0)
}
