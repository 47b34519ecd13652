//! Accepting connections and serving HTTP/1 and HTTP/2 on them, until told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;

use super::TlsAcceptor;
use crate::telemetry::Telemetry;
use crate::telemetry::events::ConnectionFailed;

/// Connections that one listener holds at a time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// How long a client may take for a request's head, and how long a connection may lie idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may take nothing of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long the TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests in flight may still run once the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Who is at the other end of a request's connection; every request carries one as an extension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub remote: SocketAddr,
    /// The address that the connection came in on.
    pub local: SocketAddr,
}

/// Tells every part of the server to stop. A clone hears the same word.
#[derive(Clone)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// A word to wait for, and the means to say it.
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Ends when the server is to stop.
    pub(crate) async fn wait(&mut self) {
        // An error means that the sender is gone, and with it the server.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// A bound socket that does not serve yet.
pub(crate) struct Listener {
    pub name: &'static str,
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    pub(crate) async fn bind(name: &'static str, address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { name, socket, address })
    }

    /// Where it really listens; the port differs from the asked one if that was 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the shutdown, then lets requests in flight end.
    pub(crate) async fn serve(
        self,
        router: Router,
        tls: Option<TlsAcceptor>,
        telemetry: Telemetry,
        mut shutdown: Shutdown,
    ) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.socket, &slots) => accepted,
                () = shutdown.wait() => break,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer, slot)) => {
                    let connection = Connection {
                        listener: self.name,
                        router: router.clone(),
                        telemetry: telemetry.clone(),
                        shutdown: shutdown.clone(),
                    };
                    let acceptor = tls.as_ref().map(TlsAcceptor::current);
                    connections.spawn(async move {
                        connection.run(stream, peer, acceptor).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    telemetry.emit(ConnectionFailed { listener: self.name, stage: "accept", error: &error });
                    // Out of file descriptors, mostly: give connections time to end.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.socket);
        let drained = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
    }
}

type Slot = tokio::sync::OwnedSemaphorePermit;

async fn accept(socket: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, Peer, Slot)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, remote) = socket.accept().await?;
    // Without it answers are slower, no worse.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr()?;
    Ok((stream, Peer { remote, local }, slot))
}

struct Connection {
    listener: &'static str,
    router: Router,
    telemetry: Telemetry,
    shutdown: Shutdown,
}

impl Connection {
    async fn run(self, stream: TcpStream, peer: Peer, tls: Option<tokio_rustls::TlsAcceptor>) {
        let Some(tls) = tls else { return self.serve(stream, peer).await };
        let failed = |telemetry: &Telemetry, error: &dyn std::fmt::Display| {
            telemetry.emit(ConnectionFailed { listener: self.listener, stage: "tls", error });
        };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, peer).await,
            Ok(Err(error)) => failed(&self.telemetry, &error),
            Err(error) => failed(&self.telemetry, &error),
        }
    }

    async fn serve(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let service = self.router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer);
            request
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(256)
            .keep_alive_interval(Duration::from_secs(60))
            .keep_alive_timeout(Duration::from_secs(20));
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let stream = TokioIo::new(Box::pin(stream));
        let connection = builder.serve_connection(stream, TowerToHyperService::new(service));
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.wait() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            self.telemetry.emit(ConnectionFailed {
                listener: self.listener,
                stage: "protocol",
                error: &error,
            });
        }
    }
}
