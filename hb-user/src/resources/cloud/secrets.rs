//! Where tokens come from: files that only root may read, and credentials that systemd hands over.

use std::path::PathBuf;

use super::CloudError;
use crate::config::{CloudSettings, SecretSource, read_credential, read_secret};
use crate::secret::Secret;

/// Where systemd puts a service's credentials.
const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The token of a provider: the one word in its file.
pub(super) fn token(settings: &CloudSettings) -> Result<Secret, CloudError> {
    let Some((place, secret)) = text(settings)? else {
        return Err(CloudError::Token);
    };
    let mut words = secret
        .reveal()
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    match (words.next(), words.next()) {
        (Some(token), None) if token.iter().all(u8::is_ascii_graphic) => Ok(Secret::new(token)),
        (None, _) => Err(CloudError::Secret {
            place,
            reason: "empty: expected the token",
        }),
        (Some(_), _) => Err(CloudError::Secret {
            place,
            reason: "expected one token and nothing else",
        }),
    }
}

/// AWS's keys, in the form of its tools (`~/.aws/credentials`); without a file the instance's role has them.
pub(super) fn keys(settings: &CloudSettings) -> Result<Option<Keys>, CloudError> {
    let Some((place, secret)) = text(settings)? else {
        return Ok(None);
    };
    let refuse = |reason| CloudError::Secret {
        place: place.clone(),
        reason,
    };
    let text = str::from_utf8(secret.reveal()).map_err(|_| refuse("not text"))?;
    let value = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let mut values = lines
            .filter(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim());
        values
            .next()
            .filter(|value| !value.is_empty() && value.bytes().all(|c| c.is_ascii_graphic()))
    };
    if text.lines().filter(|line| line.trim().starts_with('[')).count() > 1 {
        return Err(refuse("more than one profile: expected one"));
    }
    let (Some(id), Some(key)) = (value("aws_access_key_id"), value("aws_secret_access_key")) else {
        return Err(refuse(
            "expected the lines aws_access_key_id = ID and aws_secret_access_key = KEY",
        ));
    };
    Ok(Some(Keys {
        id: id.to_owned(),
        key: Secret::new(key),
        session: value("aws_session_token").map(Secret::new),
    }))
}

/// What signs a request to AWS.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// The name of the key, which is no secret.
    pub(super) id: String,
    pub(super) key: Secret,
    /// Goes with temporary keys.
    pub(super) session: Option<Secret>,
}

fn text(settings: &CloudSettings) -> Result<Option<(PathBuf, Secret)>, CloudError> {
    let (path, bytes) = match &settings.secret {
        SecretSource::File(path) => (path.clone(), read_secret(path)),
        SecretSource::Credential(name) => {
            let Some(directory) = std::env::var_os(DIRECTORY) else {
                return Err(CloudError::NoCredentials { name: name.clone() });
            };
            let path = PathBuf::from(directory).join(name);
            let bytes = read_credential(&path);
            (path, bytes)
        }
        SecretSource::Given | SecretSource::InstanceRole => return Ok(None),
    };
    // Cloned into a secret; what was read is wiped when it is dropped.
    Ok(Some((path, Secret::new(bytes?.as_slice()))))
}

#[cfg(test)]
mod tests;
