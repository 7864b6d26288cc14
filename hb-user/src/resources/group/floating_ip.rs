//! A floating IP as a resource of a group.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Claims, Context};
use crate::clock;
use crate::config::CloudAddress;
use crate::process::Abort;
use crate::resources::cloud::{Claim, FloatingIp, MoveError, Moved, Order, Owner, Progress, Watch};
use crate::resources::scripts::{Finished, Operation, Outcome};

/// Takes it over, asks for its owner, or leaves it alone, in the way of a script that is called.
///
/// Taking it over can be aborted: a move that the API has accepted goes on there, and nothing of it goes on here. It is
/// never given back: who takes it over takes it from us.
pub(super) async fn call(
    context: &Context,
    address: &CloudAddress,
    operation: Operation,
    abort: &Abort,
    moved: &mut Option<Moved>,
) -> Finished {
    let started = clock::now();
    let ip = context.clouds.as_ref().and_then(|clouds| clouds.get(address));
    let (outcome, says_running) = match (operation, ip) {
        (Operation::Stop, _) => {
            tracing::info!(%address, "left with its provider: who takes it over moves it");
            (Outcome::Done, false)
        }
        (Operation::Start | Operation::Status, None) => {
            (Outcome::Failed("nothing here moves floating IPs".to_owned()), false)
        }
        (Operation::Start, Some(ip)) => {
            let outcome = tokio::select! {
                outcome = take_over(ip, &context.claims, moved) => outcome,
                () = abort.given() => Outcome::Aborted,
            };
            (outcome, false)
        }
        (Operation::Status, Some(ip)) => match ip.is_ours(context.limit).await {
            Ok(is_ours) => (Outcome::Done, is_ours),
            Err(failure) => (Outcome::Unknown(format!("the owner is unknown: {failure}")), false),
        },
    };
    Finished {
        outcome,
        started,
        ended: clock::now(),
        says_running,
        output_tail: String::new(),
    }
}

async fn take_over(ip: &FloatingIp, claims: &Claims, moved: &mut Option<Moved>) -> Outcome {
    let named = claims.get(ip.address()).cloned();
    let claim = named.map_or(Claim::Anybody, Claim::From);
    let order = Order {
        to: None,
        claim,
        within: ip.settings().move_timeout,
    };
    let found = Arc::new(Mutex::new(None));
    match ip.take_over(order, told(ip.address(), found.clone())).await {
        Ok(done) => {
            *moved = Some(done);
            Outcome::Done
        }
        Err(error @ MoveError::Contended { .. }) => {
            Outcome::Failed(format!("{error}: `hb takeover` takes it all the same"))
        }
        Err(error @ (MoveError::Failed(_) | MoveError::Deadline { .. })) => {
            let found = found.lock().unwrap_or_else(PoisonError::into_inner).take();
            let me = ip.known_identity();
            // Where this host does not know who it is, that is not known either.
            let is_elsewhere = found.zip(me).is_some_and(|(owner, me)| owner.instance != Some(me));
            if is_elsewhere {
                Outcome::Failed(error.to_string())
            } else {
                Outcome::Unknown(error.to_string())
            }
        }
        Err(error @ (MoveError::Action { .. } | MoveError::NotOurs { .. } | MoveError::NotActive)) => {
            Outcome::Failed(error.to_string())
        }
    }
}

/// The log tells what happens on the way. The owner that was found is kept.
fn told(address: &CloudAddress, found: Arc<Mutex<Option<Owner>>>) -> Watch {
    let address = address.clone();
    Arc::new(move |progress| match progress {
        Progress::Found { owner, .. } => {
            tracing::info!(%address, %owner, "to be taken over");
            *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(owner.clone());
        }
        Progress::Accepted { action, .. } => {
            let action = action.as_ref().map(tracing::field::display);
            tracing::info!(%address, action, "the API has accepted the move");
        }
        Progress::Completed { .. } => tracing::info!(%address, "the API has completed the move"),
        Progress::Verified { .. } => tracing::info!(%address, "read back: it is here"),
        Progress::Retrying { reason, pause, .. } => tracing::warn!(%address, reason, ?pause, "to be tried again"),
    })
}
