//! One report for all who wait for one: however many ask how it stands, the controller is asked no more often than the
//! [`Pace`] allows, and what it says is written down once.
//!
//! A report that is shared is never older than the question: who asks while one is being made gets the next.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::pace::Pace;
use super::server::{Asked, answer, line};
use super::{Reply, Request};

/// An answer as it goes out.
pub(super) type Line = Arc<[u8]>;

/// Where to ask.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    askers: mpsc::Sender<oneshot::Sender<Line>>,
}

impl Reports {
    /// Asks on behalf of `places` at a time. Ends when all who could ask have gone.
    pub(super) fn start(places: usize, questions: mpsc::Sender<Asked>, pace: Arc<Pace>) -> Self {
        let (askers, waiting) = mpsc::channel(places);
        tokio::spawn(report(waiting, questions, pace));
        Self { askers }
    }

    /// How it stands now.
    pub(super) async fn next(&self) -> Line {
        let (asker, answered) = oneshot::channel();
        if self.askers.send(asker).await.is_ok()
            && let Ok(line) = answered.await
        {
            return line;
        }
        line(&Reply::stopping()).into()
    }
}

async fn report(mut waiting: mpsc::Receiver<oneshot::Sender<Line>>, questions: mpsc::Sender<Asked>, pace: Arc<Pace>) {
    while let Some(first) = waiting.recv().await {
        pace.turn().await;
        let mut askers = vec![first];
        while let Ok(asker) = waiting.try_recv() {
            askers.push(asker);
        }
        if askers.iter().all(oneshot::Sender::is_closed) {
            continue;
        }
        let report: Line = line(&answer(Request::Status, &questions).await).into();
        for asker in askers {
            // Who asked may have gone.
            let _ = asker.send(report.clone());
        }
    }
}

#[cfg(test)]
mod tests;
