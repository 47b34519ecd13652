//! What the parts of one running server share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::StatusCode;
use kandela_ingest::scrape::Manager;
use kandela_lake::Lake;
use kandela_model::{TenantId, Timestamp};
use parking_lot::Mutex;

use crate::admission::Admission;
use crate::autopilot::Systems;
use crate::background::{Followed, now};
use crate::guard::Guard;
use crate::http::Spool;
use crate::http::write::Decoders;
use crate::net::TlsAcceptor;
use crate::net::body::BodyLimits;
use crate::options::{Options, Settings};
use crate::promql::PromQl;
use crate::refusal::Refusal;
use crate::sources::Sources;
use crate::sql::Queries;
use crate::telemetry::events::Reloaded;
use crate::telemetry::{Family, Telemetry};
use crate::tenants::Tenants;

/// When a client should come again while the server recovers.
const RETRY: Duration = Duration::from_secs(2);

/// Reads the options again, from wherever they came; the error says why that failed.
pub type OptionsSource = Arc<dyn Fn() -> Result<Options, String> + Send + Sync>;

/// Where the server really listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Pages and all APIs.
    pub http: SocketAddr,
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
}

pub(crate) struct App {
    /// As at the start.
    pub options: Options,
    /// As of the last reload.
    pub settings: ArcSwap<Settings>,
    /// How the last reload, or the start, went.
    pub configured: Mutex<Configured>,
    pub addresses: Addresses,
    pub started: Instant,
    pub telemetry: Telemetry,
    pub guard: Arc<Guard>,
    pub sources: Sources,
    pub tenants: Arc<Tenants>,
    pub queries: Queries,
    pub promql: PromQl,
    /// For answers that are taken slowly.
    pub spool: Arc<Spool>,
    pub admission: Arc<Admission>,
    pub body_limits: BodyLimits,
    pub decoders: Decoders,
    pub tls: Option<TlsAcceptor>,
    pub source: Option<OptionsSource>,
    /// How far the receivers of `remote_write` are.
    pub followed: Followed,
    /// Set once the lake is open.
    pub scrapes: OnceLock<Manager>,
    pub ready: AtomicBool,
    /// What the autopilot manages.
    pub autopilot: Systems,
}

/// When the config in force was read, and whether a later one could not be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Configured {
    pub at: Timestamp,
    pub succeeded: bool,
}

impl Configured {
    pub(crate) fn now() -> Self {
        Self { at: now(), succeeded: true }
    }
}

impl App {
    /// Whether what was acknowledged before the start can be read again.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The lake of a tenant.
    ///
    /// # Errors
    /// 503 while the server recovers, else as [`Tenants::lake`].
    pub(crate) async fn lake(&self, tenant: &TenantId) -> Result<Lake, Refusal> {
        if !self.is_ready() {
            let message = "the server is still reading back what it had acknowledged; try again in a moment";
            return Err(Refusal::retry(StatusCode::SERVICE_UNAVAILABLE, message, RETRY));
        }
        self.tenants.lake(tenant).await
    }

    /// The server's own metrics as they stand now.
    pub(crate) fn own_metrics(&self) -> Vec<Family> {
        let mut families = vec![
            Family::gauge(
                "kandela_uptime_seconds",
                "Time since the start.",
                self.started.elapsed().as_secs_f64(),
            ),
            Family::gauge(
                "kandela_ready",
                "1 once the lake has recovered.",
                f64::from(u8::from(self.is_ready())),
            ),
        ];
        families.extend(self.telemetry.gather());
        families.extend(crate::telemetry::lakes(&self.tenants.all()));
        families.extend(crate::telemetry::autopilot(&self.autopilot.stood()));
        families
    }

    /// Reads the options again and puts in force what can change while running: users, host names and origins, the
    /// certificate, OTLP's naming, redaction and scrape jobs. The options before stay in force where the new ones cannot be used.
    /// Gives the keys that changed and wait for a restart.
    ///
    /// # Errors
    /// Why the new options cannot be used.
    pub(crate) async fn reload(&self) -> Result<Vec<&'static str>, String> {
        let outcome = self.try_reload().await;
        match &outcome {
            Ok(_) => *self.configured.lock() = Configured::now(),
            Err(_) => self.configured.lock().succeeded = false,
        }
        self.telemetry.emit(Reloaded { outcome: &outcome });
        outcome
    }

    async fn try_reload(&self) -> Result<Vec<&'static str>, String> {
        let Some(source) = self.source.clone() else { return Ok(Vec::new()) };
        let read = tokio::task::spawn_blocking(move || {
            let options = source()?;
            let systems = options.systems().map_err(|error| error.to_string())?;
            Ok::<_, String>((options, systems))
        });
        let (options, systems) = read.await.map_err(|error| error.to_string())??;
        if let Some(address) = options.unguarded() {
            return Err(format!("without kandela.users {address} would be open to everybody"));
        }
        let settings = Settings::of(&options).map_err(|error| error.to_string())?;
        match (&self.tls, &options.tls_files()) {
            (Some(acceptor), Some(files)) => acceptor.reload(files).map_err(|error| error.to_string())?,
            (None, None) => {}
            _ => return Err("TLS cannot be turned on or off while running; restart for that".to_owned()),
        }
        self.guard.reload(options.kandela()).map_err(|error| error.to_string())?;
        self.settings.store(Arc::new(settings));
        if let Some(scrapes) = self.scrapes.get() {
            scrapes.apply(&options.config.scrape_configs).await;
        }
        let mut waiting = options.waiting_since(&self.options);
        if !self.autopilot.are(&systems) {
            waiting.push("kandela.autopilot");
        }
        Ok(waiting)
    }
}
