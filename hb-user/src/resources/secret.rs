//! A word that nobody may read by accident.

use std::fmt;

use zeroize::Zeroizing;

/// A password or token: its `Debug` prints nothing of it, and its memory is zeroed when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps `word`.
    #[must_use]
    pub fn new(word: String) -> Self {
        Self(Zeroizing::new(word))
    }

    /// The word itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
