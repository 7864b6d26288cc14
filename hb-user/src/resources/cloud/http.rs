//! One call over HTTP: bounded in time and size, sent over a connection that is kept, its failure told.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hb_ebpf::Nanos;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::CloudError;
use super::names::Names;
use super::provider::{Failure, RateLimit};
use super::redaction::Redaction;
use crate::causes::causes;
use crate::clock;
use crate::config::CloudSettings;
use crate::secret::Secret;

/// The longest reply that is read, in bytes; the real ones have less than 4 KiB, but a list of fifty addresses.
const REPLY: usize = 256 * 1024;
/// For the metadata service, which is next door: a connection, and a call in all.
const METADATA: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// How long to wait after a 429 that does not say.
const THROTTLED: Duration = Duration::from_secs(2);
/// At least a little, so that a Retry-After of 0 does not make us a flood.
const LEAST_WAIT: Duration = Duration::from_millis(200);
/// Limits of requests are by the hour at the longest: what is remembered of them, too.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// A connection without traffic is probed so often, so that one that has died is not met first by a failover.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// An idle connection is kept for so long; what is asked regularly keeps it for ever.
const IDLE: Duration = Duration::from_mins(15);

/// The way to one service, over a connection that is kept.
pub(super) struct Http {
    client: reqwest::Client,
    base: String,
    host: String,
    /// Host and port, for messages.
    place: String,
    timeout: Duration,
    names: Names,
    redaction: Redaction,
    limit: Mutex<Option<RateLimit>>,
    /// See [`Http::heard`]; 0: never.
    heard: AtomicU64,
    spared: Mutex<Option<Spared>>,
}

/// The service wants to be left alone.
#[derive(Debug)]
struct Spared {
    /// The call that it said so to.
    call: String,
    until: Nanos,
}

/// The base only: the client holds the token.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Http {
    /// The provider's API, with a bearer token if it takes one.
    pub(super) fn api(settings: &CloudSettings, token: Option<&Secret>) -> Result<Self, CloudError> {
        let mut client = builder()
            .connect_timeout(settings.connect_timeout)
            .tcp_user_timeout(settings.connect_timeout)
            .pool_idle_timeout(IDLE)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE)
            .tcp_keepalive_retries(3);
        if let Some(token) = token {
            client = client.default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer(token)?)]));
        }
        if let Some(file) = &settings.ca_file {
            client = client.tls_certs_only(certificates(file)?);
        } else if settings.api_url.starts_with("http:") {
            // Reading the system's certificates takes longer than the rest of the start.
            client = client.tls_certs_only([]);
        }
        let redaction = token.map(Redaction::of_token).unwrap_or_default();
        let limits = [settings.connect_timeout, settings.timeout];
        Self::new(client, &settings.api_url, limits, redaction)
    }

    /// The metadata service, which gets no token, and no proxy's help.
    pub(super) fn metadata(settings: &CloudSettings) -> Result<Self, CloudError> {
        let [connect, total] = METADATA;
        let limits = [connect.min(settings.connect_timeout), total.min(settings.timeout)];
        let client = builder().connect_timeout(limits[0]).tls_certs_only([]).no_proxy();
        Self::new(client, &settings.metadata_url, limits, Redaction::default())
    }

    fn new(
        client: reqwest::ClientBuilder,
        base: &str,
        [connect, timeout]: [Duration; 2],
        redaction: Redaction,
    ) -> Result<Self, CloudError> {
        let url = reqwest::Url::parse(base).map_err(|error| CloudError::Url {
            url: base.to_owned(),
            reason: error.to_string(),
        })?;
        let names = Names::new(connect);
        let client = client
            .dns_resolver(names.clone())
            .build()
            .map_err(|error| CloudError::Tls {
                reason: redaction.readable(&causes(&error)),
            })?;
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        Ok(Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
            place: format!("{host}:{port}"),
            host: host.to_owned(),
            timeout,
            names,
            redaction,
            limit: Mutex::default(),
            heard: AtomicU64::new(0),
            spared: Mutex::default(),
        })
    }

    /// Keeps the API's name resolved, so that a new connection need not ask for it.
    pub(super) async fn resolve(&self) {
        self.names.refresh(&self.host).await;
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// When it last answered, if it ever did, other than that it has failed.
    pub(super) fn heard(&self) -> Option<Nanos> {
        let heard = Nanos(self.heard.load(Ordering::Relaxed));
        (heard > Nanos(0)).then_some(heard)
    }

    /// What the API said last of the requests that are left.
    pub(super) fn rate_limit(&self) -> Option<RateLimit> {
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A refusal in the place of an answer, while it wants to be left alone by whoever has this token, and has said for how long.
    pub(super) fn throttled(&self) -> Option<Failure> {
        let spared = self.spared.lock().unwrap_or_else(PoisonError::into_inner);
        let Spared { call, until } = spared.as_ref()?;
        let left = until.since(clock::now());
        (left > Nanos(0)).then(|| Failure::Throttled {
            call: call.clone(),
            message: "not asked again before".to_owned(),
            wait: Duration::from_nanos(left.0),
        })
    }

    /// Remembers how long it wants to be left alone, until it answers somebody all the same.
    fn spare(&self, call: &str, status: StatusCode, wait: Option<Duration>) {
        let is_refused = status == StatusCode::TOO_MANY_REQUESTS;
        if status.is_server_error() || (is_refused && wait.is_none()) {
            return;
        }
        let spared = wait.filter(|_| is_refused).map(|wait| {
            let nanos = u64::try_from(wait.min(LONGEST_WAIT).as_nanos()).unwrap_or(u64::MAX);
            Spared {
                call: call.to_owned(),
                until: clock::now().saturating_add(Nanos(nanos)),
            }
        });
        *self.spared.lock().unwrap_or_else(PoisonError::into_inner) = spared;
    }

    /// Words out of a reply, fit for one line of a log, and without the token.
    pub(super) fn readable(&self, text: &str) -> String {
        self.redaction.readable(text)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.send(Method::GET, path, Vec::new(), None, &self.redaction).await
    }

    /// Sends a body that is JSON.
    pub(super) async fn post(&self, path: &str, body: &serde_json::Value) -> Result<Reply, Failure> {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        self.send(Method::POST, path, headers, Some(body.to_string()), &self.redaction)
            .await
    }

    /// Sends one request, once. What is in it and must not be shown is in no failure that comes of it.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Option<String>,
        redaction: &Redaction,
    ) -> Result<Reply, Failure> {
        let call = format!("{method} {path}");
        let passing = |reason: String| Failure::Passing {
            call: call.clone(),
            reason: redaction.readable(&reason),
        };
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .headers(headers.into_iter().collect())
            .timeout(self.timeout);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let what = if error.is_connect() {
                    self.names.doubt(&self.host);
                    "no connection to"
                } else {
                    "no answer from"
                };
                // Not the URL, of which more than the host may be a secret.
                let causes = causes(&error.without_url());
                return Err(passing(format!("{what} {}: {causes}", self.place)));
            }
        };
        let status = response.status();
        if !status.is_server_error() {
            self.heard.store(clock::now().0, Ordering::Relaxed);
        }
        let wait = retry_after(&response);
        self.spare(&call, status, wait);
        if let Some(limit) = rate_limit(response.headers()) {
            *self.limit.lock().unwrap_or_else(PoisonError::into_inner) = Some(limit);
        }
        let body = body_of(response).await.map_err(passing)?;
        tracing::debug!(call, status = status.as_u16(), bytes = body.len(), "API call");
        Ok(Reply {
            call,
            status,
            wait,
            redaction: redaction.clone(),
            body,
        })
    }
}

/// An answer, whatever it says. The body may be a token of the metadata service's, so that `Debug` shows its length only.
pub(super) struct Reply {
    call: String,
    pub(super) status: StatusCode,
    wait: Option<Duration>,
    redaction: Redaction,
    pub(super) body: Bytes,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {} bytes", self.call, self.status, self.body.len())
    }
}

impl Reply {
    /// A success's body; a refusal in the words that `words` finds in it: the API's code and its message.
    pub(super) fn json<T: DeserializeOwned>(
        self,
        classify: impl FnOnce(Refusal) -> Failure,
        words: impl FnOnce(&[u8]) -> Option<(String, String)>,
    ) -> Result<T, Failure> {
        let reply = self.accepted(classify, words)?;
        serde_json::from_slice(&reply.body).map_err(|error| reply.unreadable(&error))
    }

    /// The same reply, if it is a success.
    pub(super) fn accepted(
        self,
        classify: impl FnOnce(Refusal) -> Failure,
        words: impl FnOnce(&[u8]) -> Option<(String, String)>,
    ) -> Result<Self, Failure> {
        if self.status.is_success() {
            return Ok(self);
        }
        let http = || self.status.canonical_reason().unwrap_or("no message").to_owned();
        let words = words(&self.body);
        let is_garbled = words.is_none() && !self.body.is_empty();
        let (code, message) = words.unwrap_or_else(|| (String::new(), http()));
        Err(classify(Refusal {
            is_garbled,
            call: self.call,
            status: self.status.as_u16(),
            code: self.redaction.readable(&code),
            message: self.redaction.readable(&message),
            wait: self.wait,
        }))
    }

    /// The same reply to a call that has a better name than its path.
    pub(super) fn named(self, call: &str) -> Self {
        Self {
            call: call.to_owned(),
            ..self
        }
    }

    /// A text of one line: what a metadata service answers.
    pub(super) fn text(self) -> Result<String, Failure> {
        let reply = self.accepted(Refusal::of_metadata, |_| None)?;
        let text = str::from_utf8(&reply.body).map_err(|error| reply.unreadable(&error))?;
        Ok(text.trim().to_owned())
    }

    /// What a metadata service answers in JSON.
    pub(super) fn told<T: DeserializeOwned>(self) -> Result<T, Failure> {
        self.json(Refusal::of_metadata, |_| None)
    }

    /// The body is not as documented. What was asked for may have been done.
    pub(super) fn unreadable(&self, error: &dyn fmt::Display) -> Failure {
        Failure::Passing {
            call: self.call.clone(),
            reason: self.redaction.readable(&format_args!(
                "the reply ({}) is not as documented: {error}",
                self.status
            )),
        }
    }
}

/// A refusal, before it is known of which class it is.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) call: String,
    pub(super) status: u16,
    /// The API's own code; empty where it has none.
    pub(super) code: String,
    /// The API's own words, or HTTP's.
    pub(super) message: String,
    /// It has words that cannot be read, so that what is refused, and whether for ever, is not known.
    is_garbled: bool,
    wait: Option<Duration>,
}

impl Refusal {
    /// What its status means everywhere. `hint` is for who has to mend the token.
    pub(super) fn by_status(self, hint: &'static str) -> Failure {
        match self.status {
            429 => self.throttled(),
            // A redirect, or words that are not the API's, are of somebody on the way to it.
            300..=399 | 408 | 500..=599 => self.passing(),
            _ if self.is_garbled => self.passing(),
            401 | 403 => self.unauthorised(hint),
            _ => self.refused(),
        }
    }

    /// What its status means from a metadata service, which answers in plain words, and is not the API that takes so many requests.
    fn of_metadata(self) -> Failure {
        match self.status {
            429 => self.passing(),
            _ => Self {
                is_garbled: false,
                ..self
            }
            .by_status("the metadata service refuses"),
        }
    }

    pub(super) fn pending(self) -> Failure {
        Failure::Pending {
            call: self.call,
            message: self.message,
        }
    }

    pub(super) fn throttled(self) -> Failure {
        Failure::Throttled {
            call: self.call,
            message: self.message,
            wait: self.wait.unwrap_or(THROTTLED),
        }
    }

    pub(super) fn unauthorised(self, hint: &'static str) -> Failure {
        Failure::Unauthorised {
            call: self.call,
            status: self.status,
            message: self.message,
            hint,
        }
    }

    pub(super) fn refused(self) -> Failure {
        Failure::Refused {
            call: self.call,
            status: self.status,
            message: self.message,
        }
    }

    pub(super) fn passing(self) -> Failure {
        Failure::Passing {
            call: self.call,
            reason: format!("the answer is {}: {}", self.status, self.message),
        }
    }
}

fn builder() -> reqwest::ClientBuilder {
    // Fails only where one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("hb/", env!("CARGO_PKG_VERSION")))
        // A token must not follow a redirect to who knows where.
        .redirect(reqwest::redirect::Policy::none())
        // What is tried again is for us to say: see the mover.
        .retry(reqwest::retry::never())
}

fn bearer(token: &Secret) -> Result<HeaderValue, CloudError> {
    let text = Zeroizing::new([b"Bearer ", token.reveal()].concat());
    // The error is not passed on: it may quote the value.
    let mut value = HeaderValue::from_bytes(&text).map_err(|_| CloudError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, CloudError> {
    let refuse = |reason: String| CloudError::CaFile {
        path: file.to_owned(),
        reason,
    };
    let pem = std::fs::read(file).map_err(|error| refuse(error.to_string()))?;
    let certificates =
        Certificate::from_pem_bundle(&pem).map_err(|error| refuse(Redaction::default().readable(&causes(&error))))?;
    if certificates.is_empty() {
        return Err(refuse("no certificate in it: expected PEM".to_owned()));
    }
    Ok(certificates)
}

/// Retry-After in seconds; these APIs send no dates.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u32 = number(response.headers(), &RETRY_AFTER)?;
    Some(Duration::from_secs(seconds.into()).max(LEAST_WAIT))
}

/// `ratelimit-limit` and `ratelimit-remaining`, as `DigitalOcean` and Hetzner send them.
fn rate_limit(headers: &HeaderMap) -> Option<RateLimit> {
    Some(RateLimit {
        limit: number(headers, &HeaderName::from_static("ratelimit-limit"))?,
        remaining: number(headers, &HeaderName::from_static("ratelimit-remaining"))?,
    })
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &HeaderName) -> Option<T> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

async fn body_of(mut response: Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| causes(&error.without_url()))? {
        body.extend_from_slice(&chunk);
        if body.len() > REPLY {
            return Err(format!("the reply is longer than {REPLY} bytes"));
        }
    }
    Ok(body.freeze())
}
