//! One call of the API: bounded in time and size, its failure classified.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::Error;
use crate::secret::Secret;

/// For a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest reply that is read, in bytes; the real ones have less than 4 KiB.
const REPLY: usize = 64 * 1024;
/// How long to wait after a 429 that does not say.
const THROTTLED: Duration = Duration::from_secs(2);

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// Trying again does not help.
    Final(Error),
    /// An event is pending on the address or the droplet: to be waited out.
    Pending(String),
    /// Trying again may help.
    Passing {
        /// What happened.
        reason: String,
        /// How long the API wants to be left alone. A call refused so has had no effect; without it, it may have had.
        wait: Option<Duration>,
    },
}

/// The connection to the API.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    base: String,
}

impl Http {
    pub(super) fn new(base: &str, token: &Secret) -> Result<Self, Error> {
        let setting = |what, reason: String| Error::Setting { what, reason };
        let base = base.trim_end_matches('/').to_owned();
        let url =
            reqwest::Url::parse(&base).map_err(|error| setting("the API's URL is not valid", error.to_string()))?;

        let bearer = Zeroizing::new([b"Bearer ", token.reveal()].concat());
        // The error is not passed on: it may quote the value.
        let mut bearer = HeaderValue::from_bytes(&bearer).map_err(|_| {
            setting(
                "the token is not valid",
                "it has characters that no token has".to_owned(),
            )
        })?;
        bearer.set_sensitive(true);

        // Fails only where one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("hb/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none());
        match url.scheme() {
            "https" => {}
            // Reading the system's certificates takes longer than the rest of the start.
            "http" => client = client.tls_certs_only([]),
            _ => {
                return Err(setting(
                    "the API's URL is not valid",
                    "expected https:// or http://".to_owned(),
                ));
            }
        }
        let client = client.build().map_err(|error| {
            setting(
                "cannot prepare TLS (is the package ca-certificates installed?)",
                chain(&error),
            )
        })?;
        Ok(Self { client, base })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, limit: Duration) -> Result<T, Failed> {
        self.call(Method::GET, path, None, limit).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: String,
        limit: Duration,
    ) -> Result<T, Failed> {
        self.call(Method::POST, path, Some(body), limit).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        limit: Duration,
    ) -> Result<T, Failed> {
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.base))
            .timeout(limit);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let passing = |reason: String| Failed::Passing {
            reason: format!("{method} {path}: {reason}"),
            wait: None,
        };
        let response = request
            .send()
            .await
            .map_err(|error| passing(chain(&error.without_url())))?;
        let status = response.status();
        let wait = retry_after(&response);
        let reply = body_of(response).await.map_err(passing)?;
        tracing::debug!(%method, path, status = status.as_u16(), bytes = reply.len(), "API call");
        if status.is_success() {
            return serde_json::from_slice(&reply)
                .map_err(|error| passing(format!("the reply ({status}) is not as documented: {error}")));
        }
        Err(classify(status, &reply, wait))
    }
}

fn classify(status: StatusCode, reply: &[u8], wait: Option<Duration>) -> Failed {
    let message = message(status, reply);
    match status.as_u16() {
        401 | 403 => Failed::Final(Error::Token {
            status: status.as_u16(),
            message,
        }),
        429 => Failed::Passing {
            reason: format!("too many requests: {message}"),
            wait: Some(wait.unwrap_or(THROTTLED)),
        },
        422 if message.to_lowercase().contains("pending event") => Failed::Pending(message),
        408 | 500..=599 => Failed::Passing {
            reason: format!("the API answers {status}: {message}"),
            wait: None,
        },
        _ => Failed::Final(Error::Refused {
            status: status.as_u16(),
            message,
        }),
    }
}

/// The API's own words, or HTTP's where it has none.
fn message(status: StatusCode, reply: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Reply {
        message: String,
    }
    match serde_json::from_slice::<Reply>(reply) {
        Ok(reply) => readable(&reply.message),
        Err(_) => status.canonical_reason().unwrap_or("no message").to_owned(),
    }
}

/// Somebody else's text, fit for one line of a log.
pub(super) fn readable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect()
}

/// Retry-After in seconds; the API sends no dates.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u32 = response
        .headers()
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    // At least a little, so that a zero does not make us a flood.
    Some(Duration::from_secs(seconds.into()).max(Duration::from_millis(200)))
}

async fn body_of(mut response: Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error.without_url()))? {
        body.extend_from_slice(&chunk);
        if body.len() > REPLY {
            return Err(format!("the reply is longer than {REPLY} bytes"));
        }
    }
    Ok(body.freeze())
}

/// An error and its causes in one line: reqwest's own message says only that something failed.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    readable(&text)
}
