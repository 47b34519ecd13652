//! What is coming in and where it lies: what the first page shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use kandela_ingest::scrape::{Health, Manager};
use serde::Serialize;

use crate::app::App;
use crate::sources::SourceStatus;

/// Targets listed; a config may know thousands.
const MAX_TARGETS: usize = 100;

/// The answer of `/api/kandela/v1/status`.
#[derive(Serialize)]
pub(super) struct Status {
    version: &'static str,
    ready: bool,
    uptime_seconds: f64,
    data: String,
    addresses: AddressStatus,
    tls: bool,
    sources: Vec<SourceStatus>,
    targets: Vec<TargetStatus>,
    /// The lakes of all tenants together; nothing while the server recovers.
    lake: Option<LakeStatus>,
}

/// A target whose last scrape failed, or that was not scraped yet.
#[derive(Serialize)]
struct TargetStatus {
    job: String,
    url: String,
    health: &'static str,
    error: String,
}

#[derive(Default, Serialize)]
struct LakeStatus {
    active_series: usize,
    memory_bytes: usize,
    memory_limit_bytes: usize,
    disk_bytes: u64,
    tables: Vec<TableStatus>,
}

#[derive(Serialize)]
struct TableStatus {
    name: &'static str,
    rows: u64,
    files: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct AddressStatus {
    http: String,
    otlp_grpc: String,
    otlp_http: String,
}

pub(super) async fn status(State(app): State<Arc<App>>) -> Json<Status> {
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        ready: app.is_ready(),
        uptime_seconds: app.started.elapsed().as_secs_f64(),
        data: app.options.data.display().to_string(),
        addresses: AddressStatus {
            http: app.addresses.http.to_string(),
            otlp_grpc: app.addresses.otlp_grpc.to_string(),
            otlp_http: app.addresses.otlp_http.to_string(),
        },
        tls: app.tls.is_some(),
        sources: app.sources.status(Instant::now()),
        targets: targets(&app),
        lake: app.is_ready().then(|| lakes(&app)),
    })
}

fn targets(app: &App) -> Vec<TargetStatus> {
    let targets = app.scrapes.get().map(Manager::targets).unwrap_or_default();
    let unwell = targets.active.into_iter().filter(|target| target.health != Health::Up).take(MAX_TARGETS);
    unwell
        .map(|target| TargetStatus {
            job: target.scrape_pool,
            url: target.scrape_url,
            health: target.health.as_str(),
            error: target.last_error,
        })
        .collect()
}

fn lakes(app: &App) -> LakeStatus {
    let mut status = LakeStatus { memory_limit_bytes: app.options.memory_limit(), ..LakeStatus::default() };
    let mut tables: BTreeMap<&'static str, TableStatus> = BTreeMap::new();
    for (_, lake) in app.tenants.all() {
        let stats = lake.stats();
        status.active_series += stats.series;
        status.memory_bytes += stats.series_bytes + stats.head_bytes;
        status.disk_bytes += stats.log_bytes;
        for (name, of) in stats.tables {
            status.disk_bytes += of.bytes;
            let table = tables.entry(name).or_insert(TableStatus { name, rows: 0, files: 0, bytes: 0 });
            table.rows += of.rows + of.in_memory;
            table.files += of.files;
            table.bytes += of.bytes;
        }
    }
    status.tables = tables.into_values().collect();
    status
}
