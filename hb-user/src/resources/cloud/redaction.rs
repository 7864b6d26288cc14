//! Texts that others wrote, without what must not be shown: an API, or a proxy before it, may quote a request with its token.

use std::fmt;
use std::sync::Arc;

use super::secrets::Keys;
use crate::secret::Secret;

/// What stands in a secret's place.
const GONE: &str = "[secret]";
/// The longest text that is passed on, in characters.
const LONGEST: usize = 300;

/// The secrets of a request, none of which gets into a message. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Redaction(Arc<[Secret]>);

impl Redaction {
    pub(super) fn of_token(token: &Secret) -> Self {
        Self::of([token.clone()])
    }

    /// Of a signed request: what signs it, and the signature, with which it could be sent once more.
    pub(super) fn of_signed(keys: &Keys, signature: &str) -> Self {
        let secrets = [
            Some(keys.key.clone()),
            keys.session.clone(),
            Some(Secret::new(signature)),
        ];
        Self::of(secrets.into_iter().flatten())
    }

    fn of(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut secrets: Vec<Secret> = secrets
            .into_iter()
            .filter(|secret| !secret.reveal().is_empty())
            .collect();
        // One may be part of another, whose rest would stay.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.reveal().len()));
        Self(secrets.into())
    }

    /// Somebody else's text, fit for one line of a log.
    pub(super) fn readable(&self, text: &(impl fmt::Display + ?Sized)) -> String {
        let mut text = text.to_string();
        // What is no text cannot be part of one.
        for secret in self.0.iter().filter_map(|secret| str::from_utf8(secret.reveal()).ok()) {
            text = text.replace(secret, GONE);
        }
        // Cut last: of a secret that was cut before, a part would stay.
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LONGEST)
            .collect()
    }
}

#[cfg(test)]
mod tests;
