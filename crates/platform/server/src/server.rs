//! Starting a server, and ending it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::{Addresses, App, OptionsSource};
use crate::guard::{Door, Guard};
use crate::http;
use crate::net::{Listener, Shutdown, TlsAcceptor, TlsError};
use crate::options::Options;
use crate::refusal::Dialect;
use crate::sources::Sources;
use crate::telemetry::Telemetry;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It would have been open to everybody.
    #[error(
        "{0} is open to other machines and no credentials are configured; add kandela.auth tokens or users, listen on \
         127.0.0.1, or pass --insecure"
    )]
    Unguarded(SocketAddr),
    /// An address could not be taken.
    #[error(
        "cannot listen on {address} for {what}: {source}; stop what listens there, or choose another address"
    )]
    Listen {
        /// What it is for.
        what: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A running server. Dropping it stops it at once; [`Server::stop`] lets requests in flight end.
pub struct Server {
    app: Arc<App>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Binds every address, then serves; `source` is asked for fresh options on a reload.
    ///
    /// # Errors
    /// When an address is taken, TLS cannot be set up, or the options would open the server to everybody.
    pub async fn start(options: Options, source: Option<OptionsSource>) -> Result<Self, StartError> {
        if let Some(address) = options.unguarded() {
            return Err(StartError::Unguarded(address));
        }
        let tls = options.tls.as_ref().map(TlsAcceptor::load).transpose()?;
        let main = bind("http", options.http).await?;
        let telemetry = Telemetry::default();
        let guard = Guard::new(options.credentials.clone(), &options.hosts, telemetry.clone());
        let addresses = Addresses { http: main.address(), otlp_grpc: None, otlp_http: None };
        let app = Arc::new(App {
            options,
            addresses,
            started: Instant::now(),
            telemetry: telemetry.clone(),
            guard: Arc::new(guard),
            sources: Sources::default(),
            tls: tls.clone(),
            source,
            ready: AtomicBool::new(true),
        });
        let (stop, shutdown) = Shutdown::new();
        let mut tasks = JoinSet::new();
        let door = Door { guard: app.guard.clone(), listener: "http", dialect: Dialect::Api };
        let router = http::main_routes(door).finish(app.clone());
        tasks.spawn(main.serve(router, tls, telemetry, shutdown));
        Ok(Self { app, stop, tasks })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.app.addresses
    }

    /// Reads the configuration again.
    ///
    /// # Errors
    /// Why the one before stays in force.
    pub async fn reload(&self) -> Result<(), String> {
        self.app.reload().await
    }

    /// Stops accepting, lets requests in flight end, writes what is in memory to the tables and closes the lake.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn bind(name: &'static str, address: SocketAddr) -> Result<Listener, StartError> {
    let listen = |source| StartError::Listen { what: name, address, source };
    Listener::bind(name, address).await.map_err(listen)
}
