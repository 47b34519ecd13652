//! The server's own metrics and spans, written into its own lake.

use std::sync::Arc;
use std::time::Duration;

use kandela_model::TenantId;
use tokio::time::MissedTickBehavior;

use super::now;
use crate::app::App;
use crate::net::Shutdown;
use crate::receive::{self, Delivery};
use crate::refusal::Refusal;
use crate::telemetry::events::TelemetryReceived;
use crate::telemetry::exposition;
use crate::tenants::refusal_of;

const INTERVAL: Duration = Duration::from_secs(15);
const JOB: &str = "kandela";

/// Writes at an interval what the server tells about itself.
pub(crate) async fn tell(app: Arc<App>, mut shutdown: Shutdown) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => tell_now(&app).await,
            () = shutdown.wait() => return,
        }
    }
}

/// Writes it once.
pub(crate) async fn tell_now(app: &Arc<App>) {
    let instance = app.addresses.http.to_string();
    let delivery =
        Delivery { protocol: "self", tenant: TenantId::default(), sender: instance.clone(), bytes: 0 };
    if let Err(refusal) = write(app, &delivery, instance).await {
        app.refused(delivery.protocol, refusal);
    }
}

async fn write(app: &Arc<App>, delivery: &Delivery, instance: String) -> Result<(), Refusal> {
    let lake = app.lake_for(delivery).await?;
    let batch = exposition::batch(&app.own_metrics(), JOB, &instance, now());
    let spans = app.telemetry.spans().drain();
    let work = move || {
        let appended = receive::append(&lake, &batch)?;
        let spans = lake.append_spans(&spans).map_err(|error| refusal_of(&error))?;
        Ok(TelemetryReceived { spans: spans as u64, ..receive::counted(&appended) })
    };
    let received = app.admission.decode(work).await?;
    app.received(delivery, received);
    Ok(())
}
