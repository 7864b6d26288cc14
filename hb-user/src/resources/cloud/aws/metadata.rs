//! The instance metadata service, version 2: a token first, then whatever there is to know.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hb_ebpf::Nanos;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use crate::clock;
use crate::resources::cloud::http::{Http, Reply};
use crate::resources::cloud::provider::Failure;
use crate::resources::cloud::redaction::Redaction;
use crate::resources::cloud::secrets::Keys;
use crate::secret::Secret;

/// For how long a token is asked for, in seconds, and for how long it is used.
const TTL: &str = "21600";
const TOKEN_AGE: Nanos = Nanos::from_millis(5 * 3_600_000);
/// New keys of a role are there five minutes before the old ones end.
const KEYS_AGE: Nanos = Nanos::from_millis(4 * 60_000);
/// An instance has no more network interfaces than these.
const INTERFACES: usize = 64;
const MACS: &str = "/latest/meta-data/network/interfaces/macs/";
const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

/// The service, with its token.
#[derive(Debug)]
pub(super) struct Metadata {
    http: Http,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    token: Option<(Secret, Nanos)>,
    keys: Option<(Keys, Nanos)>,
}

impl Metadata {
    pub(super) fn new(http: Http) -> Self {
        Self {
            http,
            kept: Mutex::default(),
        }
    }

    /// The text at a path; `None` where there is none.
    pub(super) async fn text(&self, path: &str) -> Result<Option<String>, Failure> {
        let mut reply = self.get(path, &self.token().await?).await?;
        if reply.status.as_u16() == 401 {
            // The token has ended before its time.
            self.kept().token = None;
            reply = self.get(path, &self.token().await?).await?;
        }
        if reply.status.as_u16() == 404 {
            return Ok(None);
        }
        reply.text().map(Some)
    }

    /// Whether one of this instance's network interfaces has the public address.
    pub(super) async fn has(&self, ip: &str) -> Result<bool, Failure> {
        for mac in self.interfaces().await? {
            let found = self.text(&format!("{MACS}{mac}/ipv4-associations/{ip}")).await?;
            if found.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the network interface of this id is one of this instance's.
    pub(super) async fn has_interface(&self, id: &str) -> Result<bool, Failure> {
        for mac in self.interfaces().await? {
            let found = self.text(&format!("{MACS}{mac}/interface-id")).await?;
            if found.as_deref() == Some(id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The Ethernet addresses of this instance's network interfaces.
    async fn interfaces(&self) -> Result<Vec<String>, Failure> {
        let unreadable = || Failure::Passing {
            call: format!("GET {MACS}"),
            reason: "the reply lists no network interfaces".to_owned(),
        };
        let macs = self.text(MACS).await?.ok_or_else(unreadable)?;
        let macs = macs.lines().map(|line| line.trim_end_matches('/')).take(INTERFACES);
        macs.map(|mac| {
            let is_mac = mac.bytes().all(|c| c.is_ascii_hexdigit() || c == b':');
            is_mac.then(|| mac.to_owned()).ok_or_else(unreadable)
        })
        .collect()
    }

    /// The temporary keys of the instance's role.
    pub(super) async fn keys(&self) -> Result<Keys, Failure> {
        let kept = self.kept().keys.clone();
        match kept {
            Some((keys, since)) if clock::now().since(since) < KEYS_AGE => Ok(keys),
            Some((keys, _)) => match self.fetch_keys().await {
                Ok(keys) => Ok(keys),
                // Those that there are may still be good; AWS will say when they are not.
                Err(failure) if failure.is_passing() => {
                    tracing::warn!(%failure, "cannot renew the keys of the instance's role");
                    Ok(keys)
                }
                Err(failure) => Err(failure),
            },
            None => self.fetch_keys().await,
        }
    }

    /// They are no good any more.
    pub(super) fn forget_keys(&self) {
        self.kept().keys = None;
    }

    async fn fetch_keys(&self) -> Result<Keys, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Role {
            access_key_id: String,
            secret_access_key: String,
            token: String,
        }
        let no_role = || Failure::Setting {
            reason: "no token_file or credential in [aws] of hb.toml, and this instance has no role that could give \
                     keys instead"
                .to_owned(),
        };
        let roles = self.text(ROLE).await?.ok_or_else(no_role)?;
        let role = roles.lines().next().ok_or_else(no_role)?;
        if !is_role(role) {
            return Err(Failure::Passing {
                call: format!("GET {ROLE}"),
                reason: "the reply names no role".to_owned(),
            });
        }
        let text = self.text(&format!("{ROLE}{role}")).await?.ok_or_else(no_role)?;
        let text = zeroize::Zeroizing::new(text);
        // The error is not passed on: it may quote what is secret.
        let role: Role = serde_json::from_str(&text).map_err(|_| Failure::Passing {
            call: format!("GET {ROLE}"),
            reason: "the reply is not as documented".to_owned(),
        })?;
        let keys = Keys {
            id: role.access_key_id,
            key: Secret::new(role.secret_access_key),
            session: Some(Secret::new(role.token)),
        };
        self.kept().keys = Some((keys.clone(), clock::now()));
        Ok(keys)
    }

    async fn token(&self) -> Result<HeaderValue, Failure> {
        let kept = self.kept().token.clone();
        if let Some((token, _)) = kept.filter(|(_, since)| clock::now().since(*since) < TOKEN_AGE) {
            return sensitive(&token);
        }
        let ttl = (
            HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds"),
            HeaderValue::from_static(TTL),
        );
        let reply = self
            .http
            .send(Method::PUT, "/latest/api/token", vec![ttl], None, &Redaction::default())
            .await?;
        let token = Secret::new(reply.text()?);
        let value = sensitive(&token)?;
        self.kept().token = Some((token, clock::now()));
        Ok(value)
    }

    async fn get(&self, path: &str, token: &HeaderValue) -> Result<Reply, Failure> {
        let header = (HeaderName::from_static("x-aws-ec2-metadata-token"), token.clone());
        let redaction = Redaction::of_token(&Secret::new(token.as_bytes()));
        self.http.send(Method::GET, path, vec![header], None, &redaction).await
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sensitive(token: &Secret) -> Result<HeaderValue, Failure> {
    let no_token = || Failure::Passing {
        call: "PUT /latest/api/token".to_owned(),
        reason: "the reply is no token".to_owned(),
    };
    let is_token = |c: &u8| c.is_ascii_alphanumeric() || b"+/=-_".contains(c);
    if token.reveal().is_empty() || !token.reveal().iter().all(is_token) {
        return Err(no_token());
    }
    // The error is not passed on: it may quote the value.
    let mut value = HeaderValue::from_bytes(token.reveal()).map_err(|_| no_token())?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_role(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"+=,.@_-".contains(&c))
}
