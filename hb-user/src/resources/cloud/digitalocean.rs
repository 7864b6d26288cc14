//! `DigitalOcean`'s reserved IPs: <https://docs.digitalocean.com/reference/api/>.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use serde_json::json;

use super::account::{self, Account};
use super::http::{Http, Refusal, Reply};
use super::provider::{ActionId, ActionState, Answer, Assignment, Failure, InstanceId, Owner, Provider};

/// What a token must be good for. Without `droplet:read` the API shows every address as nobody's.
const HINT: &str = "check that the token is complete and not revoked, and that it may read and update reserved IPs \
                    (scopes reserved_ip:read, reserved_ip:update and droplet:read)";

/// Where the metadata service says who this host is.
const ID: &str = "/metadata/v1/id";

/// One reserved IP.
#[derive(Debug)]
pub(super) struct DigitalOcean {
    account: Arc<Account>,
    ip: IpAddr,
    /// Its actions are told of among all of the account's, and not under the address.
    is_elsewhere: AtomicBool,
}

impl DigitalOcean {
    pub(super) fn new(account: Arc<Account>, ip: IpAddr) -> Self {
        Self {
            account,
            ip,
            is_elsewhere: AtomicBool::new(ip.is_ipv6()),
        }
    }

    fn path(&self) -> String {
        match self.ip {
            IpAddr::V4(ip) => format!("/v2/reserved_ips/{ip}"),
            IpAddr::V6(ip) => format!("/v2/reserved_ipv6/{ip}"),
        }
    }

    fn state(&self, action: &Action) -> ActionState {
        match action.status.as_str() {
            "in-progress" => ActionState::Running,
            "completed" => ActionState::Completed,
            status => ActionState::Errored(self.account.api.readable(status)),
        }
    }

    /// A text of the metadata service's; `None` where it has none of that name.
    async fn told(&self, path: &str) -> Result<Option<String>, Failure> {
        let reply = self.account.metadata.get(path).await?;
        if reply.status.as_u16() == 404 {
            return Ok(None);
        }
        reply.text().map(Some)
    }
}

impl Provider for DigitalOcean {
    fn api(&self) -> Option<&Http> {
        Some(&self.account.api)
    }

    fn identity(&self) -> Answer<'_, InstanceId> {
        Box::pin(self.account.identity(ID))
    }

    fn named(&self) -> Answer<'_, Option<InstanceId>> {
        Box::pin(self.account.named(ID))
    }

    fn owner(&self) -> Answer<'_, Owner> {
        Box::pin(async move {
            let reply = self.account.api.get(&self.path()).await?;
            let (droplet, is_changing) = match self.ip {
                IpAddr::V4(_) => {
                    let address = json_of::<AddressReply>(reply)?.reserved_ip;
                    (address.droplet, address.locked)
                }
                IpAddr::V6(_) => (json_of::<Ipv6Reply>(reply)?.droplet(), false),
            };
            Ok(Owner {
                instance: droplet.and_then(|droplet| InstanceId::new(&droplet.id.to_string())),
                is_changing,
            })
        })
    }

    fn assign<'a>(&'a self, to: &'a InstanceId, _from: &'a Owner) -> Answer<'a, Assignment> {
        Box::pin(async move {
            let body = json!({ "type": "assign", "droplet_id": account::number(to)? });
            let reply = self
                .account
                .api
                .post(&format!("{}/actions", self.path()), &body)
                .await?;
            Ok(Assignment::Accepted(json_of::<ActionReply>(reply)?.action.name()))
        })
    }

    fn progress<'a>(&'a self, action: &'a ActionId) -> Answer<'a, ActionState> {
        Box::pin(async move {
            if !self.is_elsewhere.load(Ordering::Relaxed) {
                let path = format!("{}/actions/{action}", self.path());
                match json_of::<ActionReply>(self.account.api.get(&path).await?) {
                    // Of addresses that a user brought along it may know nothing there.
                    Err(Failure::Refused { status: 404, .. }) => {}
                    reply => return Ok(self.state(&reply?.action)),
                }
            }
            match json_of::<ActionReply>(self.account.api.get(&format!("/v2/actions/{action}")).await?) {
                // It knows nothing, or the token may not ask: it can move the address all the same.
                Err(Failure::Refused { status: 404, .. } | Failure::Unauthorised { status: 403, .. }) => {
                    Ok(ActionState::Untold)
                }
                reply => {
                    let action = reply?.action;
                    self.is_elsewhere.store(true, Ordering::Relaxed);
                    Ok(self.state(&action))
                }
            }
        })
    }

    fn pending(&self) -> Answer<'_, Option<ActionId>> {
        Box::pin(async move {
            if self.ip.is_ipv6() {
                // There is no list of theirs.
                return Ok(None);
            }
            let reply = self.account.api.get(&format!("{}/actions", self.path())).await?;
            let actions = json_of::<ActionsReply>(reply)?.actions;
            let running = actions.iter().find(|action| action.status == "in-progress");
            Ok(running.map(Action::name))
        })
    }

    fn active(&self) -> Answer<'_, Option<bool>> {
        Box::pin(async move {
            // The second is the old name of the first.
            let places: &[&str] = match self.ip {
                IpAddr::V4(_) => &["reserved_ip/ipv4", "floating_ip/ipv4"],
                IpAddr::V6(_) => &["reserved_ip/ipv6"],
            };
            for place in places {
                let Some(active) = self.told(&format!("/metadata/v1/{place}/active")).await? else {
                    continue;
                };
                match active.as_str() {
                    "true" => {}
                    "false" => return Ok(Some(false)),
                    // Whatever this is, it does not say that the address is not here.
                    _ => return Err(unreadable(place)),
                }
                let ip = self.told(&format!("/metadata/v1/{place}/ip_address")).await?;
                return Ok(Some(ip.is_none_or(|ip| ip.parse() == Ok(self.ip))));
            }
            Ok(None)
        })
    }
}

fn unreadable(place: &str) -> Failure {
    Failure::Passing {
        call: format!("GET /metadata/v1/{place}/active"),
        reason: "the reply is neither true nor false".to_owned(),
    }
}

fn json_of<T: serde::de::DeserializeOwned>(reply: Reply) -> Result<T, Failure> {
    reply.json(classify, words)
}

fn classify(refusal: Refusal) -> Failure {
    if refusal.status == 422 && refusal.message.to_lowercase().contains("pending event") {
        return refusal.pending();
    }
    refusal.by_status(HINT)
}

fn words(body: &[u8]) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Words {
        #[serde(default)]
        id: String,
        message: String,
    }
    let words: Words = serde_json::from_slice(body).ok()?;
    Some((words.id, words.message))
}

#[derive(Deserialize)]
struct ActionReply {
    action: Action,
}

#[derive(Deserialize)]
struct ActionsReply {
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct Action {
    id: u64,
    status: String,
}

impl Action {
    fn name(&self) -> ActionId {
        ActionId::from(self.id)
    }
}

#[derive(Deserialize)]
struct AddressReply {
    #[serde(alias = "floating_ip")]
    reserved_ip: ReservedIp,
}

#[derive(Deserialize)]
struct ReservedIp {
    // No default: a reply without the field tells nothing about the owner.
    #[serde(deserialize_with = "Option::deserialize")]
    droplet: Option<Droplet>,
    /// An action on it is pending.
    #[serde(default)]
    locked: bool,
}

/// Reserved IPv6 addresses are documented to be shown bare, and without `droplet` where they have none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ipv6Reply {
    Wrapped { reserved_ipv6: ReservedIpv6 },
    Bare(ReservedIpv6),
}

impl Ipv6Reply {
    fn droplet(self) -> Option<Droplet> {
        match self {
            Self::Wrapped { reserved_ipv6: address } | Self::Bare(address) => address.droplet,
        }
    }
}

#[derive(Deserialize)]
struct ReservedIpv6 {
    /// That it is there shows that the reply is one.
    #[serde(rename = "ip")]
    _ip: Ipv6Addr,
    droplet: Option<Droplet>,
}

#[derive(Deserialize)]
struct Droplet {
    id: u64,
}

#[cfg(test)]
mod tests;
