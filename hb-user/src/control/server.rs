//! The answering side.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Reply, Request, socket_path};
use crate::clock;

/// How many may ask at a time; others wait in the socket's backlog.
const CONNECTIONS: usize = 16;
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
    /// Where the answer goes.
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
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
    while let Ok(place) = places.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely. The connections that we have end soon.
            clock::sleep(PAUSE).await;
            continue;
        };
        let questions = questions.clone();
        tokio::spawn(async move {
            // Whoever is too slow or speaks nonsense has gone without an answer; there is nobody to tell.
            let _ = timeout(PATIENCE, serve(stream, questions)).await;
            drop(place);
        });
    }
}

async fn serve(stream: UnixStream, questions: mpsc::Sender<Asked>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LONGEST)).read_line(&mut line).await?;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => answer(request, &questions).await,
        Err(error) => Reply::Error(format!("not a request: {error}")),
    };
    let mut answer = serde_json::to_vec(&reply)?;
    answer.push(b'\n');
    write.write_all(&answer).await
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
