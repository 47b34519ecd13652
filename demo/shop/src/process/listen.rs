//! The listener of a process. Written out, since a fault may close a connection without an answer.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tower::ServiceExt;

/// Marks an answer that is not to be sent: the connection ends.
#[derive(Clone, Copy)]
pub(crate) struct Hangup;

/// How long requests under way may take when the process is told to stop.
const GRACE: Duration = Duration::from_millis(500);

/// What a service says that can't listen.
pub(crate) const PORT_TAKEN: &str = "is the port taken?";

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}; {PORT_TAKEN}"))
}

/// Serves connections until `stopped`.
pub(super) async fn serve(listener: TcpListener, router: Router, stopped: impl Future<Output = ()>) {
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection(stream, router.clone()));
                }
                // Out of file descriptors, most likely: others must close first.
                Err(error) => {
                    tracing::warn!(%error, "no connection accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    tokio::time::sleep(GRACE).await;
}

async fn connection(stream: TcpStream, router: Router) {
    // A connection that can't be told not to wait is served all the same.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let answer = router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
            if answer.extensions().get::<Hangup>().is_some() {
                return Err(io::Error::other("hung up on purpose"));
            }
            Ok(answer)
        }
    });
    // Whoever hangs up, or is hung up on, is no news here.
    let _ =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// Completes when the process is to end: at the end of standard input, if that counts, or at a signal.
pub(super) async fn stopped(end_with_stdin: bool) {
    if end_with_stdin {
        // A signal to the whole group goes to the parent too, and the parent decides: here it is taken and does nothing.
        let _taken = signal(SignalKind::interrupt());
        return stdin_ended().await;
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Completes at the end of standard input.
pub(crate) async fn stdin_ended() {
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Whatever comes is thrown away; the end, or that there is none to read from, is what counts.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}
