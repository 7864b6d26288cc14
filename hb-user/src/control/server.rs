//! The answering side.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::pace::Pace;
use super::reports::Reports;
use super::{MAX_TIMEOUT, OrderRequest, Reply, Request, socket_path};
use crate::clock;

/// How many may ask at a time; others wait in the socket's backlog.
const CONNECTIONS: usize = 16;
/// How many may wait for their orders at a time; others are told so.
const ORDERS: usize = 16;
/// How long one may take, to ask and to read.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts to accept a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// A question is shorter than this, in bytes.
const LONGEST: u64 = 4096;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the control socket {}", path.display())]
pub struct ServerError {
    path: PathBuf,
    source: io::Error,
}

/// A question, and where its answer goes.
#[derive(Debug)]
pub struct Asked {
    /// The question.
    pub request: Request,
    /// Where the answer goes; closed when nobody waits for it any more.
    pub reply: oneshot::Sender<Reply>,
}

/// The socket, with a thread of its own: whoever floods it with questions, nonsense or connections takes the time of
/// that thread, which is of the normal class, and of the controller no more than its pace allows. It is removed with
/// this.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    questions: mpsc::Receiver<Asked>,
    /// The thread ends when this is dropped. It is not waited for: on a busy host it may have to wait itself.
    _open: oneshot::Sender<()>,
}

impl Server {
    /// Listens in a run directory, which must be ours alone: a socket that lies there is of a daemon that is gone.
    /// Only root may ask.
    pub fn start(run_dir: &Path) -> Result<Self, ServerError> {
        let path = socket_path(run_dir);
        let (sender, questions) = mpsc::channel(CONNECTIONS);
        let (open, closed) = oneshot::channel();
        listen(&path)
            .and_then(|listener| spawn(listener, sender, closed))
            .map_err(|source| ServerError {
                path: path.clone(),
                source,
            })?;
        Ok(Self {
            path,
            questions,
            _open: open,
        })
    }

    /// The next question.
    pub async fn next(&mut self) -> Option<Asked> {
        self.questions.recv().await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, or not ours to remove any more: either way nothing to do.
        let _ = fs::remove_file(&self.path);
    }
}

fn listen(path: &Path) -> io::Result<StdListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = StdListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Starts the thread. Everything that can fail does so before it runs.
fn spawn(listener: StdListener, questions: mpsc::Sender<Asked>, closed: oneshot::Receiver<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        UnixListener::from_std(listener)?
    };
    let serve = move || {
        runtime.block_on(async {
            tokio::select! {
                () = accept(listener, questions) => {}
                // Nobody sends anything: the sender is dropped.
                _ = closed => {}
            }
        });
    };
    thread::Builder::new().name("hb-control".into()).spawn(serve).map(drop)
}

/// What connections share.
struct Desk {
    questions: mpsc::Sender<Asked>,
    pace: Arc<Pace>,
    reports: Reports,
    /// Places for those who wait for their orders.
    waiting: Semaphore,
}

async fn accept(listener: UnixListener, questions: mpsc::Sender<Asked>) {
    let pace = Arc::<Pace>::default();
    let desk = Arc::new(Desk {
        reports: Reports::start(CONNECTIONS, questions.clone(), pace.clone()),
        pace,
        questions,
        waiting: Semaphore::new(ORDERS),
    });
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = places.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely. The connections that we have end soon.
            clock::sleep(PAUSE).await;
            continue;
        };
        let desk = desk.clone();
        tokio::spawn(async move {
            // Whoever is too slow or speaks nonsense has gone without an answer; there is nobody to tell.
            let _ = serve(stream, place, &desk).await;
        });
    }
}

/// Whatever is answered at once has a place and little time. An order leaves that place to others.
async fn serve(stream: UnixStream, place: OwnedSemaphorePermit, desk: &Desk) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let at_once = async {
        let mut question = String::new();
        BufReader::new((&mut read).take(LONGEST))
            .read_line(&mut question)
            .await?;
        let reply = match understand(&question) {
            Ok(Request::Order(order)) => return Ok(Some(order)),
            Ok(Request::Status) => desk.reports.next().await,
            Err(reason) => line(&Reply::Error(reason)).into(),
        };
        write.write_all(&reply).await.map(|()| None)
    };
    let order: Option<OrderRequest> = timeout(PATIENCE, at_once).await??;
    drop(place);
    let Some(order) = order else {
        return Ok(());
    };
    let reply = match desk.waiting.try_acquire() {
        Ok(_place) => tokio::select! {
            reply = obey(order, desk) => reply,
            () = gone(&mut read) => return Ok(()),
        },
        Err(_) => Reply::Error(format!("{ORDERS} orders are waited for already")),
    };
    timeout(PATIENCE, write.write_all(&line(&reply))).await?
}

fn understand(line: &str) -> Result<Request, String> {
    let request = serde_json::from_str(line).map_err(|error| format!("not a request: {error}"))?;
    match &request {
        Request::Order(order) if Duration::from_millis(order.timeout_ms) > MAX_TIMEOUT => Err(format!(
            "timeout_ms {}: expected at most {}",
            order.timeout_ms,
            MAX_TIMEOUT.as_millis()
        )),
        Request::Order(_) | Request::Status => Ok(request),
    }
}

/// The daemon keeps the time; this is for one that does not.
async fn obey(order: OrderRequest, desk: &Desk) -> Reply {
    let limit = order.limit() + PATIENCE;
    let ask = async {
        desk.pace.turn().await;
        answer(Request::Order(order), &desk.questions).await
    };
    match timeout(limit, ask).await {
        Ok(reply) => reply,
        Err(_) => Reply::Error("the daemon does not answer".into()),
    }
}

/// When the other side hangs up. To say more than one line comes to the same: there is nothing more to say.
async fn gone(read: &mut (impl AsyncRead + Unpin)) {
    let _ = read.read(&mut [0]).await;
}

/// A reply as it goes out.
pub(super) fn line(reply: &Reply) -> Vec<u8> {
    // None fails to be written: their maps have strings for keys.
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Asks the controller.
pub(super) async fn answer(request: Request, questions: &mpsc::Sender<Asked>) -> Reply {
    let (reply, answered) = oneshot::channel();
    if questions.send(Asked { request, reply }).await.is_err() {
        return Reply::stopping();
    }
    answered.await.unwrap_or_else(|_| Reply::stopping())
}

#[cfg(test)]
mod tests;
