//! One floating IP that this host may have to take over: what is known of it is kept warm.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hb_ebpf::Nanos;

use super::http::Http;
use super::mover::{MoveError, Moved, Mover, Order, Watch};
use super::pace::Pacing;
use super::provider::{Failure, InstanceId, Owner, Provider};
use super::readiness::{self, Readiness};
use super::thread::Thread;
use crate::clock;
use crate::config::{CloudAddress, CloudSettings};

/// One floating IP. Clones share what is known, and the connection.
#[derive(Clone, Debug)]
pub struct FloatingIp {
    inner: Arc<Inner>,
    /// Where calls are made; without one, where they are asked for.
    thread: Option<Arc<Thread>>,
}

#[derive(Debug)]
struct Inner {
    address: CloudAddress,
    settings: CloudSettings,
    provider: Box<dyn Provider>,
    pacing: Pacing,
    known: Mutex<Known>,
}

/// What was learnt, and when.
#[derive(Clone, Debug, Default)]
struct Known {
    me: Option<InstanceId>,
    owner: Option<(Owner, Nanos)>,
}

impl FloatingIp {
    pub(super) fn new(
        address: CloudAddress,
        settings: CloudSettings,
        provider: Box<dyn Provider>,
        pacing: Pacing,
        thread: Option<Arc<Thread>>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                address,
                settings,
                provider,
                pacing,
                known: Mutex::default(),
            }),
            thread,
        }
    }

    /// As it stands in haresources.
    #[must_use]
    pub fn address(&self) -> &CloudAddress {
        &self.inner.address
    }

    /// Its provider's table in hb.toml.
    #[must_use]
    pub fn settings(&self) -> &CloudSettings {
        &self.inner.settings
    }

    /// This host, as far as it is known without asking.
    #[must_use]
    pub fn known_identity(&self) -> Option<InstanceId> {
        self.inner.known().me.clone()
    }

    /// The owner that was seen last, and when.
    #[must_use]
    pub fn last_owner(&self) -> Option<(Owner, Nanos)> {
        self.inner.known().owner.clone()
    }

    /// Goes on from what another one has learnt, of the same address. Who this host is, only where that is found out in the same way.
    pub(super) fn remember(&self, former: &Self) {
        let (settings, theirs) = (self.settings(), former.settings());
        let is_same = settings.identity == theirs.identity && settings.metadata_url == theirs.metadata_url;
        let Known { me, owner } = former.inner.known().clone();
        *self.inner.known() = Known {
            me: me.filter(|_| is_same),
            owner,
        };
    }

    /// Gives the address to this host, or as the order says, and returns when it has been read back.
    ///
    /// Dropping the future leaves an accepted action under way.
    pub async fn take_over(&self, order: Order, watch: Watch) -> Result<Moved, MoveError> {
        self.run(async move |inner| {
            let me = inner.known().me.clone();
            let moved = Mover::new(&*inner.provider, inner.pacing, &order, me, &watch)
                .run()
                .await?;
            if order.to.is_none() {
                inner.known().me = Some(moved.instance.clone());
            }
            inner.saw(Owner {
                instance: Some(moved.instance.clone()),
                is_changing: false,
            });
            Ok(moved)
        })
        .await
    }

    /// Who this host is: as it is known already, or asked for once.
    pub async fn identity(&self) -> Result<InstanceId, Failure> {
        self.run(async |inner| inner.identity().await).await
    }

    /// Who has the address now: one call, not tried again. A failure is no answer, and never means "not mine".
    pub async fn owner(&self) -> Result<Owner, Failure> {
        self.run(async |inner| inner.owner().await).await
    }

    /// Whether the API answers at all, be it that it refuses: it was reached. One call.
    pub async fn answers(&self) -> bool {
        let asked = clock::now();
        self.run(async move |inner| match inner.owner().await {
            // AWS throttles by an error of the server's. Metadata services do not throttle.
            Ok(_) | Err(Failure::Throttled { .. }) => true,
            // A failure may be the metadata service's, or come before anything was sent.
            Err(
                Failure::Pending { .. }
                | Failure::Unauthorised { .. }
                | Failure::Refused { .. }
                | Failure::Passing { .. }
                | Failure::Setting { .. },
            ) => inner
                .provider
                .api()
                .and_then(Http::heard)
                .is_some_and(|heard| heard >= asked),
        })
        .await
    }

    /// Whether this host has the address now; tried again within the time given, where the reason of a failure is a passing
    /// one.
    pub async fn is_ours(&self, within: Duration) -> Result<bool, Failure> {
        self.run(async move |inner| {
            let begun = clock::now();
            let mut pauses = super::pace::Pauses::of_retries(inner.pacing.retry);
            loop {
                let failure = match inner.is_ours().await {
                    Ok(is_ours) => return Ok(is_ours),
                    Err(failure) => failure,
                };
                let pause = match &failure {
                    Failure::Throttled { wait, .. } => *wait,
                    Failure::Pending { .. }
                    | Failure::Unauthorised { .. }
                    | Failure::Refused { .. }
                    | Failure::Passing { .. }
                    | Failure::Setting { .. } => pauses.next(),
                };
                let left = within.saturating_sub(Duration::from_nanos(clock::now().since(begun).0));
                if !failure.is_passing() || pause >= left {
                    return Err(failure);
                }
                clock::sleep(pause).await;
            }
        })
        .await
    }

    /// What the metadata service says of the address being here; `None` where it tells nothing of that.
    pub async fn is_active(&self) -> Result<Option<bool>, Failure> {
        self.run(async |inner| inner.provider.active().await).await
    }

    /// Looks whether the address could be taken over now, and keeps warm what that needs: the connection, the API's name,
    /// this host's identity, and the owner. To be asked regularly.
    pub async fn readiness(&self) -> Readiness {
        self.run(async |inner| {
            let known = inner.known().me.clone();
            let readiness = readiness::of(&*inner.provider, known).await;
            // Who is told that it is somebody else, or nobody, is not who it was.
            inner.known().me.clone_from(&readiness.me);
            if let Ok(owner) = &readiness.owner {
                inner.saw(owner.clone());
            }
            readiness
        })
        .await
    }

    async fn run<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let work = work(self.inner.clone());
        match &self.thread {
            Some(thread) => thread.run(work).await,
            None => work.await,
        }
    }
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, owner: Owner) {
        self.known().owner = Some((owner, clock::now()));
    }

    async fn identity(&self) -> Result<InstanceId, Failure> {
        let known = self.known().me.clone();
        if let Some(me) = known {
            return Ok(me);
        }
        let me = self.provider.identity().await?;
        self.known().me = Some(me.clone());
        Ok(me)
    }

    async fn owner(&self) -> Result<Owner, Failure> {
        let owner = self.provider.owner().await?;
        self.saw(owner.clone());
        Ok(owner)
    }

    async fn is_ours(&self) -> Result<bool, Failure> {
        let me = self.identity().await?;
        Ok(self.owner().await?.instance == Some(me))
    }
}
