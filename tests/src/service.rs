//! What the harness itself does inside a host's network: serve, or ask.

use std::{
    net::{SocketAddrV4, TcpListener},
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};
use tokio::{runtime, sync::oneshot};

use crate::host::Host;

/// A future that runs on a thread of its own in a host's network, until this is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts it; `work` is called on the thread, inside its runtime.
    pub(crate) fn start<F: Future<Output = ()>>(
        host: &Host,
        what: &str,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Self> {
        Self::on_thread(work, |body| host.network_thread(what, body))
    }

    /// As [`start`](Self::start), in the network of whoever calls.
    pub(crate) fn start_here<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) -> Result<Self> {
        Self::on_thread(work, |body| Ok(thread::Builder::new().spawn(body)?))
    }

    fn on_thread<F: Future<Output = ()>>(
        work: impl FnOnce() -> F + Send + 'static,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> Result<JoinHandle<()>>,
    ) -> Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let body = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = work() => {}
                }
            });
        };
        Ok(Self {
            stop: Some(stop),
            thread: Some(spawn(Box::new(body))?),
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A listening socket in a host's network, which it belongs to wherever it is used.
pub(crate) fn listen(host: &Host, address: SocketAddrV4) -> Result<TcpListener> {
    let listener = host.enter(|| TcpListener::bind(address))?;
    let listener = listener.with_context(|| format!("{}: cannot listen on {address}", host.name()))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
