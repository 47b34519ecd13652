//! Starting a server, and ending it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use kandela_ingest::redact::RedactError;
use kandela_lake::{LakeError, Recovery};
use kandela_model::TenantId;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admission::Admission;
use crate::app::{Addresses, App, Configured, OptionsSource};
use crate::autopilot;
use crate::background::{self, Followed};
use crate::guard::{CredentialError, Door, Guard};
use crate::http;
use crate::http::write::Decoders;
use crate::memory;
use crate::net::{Listener, Shutdown, TlsAcceptor, TlsError};
use crate::options::{Options, Settings};
use crate::otlp;
use crate::promql::PromQl;
use crate::refusal::Dialect;
use crate::sources::{SourceStatus, Sources};
use crate::sql::Queries;
use crate::telemetry::Telemetry;
use crate::telemetry::events::UpkeepFailed;
use crate::tenants::Tenants;

/// How long a request waits for room among all that is being received.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It would have been open to everybody.
    #[error(
        "{0} is open to other machines and nobody has to prove who they are; add kandela.users, listen on 127.0.0.1, or \
         pass --insecure"
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
    /// Users could not be set up.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// A redaction rule cannot be used.
    #[error(transparent)]
    Redaction(#[from] RedactError),
    /// What the autopilot is to manage can't be read.
    #[error(transparent)]
    Autopilot(#[from] autopilot::ConfigError),
    /// The threads of queries could not be started.
    #[error("cannot start threads for queries: {0}")]
    Threads(io::Error),
    /// The lake could not be opened.
    #[error("cannot open the data folder: {0}")]
    Lake(#[from] LakeError),
}

/// A running server. Dropping it stops it at once; [`Server::stop`] ends it in good order.
pub struct Server {
    app: Arc<App>,
    stop: watch::Sender<bool>,
    shutdown: Shutdown,
    listeners: JoinSet<()>,
    loops: JoinSet<()>,
}

impl Options {
    /// Reads the files that a start needs and says what a start would stumble over.
    ///
    /// # Errors
    /// When the certificate, a user's secret or a redaction rule cannot be used.
    pub fn check(&self) -> Result<(), StartError> {
        self.tls_files().as_ref().map(TlsAcceptor::load).transpose()?;
        Guard::new(self.kandela(), Telemetry::default())?;
        Settings::of(self)?;
        self.systems()?;
        Ok(())
    }

    /// The systems under management.
    pub(crate) fn systems(&self) -> Result<Vec<autopilot::SystemConfig>, autopilot::ConfigError> {
        self.kandela().autopilot.as_deref().map_or_else(|| Ok(Vec::new()), autopilot::read)
    }
}

impl Server {
    /// Binds every address and answers from then on, 503 where the lake is needed; then reads back what was acknowledged
    /// before, and is ready. `source` is asked for fresh options on a reload.
    ///
    /// # Errors
    /// When an address is taken, the options would open the server to everybody, TLS or users cannot be set up, or the
    /// lake cannot be opened.
    pub async fn start(options: Options, source: Option<OptionsSource>) -> Result<Self, StartError> {
        let mut server = Self::listen(options, source).await?;
        server.recover().await?;
        Ok(server)
    }

    async fn listen(options: Options, source: Option<OptionsSource>) -> Result<Self, StartError> {
        if let Some(address) = options.unguarded() {
            return Err(StartError::Unguarded(address));
        }
        let tls = options.tls_files().as_ref().map(TlsAcceptor::load).transpose()?;
        let telemetry = Telemetry::default();
        let guard = Guard::new(options.kandela(), telemetry.clone())?;
        let settings = Settings::of(&options)?;
        let queries = Queries::new(options.query_limits(), telemetry.clone()).map_err(StartError::Threads)?;
        let wanted = options.kandela().listen;
        let main = bind("http", wanted.http).await?;
        let otlp_grpc = bind("otlp_grpc", wanted.otlp_grpc).await?;
        let otlp_http = bind("otlp_http", wanted.otlp_http).await?;
        let addresses = Addresses {
            http: main.address(),
            otlp_grpc: otlp_grpc.address(),
            otlp_http: otlp_http.address(),
        };
        let (stop, shutdown) = Shutdown::new();
        let body_limits = options.body_limits();
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let promql = PromQl::new(
            queries.handle(),
            options.promql_options(cores),
            options.promql_limits(),
            telemetry.clone(),
        );
        let app = Arc::new(App {
            autopilot: autopilot::Systems::new(options.systems()?),
            settings: ArcSwap::from_pointee(settings),
            configured: Mutex::new(Configured::now()),
            addresses,
            started: Instant::now(),
            guard: Arc::new(guard),
            sources: Sources::default(),
            tenants: Arc::new(tenants(&options, &queries, &telemetry, &shutdown)),
            queries,
            promql,
            spool: Arc::new(http::Spool::new(options.data.clone())),
            admission: Arc::new(Admission::new(options.memory_limit() / 16, cores, PATIENCE)),
            body_limits,
            decoders: Decoders::new(body_limits.decompressed),
            tls: tls.clone(),
            source,
            followed: Followed::default(),
            scrapes: OnceLock::new(),
            ready: AtomicBool::new(false),
            telemetry: telemetry.clone(),
            options,
        });
        let door = |listener, dialect| Door { guard: app.guard.clone(), listener, dialect };
        let grpc_door = door("otlp_grpc", Dialect::Grpc);
        let routers = [
            (main, http::main_routes(door("http", Dialect::Api)).finish(app.clone())),
            (otlp_http, http::otlp_routes(door("otlp_http", Dialect::Otlp)).finish(app.clone())),
            (otlp_grpc, http::behind(grpc_door.clone(), &telemetry, otlp::grpc_router(&app, grpc_door))),
        ];
        let mut listeners = JoinSet::new();
        for (listener, router) in routers {
            listeners.spawn(listener.serve(router, tls.clone(), telemetry.clone(), shutdown.clone()));
        }
        Ok(Self { app, stop, shutdown, listeners, loops: JoinSet::new() })
    }

    /// Opens the lake and starts what runs in the background.
    async fn recover(&mut self) -> Result<(), StartError> {
        self.app.tenants.open_once(&TenantId::default()).await?;
        self.app.ready.store(true, Ordering::Release);
        self.background("give back memory", memory::keep_giving_back(self.shutdown.clone()));
        if self.app.options.kandela().own_telemetry {
            self.background("own telemetry", background::tell(self.app.clone(), self.shutdown.clone()));
        }
        let scrapes = self.app.scrapes.get_or_init(|| background::scraping(&self.app));
        scrapes.apply(&self.app.options.config.scrape_configs).await;
        for (place, receiver) in self.app.options.config.remote_write.clone().into_iter().enumerate() {
            let name = background::name_of(&receiver, place);
            let forwarding = background::forward(self.app.clone(), receiver, name, self.shutdown.clone());
            self.background("remote_write", forwarding);
        }
        for system in self.app.autopilot.all() {
            self.background("autopilot", autopilot::manage(self.app.clone(), system, self.shutdown.clone()));
        }
        let host = self.app.options.kandela().host_metrics;
        if host.enabled {
            let reading = background::read_host(self.app.clone(), host.interval, self.shutdown.clone());
            self.background("host metrics", reading);
        }
        Ok(())
    }

    fn background(&mut self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let telemetry = self.app.telemetry.clone();
        self.loops.spawn(background::watched(task, telemetry, work));
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.app.addresses
    }

    /// What was read back at the start.
    pub fn recovery(&self) -> Option<Recovery> {
        let default = TenantId::default();
        self.app
            .tenants
            .all()
            .into_iter()
            .find(|(tenant, _)| *tenant == default)
            .map(|(_, lake)| lake.recovery().clone())
    }

    /// Who sends, the busiest first.
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.app.sources.status(Instant::now())
    }

    /// Reads the configuration again.
    ///
    /// # Errors
    /// Why the one before stays in force.
    pub async fn reload(&self) -> Result<Vec<&'static str>, String> {
        self.app.reload().await
    }

    /// Stops accepting, lets requests in flight end, writes what is in memory to the tables and closes the lakes. A lake
    /// that cannot be flushed loses nothing: its log still has everything.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.listeners.join_next().await.is_some() {}
        if let Some(scrapes) = self.app.scrapes.get() {
            scrapes.shutdown().await;
        }
        while self.loops.join_next().await.is_some() {}
        if self.app.options.kandela().own_telemetry {
            background::tell_now(&self.app).await;
        }
        for (tenant, lake) in self.app.tenants.all() {
            if let Err(error) = lake.close().await {
                let tenant = tenant.as_str();
                self.app.telemetry.emit(UpkeepFailed { pass: "flush", tenant, error: &error });
            }
        }
    }
}

/// Lakes that are kept in shape by the queries' threads from the moment they open.
fn tenants(options: &Options, queries: &Queries, telemetry: &Telemetry, shutdown: &Shutdown) -> Tenants {
    let (threads, told, shutdown) = (queries.handle(), telemetry.clone(), shutdown.clone());
    let opened = move |tenant: &TenantId, lake: &kandela_lake::Lake| {
        let parts = || (tenant.clone(), lake.clone(), told.clone(), shutdown.clone());
        threads.spawn(background::watched("read_ahead", told.clone(), background::read_ahead(lake.clone())));
        let (tenant, lake, telemetry, shutdown) = parts();
        let flushing = background::flush_in_time(tenant, lake, telemetry, shutdown);
        threads.spawn(background::watched("flush", told.clone(), flushing));
        let (tenant, lake, telemetry, shutdown) = parts();
        let tidying = background::keep_tidy(tenant, lake, telemetry, shutdown);
        threads.spawn(background::watched("tidy", told.clone(), tidying));
        let (tenant, lake, telemetry, shutdown) = parts();
        let telling = background::tell_of_damage(tenant, lake, telemetry, shutdown);
        threads.spawn(background::watched("damage", told.clone(), telling));
    };
    Tenants::new(options.lake_config(), &options.kandela().tenants, telemetry.clone(), opened)
}

async fn bind(name: &'static str, address: SocketAddr) -> Result<Listener, StartError> {
    let listen = |source| StartError::Listen { what: name, address, source };
    Listener::bind(name, address).await.map_err(listen)
}
