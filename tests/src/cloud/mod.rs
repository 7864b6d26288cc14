//! The clouds: an API that accepts assignments of the floating IP, a router that carries them out, and a metadata
//! service that tells each server who it is.
//!
//! They are faithful where failover depends on it: an accepted action is not a completed one, the route moves at the
//! moment of completion and not before, a second action meanwhile is refused, and every answer can be made to fail. What
//! is documented is shown as documented: `docs.digitalocean.com/reference/api`, `docs.hetzner.cloud/reference/cloud`,
//! `www.vultr.com/api` and `/metadata`, `docs.aws.amazon.com/AWSEC2/latest`.

mod authority;
mod aws;
mod digitalocean;
mod door;
mod fault;
mod front;
mod hetzner;
mod instance;
mod metadata;
mod moving;
mod provider;
mod state;
mod vultr;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio_rustls::TlsAcceptor;

use self::{
    authority::Identity,
    door::{Door, Line},
    fault::{Plan, Slowness},
    front::{Front, Kind, behind},
    state::State,
};
pub use self::{
    aws::{ACCESS_KEY, REGION},
    fault::{Endpoint, Fault, Gone},
    instance::Instance,
    provider::{FLOATING_IPV6, Provider},
    state::{Call, Move},
};
use crate::{
    clock::{Moment, lock, pass, poll},
    host::Host,
    network::{CLOUD_IP, FLOATING_IP, METADATA_IP, Server},
    service::{Service, listen},
};

/// Where the API is, without TLS.
pub const API: SocketAddrV4 = SocketAddrV4::new(CLOUD_IP, 8080);
/// Where the API is, by TLS.
pub const SECURE_API: SocketAddrV4 = SocketAddrV4::new(CLOUD_IP, 443);
/// The name of the API's host, which only the tests' hosts know.
pub const API_NAME: &str = "api.cloud.example";
/// The token that `DigitalOcean`'s API takes unless told otherwise.
pub const TOKEN: &str = "dop_v1_b7d03a6947b217efb6f3ec3bd3504582";

/// A running cloud. The floating IP is with primary until something is asked of it.
#[derive(Debug)]
pub struct Cloud {
    state: Shared,
    places: Places,
    authority: String,
    _service: Service,
}

type Shared = Arc<Mutex<State>>;

/// Where its services are.
#[derive(Clone, Copy, Debug)]
struct Places {
    api: SocketAddr,
    secure: SocketAddr,
    metadata: SocketAddr,
}

impl Cloud {
    /// Starts `DigitalOcean` on its host.
    pub fn start(host: &Host) -> Result<Self> {
        Self::start_as(host, Provider::DigitalOcean)
    }

    /// Starts a cloud on its host.
    pub fn start_as(host: &Host, provider: Provider) -> Result<Self> {
        let mut state = State::new(provider);
        state.routed = true;
        host.enter(|| moving::route(Some(Server::Primary.into())))??;
        let doors = Doors {
            api: listen(host, API)?,
            secure: listen(host, SECURE_API)?,
            metadata: listen(host, SocketAddrV4::new(METADATA_IP, 80))?,
        };
        Self::open(state, doors, |serve| Service::start(host, "services", serve))
    }

    /// Starts a cloud on the loopback, for one server that asks; nothing is routed.
    pub fn start_here(provider: Provider, asker: Server) -> Result<Self> {
        let mut state = State::new(provider);
        state.asker = Some(asker);
        let door = || -> Result<TcpListener> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let doors = Doors {
            api: door()?,
            secure: door()?,
            metadata: door()?,
        };
        Self::open(state, doors, Service::start_here)
    }

    fn open(
        state: State,
        doors: Doors,
        start: impl FnOnce(Box<dyn FnOnce() -> Serving + Send>) -> Result<Service>,
    ) -> Result<Self> {
        let places = doors.places()?;
        let identity = identity()?;
        let state = Arc::new(Mutex::new(state));
        let service = {
            let (state, tls) = (Arc::clone(&state), TlsAcceptor::from(identity.config));
            start(Box::new(move || Box::pin(doors.serve(state, tls))))?
        };
        Ok(Self {
            state,
            places,
            authority: identity.authority,
            _service: service,
        })
    }

    /// Which cloud it is.
    #[must_use]
    pub fn provider(&self) -> Provider {
        lock(&self.state).provider
    }

    /// The base of the API's URLs, without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.places.api)
    }

    /// The base of the API's URLs, by TLS.
    #[must_use]
    pub fn secure_url(&self) -> String {
        format!("https://{}", self.places.secure)
    }

    /// The base of the metadata service's URLs.
    #[must_use]
    pub fn metadata_url(&self) -> String {
        format!("http://{}", self.places.metadata)
    }

    /// The certificate, in PEM, of the authority that vouches for the API.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Which server the floating IP leads to, if it is one of the two.
    #[must_use]
    pub fn owner(&self) -> Option<Server> {
        self.owner_of(FLOATING_IP.into())
    }

    /// Which server a floating IP leads to, if it is one of the two.
    #[must_use]
    pub fn owner_of(&self, ip: IpAddr) -> Option<Server> {
        self.holder_of(ip)?.server()
    }

    /// Which instance the floating IP leads to, whoever's.
    #[must_use]
    pub fn holder(&self) -> Option<Instance> {
        self.holder_of(FLOATING_IP.into())
    }

    fn holder_of(&self, ip: IpAddr) -> Option<Instance> {
        lock(&self.state).held(ip).and_then(|held| held.owner)
    }

    /// Gives the floating IP to a server, as somebody would in the provider's web pages; nothing is routed.
    pub fn set_owner(&self, to: Option<Server>) {
        self.set_holder(to.map(Instance::from));
    }

    /// As [`set_owner`](Self::set_owner), to any instance.
    pub fn set_holder(&self, to: Option<Instance>) {
        let mut state = lock(&self.state);
        for ip in [IpAddr::V4(FLOATING_IP), IpAddr::V6(FLOATING_IPV6)] {
            state.set_owner(ip, to);
        }
    }

    /// Takes only this token from now on.
    pub fn set_token(&self, token: &str) {
        token.clone_into(&mut lock(&self.state).token);
    }

    /// How long an accepted action takes from now on.
    pub fn set_action_time(&self, time: Duration) {
        lock(&self.state).action_time = time;
    }

    /// How long the API goes on showing the owner that was, after each move from now on.
    pub fn set_stale_for(&self, time: Duration) {
        lock(&self.state).stale_for = time;
    }

    /// How long the credentials of the metadata service last from now on.
    pub fn set_credentials_last(&self, time: Duration) {
        lock(&self.state).credentials_last = time;
    }

    /// How long each call of an endpoint takes from now on.
    pub fn slow_down(&self, endpoint: Endpoint, time: Duration) {
        lock(&self.state).slow.push(Slowness { endpoint, time });
    }

    /// Lets the next `times` calls of an endpoint fail; earlier faults of the endpoint that are left go first.
    pub fn fail(&self, endpoint: Endpoint, fault: Fault, times: u32) {
        self.fail_after(0, endpoint, fault, times);
    }

    /// As [`fail`](Self::fail), after so many calls of the endpoint that go well.
    pub fn fail_after(&self, spared: u32, endpoint: Endpoint, fault: Fault, times: u32) {
        lock(&self.state).plans.push(Plan {
            endpoint,
            fault,
            spared,
            times,
        });
    }

    /// Takes API and metadata service away, or brings them back.
    pub fn set_gone(&self, gone: Option<Gone>) {
        lock(&self.state).gone = gone;
    }

    /// How many connections and requests have come while it was gone.
    #[must_use]
    pub fn missed(&self) -> usize {
        lock(&self.state).missed
    }

    /// Lets refusals that were asked for repeat, in their messages, what the caller authorised itself with; or no more.
    pub fn set_indiscreet(&self, indiscreet: bool) {
        lock(&self.state).indiscreet = indiscreet;
    }

    /// Forgets the faults that are left, and is there again.
    pub fn recover(&self) {
        let mut state = lock(&self.state);
        state.plans.clear();
        state.slow.clear();
        state.gone = None;
    }

    /// Every move that was accepted, the oldest first.
    #[must_use]
    pub fn moves(&self) -> Vec<Move> {
        lock(&self.state).moves.clone()
    }

    /// Every call that was made, in the order of their arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }

    /// How many calls of a kind were made.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> usize {
        let state = lock(&self.state);
        state.calls.iter().filter(|call| endpoint.covers(call.endpoint)).count()
    }

    /// How often the API has accepted of a server to give a floating IP to an instance.
    #[must_use]
    pub fn assignments_by(&self, server: Server) -> usize {
        let moves = self.moves();
        let assignments = moves.iter().filter(|one| one.to.is_some());
        assignments.filter(|one| one.by == server.address()).count()
    }

    /// How often a server has read the owner, and was answered, since.
    #[must_use]
    pub fn reads_by(&self, server: Server, since: Moment) -> usize {
        let state = lock(&self.state);
        let reads = state.calls.iter().filter(|call| {
            let is_reading = matches!(call.endpoint, Endpoint::Read | Endpoint::Verify);
            is_reading && call.from == server.address() && call.arrived > since && call.answered.is_some()
        });
        reads.count()
    }

    /// Whether a fault that was asked for has not happened to anybody yet.
    #[must_use]
    pub fn has_faults_left(&self) -> bool {
        lock(&self.state).plans.iter().any(|plan| plan.times > 0)
    }

    /// Waits until no move is under way, without holding anybody up.
    pub async fn settle(&self) {
        while self.moves().iter().any(Move::is_under_way) {
            pass(Duration::from_millis(5)).await;
        }
    }

    /// Waits until as many moves have been accepted and none is under way, and gives them all.
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

/// The same for all clouds of a test: making it takes as long as many a test.
fn identity() -> Result<Identity> {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    if let Some(identity) = IDENTITY.get() {
        return Ok(identity.clone());
    }
    let names = [
        API_NAME.to_owned(),
        CLOUD_IP.to_string(),
        Ipv4Addr::LOCALHOST.to_string(),
    ];
    let made = authority::certify(&names)?;
    Ok(IDENTITY.get_or_init(|| made).clone())
}

/// A cloud at work.
type Serving = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// The sockets at which it listens.
struct Doors {
    api: TcpListener,
    secure: TcpListener,
    metadata: TcpListener,
}

impl Doors {
    fn places(&self) -> Result<Places> {
        Ok(Places {
            api: self.api.local_addr()?,
            secure: self.secure.local_addr()?,
            metadata: self.metadata.local_addr()?,
        })
    }

    async fn serve(self, state: Shared, tls: TlsAcceptor) {
        let front = |service| Front {
            state: Arc::clone(&state),
            service,
        };
        let api = match lock(&state).provider {
            Provider::DigitalOcean => digitalocean::router(),
            Provider::Hetzner => hetzner::router(),
            Provider::Vultr => vultr::router(),
            Provider::Aws => aws::router(),
        };
        let api = behind(front(Kind::Api), api);
        let metadata = behind(front(Kind::Metadata), metadata::router());
        let result = tokio::try_join!(
            serve(self.api, None, &state, api.clone()),
            serve(self.secure, Some(tls), &state, api),
            serve(self.metadata, None, &state, metadata),
        );
        if let Err(error) = result {
            eprintln!("the cloud ended: {error:#}");
        }
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, state: &Shared, router: axum::Router) -> Result<()> {
    let door = Door::open(listener, tls, Arc::clone(state))?;
    let service = router.into_make_service_with_connect_info::<Line>();
    Ok(axum::serve(door, service).await?)
}
