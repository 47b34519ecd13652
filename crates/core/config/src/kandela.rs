//! `kandela`: what is Kandela's own.

mod access;
mod limits;
mod redact;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use kandela_model::TenantId;
use serde::{Serialize, Serializer};

pub use access::{Credential, Role, TlsServer, User};
pub use limits::{Limits, QueryLimits, Retention};
pub use redact::{Find, RedactAction, RedactRule, SecretKind};

use crate::named::named;
use crate::read::{Fields, Item};
use crate::units::{parse_size, serialize_duration, serialize_size};

/// The least memory that a server starts with.
pub const MIN_MEMORY: u64 = 64 << 20;

/// What is Kandela's own. The default is what an empty file says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Kandela {
    /// Where telemetry is kept; nothing leaves it to the command line, and then to `./data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<DataLocation>,
    /// Where the server listens.
    pub listen: Listen,
    /// The server's certificate; nothing serves in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsServer>,
    /// Who may do what; names are unique.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// Names that a request's `Host` may carry beside the listening address and loopback names; without a port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// Origins, such as `https://grafana.example.org`, whose web pages may read answers and change state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
    /// Tenants that `X-Scope-OrgID` may name beside `default`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "serialize_tenants")]
    pub tenants: Vec<TenantId>,
    /// Bytes that the process may hold.
    #[serde(serialize_with = "serialize_size")]
    pub memory_limit: u64,
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// How much older than the newest sample a sample may be. `storage.tsdb.out_of_order_time_window` says the same.
    #[serde(serialize_with = "serialize_duration")]
    pub out_of_order_window: Duration,
    /// How old a sample in memory gets before it is written to a table.
    #[serde(serialize_with = "serialize_duration")]
    pub flush_interval: Duration,
    /// How long telemetry is kept.
    pub retention: Retention,
    /// What is refused.
    pub limits: Limits,
    /// The machine's own metrics.
    pub host_metrics: HostMetrics,
    /// Whether PromQL keeps names that functions take away until the end of a query, as Prometheus' feature
    /// `promql-delayed-name-removal` does.
    pub delayed_name_removal: bool,
    /// Whether the server writes its own metrics and spans beside what it is sent.
    pub own_telemetry: bool,
    /// What is hidden in attributes and log bodies before anything is stored; rules apply in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<RedactRule>,
    /// Whether the rules hold for labels of metrics too; never for a metric's name.
    pub redact_metric_labels: bool,
    /// A file with the secret that hashes are keyed with. Read anew on reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redact_hash_secret_file: Option<PathBuf>,
    /// A file with the systems that the autopilot manages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autopilot: Option<PathBuf>,
}

/// Where telemetry is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum DataLocation {
    /// A local folder.
    Folder(PathBuf),
    /// An object store, such as `s3://bucket/prefix`. Its credentials come from the environment.
    Url(String),
}

/// Where the server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Listen {
    /// The web UI and every HTTP API.
    pub http: SocketAddr,
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
}

named! {
    /// What an acknowledged write survives.
    pub enum Durability {
        /// The end of the process, `kill -9` included.
        Process = "process",
        /// Loss of power too: each write waits for the disk, many writes together.
        Fsync = "fsync",
    }
}

/// The machine's own metrics, under node_exporter's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HostMetrics {
    /// Whether they are collected.
    pub enabled: bool,
    /// How often.
    #[serde(serialize_with = "serialize_duration")]
    pub interval: Duration,
}

impl Default for Kandela {
    fn default() -> Self {
        Self {
            data: None,
            listen: Listen::default(),
            tls: None,
            users: Vec::new(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            tenants: Vec::new(),
            memory_limit: 2 << 30,
            durability: Durability::Process,
            out_of_order_window: Duration::from_secs(3_600),
            flush_interval: Duration::from_secs(300),
            retention: Retention::default(),
            limits: Limits::default(),
            host_metrics: HostMetrics::default(),
            own_telemetry: true,
            delayed_name_removal: false,
            redact: Vec::new(),
            redact_metric_labels: false,
            redact_hash_secret_file: None,
            autopilot: None,
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { http: loopback(7676), otlp_grpc: loopback(4317), otlp_http: loopback(4318) }
    }
}

impl Default for HostMetrics {
    fn default() -> Self {
        Self { enabled: true, interval: Duration::from_secs(15) }
    }
}

impl Kandela {
    /// Reads the section; `window` is what `storage.tsdb.out_of_order_time_window` says.
    pub(crate) fn read(mut fields: Fields<'_>, window: Option<Duration>) -> Self {
        let default = Self::default();
        let own_window = fields.duration("out_of_order_window");
        if own_window.zip(window).is_some_and(|(own, prometheus)| own != prometheus) {
            fields.whole().invalid(
                "out_of_order_window differs from storage.tsdb.out_of_order_time_window; keep one of the two keys",
            );
        }
        let kandela = Self {
            data: fields.get("data").and_then(|item| item.parse(data_location)),
            listen: fields.section("listen", listen).unwrap_or_default(),
            tls: fields.section("tls", TlsServer::read).flatten(),
            users: access::users(&mut fields),
            allowed_hosts: each(&mut fields, "allowed_hosts", access::host),
            allowed_origins: each(&mut fields, "allowed_origins", access::origin),
            tenants: each(&mut fields, "tenants", |text| TenantId::new(text).map_err(|e| e.to_string())),
            memory_limit: memory_limit(&mut fields).unwrap_or(default.memory_limit),
            durability: fields.parse("durability", Durability::parse).unwrap_or(default.durability),
            out_of_order_window: own_window.or(window).unwrap_or(default.out_of_order_window),
            flush_interval: interval(&mut fields, "flush_interval").unwrap_or(default.flush_interval),
            retention: fields.section("retention", Retention::read).unwrap_or_default(),
            limits: fields.section("limits", Limits::read).unwrap_or_default(),
            host_metrics: fields.section("host_metrics", host_metrics).unwrap_or_default(),
            own_telemetry: fields.boolean("own_telemetry", true),
            delayed_name_removal: fields.boolean("delayed_name_removal", false),
            redact: redact::rules(&mut fields),
            redact_metric_labels: fields.boolean("redact_metric_labels", false),
            redact_hash_secret_file: fields.word("redact_hash_secret_file").map(PathBuf::from),
            autopilot: fields.word("autopilot").map(PathBuf::from),
        };
        let hashes = kandela.redact.iter().any(|rule| rule.action == RedactAction::Hash);
        if hashes && kandela.redact_hash_secret_file.is_none() {
            fields.whole().invalid(
                "a redaction rule hashes, which needs redact_hash_secret_file: a file with a random text that stays the same",
            );
        }
        fields.finish(&[]);
        kandela
    }

    /// The files and folders that this names, to be resolved against the config's folder.
    pub(crate) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let mut paths = Vec::new();
        if let Some(DataLocation::Folder(folder)) = &mut self.data {
            paths.push(folder);
        }
        if let Some(TlsServer { cert_file, key_file }) = &mut self.tls {
            paths.extend([cert_file, key_file]);
        }
        paths.extend(self.users.iter_mut().filter_map(User::path));
        paths.extend(&mut self.redact_hash_secret_file);
        paths.extend(&mut self.autopilot);
        paths
    }
}

/// A duration that must be above zero.
fn interval(fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
    let item = fields.get_set(key)?;
    let duration = fields.duration(key)?;
    if duration.is_zero() {
        item.invalid(format!("{key} must be above zero"));
        return None;
    }
    Some(duration)
}

/// A list of texts, each through `parse`.
fn each<T>(fields: &mut Fields<'_>, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
    let items = fields.get(key).map(|item| item.items()).unwrap_or_default();
    let read = |item: &Item<'_>| {
        let text = item.text()?;
        parse(text).map_err(|message| item.invalid(message)).ok()
    };
    items.iter().filter_map(read).collect()
}

fn data_location(text: &str) -> Result<DataLocation, String> {
    if !text.contains("://") {
        return if text.is_empty() {
            Err("data is empty; name a folder, or a URL such as s3://bucket/prefix".to_owned())
        } else {
            Ok(DataLocation::Folder(PathBuf::from(text)))
        };
    }
    let url = url::Url::parse(text).map_err(|e| format!("data is not a URL: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("data holds credentials; put them into the environment instead".to_owned());
    }
    Ok(DataLocation::Url(text.to_owned()))
}

fn listen(mut fields: Fields<'_>) -> Listen {
    let default = Listen::default();
    let listen = Listen {
        http: fields.parse("http", parse_address).unwrap_or(default.http),
        otlp_grpc: fields.parse("otlp_grpc", parse_address).unwrap_or(default.otlp_grpc),
        otlp_http: fields.parse("otlp_http", parse_address).unwrap_or(default.otlp_http),
    };
    let Listen { http, otlp_grpc, otlp_http } = listen;
    let clash = |a: SocketAddr, b: SocketAddr| a == b && a.port() != 0;
    if clash(http, otlp_grpc) || clash(http, otlp_http) || clash(otlp_grpc, otlp_http) {
        fields.whole().invalid("two listeners have one address; give each a port of its own");
    }
    fields.finish(&[]);
    listen
}

/// Reads `127.0.0.1:7676`, `[::1]:7676`, `localhost:7676`, or `:7676` for every interface.
///
/// # Errors
/// With a sentence that says how an address is written.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let invalid = || format!("{text:?} is not an address; write one as 127.0.0.1:7676");
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
    let port: u16 = port.parse().map_err(|_| invalid())?;
    let host = match host {
        "" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => return Err(invalid()),
    };
    Ok(SocketAddr::new(host, port))
}

fn memory_limit(fields: &mut Fields<'_>) -> Option<u64> {
    let item = fields.get_set("memory_limit")?;
    let limit = item.parse(parse_size)?;
    if limit < MIN_MEMORY {
        item.invalid("memory_limit is below 64MiB, the least that a server starts with; raise it");
    }
    Some(limit)
}

fn host_metrics(mut fields: Fields<'_>) -> HostMetrics {
    let default = HostMetrics::default();
    let host_metrics = HostMetrics {
        enabled: fields.boolean("enabled", default.enabled),
        interval: interval(&mut fields, "interval").unwrap_or(default.interval),
    };
    fields.finish(&[]);
    host_metrics
}

fn serialize_tenants<S: Serializer>(tenants: &[TenantId], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(tenants.iter().map(TenantId::as_str))
}
