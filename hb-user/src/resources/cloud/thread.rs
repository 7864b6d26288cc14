//! The thread `hb-cloud`: TLS and JSON are done there, so that the controller's turn stays short.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::realtime::{self, Granted, Wanted};

/// The thread, and a runtime in it. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Thread {
    runtime: Handle,
    granted: Granted,
    _end: oneshot::Sender<()>,
}

impl Thread {
    pub(super) fn start(wanted: Wanted) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let (granted_in, granted) = mpsc::channel();
        std::thread::Builder::new().name("hb-cloud".into()).spawn(move || {
            // The one who waits for it cannot be gone.
            let _ = granted_in.send(realtime::ask(&wanted));
            // Fails when the sender is dropped, which is the end.
            let _ = runtime.block_on(ended);
            // A name server that does not answer must not be waited for.
            runtime.shutdown_background();
        })?;
        let granted = granted
            .recv()
            .map_err(|_| io::Error::other("the thread ended at once"))?;
        Ok(Self {
            runtime: handle,
            granted,
            _end: end,
        })
    }

    /// What the kernel granted it.
    pub(super) fn granted(&self) -> &Granted {
        &self.granted
    }

    /// Runs a future there. Dropping this one ends that one.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        Task(self.runtime.spawn(work)).await
    }
}

/// A task that ends with who waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.0).poll(context) {
            Poll::Ready(Ok(output)) => Poll::Ready(output),
            Poll::Ready(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is being shut down: whoever waits still is about to be dropped, too.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
