//! The Elastic IPs of AWS, through EC2's Query API: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/>.

mod metadata;
mod reply;
mod sign;

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Method;

use self::metadata::Metadata;
use self::reply::Address;
use super::http::{Http, Refusal, Reply};
use super::provider::{ActionId, ActionState, Answer, Assignment, Failure, InstanceId, Owner, Provider};
use super::redaction::Redaction;
use super::secrets::{self, Keys};
use super::{CloudError, account};
use crate::config::{CloudSettings, CloudTarget, Identity};

const HINT: &str = "check the keys or the instance's role, which must allow ec2:DescribeAddresses and \
                    ec2:AssociateAddress, and this host's clock";
/// The version of the API that is asked for.
const VERSION: &str = "2016-11-15";

/// The table of hb.toml, at work: its addresses share the connection.
#[derive(Debug)]
pub(super) struct AwsAccount {
    api: Http,
    metadata: Metadata,
    identity: Identity,
    region: String,
    /// None: those of the instance's role.
    keys: Option<Keys>,
}

impl AwsAccount {
    pub(super) fn open(settings: &CloudSettings) -> Result<Self, CloudError> {
        Ok(Self {
            keys: secrets::keys(settings)?,
            api: Http::api(settings, None)?,
            metadata: Metadata::new(Http::metadata(settings)?),
            identity: settings.identity.clone(),
            region: settings.region.clone().unwrap_or_default(),
        })
    }

    async fn identity(&self) -> Result<InstanceId, Failure> {
        match &self.identity {
            Identity::Fixed(id) => Ok(id.clone()),
            Identity::Metadata => self.told().await,
        }
    }

    /// The instance, or the interface that hb.toml names if it is one of this instance's.
    async fn named(&self) -> Result<Option<InstanceId>, Failure> {
        let Identity::Fixed(id) = &self.identity else {
            return Ok(None);
        };
        if is_interface(id) && self.metadata.has_interface(id.as_str()).await? {
            return Ok(Some(id.clone()));
        }
        self.told().await.map(Some)
    }

    async fn told(&self) -> Result<InstanceId, Failure> {
        const PATH: &str = "/latest/meta-data/instance-id";
        account::instance(&self.metadata.text(PATH).await?.unwrap_or_default(), PATH)
    }

    /// Calls an action of the API; the words are letters, digits, dots and hyphens.
    async fn call(&self, action: &str, words: &[(&str, &str)]) -> Result<Reply, Failure> {
        let words = words.iter().map(|(name, value)| format!("&{name}={value}"));
        let body = format!("Action={action}&Version={VERSION}{}", words.collect::<String>());
        let Some(keys) = &self.keys else {
            let reply = self.send(action, &self.metadata.keys().await?, &body).await?;
            if !reply::says_expired(&reply) {
                return Ok(reply);
            }
            // Those of a role end, perhaps before their time. What was refused so was not done.
            self.metadata.forget_keys();
            return self.send(action, &self.metadata.keys().await?, &body).await;
        };
        self.send(action, keys, &body).await
    }

    async fn send(&self, action: &str, keys: &Keys, body: &str) -> Result<Reply, Failure> {
        let (headers, signature) = sign::headers(keys, &self.region, self.api.base(), body)?;
        let redaction = Redaction::of_signed(keys, &signature);
        let body = Some(body.to_owned());
        let reply = self.api.send(Method::POST, "/", headers, body, &redaction).await;
        reply
            .map(|reply| reply.named(action))
            .map_err(|failure| failure.named(action))
    }
}

/// One Elastic IP.
#[derive(Debug)]
pub(super) struct Aws {
    account: Arc<AwsAccount>,
    target: CloudTarget,
    /// What the API said last of it: its allocation never changes.
    seen: Mutex<Option<Address>>,
}

impl Aws {
    pub(super) fn new(account: Arc<AwsAccount>, target: CloudTarget) -> Self {
        Self {
            account,
            target,
            seen: Mutex::default(),
        }
    }

    async fn read(&self) -> Result<Address, Failure> {
        let ip;
        let word = match &self.target {
            CloudTarget::Ip(address) => {
                ip = address.to_string();
                ("PublicIp.1", ip.as_str())
            }
            CloudTarget::Allocation(id) => ("AllocationId.1", id.as_str()),
        };
        let reply = self.account.call("DescribeAddresses", &[word]).await?;
        let address = reply::address(&reply.accepted(classify, reply::words)?)?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(address.clone());
        Ok(address)
    }

    async fn seen(&self) -> Result<Address, Failure> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match seen {
            Some(address) => Ok(address),
            None => self.read().await,
        }
    }

    async fn associate(&self, to: &InstanceId, steal: bool, is_rehearsal: bool) -> Result<Reply, Failure> {
        let allocation = self.seen().await?.allocation_id;
        let target = if is_interface(to) {
            "NetworkInterfaceId"
        } else {
            "InstanceId"
        };
        let mut words = vec![
            ("AllocationId", allocation.as_str()),
            (target, to.as_str()),
            ("AllowReassociation", if steal { "true" } else { "false" }),
        ];
        if is_rehearsal {
            words.push(("DryRun", "true"));
        }
        self.account.call("AssociateAddress", &words).await
    }
}

/// A host with several network interfaces is named by the one that is to have the address.
fn is_interface(id: &InstanceId) -> bool {
    id.as_str().starts_with("eni-")
}

impl Provider for Aws {
    fn api(&self) -> Option<&Http> {
        Some(&self.account.api)
    }

    fn identity(&self) -> Answer<'_, InstanceId> {
        Box::pin(self.account.identity())
    }

    fn named(&self) -> Answer<'_, Option<InstanceId>> {
        Box::pin(self.account.named())
    }

    fn owner(&self) -> Answer<'_, Owner> {
        Box::pin(async move {
            let address = self.read().await?;
            let by_interface = matches!(&self.account.identity, Identity::Fixed(id) if is_interface(id));
            let instance = Some(address.instance_id).filter(|id| !by_interface && !id.is_empty());
            // A gateway and the like have an interface and are no instance.
            let owner = instance
                .or(Some(address.network_interface_id))
                .filter(|id| !id.is_empty());
            let owner = owner.map(|id| {
                InstanceId::new(&id).ok_or_else(|| Failure::Passing {
                    call: "DescribeAddresses".to_owned(),
                    reason: "the address's owner is no id".to_owned(),
                })
            });
            Ok(Owner {
                instance: owner.transpose()?,
                is_changing: false,
            })
        })
    }

    /// Where nobody was seen to have it, it is not taken from whoever was faster.
    fn assign<'a>(&'a self, to: &'a InstanceId, from: &'a Owner) -> Answer<'a, Assignment> {
        Box::pin(async move {
            let reply = self.associate(to, from.instance.is_some(), false).await?;
            let reply = reply.accepted(classify, reply::words)?;
            reply::associated(&reply)?;
            Ok(Assignment::Done)
        })
    }

    /// There are no actions.
    fn progress<'a>(&'a self, _action: &'a ActionId) -> Answer<'a, ActionState> {
        Box::pin(std::future::ready(Ok(ActionState::Untold)))
    }

    fn active(&self) -> Answer<'_, Option<bool>> {
        Box::pin(async move {
            let ip = self.seen().await?.public_ip;
            self.account.metadata.has(&ip).await.map(Some)
        })
    }

    fn rehearse<'a>(&'a self, to: &'a InstanceId) -> Answer<'a, bool> {
        Box::pin(async move {
            let reply = self.associate(to, true, true).await?;
            let is_fine = |body: &[u8]| reply::words(body).is_some_and(|(code, _)| code == "DryRunOperation");
            if is_fine(&reply.body) {
                return Ok(true);
            }
            reply.accepted(classify, reply::words).map(|_| false)
        })
    }
}

fn classify(refusal: Refusal) -> Failure {
    match refusal.code.as_str() {
        // 503, as if it were an outage.
        "RequestLimitExceeded" | "Throttling" | "ThrottlingException" => refusal.throttled(),
        // Some of them are 400.
        "AuthFailure"
        | "UnauthorizedOperation"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "RequestExpired"
        | "ExpiredToken"
        | "OptInRequired"
        | "PendingVerification"
        | "Blocked" => refusal.unauthorised(HINT),
        "IncorrectInstanceState" | "IncorrectState" => refusal.pending(),
        "InternalError" | "InternalFailure" | "Unavailable" | "ServiceUnavailable" => refusal.passing(),
        _ => refusal.by_status(HINT),
    }
}

#[cfg(test)]
mod tests;
