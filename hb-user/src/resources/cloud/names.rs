//! Names resolved beforehand: a connection that has to be made anew during a failover must not wait for a name server.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hb_ebpf::Nanos;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::timeout;

use crate::clock;

/// An answer is used for so long without asking again.
const FRESH: Nanos = Nanos::from_millis(120_000);
/// An answer older than this is renewed by who keeps it fresh.
const RENEWED: Nanos = Nanos::from_millis(30_000);
/// How long a name server may take where an old answer would do.
const PATIENCE: Duration = Duration::from_secs(1);

/// Remembers what names resolved to. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Names {
    all: Arc<Mutex<HashMap<String, Known>>>,
    /// How long a name server may take where nothing is known.
    limit: Duration,
}

#[derive(Clone, Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    asked: Nanos,
    /// Nobody could be reached there: ask again before it is used.
    is_doubted: bool,
}

impl Names {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            all: Arc::default(),
            limit,
        }
    }

    /// Asks again, unless the answer is young. A name server's failure is no matter: the old answer is kept.
    pub(super) async fn refresh(&self, host: &str) {
        let is_young = self.known(host).is_some_and(|known| known.is_younger_than(RENEWED));
        if is_young || host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[') {
            return;
        }
        match self.ask(host).await {
            Ok(_) => {}
            Err(error) => tracing::debug!(host, %error, "cannot resolve it; the last answer is kept"),
        }
    }

    /// Nobody could be reached at what is known: the next connection asks first.
    pub(super) fn doubt(&self, host: &str) {
        if let Some(known) = self.lock().get_mut(host) {
            known.is_doubted = true;
        }
    }

    async fn look_up(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        match self.known(host) {
            Some(known) if known.is_younger_than(FRESH) => Ok(known.addresses),
            Some(known) => match timeout(PATIENCE, self.ask(host)).await {
                Ok(Ok(addresses)) => Ok(addresses),
                Ok(Err(_)) | Err(_) => Ok(known.addresses),
            },
            None => self.ask(host).await,
        }
    }

    async fn ask(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let asked = clock::now();
        let addresses: Vec<SocketAddr> = within(self.limit, tokio::net::lookup_host((host, 0))).await?.collect();
        if addresses.is_empty() {
            return Err(io::Error::other("the name has no address"));
        }
        self.lock().insert(
            host.to_owned(),
            Known {
                addresses: addresses.clone(),
                asked,
                is_doubted: false,
            },
        );
        Ok(addresses)
    }

    fn known(&self, host: &str) -> Option<Known> {
        self.lock().get(host).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The C library's own limit may be half a minute, and whoever waits for a name waits with it.
async fn within<T>(limit: Duration, answer: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no name server has answered in time");
    timeout(limit, answer).await.map_err(|_| late())?
}

impl Known {
    fn is_younger_than(&self, age: Nanos) -> bool {
        !self.is_doubted && clock::now().since(self.asked) < age
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let addresses = names.look_up(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_name_server_that_does_not_answer_is_not_waited_for() {
        let answer = std::future::pending::<io::Result<()>>();
        let error = within(Duration::from_millis(10), answer).await.expect_err("late");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(within(LONG, std::future::ready(Ok(()))).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_known_is_used_even_where_nobody_answers() {
        let names = Names::new(LONG);
        let host = "a-name-that-nobody-has.invalid";
        assert!(names.look_up(host).await.is_err());
        let address = SocketAddr::from(([192, 0, 2, 1], 0));
        let known = |is_doubted| Known {
            addresses: vec![address],
            asked: clock::now(),
            is_doubted,
        };
        names.lock().insert(host.to_owned(), known(false));
        assert_eq!(names.look_up(host).await.expect("known"), [address]);
        names.doubt(host);
        assert_eq!(names.look_up(host).await.expect("better than nothing"), [address]);
        names.refresh(host).await;
        assert_eq!(names.look_up(host).await.expect("kept"), [address]);
    }

    #[tokio::test]
    async fn an_answer_is_remembered() {
        let names = Names::new(LONG);
        names.refresh("localhost").await;
        let known = names.known("localhost").expect("remembered");
        assert!(known.addresses.iter().all(|address| address.ip().is_loopback()));
        names.refresh("127.0.0.1").await;
        assert!(names.known("127.0.0.1").is_none(), "an address needs no name server");
    }
}
