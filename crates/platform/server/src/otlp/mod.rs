//! Taking in OTLP: three signals, over HTTP and over gRPC.

mod grpc;
mod http;
mod signal;
mod untimely;

pub(crate) use self::grpc::grpc_router;
pub(crate) use self::http::{logs, metrics, traces};
use self::signal::{Logs, Metrics, Signal, Taken, Traces};

use std::sync::Arc;

use crate::app::App;
use crate::receive::Delivery;
use crate::refusal::Refusal;
use crate::telemetry::events::TelemetryReceived;

/// Decodes a request and keeps what is good of it. A part that is not is told as partial success (OTLP, section "Partial
/// Success").
async fn export<S: Signal>(
    app: &Arc<App>,
    delivery: &Delivery,
    decode: impl FnOnce() -> Result<S::Request, Refusal> + Send + 'static,
) -> Result<S::Response, Refusal> {
    let lake = app.lake_for(delivery).await?;
    let shared = app.clone();
    let taken: Taken = app.admission.decode(move || S::keep(decode()?, &shared, &lake)).await?;
    app.received(delivery, taken.received);
    app.dropped(delivery, S::ITEMS, taken.rejected, &taken.message);
    Ok(S::response(taken.rejected, taken.message))
}

/// Counts a payload that was refused.
fn refused(app: &App, delivery: &Delivery, refusal: Refusal) -> Refusal {
    app.refused(delivery.protocol, refusal)
}

/// What one kind of item counts as.
fn items(count: u64, field: impl FnOnce(&mut TelemetryReceived) -> &mut u64) -> TelemetryReceived {
    let mut received = TelemetryReceived::default();
    *field(&mut received) = count;
    received
}
