//! One takeover of an address: asked for, followed to its end, and read back.

use std::sync::Arc;
use std::time::Duration;

use hb_ebpf::Nanos;
use tokio::time::timeout;

use super::pace::{Pacing, Pauses};
use super::provider::{ActionId, ActionState, Answer, Assignment, Failure, InstanceId, Owner, Provider};
use crate::clock::{self, sleep};

#[cfg(test)]
mod tests;

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    /// Who is to have the address; `None`: this host.
    pub to: Option<InstanceId>,
    /// From whom it may be taken.
    pub claim: Claim,
    /// How long it may take in all.
    pub within: Duration,
}

/// From whom an address may be taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Claim {
    /// From whoever has it.
    Anybody,
    /// From this one only, or from nobody: whoever has got it since has it for a reason.
    From(Option<InstanceId>),
}

/// An address that was read back as ours, and the times on the way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moved {
    /// Who has it.
    pub instance: InstanceId,
    /// Who had it. The same as `instance`: nothing was to be done.
    pub from: Option<InstanceId>,
    /// The action that moved it, where the API has actions and ours is known.
    pub action: Option<ActionId>,
    /// When it began.
    pub begun: Nanos,
    /// When the API accepted the move; `None` where that was not seen: it was ours already, or the answer was lost.
    pub accepted: Option<Nanos>,
    /// When the API said that it was done; `None` as above, or where it does not tell.
    pub completed: Option<Nanos>,
    /// When the address was read back as ours, and is active here by the metadata service, if that tells.
    pub verified: Nanos,
    /// What the metadata service said at last; `None` where it does not tell, or was not asked.
    pub is_active: Option<bool>,
}

impl Moved {
    /// Whether nothing was to be done.
    #[must_use]
    pub fn was_ours(&self) -> bool {
        self.from.as_ref() == Some(&self.instance)
    }
}

/// What happens on the way, and when.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The owner was read before anything was asked for.
    Found {
        /// Who has it.
        owner: Owner,
        /// When.
        at: Nanos,
    },
    /// The API has accepted the move.
    Accepted {
        /// Its action, where it has actions.
        action: Option<ActionId>,
        /// When.
        at: Nanos,
    },
    /// The API says that the move is done.
    Completed {
        /// Its action, where it has actions.
        action: Option<ActionId>,
        /// When.
        at: Nanos,
    },
    /// The address was read back as ours, and is active here where that can be told.
    Verified {
        /// When.
        at: Nanos,
    },
    /// Something failed for a passing reason, and is tried again.
    Retrying {
        /// The reason.
        reason: String,
        /// The pause before.
        pause: Duration,
        /// When.
        at: Nanos,
    },
}

/// Is told what happens on the way, in the thread in which it happens: it must not wait for anything.
pub type Watch = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Why an address is not ours.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MoveError {
    /// Trying again does not help.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The action was accepted, and then failed, and so did the next ones.
    #[error("action {action} was accepted but ended in an error: {message}")]
    Action {
        /// Its name.
        action: ActionId,
        /// The provider's words.
        message: String,
    },
    /// The move is done, and the address is somebody else's all the same.
    #[error("the move has completed, but the address belongs to {owner}")]
    NotOurs {
        /// Whose it is.
        owner: Owner,
    },
    /// The API says that the address is ours, and the metadata service that it is not here.
    #[error("the API says that the address is ours, but the metadata service says that it is not active here")]
    NotActive,
    /// Somebody else has it than was seen last.
    #[error("the address belongs to {owner}, which was not its owner when it was last seen: not taken")]
    Contended {
        /// Whose it is.
        owner: Owner,
    },
    /// The time is over.
    #[error("not assigned within {} s; last: {last}", .within.as_secs_f32())]
    Deadline {
        /// The time there was.
        within: Duration,
        /// The last thing that went wrong or was waited for.
        last: String,
    },
}

/// One takeover under way.
pub(super) struct Mover<'a> {
    pub(super) provider: &'a dyn Provider,
    pub(super) pacing: Pacing,
    pub(super) order: &'a Order,
    /// This host, where it is known already.
    pub(super) me: Option<InstanceId>,
    pub(super) watch: &'a Watch,
    pub(super) begun: Nanos,
    pub(super) moved: Milestones,
    /// The last thing that went wrong or was waited for.
    pub(super) last: String,
}

/// What was seen on the way.
#[derive(Debug, Default)]
pub(super) struct Milestones {
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
            return Ok(self.arrived(to, None));
        }
        let mut pauses = Pauses::new(self.pacing.retry);
        let mut errors = 0;
        loop {
            self.check_claim(&owner, &to)?;
            if owner.is_changing {
                self.wait_for_others(&mut pauses).await?;
            } else {
                match self.assign(&to, &owner).await {
                    Ok(Assignment::Done) => return self.verify(to).await,
                    Ok(Assignment::Accepted(action)) => match self.follow(&action).await? {
                        End::Completed | End::Untold => return self.verify(to).await,
                        End::Errored(message) => {
                            errors += 1;
                            if errors == self.pacing.errors {
                                return Err(MoveError::Action { action, message });
                            }
                            self.retry(message, pauses.next()).await?;
                        }
                    },
                    Err(Failure::Pending { message, .. }) => {
                        self.last = message;
                        self.wait_for_others(&mut pauses).await?;
                    }
                    // What is ours already is refused like what is impossible, and so is what somebody else was faster
                    // with: the owner tells them apart.
                    Err(refused @ Failure::Refused { .. }) => {
                        let now = self.ask(Provider::owner).await?;
                        if now == owner {
                            return Err(refused.into());
                        }
                        owner = now;
                        if owner.is(&to) {
                            return self.verify(to).await;
                        }
                        self.retry(refused.to_string(), pauses.next()).await?;
                        continue;
                    }
                    Err(failure) => self.wait(failure, &mut pauses).await?,
                }
            }
            // Whatever was said, it may have been done: by us, or by somebody else.
            owner = self.ask(Provider::owner).await?;
            if owner.is(&to) {
                return self.verify(to).await;
            }
        }
    }

    fn check_claim(&self, owner: &Owner, to: &InstanceId) -> Result<(), MoveError> {
        let is_fine = match (&self.order.claim, &owner.instance) {
            (Claim::Anybody, _) | (Claim::From(_), None) => true,
            (Claim::From(expected), Some(instance)) => expected.as_ref() == Some(instance) || instance == to,
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
            Assignment::Done => None,
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

    /// Waits for the end of our action.
    async fn follow(&mut self, action: &ActionId) -> Result<End, MoveError> {
        let end = self.end_of(action).await?;
        match &end {
            End::Completed => self.completed(Some(action.clone())),
            End::Untold | End::Errored(_) => {}
        }
        Ok(end)
    }

    async fn end_of(&mut self, action: &ActionId) -> Result<End, MoveError> {
        let provider = self.provider;
        let mut pauses = Pauses::new(self.pacing.poll);
        loop {
            self.last = format!("action {action} is in progress");
            self.pause(pauses.next()).await?;
            match self.ask(|_| provider.progress(action)).await? {
                ActionState::Running => {}
                ActionState::Completed => return Ok(End::Completed),
                ActionState::Untold => return Ok(End::Untold),
                ActionState::Errored(message) => return Ok(End::Errored(message)),
            }
        }
    }

    /// Waits for an action that is under way, whoever began it; where the API does not tell which it is, a while.
    async fn wait_for_others(&mut self, pauses: &mut Pauses) -> Result<(), MoveError> {
        let action = self.ask(Provider::pending).await?;
        let Some(action) = action else {
            let reason = std::mem::take(&mut self.last);
            return self
                .retry(format!("a move is under way: {reason}"), pauses.next())
                .await;
        };
        self.retry(format!("action {action} is under way"), self.pacing.poll[0])
            .await?;
        self.end_of(&action).await.map(drop)
    }

    /// Reads the owner back until it is `to`, and then asks the metadata service.
    async fn verify(mut self, to: InstanceId) -> Result<Moved, MoveError> {
        let begun = clock::now();
        let mut pauses = Pauses::new(self.pacing.poll);
        loop {
            let owner = self.ask(Provider::owner).await?;
            if owner.is(&to) {
                break;
            }
            // Where the API does not tell when it is done, only the time given is the limit.
            if self.moved.completed.is_some() && since(begun) > self.pacing.settle {
                return Err(MoveError::NotOurs { owner });
            }
            self.last = format!("the address belongs to {owner}");
            self.pause(pauses.next()).await?;
        }
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
        let mut pauses = Pauses::new(self.pacing.poll);
        loop {
            let provider = self.provider;
            let answer = self.call(provider.active()).await;
            let pause = pauses.next();
            let is_over = since(begun) > self.pacing.settle || pause >= self.left();
            match answer {
                Ok(Some(true)) => return Ok(Some(true)),
                Ok(None) => return Ok(None),
                Ok(Some(false)) if is_over => return Err(MoveError::NotActive),
                Ok(Some(false)) => "the metadata service does not show the address yet".clone_into(&mut self.last),
                Err(failure) if is_over || !failure.is_passing() => {
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
        let mut pauses = Pauses::new(self.pacing.retry);
        loop {
            match self.call(question(self.provider)).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.wait(failure, &mut pauses).await?,
            }
        }
    }

    /// One call, cut off where the time is over.
    async fn call<T>(&self, answer: Answer<'_, T>) -> Result<T, Failure> {
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
    Errored(String),
}

fn since(begun: Nanos) -> Duration {
    Duration::from_nanos(clock::now().since(begun).0)
}
