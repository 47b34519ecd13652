//! What a server is started with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::guard::Credentials;
use crate::net::TlsFiles;
use crate::net::body::BodyLimits;

/// The settings of one server. The defaults need no configuration, no account and no other service.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pages and all APIs.
    pub http: SocketAddr,
    /// OTLP over gRPC; `None` leaves it closed.
    pub otlp_grpc: Option<SocketAddr>,
    /// OTLP over HTTP; `None` leaves it closed.
    pub otlp_http: Option<SocketAddr>,
    /// The folder that keeps everything.
    pub data: PathBuf,
    /// Bytes that head, queries, compaction and caches may take together.
    pub memory_limit: usize,
    /// Who may do what; empty lets everybody in, which only loopback allows without `insecure`.
    pub credentials: Credentials,
    /// Host names that the server answers to besides loopback and its own addresses.
    pub hosts: Vec<String>,
    /// The certificate to serve with; `None` serves plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Listen beyond loopback without credentials.
    pub insecure: bool,
    /// How large a request may be.
    pub body: BodyLimits,
    /// What a query may cost.
    pub query: QueryOptions,
    /// Lakes that may be open at a time, one a tenant.
    pub max_tenants: usize,
    /// How often this machine's own metrics are read; `None` leaves them out.
    pub host_metrics: Option<Duration>,
    /// How often the server's own metrics are written into its lake.
    pub own_metrics: Duration,
}

/// What a query may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryOptions {
    /// How long it may run.
    pub timeout: Duration,
    /// How many rows it may answer with.
    pub rows: usize,
    /// How many run at a time; more wait within their timeout.
    pub concurrency: usize,
}

impl Default for Options {
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            http: SocketAddr::new(loopback, 7676),
            otlp_grpc: Some(SocketAddr::new(loopback, 4317)),
            otlp_http: Some(SocketAddr::new(loopback, 4318)),
            data: PathBuf::from("data"),
            memory_limit: 1 << 30,
            credentials: Credentials::default(),
            hosts: Vec::new(),
            tls: None,
            insecure: false,
            body: BodyLimits::default(),
            query: QueryOptions::default(),
            max_tenants: 8,
            host_metrics: Some(Duration::from_secs(15)),
            own_metrics: Duration::from_secs(15),
        }
    }
}

impl Default for QueryOptions {
    /// Two minutes, ten million rows, four at a time.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120), rows: 10_000_000, concurrency: 4 }
    }
}

impl Options {
    /// Every address that the server will listen on.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        [Some(self.http), self.otlp_grpc, self.otlp_http].into_iter().flatten()
    }

    /// The address that would open the server to others although nobody has to prove who they are.
    pub(crate) fn unguarded(&self) -> Option<SocketAddr> {
        if self.insecure || !self.credentials.is_empty() {
            return None;
        }
        self.addresses().find(|address| !address.ip().to_canonical().is_loopback())
    }
}
