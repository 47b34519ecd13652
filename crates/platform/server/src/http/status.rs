//! What is coming in and where it lies: what the first page shows.

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
}

#[derive(Serialize)]
struct AddressStatus {
    http: String,
    otlp_grpc: Option<String>,
    otlp_http: Option<String>,
}

pub(super) async fn status(State(app): State<Arc<App>>) -> Json<Status> {
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        ready: app.is_ready(),
        uptime_seconds: app.started.elapsed().as_secs_f64(),
        data: app.options.data.display().to_string(),
        addresses: AddressStatus {
            http: app.addresses.http.to_string(),
            otlp_grpc: app.addresses.otlp_grpc.map(|address| address.to_string()),
            otlp_http: app.addresses.otlp_http.map(|address| address.to_string()),
        },
        tls: app.tls.is_some(),
        sources: app.sources.status(Instant::now()),
    })
}
