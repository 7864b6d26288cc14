//! Asking the first script of a group for its status while another node still stops the group: the start that follows has one
//! script less to wait for.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::settings::nanos;
use crate::clock;
use crate::resources::group::{self, Context, GroupScripts};
use crate::resources::scripts::Finished;

/// An answer that is older is worth nothing: somebody may have started the resource since.
const FRESH: Duration = Duration::from_secs(1);

/// A script that is being asked, or has answered. Dropped, it is asked no more.
#[derive(Debug)]
pub(super) struct Inquiry(JoinHandle<Option<Finished>>);

impl Inquiry {
    /// Asks.
    pub(super) fn begin(scripts: Arc<GroupScripts>, context: Arc<Context>) -> Self {
        Self(tokio::spawn(async move { group::ask(&scripts, &context).await }))
    }

    /// Whether a script runs for it.
    pub(super) fn is_under_way(&self) -> bool {
        !self.0.is_finished()
    }

    /// What it has answered, unless that was too long ago.
    pub(super) async fn answer(mut self) -> Option<Finished> {
        let answer = match (&mut self.0).await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        };
        answer.filter(|status| clock::now().since(status.ended) <= nanos(FRESH))
    }
}

impl Drop for Inquiry {
    fn drop(&mut self) {
        self.0.abort();
    }
}
