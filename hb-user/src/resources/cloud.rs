//! Floating IPs of clouds, moved through their providers' APIs without a script: `digitalocean::203.0.113.10`.
//!
//! Every API accepts a move long before the address is here, loses answers, and refuses while somebody else's move is under
//! way. So a move ends in only two ways: the address has been read back as ours, or an error says what is known.

mod account;
mod aws;
mod digitalocean;
mod error;
mod floating_ip;
mod hetzner;
mod http;
mod mover;
mod names;
mod network;
mod pace;
mod provider;
mod readiness;
mod redaction;
mod secrets;
#[cfg(test)]
pub(crate) mod testing;
mod thread;
mod vultr;

use std::collections::HashMap;
use std::sync::Arc;

pub use error::CloudError;
pub use floating_ip::FloatingIp;
pub use mover::{Claim, MoveError, Moved, Order, Progress, Watch};
pub use provider::{ActionId, ActionState, Assignment, Failure, InstanceId, Owner, RateLimit};
pub use readiness::Readiness;

use self::account::Account;
use self::aws::{Aws, AwsAccount};
use self::digitalocean::DigitalOcean;
use self::hetzner::Hetzner;
use self::pace::Pacing;
use self::provider::Provider;
use self::thread::Thread;
use self::vultr::Vultr;
use crate::config::{CloudAddress, CloudKind, CloudSettings, CloudTarget, Cluster};
use crate::realtime::{Granted, Wanted};
use crate::secret::Secret;

/// The floating IPs of a configuration. Clones share them, their connections and their thread.
#[derive(Clone, Debug)]
pub struct Clouds {
    all: Arc<HashMap<CloudAddress, FloatingIp>>,
    thread: Arc<Thread>,
}

impl Clouds {
    /// Opens a provider's account for each table that is used: reads the tokens, and sends nothing yet. `None`: the
    /// configuration has no floating IPs. The thread of `former` goes on, if there is one, and what was known there is known.
    pub fn open(cluster: &Cluster, wanted: Wanted, former: Option<&Self>) -> Result<Option<Self>, CloudError> {
        if cluster.cloud_addresses().next().is_none() {
            return Ok(None);
        }
        let thread = match former {
            Some(former) => former.thread.clone(),
            None => Arc::new(Thread::start(wanted).map_err(CloudError::Thread)?),
        };
        let mut all = HashMap::new();
        for kind in CloudKind::ALL {
            let mut addresses = cluster
                .cloud_addresses()
                .filter(|address| address.kind == kind)
                .peekable();
            if addresses.peek().is_none() {
                continue;
            }
            let settings = cluster.cloud(kind).ok_or(CloudError::NoTable(kind))?;
            let accounts = Accounts::open(settings)?;
            for address in addresses {
                let ip = FloatingIp::new(
                    address.clone(),
                    settings.clone(),
                    accounts.provider(address)?,
                    Pacing::USUAL,
                    Some(thread.clone()),
                );
                if let Some(former) = former.and_then(|former| former.get(address)) {
                    ip.remember(former);
                }
                all.insert(address.clone(), ip);
            }
        }
        Ok(Some(Self {
            all: Arc::new(all),
            thread,
        }))
    }

    /// A floating IP of the configuration.
    #[must_use]
    pub fn get(&self, address: &CloudAddress) -> Option<&FloatingIp> {
        self.all.get(address)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &FloatingIp> {
        self.all.values()
    }

    /// What the kernel granted the thread that talks to the providers.
    #[must_use]
    pub fn granted(&self) -> &Granted {
        self.thread.granted()
    }
}

/// Opens the accounts that a configuration uses and closes them again: a missing token is found before it is too late.
pub fn probe(cluster: &Cluster) -> Vec<CloudError> {
    let used = |settings: &&CloudSettings| cluster.cloud_addresses().any(|address| address.kind == settings.kind);
    let opened = cluster.clouds.iter().filter(used).map(Accounts::open);
    opened.filter_map(Result::err).collect()
}

/// One floating IP, for a command: calls are made where they are asked for.
pub fn open(address: &CloudAddress, settings: &CloudSettings) -> Result<FloatingIp, CloudError> {
    let provider = Accounts::open(settings)?.provider(address)?;
    Ok(FloatingIp::new(
        address.clone(),
        settings.clone(),
        provider,
        Pacing::USUAL,
        None,
    ))
}

/// One reserved IP of `DigitalOcean`'s, with a token that is at hand.
pub fn open_with(address: &CloudAddress, settings: &CloudSettings, token: &Secret) -> Result<FloatingIp, CloudError> {
    let account = Arc::new(Account::with(settings, token)?);
    let provider = Accounts::DigitalOcean(account).provider(address)?;
    Ok(FloatingIp::new(
        address.clone(),
        settings.clone(),
        provider,
        Pacing::USUAL,
        None,
    ))
}

/// A provider's table, at work.
enum Accounts {
    DigitalOcean(Arc<Account>),
    Hetzner(Arc<Account>),
    Vultr(Arc<Account>),
    Aws(Arc<AwsAccount>),
}

impl Accounts {
    fn open(settings: &CloudSettings) -> Result<Self, CloudError> {
        let account = || Account::open(settings).map(Arc::new);
        Ok(match settings.kind {
            CloudKind::DigitalOcean => Self::DigitalOcean(account()?),
            CloudKind::Hetzner => Self::Hetzner(account()?),
            CloudKind::Vultr => Self::Vultr(account()?),
            CloudKind::Aws => Self::Aws(Arc::new(AwsAccount::open(settings)?)),
        })
    }

    fn provider(&self, address: &CloudAddress) -> Result<Box<dyn Provider>, CloudError> {
        Ok(match (self, &address.target) {
            (Self::DigitalOcean(account), CloudTarget::Ip(ip)) => Box::new(DigitalOcean::new(account.clone(), *ip)),
            (Self::Hetzner(account), CloudTarget::Ip(ip)) => Box::new(Hetzner::new(account.clone(), *ip)),
            (Self::Vultr(account), CloudTarget::Ip(ip)) => Box::new(Vultr::new(account.clone(), *ip)),
            (Self::Aws(account), target) => Box::new(Aws::new(account.clone(), target.clone())),
            (Self::DigitalOcean(_) | Self::Hetzner(_) | Self::Vultr(_), CloudTarget::Allocation(_)) => {
                return Err(CloudError::Target(address.clone()));
            }
        })
    }
}

#[cfg(test)]
mod tests;
