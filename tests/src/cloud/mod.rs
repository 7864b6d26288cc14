//! The cloud: an API that accepts assignments of the floating IP, a router that carries them out, and a metadata
//! service that tells each droplet who it is.
//!
//! It is faithful where failover depends on it: an accepted action is not a completed one, the route moves at the moment
//! of completion and not before, a second action meanwhile is refused, and every answer can be made to fail.

mod digitalocean;
mod metadata;
mod state;

use std::{
    net::SocketAddrV4,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::net::TcpListener;

use self::state::State;
pub use self::state::{Call, Endpoint, Fault, Move};
use crate::{
    clock::{lock, poll},
    host::Host,
    network::{CLOUD_IP, FLOATING_IP, METADATA_IP, Server},
    service::{Service, listen},
};

/// Where the API is.
pub const API: SocketAddrV4 = SocketAddrV4::new(CLOUD_IP, 8080);
/// The token that the API takes unless told otherwise.
pub const TOKEN: &str = "dop_v1_b7d03a6947b217efb6f3ec3bd3504582";

/// A running cloud. The floating IP is with primary until something is asked of it.
#[derive(Debug)]
pub struct Cloud {
    state: Shared,
    _service: Service,
}

type Shared = Arc<Mutex<State>>;

impl Cloud {
    /// Starts the cloud on its host.
    pub fn start(host: &Host) -> Result<Self> {
        let state = Shared::default();
        let api = listen(host, API)?;
        let metadata = listen(host, SocketAddrV4::new(METADATA_IP, 80))?;
        host.enter(|| route(Some(Server::Primary)))??;
        let service = {
            let state = Arc::clone(&state);
            Service::start(host, "services", move || async move {
                let result = tokio::try_join!(
                    serve(api, digitalocean::router(Arc::clone(&state))),
                    serve(metadata, metadata::router(state)),
                );
                if let Err(error) = result {
                    eprintln!("the cloud ended: {error:#}");
                }
            })?
        };
        Ok(Self {
            state,
            _service: service,
        })
    }

    /// Which server the floating IP leads to.
    #[must_use]
    pub fn owner(&self) -> Option<Server> {
        lock(&self.state).owner
    }

    /// Takes only this token from now on.
    pub fn set_token(&self, token: &str) {
        token.clone_into(&mut lock(&self.state).token);
    }

    /// How long an accepted action takes from now on.
    pub fn set_action_time(&self, time: Duration) {
        lock(&self.state).action_time = time;
    }

    /// Lets the next `times` calls of an endpoint fail; earlier faults of the endpoint that are left go first.
    pub fn fail(&self, endpoint: Endpoint, fault: Fault, times: u32) {
        lock(&self.state).faults.push((endpoint, fault, times));
    }

    /// Forgets the faults that are left.
    pub fn recover(&self) {
        lock(&self.state).faults.clear();
    }

    /// Every assignment that was accepted, the oldest first.
    #[must_use]
    pub fn moves(&self) -> Vec<Move> {
        lock(&self.state).moves.clone()
    }

    /// Every call that was made, in the order of their answers; one that was left hanging comes when it arrives.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }

    /// Waits until as many assignments have been accepted and none is under way, and gives them all.
    pub fn wait_for_moves(&self, count: usize, limit: Duration) -> Result<Vec<Move>> {
        let settled = |moves: &[Move]| moves.len() >= count && moves.iter().all(|one| !one.is_under_way());
        poll(limit, || Ok(Some(self.moves()).filter(|moves| settled(moves))))?.with_context(|| {
            format!(
                "the cloud has not completed {count} moves within {limit:?}: {:?}",
                self.moves()
            )
        })
    }
}

async fn serve(listener: std::net::TcpListener, router: axum::Router) -> Result<()> {
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    Ok(axum::serve(TcpListener::from_std(listener)?, service).await?)
}

/// Leads the floating IP to a server, or nowhere. The calling thread must be in the cloud's network.
fn route(to: Option<Server>) -> Result<()> {
    let way = match to {
        Some(server) => format!("route replace {FLOATING_IP}/32 via {}", server.address()),
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
