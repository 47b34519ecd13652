//! Flushes, compactions and retention of one lake, and word of what is damaged in it.

use std::time::{Duration, Instant};

use kandela_lake::{Lake, LakeError};
use kandela_model::TenantId;

use super::now;
use crate::memory;
use crate::net::Shutdown;
use crate::telemetry::Telemetry;
use crate::telemetry::events::{FileQuarantined, UpkeepFailed, UpkeepFinished};

/// How soon a failed flush is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How often there is a look at what could be merged.
const COMPACT_EVERY: Duration = Duration::from_secs(60);
/// How often there is a look at what is past its time.
const RETENTION_EVERY: Duration = Duration::from_secs(3_600);

/// What most questions are about, in microseconds: the last day.
const LATELY: i64 = 86_400_000_000;

/// Reads what finding the series of the last day needs, before the first question. What fails is met again by who asks.
pub(crate) async fn read_ahead(lake: Lake) {
    let now = now().micros();
    let _ = lake.read_ahead(now.saturating_sub(LATELY)..=now).await;
}

/// Flushes at the lake's interval, and earlier where memory asks for it.
pub(crate) async fn flush_in_time(
    tenant: TenantId,
    lake: Lake,
    telemetry: Telemetry,
    mut shutdown: Shutdown,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(lake.config().flush_interval) => {}
            () = lake.flush_wanted() => {}
            () = shutdown.wait() => return,
        }
        let began = Instant::now();
        let flushed = lake.flush().await;
        memory::give_back();
        if !told(&telemetry, "flush", &tenant, began, &flushed) {
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Merges files and removes what is past its time. The first merge waits: whoever starts a server has questions first.
pub(crate) async fn keep_tidy(tenant: TenantId, lake: Lake, telemetry: Telemetry, mut shutdown: Shutdown) {
    let mut retained = None;
    loop {
        let began = Instant::now();
        if retained.is_none_or(|last: Instant| last.elapsed() >= RETENTION_EVERY) {
            told(&telemetry, "retention", &tenant, began, &lake.enforce_retention(now()).await);
            retained = Some(began);
        }
        tokio::select! {
            () = tokio::time::sleep(COMPACT_EVERY) => {}
            () = shutdown.wait() => return,
        }
        let began = Instant::now();
        let compacted = lake.compact().await;
        memory::give_back();
        told(&telemetry, "compact", &tenant, began, &compacted);
    }
}

/// Tells of files that turn out to be damaged.
pub(crate) async fn tell_of_damage(
    tenant: TenantId,
    lake: Lake,
    telemetry: Telemetry,
    mut shutdown: Shutdown,
) {
    loop {
        tokio::select! {
            file = lake.next_quarantined() => match file {
                Some(file) => telemetry.emit(FileQuarantined { tenant: tenant.as_str(), file: &file }),
                None => return,
            },
            () = shutdown.wait() => return,
        }
    }
}

fn told<R: std::fmt::Debug>(
    telemetry: &Telemetry,
    pass: &'static str,
    tenant: &TenantId,
    began: Instant,
    result: &Result<R, LakeError>,
) -> bool {
    let tenant = tenant.as_str();
    match result {
        Ok(report) => telemetry.emit(UpkeepFinished { pass, tenant, took: began.elapsed(), report }),
        Err(error) => telemetry.emit(UpkeepFailed { pass, tenant, error }),
    }
    result.is_ok()
}
