//! How an accepted move comes about.

use std::{net::IpAddr, process::Command, sync::Arc};

use anyhow::{Context, Result, ensure};

use super::{Shared, instance::Instance, state::Move};
use crate::{
    clock::{lock, pass},
    network::FLOATING_IP,
};

/// When the API says that a move is done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Truth {
    /// When it is.
    AtTheEnd,
    /// At once: the route follows.
    AtOnce,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub ip: IpAddr,
    pub to: Option<Instance>,
    pub by: IpAddr,
    /// The API's name for the address.
    pub kind: &'static str,
    /// Whether it comes to nothing.
    pub errs: bool,
}

/// Accepts a move, and sees to it that it happens.
pub(super) fn start(state: &Shared, order: Order, truth: Truth) -> Move {
    let (accepted, time, routed) = {
        let mut state = lock(state);
        let accepted = state.accept(order.ip, order.to, order.by, order.kind);
        if matches!(truth, Truth::AtOnce) && !order.errs {
            state.take_effect(accepted.id);
        }
        (accepted, state.action_time, state.routed)
    };
    let (id, state) = (accepted.id, Arc::clone(state));
    tokio::spawn(async move {
        pass(time).await;
        let moved = !order.errs && (!routed || lead(order));
        let mut state = lock(&state);
        if moved && matches!(truth, Truth::AtTheEnd) {
            state.take_effect(id);
        }
        state.end(id, moved);
    });
    accepted
}

fn lead(order: Order) -> bool {
    if order.ip != IpAddr::V4(FLOATING_IP) {
        return true;
    }
    route(order.to)
        .inspect_err(|error| eprintln!("the cloud's router: {error:#}"))
        .is_ok()
}

/// Leads the floating IP to an instance, or nowhere. The calling thread must be in the cloud's network.
pub(super) fn route(to: Option<Instance>) -> Result<()> {
    let way = match to {
        Some(instance) => format!("route replace {FLOATING_IP}/32 via {}", instance.address()),
        None => format!("route replace unreachable {FLOATING_IP}/32"),
    };
    let done = Command::new("ip")
        .args(way.split(' '))
        .output()
        .context("cannot run ip (iproute2)")?;
    ensure!(
        done.status.success(),
        "ip {way}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}
