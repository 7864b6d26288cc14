//! What a provider of floating IPs can be asked, whichever it is, and in which ways it fails.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::http::Http;
pub use crate::config::InstanceId;
use crate::config::cloud::is_id;

/// What a provider's call returns. No call outlives its own time limit.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// One floating IP at its provider. A call is made once: trying again is for who called.
pub(super) trait Provider: fmt::Debug + Send + Sync {
    /// Who this host is for the provider: a fixed id, or what the metadata service says.
    fn identity(&self) -> Answer<'_, InstanceId>;

    /// Who this host is by the metadata service where hb.toml fixes an id, which should be the same; `None` where it fixes
    /// none.
    fn named(&self) -> Answer<'_, Option<InstanceId>>;

    /// Who has the address.
    fn owner(&self) -> Answer<'_, Owner>;

    /// Gives the address to an instance. `from` is whose it was a moment ago, for an API in which it has to be taken away
    /// first, or which can refuse when somebody else has been faster.
    ///
    /// A failure that is not [`without_effect`](Failure::without_effect) may have done it all the same.
    fn assign<'a>(&'a self, to: &'a InstanceId, from: &'a Owner) -> Answer<'a, Assignment>;

    /// How an action stands that [`assign`](Self::assign) or [`pending`](Self::pending) told of.
    fn progress<'a>(&'a self, action: &'a ActionId) -> Answer<'a, ActionState>;

    /// The action that is under way on the address, whoever began it; `None` where there is none, or the API cannot tell.
    fn pending(&self) -> Answer<'_, Option<ActionId>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Whether the address leads to this host, by what the host itself is told; `None` where the metadata service tells
    /// nothing of that.
    fn active(&self) -> Answer<'_, Option<bool>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Asks whether the instance could be given the address now, without doing it; `false` where the API has no such
    /// question.
    fn rehearse<'a>(&'a self, _to: &'a InstanceId) -> Answer<'a, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// The way to the API, which all addresses of the account share: when it was heard, and what it said of how many requests it
    /// takes. A provider in memory has none.
    fn api(&self) -> Option<&Http>;
}

/// Who has an address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Owner {
    /// The instance; `None`: nobody.
    pub instance: Option<InstanceId>,
    /// An action on the address is under way, which may change that.
    pub is_changing: bool,
}

impl Owner {
    /// Whether it is this instance's, and stays so.
    #[must_use]
    pub fn is(&self, instance: &InstanceId) -> bool {
        self.instance.as_ref() == Some(instance) && !self.is_changing
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance {
            Some(instance) => write!(f, "{instance}")?,
            None => f.write_str("nobody")?,
        }
        if self.is_changing {
            f.write_str(", and is being moved")?;
        }
        Ok(())
    }
}

/// What came of asking for an assignment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Assignment {
    /// It was accepted, and is done when this action has completed.
    Accepted(ActionId),
    /// It was accepted, and only the owner tells when it is done.
    Begun,
    /// The API says that it is done.
    Done,
}

/// A provider's name for an action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ActionId(String);

impl ActionId {
    /// Takes what can be an id: letters, digits and hyphens.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        is_id(text).then(|| Self(text.to_owned()))
    }

    /// As it is written in requests.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u64> for ActionId {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an action stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ActionState {
    /// Under way.
    Running,
    /// It has come to its good end.
    Completed,
    /// It has failed; the provider's words.
    Errored(String),
    /// The API accepted it, and knows nothing of it now, as `DigitalOcean`'s of addresses that its user brought along:
    /// only the owner tells.
    Untold,
}

/// Why a call failed. What is unknown is never taken for "not mine": an owner that could not be read is one of these.
///
/// Words of the provider's are cut and cleaned; no variant ever holds a token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Somebody's action on the address or the instance is under way: to be waited out. This call had no effect.
    #[error("{call}: {message}")]
    Pending {
        /// What was asked for: `POST /v2/...`.
        call: String,
        /// The provider's words.
        message: String,
    },
    /// Too many requests: to be left alone for a while. This call had no effect.
    #[error("{call}: too many requests, to be left alone for {:.1} s: {message}", wait.as_secs_f32())]
    Throttled {
        /// What was asked for.
        call: String,
        /// The provider's words.
        message: String,
        /// For how long, as it said or as is usual.
        wait: Duration,
    },
    /// 401, 403: the credentials are no good, or not good for this. Trying again does not help.
    #[error("{call}: access refused ({status}: {message}): {hint}")]
    Unauthorised {
        /// What was asked for.
        call: String,
        /// The HTTP status.
        status: u16,
        /// The provider's words.
        message: String,
        /// What the credentials must be good for.
        hint: &'static str,
    },
    /// 404, 422 and every other answer that trying again does not change. This call had no effect.
    #[error("{call}: refused ({status}): {message}")]
    Refused {
        /// What was asked for.
        call: String,
        /// The HTTP status.
        status: u16,
        /// The provider's words.
        message: String,
    },
    /// Trying again may help: 5xx, a timeout, a connection reset, a reply that is none. What was asked for may have been
    /// done all the same.
    #[error("{call}: {reason}")]
    Passing {
        /// What was asked for.
        call: String,
        /// What happened.
        reason: String,
    },
    /// A setting is at fault, before anything is sent: a token file that cannot be read.
    #[error("{reason}")]
    Setting {
        /// Which, and what is wrong with it.
        reason: String,
    },
}

impl Failure {
    /// The same failure of a call that has a better name than its path.
    pub(super) fn named(mut self, name: &str) -> Self {
        match &mut self {
            Self::Pending { call, .. }
            | Self::Throttled { call, .. }
            | Self::Unauthorised { call, .. }
            | Self::Refused { call, .. }
            | Self::Passing { call, .. } => name.clone_into(call),
            Self::Setting { .. } => {}
        }
        self
    }

    /// Whether nothing was done for certain.
    #[must_use]
    pub fn without_effect(&self) -> bool {
        match self {
            Self::Pending { .. }
            | Self::Throttled { .. }
            | Self::Unauthorised { .. }
            | Self::Refused { .. }
            | Self::Setting { .. } => true,
            Self::Passing { .. } => false,
        }
    }

    /// How long the API wants to be left alone, if it said so by refusing this.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Throttled { wait, .. } => Some(*wait),
            Self::Pending { .. }
            | Self::Unauthorised { .. }
            | Self::Refused { .. }
            | Self::Passing { .. }
            | Self::Setting { .. } => None,
        }
    }

    /// Whether trying again can help without anybody's doing something about it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Pending { .. } | Self::Throttled { .. } | Self::Passing { .. } => true,
            Self::Unauthorised { .. } | Self::Refused { .. } | Self::Setting { .. } => false,
        }
    }
}

/// The requests that an API still takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimit {
    /// In all, within the API's own span.
    pub limit: u64,
    /// Left of them.
    pub remaining: u64,
}
