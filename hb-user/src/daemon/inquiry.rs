//! Asking the first script of a group for its status while another node still stops the group: the start that follows has one
//! script less to wait for.

use std::sync::Arc;
use std::time::Duration;

use hb_ebpf::Nanos;
use tokio::task::JoinHandle;

use super::settings::nanos;
use crate::clock;
use crate::process::{Abort, Aborter, abortable};
use crate::resources::group::{self, Context, GroupScripts};
use crate::resources::scripts::Finished;

/// What was asked longer ago is asked again: somebody may have started the resource since.
const FRESH: Duration = Duration::from_secs(10);

/// A script that is being asked, or has answered. Whatever is done with the group next has to wait for its end.
#[derive(Debug)]
pub(super) struct Inquiry {
    aborter: Aborter,
    asked: Nanos,
    script: JoinHandle<Option<Finished>>,
}

impl Inquiry {
    /// Asks.
    pub(super) fn begin(scripts: Arc<GroupScripts>, context: Arc<Context>) -> Self {
        let (aborter, abort) = abortable();
        Self {
            aborter,
            asked: clock::now(),
            script: tokio::spawn(async move { group::ask(&scripts, &context, &abort).await }),
        }
    }

    /// Whether a script runs for it.
    pub(super) fn is_under_way(&self) -> bool {
        !self.script.is_finished()
    }

    /// Nobody wants to know any more.
    pub(super) fn give_up(&self) {
        self.aborter.abort();
    }

    /// Gives up, and waits until the script is dead.
    pub(super) async fn end(self) {
        self.give_up();
        let _ = ended(self.script).await;
    }

    /// That the resource does not run here, if that is what it answers, and was asked just now. Whatever else it says is no
    /// answer: it may have looked at what the other node still had, or have been broken off.
    pub(super) async fn answer(self, abort: &Abort) -> Option<Finished> {
        let Self { aborter, asked, script } = self;
        let give_up = async {
            abort.given().await;
            aborter.abort();
            std::future::pending().await
        };
        let status = tokio::select! {
            status = ended(script) => status,
            never = give_up => never,
        };
        let is_fresh = clock::now().since(asked) <= nanos(FRESH);
        status.filter(|status| is_fresh && group::says_running(status) == Some(false))
    }
}

/// A task that panics ends the daemon: it is better dead than wrong.
async fn ended(script: JoinHandle<Option<Finished>>) -> Option<Finished> {
    match script.await {
        Ok(status) => status,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests;
