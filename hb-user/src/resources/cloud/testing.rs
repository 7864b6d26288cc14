//! A small server for the tests of the providers: it answers as a test says, and fails as it says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::pace::Pacing;
use super::{Accounts, Claim, FloatingIp, MoveError, Moved, Order};
use crate::config::{CloudKind, CloudSettings, Identity, InstanceId, SecretSource};

/// What no message, log or Debug may contain.
pub(crate) const TOKEN: &str = "dop_v1_0123456789abcdef";

/// As usual, fifty times faster.
const PACING: Pacing = Pacing {
    poll: [Duration::from_millis(2), Duration::from_millis(20)],
    retry: [Duration::from_millis(4), Duration::from_millis(40)],
    settle: Duration::from_millis(200),
    unheard: Duration::from_millis(100),
    errors: 3,
};

/// A request.
#[derive(Debug)]
pub(crate) struct Asked {
    /// `GET /v2/...`, with its query.
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str().expect("text"));
        value.unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// An answer: status, body, and headers beside the usual.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Said {
    #[expect(clippy::needless_pass_by_value, reason = "it reads better where it is used")]
    pub(crate) fn new(status: u16, body: impl ToString) -> Self {
        Self {
            status,
            body: body.to_string(),
            headers: Vec::new(),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "it reads better where it is used")]
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is answered like this.
    Said(Said),
    /// No answer.
    Hang,
    /// The connection is closed without an answer.
    Reset,
    /// A success, cut off.
    Broken,
    /// A success, and more bytes than anybody wants.
    Endless,
    /// It is done, and the connection closed without an answer.
    Lost,
}

type Answers = Box<dyn FnMut(&Asked) -> Said + Send>;

/// The server. It ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    answers: Answers,
    log: Vec<String>,
    faults: VecDeque<(&'static str, Fault)>,
}

impl Server {
    pub(crate) async fn start(answers: impl FnMut(&Asked) -> Said + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self {
            address: listener.local_addr().expect("its address"),
            inner: Arc::new(Mutex::new(Inner {
                answers: Box::new(answers),
                log: Vec::new(),
                faults: VecDeque::new(),
            })),
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests whose line begins like this have these faults.
    pub(crate) fn faults(&self, line: &'static str, faults: impl IntoIterator<Item = Fault>) {
        self.inner()
            .faults
            .extend(faults.into_iter().map(|fault| (line, fault)));
    }

    /// What has not gone wrong yet does not.
    pub(crate) fn forget_faults(&self) {
        self.inner().faults.clear();
    }

    /// Every request, in order.
    pub(crate) fn log(&self) -> Vec<String> {
        self.inner().log.clone()
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.log().iter().filter(|logged| logged.starts_with(line)).count()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    let asked = Asked {
        line: format!("{method} {uri}"),
        headers,
        body,
    };
    let fault = {
        let mut inner = server.inner();
        inner.log.push(asked.line.clone());
        let at = inner.faults.iter().position(|(line, _)| asked.line.starts_with(line));
        at.and_then(|at| inner.faults.remove(at)).map(|(_, fault)| fault)
    };
    let said = match fault {
        None => (server.inner().answers)(&asked),
        Some(Fault::Said(said)) => said,
        Some(Fault::Hang) => {
            crate::clock::sleep(Duration::from_hours(1)).await;
            close()
        }
        Some(Fault::Reset) => close(),
        Some(Fault::Broken) => Said::new(200, "{\"action\":{\"id\":1,\"sta"),
        Some(Fault::Endless) => Said::new(200, " ".repeat(1 << 20)),
        Some(Fault::Lost) => {
            (server.inner().answers)(&asked);
            close()
        }
    };
    let mut response = Response::new(Body::from(said.body));
    *response.status_mut() = StatusCode::from_u16(said.status).expect("a status");
    for (name, value) in said.headers {
        response.headers_mut().insert(name, value.parse().expect("a header"));
    }
    response
}

/// Ends the connection's task, quietly.
fn close() -> ! {
    std::panic::resume_unwind(Box::new("the connection is closed"))
}

/// A floating IP at a server, which plays the metadata service, too. The directory holds the token.
pub(crate) fn floating_ip(kind: CloudKind, target: &str, server: &Server) -> (FloatingIp, TempDir) {
    let (settings, dir) = settings(kind, server);
    (of(&settings, target), dir)
}

pub(crate) fn of(settings: &CloudSettings, target: &str) -> FloatingIp {
    let [ip] = all_of(settings, [target]);
    ip
}

/// Several of one account's.
pub(crate) fn all_of<const N: usize>(settings: &CloudSettings, targets: [&str; N]) -> [FloatingIp; N] {
    let accounts = Accounts::open(settings).expect("an account");
    targets.map(|target| {
        let address = settings.kind.parse(target).expect("an address");
        let provider = accounts.provider(&address).expect("a provider");
        FloatingIp::new(address, settings.clone(), provider, PACING, None)
    })
}

pub(crate) fn settings(kind: CloudKind, server: &Server) -> (CloudSettings, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    let secret = match kind {
        CloudKind::Aws => format!("aws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = {TOKEN}\n"),
        CloudKind::DigitalOcean | CloudKind::Hetzner | CloudKind::Vultr => TOKEN.to_owned(),
    };
    std::fs::write(&file, secret).expect("a file");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let settings = CloudSettings {
        api_url: server.url(),
        metadata_url: server.url(),
        // A busy machine's answer must not be taken for none.
        timeout: Duration::from_secs(3),
        region: (kind == CloudKind::Aws).then(|| "us-east-1".to_owned()),
        ..CloudSettings::new(kind, SecretSource::File(file))
    };
    (settings, dir)
}

/// Takes an address over for this host. Nothing that comes of it shows the token.
pub(crate) async fn take_over(ip: &FloatingIp) -> Result<Moved, MoveError> {
    take_over_within(ip, Duration::from_mins(1)).await
}

pub(crate) async fn take_over_within(ip: &FloatingIp, within: Duration) -> Result<Moved, MoveError> {
    let order = Order {
        to: None,
        claim: Claim::Anybody,
        within,
    };
    let result = ip.take_over(order, Arc::new(|_| ())).await;
    let shown = match &result {
        Ok(moved) => format!("{ip:?} {moved:?}"),
        Err(error) => format!("{ip:?} {error:?} {error}"),
    };
    assert!(!shown.contains(TOKEN), "{shown}");
    result
}

/// An id that hb.toml fixes is held against what the metadata service says, which it does when asked for `line`.
pub(crate) async fn a_fixed_id_is_held_against_metadata(
    server: &Server,
    kind: CloudKind,
    target: &str,
    [ours, other]: [&str; 2],
    line: &'static str,
) {
    let (mut settings, _dir) = settings(kind, server);
    let mut problems = async |id: &str| {
        settings.identity = Identity::Fixed(InstanceId::new(id).expect("an id"));
        of(&settings, target).readiness().await.problems()
    };
    let problem = format!("hb.toml says that this host is {other}, the metadata service that it is {ours}");
    assert_eq!(problems(other).await, [problem]);
    assert_eq!(problems(ours).await, [""; 0]);
    let asked = server.count(line);
    assert!(asked > 0, "{:?}", server.log());
    server.faults(line, [Fault::Reset]);
    assert_eq!(
        problems(other).await,
        [""; 0],
        "who says nothing says nothing against it"
    );
    assert!(server.count(line) > asked);
}
