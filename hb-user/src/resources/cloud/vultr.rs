//! Vultr's reserved IPs: <https://www.vultr.com/api/>.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::json;

use super::account::{self, Account};
use super::http::{Http, Refusal, Reply};
use super::network::Network;
use super::provider::{ActionId, ActionState, Answer, Assignment, Failure, InstanceId, Owner, Provider};
use crate::config::Identity;

const HINT: &str = "check that the API key is complete and not revoked, that its user may manage servers, and that its \
                    access control list has this host's address";
/// A list is read in so many pages.
const PAGES: u32 = 20;
/// A page's name is not longer than this, in bytes.
const CURSOR: usize = 1024;
/// What failures call the reading of the list.
const LIST: &str = "GET /v2/reserved-ips";

/// One reserved IP.
#[derive(Debug)]
pub(super) struct Vultr {
    account: Arc<Account>,
    ip: IpAddr,
    /// The API's id of it, once it is known.
    id: Mutex<Option<String>>,
}

impl Vultr {
    pub(super) fn new(account: Arc<Account>, ip: IpAddr) -> Self {
        Self {
            account,
            ip,
            id: Mutex::default(),
        }
    }

    fn known(&self) -> Option<String> {
        self.id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn know(&self, id: Option<String>) {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    async fn id(&self) -> Result<String, Failure> {
        match self.known() {
            Some(id) => Ok(id),
            None => Ok(self.find().await?.id),
        }
    }

    /// Looks the address up in the account's list: the API finds it by its id only.
    async fn find(&self) -> Result<ReservedIp, Failure> {
        let mut query = String::new();
        for _ in 0..PAGES {
            let path = format!("/v2/reserved-ips?per_page=100{query}");
            let reply = json_of::<ListReply>(self.account.api.get(&path).await?)?;
            if let Some(found) = reply.reserved_ips.into_iter().find(|found| found.is(self.ip)) {
                if InstanceId::new(&found.id).is_none() {
                    return Err(unread("the address's id is no id"));
                }
                self.know(Some(found.id.clone()));
                return Ok(found);
            }
            let Some(meta) = reply.meta else {
                return Err(unread("it does not say whether there is more of the list"));
            };
            let cursor = meta.links.next;
            if cursor.is_empty() {
                return Err(Failure::Refused {
                    call: LIST.to_owned(),
                    status: 404,
                    message: format!("no reserved IP of the key's account has the address {}", self.ip),
                });
            }
            if cursor.len() > CURSOR {
                return Err(unread("the name of the list's next page is too long"));
            }
            query.clear();
            query.push_str("&cursor=");
            query.extend(form_urlencoded::byte_serialize(cursor.as_bytes()));
        }
        Err(unread(&format!("the list has more than {PAGES} pages")))
    }

    async fn read(&self) -> Result<ReservedIp, Failure> {
        let Some(id) = self.known() else {
            return self.find().await;
        };
        let reply = self.account.api.get(&format!("/v2/reserved-ips/{id}")).await?;
        match json_of::<ReservedIpReply>(reply) {
            Ok(reply) if reply.reserved_ip.is(self.ip) => Ok(reply.reserved_ip),
            // It was made anew with another id.
            Ok(_) | Err(Failure::Refused { status: 404, .. }) => {
                self.know(None);
                self.find().await
            }
            Err(failure) => Err(failure),
        }
    }

    /// Who this host is by the metadata service.
    async fn told(&self) -> Result<InstanceId, Failure> {
        const PATH: &str = "/v1.json";
        let metadata: Metadata = self.account.metadata.get(PATH).await?.told()?;
        account::instance(&metadata.instance, PATH)
    }

    /// Posts something that is answered without a body.
    async fn order(&self, path: &str, body: &serde_json::Value) -> Result<(), Failure> {
        let reply = self.account.api.post(path, body).await?;
        reply.accepted(classify, words).map(drop)
    }
}

impl Provider for Vultr {
    fn api(&self) -> Option<&Http> {
        Some(&self.account.api)
    }

    fn identity(&self) -> Answer<'_, InstanceId> {
        Box::pin(async move {
            match &self.account.identity {
                Identity::Fixed(id) => Ok(id.clone()),
                Identity::Metadata => self.told().await,
            }
        })
    }

    fn named(&self) -> Answer<'_, Option<InstanceId>> {
        Box::pin(async move {
            match &self.account.identity {
                Identity::Fixed(_) => self.told().await.map(Some),
                Identity::Metadata => Ok(None),
            }
        })
    }

    fn owner(&self) -> Answer<'_, Owner> {
        Box::pin(async move {
            let address = self.read().await?;
            let instance = address.instance_id.filter(|id| !id.is_empty());
            let instance =
                instance.map(|id| InstanceId::new(&id).ok_or_else(|| unread("the address's instance_id is no id")));
            Ok(Owner {
                instance: instance.transpose()?,
                is_changing: false,
            })
        })
    }

    /// The API attaches only what nobody has: from another instance it is taken first.
    fn assign<'a>(&'a self, to: &'a InstanceId, from: &'a Owner) -> Answer<'a, Assignment> {
        Box::pin(async move {
            let path = format!("/v2/reserved-ips/{}", self.id().await?);
            if from.instance.as_ref().is_some_and(|from| from != to) {
                match self.order(&format!("{path}/detach"), &json!({})).await {
                    // It was taken away meanwhile.
                    Err(Failure::Refused { message, .. }) if message.contains("not attached") => {}
                    result => result?,
                }
            }
            let body = json!({ "instance_id": to.as_str() });
            self.order(&format!("{path}/attach"), &body).await?;
            Ok(Assignment::Begun)
        })
    }

    /// There are no actions.
    fn progress<'a>(&'a self, _action: &'a ActionId) -> Answer<'a, ActionState> {
        Box::pin(std::future::ready(Ok(ActionState::Untold)))
    }
}

/// A part of the list could not be made out: of the address nothing is known, and not that it is not there.
fn unread(reason: &str) -> Failure {
    Failure::Passing {
        call: LIST.to_owned(),
        reason: reason.to_owned(),
    }
}

fn json_of<T: serde::de::DeserializeOwned>(reply: Reply) -> Result<T, Failure> {
    reply.json(classify, words)
}

/// What it says while a server is being changed, or the address is being taken away or attached.
const BUSY: [&str; 3] = ["locked", "already attached", "unable to detach"];

fn classify(refusal: Refusal) -> Failure {
    let message = refusal.message.to_lowercase();
    if matches!(refusal.status, 400 | 409 | 422 | 423) && BUSY.iter().any(|words| message.contains(words)) {
        return refusal.pending();
    }
    refusal.by_status(HINT)
}

fn words(body: &[u8]) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Words {
        error: String,
    }
    let words: Words = serde_json::from_slice(body).ok()?;
    Some((String::new(), words.error))
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "instance-v2-id")]
    instance: String,
}

#[derive(Deserialize)]
struct ReservedIpReply {
    reserved_ip: ReservedIp,
}

#[derive(Deserialize)]
struct ReservedIp {
    id: String,
    subnet: String,
    subnet_size: u32,
    // No default: a reply without the field tells nothing about the owner.
    #[serde(deserialize_with = "Option::deserialize")]
    instance_id: Option<String>,
}

impl ReservedIp {
    fn is(&self, ip: IpAddr) -> bool {
        Network::new(&self.subnet, self.subnet_size).is_some_and(|network| network.contains(ip))
    }
}

#[derive(Deserialize)]
struct ListReply {
    reserved_ips: Vec<ReservedIp>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    links: Links,
}

#[derive(Deserialize)]
struct Links {
    // No default: a reply without the field does not say that this was the last page.
    next: String,
}

#[cfg(test)]
mod tests;
