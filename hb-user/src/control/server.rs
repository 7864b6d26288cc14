//! The answering side.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

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

/// The socket. It is removed with this.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    questions: mpsc::Receiver<Asked>,
    listening: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Listens in a run directory, which must be ours alone: a socket that lies there is of a daemon that is gone.
    /// Only root may ask.
    pub fn start(run_dir: &Path) -> Result<Self, ServerError> {
        let path = socket_path(run_dir);
        let listener = listen(&path).map_err(|source| ServerError {
            path: path.clone(),
            source,
        })?;
        let (sender, questions) = mpsc::channel(CONNECTIONS);
        let listening = tokio::spawn(accept(listener, sender));
        Ok(Self {
            path,
            questions,
            listening,
        })
    }

    /// The next question.
    pub async fn next(&mut self) -> Option<Asked> {
        self.questions.recv().await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
        // Gone already, or not ours to remove any more: either way nothing to do.
        let _ = fs::remove_file(&self.path);
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, questions: mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let waiting = Arc::new(Semaphore::new(ORDERS));
    while let Ok(place) = places.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely. The connections that we have end soon.
            clock::sleep(PAUSE).await;
            continue;
        };
        let (questions, waiting) = (questions.clone(), waiting.clone());
        tokio::spawn(async move {
            // Whoever is too slow or speaks nonsense has gone without an answer; there is nobody to tell.
            let _ = serve(stream, place, &waiting, &questions).await;
        });
    }
}

/// Whatever is answered at once has a place and little time. An order leaves that place to others.
async fn serve(
    stream: UnixStream,
    place: OwnedSemaphorePermit,
    waiting: &Semaphore,
    questions: &mpsc::Sender<Asked>,
) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let at_once = async {
        let mut line = String::new();
        BufReader::new((&mut read).take(LONGEST)).read_line(&mut line).await?;
        let reply = match understand(&line) {
            Ok(Request::Order(order)) => return Ok(Some(order)),
            Ok(Request::Status) => answer(Request::Status, questions).await,
            Err(reason) => Reply::Error(reason),
        };
        send(&mut write, &reply).await.map(|()| None)
    };
    let order: Option<OrderRequest> = timeout(PATIENCE, at_once).await??;
    drop(place);
    let Some(order) = order else {
        return Ok(());
    };
    let reply = match waiting.try_acquire() {
        Ok(_place) => tokio::select! {
            reply = obey(order, questions) => reply,
            () = gone(&mut read) => return Ok(()),
        },
        Err(_) => Reply::Error(format!("{ORDERS} orders are waited for already")),
    };
    timeout(PATIENCE, send(&mut write, &reply)).await?
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
async fn obey(order: OrderRequest, questions: &mpsc::Sender<Asked>) -> Reply {
    let limit = order.limit() + PATIENCE;
    match timeout(limit, answer(Request::Order(order), questions)).await {
        Ok(reply) => reply,
        Err(_) => Reply::Error("the daemon does not answer".into()),
    }
}

/// When the other side hangs up. To say more than one line comes to the same: there is nothing more to say.
async fn gone(read: &mut (impl AsyncRead + Unpin)) {
    let _ = read.read(&mut [0]).await;
}

async fn send(write: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    write.write_all(&line).await
}

async fn answer(request: Request, questions: &mpsc::Sender<Asked>) -> Reply {
    let (reply, answered) = oneshot::channel();
    let stopping = || Reply::Error("the daemon is stopping".into());
    if questions.send(Asked { request, reply }).await.is_err() {
        return stopping();
    }
    answered.await.unwrap_or_else(|_| stopping())
}

#[cfg(test)]
mod tests;
