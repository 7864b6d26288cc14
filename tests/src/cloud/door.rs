//! Where connections come in: plain or by TLS, and with a way to reset one while a request is being answered.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{Shared, fault::Gone};
use crate::clock::lock;

/// A listening socket that is served.
#[derive(Debug)]
pub(super) struct Door {
    address: SocketAddr,
    ready: mpsc::Receiver<(Stream, Line)>,
}

impl Door {
    /// Takes connections from now on; each has its handshake beside the others.
    pub(super) fn open(listener: std::net::TcpListener, tls: Option<TlsAcceptor>, state: Shared) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let (sender, ready) = mpsc::channel(16);
        tokio::spawn(async move {
            let mut id = 0;
            while let Ok((tcp, from)) = listener.accept().await {
                id += 1;
                let line = Line {
                    id,
                    from,
                    secure: tls.is_some(),
                    cut: Arc::default(),
                };
                let tcp = Cuttable {
                    tcp,
                    cut: Arc::clone(&line.cut),
                };
                let gone = {
                    let mut state = lock(&state);
                    state.missed += usize::from(state.gone.is_some());
                    state.gone
                };
                match gone {
                    Some(Gone::Reset) => line.cut(),
                    Some(Gone::Silent) => {
                        tokio::spawn(hold(tcp));
                        continue;
                    }
                    None => {}
                }
                tokio::spawn(welcome(tcp, line, tls.clone(), sender.clone()));
            }
        });
        Ok(Self { address, ready })
    }
}

/// Keeps a connection and does nothing with it.
async fn hold(tcp: Cuttable) {
    std::future::pending::<()>().await;
    drop(tcp);
}

async fn welcome(tcp: Cuttable, line: Line, tls: Option<TlsAcceptor>, ready: mpsc::Sender<(Stream, Line)>) {
    if line.is_cut() {
        return;
    }
    // As servers do: else an answer after a handshake waits until the client's kernel has acknowledged that.
    let _ = tcp.tcp.set_nodelay(true);
    let stream = match tls {
        None => Stream::Plain(tcp),
        Some(tls) => match tls.accept(tcp).await {
            Ok(stream) => Stream::Tls(Box::new(stream)),
            // A client that does not know the authority hangs up.
            Err(_) => return,
        },
    };
    let _ = ready.send((stream, line)).await;
}

impl axum::serve::Listener for Door {
    type Io = Stream;
    type Addr = Line;

    async fn accept(&mut self) -> (Stream, Line) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The listening socket has failed: there will be no more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Line> {
        Ok(Line {
            id: 0,
            from: self.address,
            secure: false,
            cut: Arc::default(),
        })
    }
}

/// What a request's handler knows of its connection.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Its number.
    pub id: u64,
    pub from: SocketAddr,
    pub secure: bool,
    cut: Arc<AtomicBool>,
}

impl Line {
    /// Lets the connection be reset instead of whatever would be sent next.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

impl Connected<IncomingStream<'_, Door>> for Line {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A connection that can be reset.
#[derive(Debug)]
pub(super) struct Cuttable {
    tcp: TcpStream,
    cut: Arc<AtomicBool>,
}

impl Cuttable {
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Drop for Cuttable {
    fn drop(&mut self) {
        if self.cut.load(Ordering::Relaxed) {
            // Closing such a socket sends RST in FIN's place.
            let _ = SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Cuttable),
    Tls(Box<TlsStream<Cuttable>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
