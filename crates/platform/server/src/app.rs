//! What the parts of one running server share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::guard::Guard;
use crate::net::TlsAcceptor;
use crate::options::Options;
use crate::sources::Sources;
use crate::telemetry::events::Reloaded;
use crate::telemetry::{Family, Telemetry};

/// Reads the options again, from wherever they came; the error says why that failed.
pub type OptionsSource = Arc<dyn Fn() -> Result<Options, String> + Send + Sync>;

/// Where the server really listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Pages and all APIs.
    pub http: SocketAddr,
    /// OTLP over gRPC.
    pub otlp_grpc: Option<SocketAddr>,
    /// OTLP over HTTP.
    pub otlp_http: Option<SocketAddr>,
}

pub(crate) struct App {
    pub options: Options,
    pub addresses: Addresses,
    pub started: Instant,
    pub telemetry: Telemetry,
    pub guard: Arc<Guard>,
    pub sources: Sources,
    pub tls: Option<TlsAcceptor>,
    pub source: Option<OptionsSource>,
    pub ready: AtomicBool,
}

impl App {
    /// Whether what was acknowledged before the start can be read again.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The server's own metrics as they stand now.
    pub(crate) fn own_metrics(&self) -> Vec<Family> {
        let mut families = vec![
            Family::gauge(
                "kandela_up_seconds",
                "Time since the start.",
                self.started.elapsed().as_secs_f64(),
            ),
            Family::gauge("kandela_ready", "1 once the lake has recovered.", f64::from(self.is_ready())),
        ];
        families.extend(self.telemetry.gather());
        families
    }

    /// Reads the options again and puts in force what can change while running: credentials, host names and the
    /// certificate. The options before stay in force where the new ones cannot be used.
    pub(crate) async fn reload(&self) -> Result<(), String> {
        let outcome = self.try_reload().await;
        let error = outcome.as_ref().err().map(|error| error as &dyn std::fmt::Display);
        self.telemetry.emit(Reloaded { error });
        outcome
    }

    async fn try_reload(&self) -> Result<(), String> {
        let Some(source) = self.source.clone() else { return Ok(()) };
        let read = tokio::task::spawn_blocking(move || source());
        let options = read.await.map_err(|error| error.to_string())??;
        if let Some(address) = options.unguarded() {
            return Err(format!("without credentials {address} would be open to everybody"));
        }
        match (&self.tls, &options.tls) {
            (Some(acceptor), Some(files)) => acceptor.reload(files).map_err(|error| error.to_string())?,
            (None, None) => {}
            _ => return Err("TLS cannot be turned on or off while running; restart for that".to_owned()),
        }
        self.guard.replace(options.credentials, &options.hosts);
        Ok(())
    }
}
