//! Each fault of a provider's API at each step of a takeover, for each provider: how it ends, how long that takes, how
//! many calls it costs, and that nothing is lost.

mod case;
mod expected;
mod table;

use std::sync::Arc;

use anyhow::{Result, ensure};
use tokio::{sync::Semaphore, task::JoinSet};

use case::{Case, Often, Run};

/// Most of the time of a case is waiting.
const AT_ONCE: usize = 48;

/// What happened once is got over, if it is of the kind that passes; what does not pass is told at once and as what it is.
#[tokio::test]
async fn a_fault_that_happens_once() -> Result<()> {
    run(Often::Once).await
}

/// What goes on for ever ends with the time that there is, and a takeover that is tried again afterwards succeeds.
#[tokio::test]
async fn a_fault_that_goes_on() -> Result<()> {
    run(Often::Always).await
}

async fn run(often: Often) -> Result<()> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for case in Case::all(often) {
        let places = Arc::clone(&places);
        running.spawn(async move {
            let _place = places.acquire().await;
            (case, case.run().await)
        });
    }
    let mut runs: Vec<(Case, Run)> = Vec::new();
    let mut wrong = Vec::new();
    while let Some(done) = running.join_next().await {
        match done? {
            (case, Ok(run)) => {
                wrong.extend(
                    run.complaints(&case)
                        .into_iter()
                        .map(|text| format!("{case}: {text}: {run:?}")),
                );
                runs.push((case, run));
            }
            (case, Err(error)) => wrong.push(format!("{case}: {error:#}")),
        }
    }
    println!("{}", table::of(&runs));
    ensure!(
        wrong.is_empty(),
        "{} cases of {}:\n{}",
        wrong.len(),
        runs.len(),
        wrong.join("\n")
    );
    Ok(())
}
