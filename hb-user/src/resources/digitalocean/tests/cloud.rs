//! A cloud with the API's real shapes, and with the faults that a test asks for.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(super) const IP: &str = "198.51.100.9";
pub(super) const OURS: u64 = 3_164_444;
pub(super) const TOKEN: &str = "dop_v1_0123456789abcdef";
const THEIRS: u64 = 3_164_445;

/// What goes wrong with one request.
#[derive(Debug)]
pub(super) enum Fault {
    /// The API's error with this status and message.
    Error(u16, &'static str),
    /// 429, to be left alone for so many seconds.
    Throttled(u32),
    /// No answer.
    Hang,
    /// The connection is closed without an answer.
    Reset,
    /// 200, cut off.
    Broken,
    /// 200, and more bytes than anybody wants.
    Endless,
    /// It is done, and the connection closed without an answer.
    Lost,
    /// The action has this status.
    Status(&'static str),
    /// The address has another owner.
    Owned(u64),
    /// The address has this owner, and an action is pending.
    Locked(u64),
}

#[derive(Default)]
struct Inner {
    owner: Option<u64>,
    /// The action under way: whose the address will be, after so many looks.
    moving: Option<(u64, u32)>,
    actions: u64,
    log: Vec<&'static str>,
    faults: HashMap<&'static str, VecDeque<Fault>>,
}

#[derive(Clone)]
pub(super) struct Cloud {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Cloud {
    pub(super) async fn start() -> Self {
        let (cloud, listener) = Self::bind().await;
        let router = Router::new()
            .route("/v2/reserved_ips/198.51.100.9/actions", post(assign))
            .route("/v2/reserved_ips/198.51.100.9/actions/{id}", get(action))
            .route("/v2/reserved_ips/198.51.100.9", get(read))
            .route("/v2/reserved_ipv6/2001:db8::7/actions", post(assign))
            .route("/v2/reserved_ipv6/2001:db8::7/actions/{id}", get(no_action))
            .route("/v2/reserved_ipv6/2001:db8::7", get(read_v6))
            .with_state(cloud.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        cloud
    }

    /// Only the address of a cloud.
    pub(super) async fn nobody() -> Self {
        Self::bind().await.0
    }

    async fn bind() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let inner = Inner {
            owner: Some(THEIRS),
            ..Inner::default()
        };
        let inner = Arc::new(Mutex::new(inner));
        (Self { address, inner }, listener)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) fn owner(&self) -> Option<u64> {
        self.inner().owner
    }

    pub(super) fn set_owner(&self, droplet: u64) {
        self.inner().owner = Some(droplet);
    }

    /// Every request, in order.
    pub(super) fn log(&self) -> Vec<&'static str> {
        self.inner().log.clone()
    }

    pub(super) fn posts(&self) -> usize {
        self.log().iter().filter(|request| **request == "POST").count()
    }

    /// The next requests of a kind have these faults.
    pub(super) fn faults(&self, request: &'static str, faults: impl IntoIterator<Item = Fault>) {
        self.inner().faults.entry(request).or_default().extend(faults);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrived(&self, request: &'static str, headers: &HeaderMap) -> Option<Fault> {
        let token = headers.get("authorization").expect("a token");
        assert_eq!(token, &format!("Bearer {TOKEN}"));
        let mut inner = self.inner();
        inner.log.push(request);
        inner.faults.get_mut(request).and_then(VecDeque::pop_front)
    }
}

impl Inner {
    fn begin(&mut self, droplet: u64) {
        self.actions += 1;
        self.moving = Some((droplet, 2));
    }

    /// Somebody looks: the action comes nearer to its end.
    fn look(&mut self) -> &'static str {
        match self.moving {
            Some((droplet, 0 | 1)) => {
                self.owner = Some(droplet);
                self.moving = None;
                "completed"
            }
            Some((droplet, looks)) => {
                self.moving = Some((droplet, looks - 1));
                "in-progress"
            }
            None => "completed",
        }
    }
}

async fn assign(State(cloud): State<Cloud>, headers: HeaderMap, Json(body): Json<Value>) -> Response<Body> {
    assert_eq!(body["type"], "assign");
    let droplet = body["droplet_id"].as_u64().expect("a droplet");
    match cloud.arrived("POST", &headers) {
        Some(Fault::Lost) => {
            cloud.inner().owner = Some(droplet);
            close()
        }
        Some(fault) => fail(fault).await,
        None if cloud.owner() == Some(droplet) => error(422, "The reserved IP is already assigned to this droplet."),
        None if cloud.inner().moving.is_some() => error(422, "The reserved IP already has a pending event."),
        None => {
            let mut inner = cloud.inner();
            inner.begin(droplet);
            reply(201, &action_reply(inner.actions, "in-progress"))
        }
    }
}

async fn action(State(cloud): State<Cloud>, headers: HeaderMap, Path(id): Path<u64>) -> Response<Body> {
    match cloud.arrived("GET action", &headers) {
        Some(Fault::Status(status)) => reply(200, &action_reply(id, status)),
        Some(fault) => fail(fault).await,
        None => reply(200, &action_reply(id, cloud.inner().look())),
    }
}

async fn no_action(State(cloud): State<Cloud>, headers: HeaderMap) -> Response<Body> {
    cloud.arrived("GET action 404", &headers);
    error(404, "The resource you were accessing could not be found.")
}

async fn read(State(cloud): State<Cloud>, headers: HeaderMap) -> Response<Body> {
    match cloud.arrived("GET address", &headers) {
        Some(Fault::Owned(droplet)) => reply(200, &address_reply(Some(droplet), false)),
        Some(Fault::Locked(droplet)) => reply(200, &address_reply(Some(droplet), true)),
        Some(fault) => fail(fault).await,
        None => {
            let inner = cloud.inner();
            reply(200, &address_reply(inner.owner, inner.moving.is_some()))
        }
    }
}

async fn read_v6(State(cloud): State<Cloud>, headers: HeaderMap) -> Response<Body> {
    cloud.arrived("GET address", &headers);
    let mut inner = cloud.inner();
    // No droplet while it moves, as an address that nobody has.
    let droplet = (inner.look() == "completed").then(|| json!({ "id": inner.owner }));
    reply(
        200,
        &json!({ "reserved_ipv6": { "ip": "2001:db8::7", "region_slug": "nyc3", "droplet": droplet } }),
    )
}

async fn fail(fault: Fault) -> Response<Body> {
    match fault {
        Fault::Error(status, message) => error(status, message),
        Fault::Throttled(seconds) => {
            let mut response = error(429, "API Rate limit exceeded.");
            response.headers_mut().insert("retry-after", seconds.into());
            response
        }
        Fault::Hang => {
            crate::clock::sleep(Duration::from_hours(1)).await;
            close()
        }
        Fault::Broken => Response::new(Body::from("{\"action\":{\"id\":1,\"sta")),
        Fault::Endless => Response::new(Body::from(vec![b' '; 1 << 20])),
        Fault::Reset | Fault::Lost | Fault::Status(_) | Fault::Owned(_) | Fault::Locked(_) => close(),
    }
}

/// Ends the connection's task, quietly.
fn close() -> ! {
    std::panic::resume_unwind(Box::new("the connection is closed"))
}

fn error(status: u16, message: &str) -> Response<Body> {
    reply(
        status,
        &json!({ "id": "error", "message": message, "request_id": "4d9d8375-3c56-4925-a3e7" }),
    )
}

fn reply(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn action_reply(id: u64, status: &str) -> Value {
    json!({ "action": {
        "id": id,
        "status": status,
        "type": "assign_ip",
        "started_at": "2015-11-12T17:51:14Z",
        "completed_at": (status == "completed").then_some("2015-11-12T17:51:25Z"),
        "resource_id": 758_604_197,
        "resource_type": "reserved_ip",
        "region": { "name": "New York 3", "slug": "nyc3" },
        "region_slug": "nyc3",
    }})
}

fn address_reply(droplet: Option<u64>, locked: bool) -> Value {
    json!({ "reserved_ip": {
        "ip": IP,
        "droplet": droplet.map(|id| json!({ "id": id, "name": "secondary", "status": "active" })),
        "region": { "name": "New York 3", "slug": "nyc3" },
        "locked": locked,
        "project_id": "746c6152-2fa2-11ed-92d3-27aaa54e4988",
    }})
}
