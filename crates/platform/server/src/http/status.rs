//! What is coming in and where it lies: what the first page shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::app::App;
use crate::sources::SourceStatus;

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
    /// The lakes of all tenants together; nothing while the server recovers.
    lake: Option<LakeStatus>,
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
        lake: app.is_ready().then(|| lakes(&app)),
    })
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
            table.rows += of.rows;
            table.files += of.files;
            table.bytes += of.bytes;
        }
    }
    status.tables = tables.into_values().collect();
    status
}
