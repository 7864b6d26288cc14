//! What providers with a bearer token have in common: the way to the API, to the metadata service, and who this host is.

use super::http::Http;
use super::provider::{Failure, InstanceId};
use super::{CloudError, secrets};
use crate::config::{CloudSettings, Identity};
use crate::secret::Secret;

/// One table of hb.toml, at work: its addresses share the connection.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) api: Http,
    pub(super) metadata: Http,
    pub(super) identity: Identity,
}

impl Account {
    pub(super) fn open(settings: &CloudSettings) -> Result<Self, CloudError> {
        Self::with(settings, &secrets::token(settings)?)
    }

    pub(super) fn with(settings: &CloudSettings, token: &Secret) -> Result<Self, CloudError> {
        Ok(Self {
            api: Http::api(settings, Some(token))?,
            metadata: Http::metadata(settings)?,
            identity: settings.identity.clone(),
        })
    }

    /// The fixed id, or the text that the metadata service has at `path`.
    pub(super) async fn identity(&self, path: &str) -> Result<InstanceId, Failure> {
        if let Identity::Fixed(id) = &self.identity {
            return Ok(id.clone());
        }
        self.told(path).await
    }

    /// The same text where an id is fixed.
    pub(super) async fn named(&self, path: &str) -> Result<Option<InstanceId>, Failure> {
        match &self.identity {
            Identity::Fixed(_) => self.told(path).await.map(Some),
            Identity::Metadata => Ok(None),
        }
    }

    async fn told(&self, path: &str) -> Result<InstanceId, Failure> {
        let id = self.metadata.get(path).await?.text()?;
        instance(&id, path)
    }
}

/// What a metadata service says of itself, if it can be that.
pub(super) fn instance(id: &str, path: &str) -> Result<InstanceId, Failure> {
    InstanceId::new(id).ok_or_else(|| Failure::Passing {
        call: format!("GET {path}"),
        reason: "the metadata service answers with something that is no instance's id".to_owned(),
    })
}

/// The number of an instance, where the API counts them.
pub(super) fn number(id: &InstanceId) -> Result<u64, Failure> {
    id.number().ok_or_else(|| Failure::Setting {
        reason: format!("{id} is no number of an instance of this provider's"),
    })
}
