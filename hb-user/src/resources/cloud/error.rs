//! Why a provider cannot be asked at all.

use std::path::PathBuf;

use crate::config::ConfigError;

/// Why a provider cannot be asked at all: found before anything is sent.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CloudError {
    #[error(transparent)]
    File(#[from] ConfigError),
    #[error("{}: {reason}", place.display())]
    Secret { place: PathBuf, reason: &'static str },
    #[error(
        "the credential {name}: systemd has handed over none (CREDENTIALS_DIRECTORY is not set): expected \
         LoadCredential={name}:FILE in the service's unit"
    )]
    NoCredentials { name: String },
    #[error("the token is not valid: it has characters that no token has")]
    Token,
    #[error("the API's URL is not valid: {url}: {reason}")]
    Url { url: String, reason: String },
    #[error("{}: {reason}", path.display())]
    CaFile { path: PathBuf, reason: String },
    #[error("cannot prepare TLS (is the package ca-certificates installed?): {reason}")]
    Tls { reason: String },
    #[error("hb.toml has no table [{0}]: expected one, with token_file = \"FILE\" or credential = \"NAME\" below it")]
    NoTable(crate::config::CloudKind),
    #[error("{0}: only AWS has allocations: expected an address")]
    Target(crate::config::CloudAddress),
    #[error("cannot start the thread that talks to providers")]
    Thread(#[source] std::io::Error),
}
