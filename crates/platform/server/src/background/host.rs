//! This machine's own metrics, at an interval.

use std::sync::Arc;
use std::time::Duration;

use kandela_ingest::host::{self, HostPaths};
use kandela_model::{MetricBatch, TenantId};
use tokio::time::MissedTickBehavior;

use super::now;
use crate::app::App;
use crate::net::Shutdown;
use crate::receive::{self, Delivery};
use crate::refusal::Refusal;
use crate::telemetry::events::HostReadFailed;

/// Reads at once and then every `interval`. What cannot be kept is counted and left: the next reading comes soon.
pub(crate) async fn read_host(app: Arc<App>, interval: Duration, mut shutdown: Shutdown) {
    let name = machine_name();
    let delivery = Delivery { protocol: "host", tenant: TenantId::default(), sender: name.clone(), bytes: 0 };
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.wait() => return,
        }
        if let Err(refusal) = read_once(&app, &delivery, name.clone()).await {
            app.refused(delivery.protocol, refusal);
        }
    }
}

async fn read_once(app: &Arc<App>, delivery: &Delivery, name: String) -> Result<(), Refusal> {
    let lake = app.lake_for(delivery).await?;
    let work = move || {
        let mut batch = MetricBatch::default();
        let failures = host::collect(&HostPaths::default(), now(), &name, &mut batch);
        Ok((receive::append(&lake, &batch)?, failures))
    };
    let (appended, failures) = app.admission.decode(work).await?;
    for error in &failures {
        app.telemetry.emit(HostReadFailed { error });
    }
    app.received(delivery, receive::counted(&appended));
    let problem = receive::rejections(&appended).unwrap_or_default();
    app.dropped(delivery, "samples", appended.rejected_points() as u64, &problem);
    Ok(())
}

/// The host's name as the kernel has it.
pub(crate) fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}
