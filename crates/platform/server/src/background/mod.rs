//! What runs without being asked: keeping the lakes in shape, scraping, passing samples on, this machine's metrics, and the
//! server's own.

mod forward;
mod host;
mod own;
mod scrape;
mod upkeep;

use std::future::Future;
use std::time::{SystemTime, UNIX_EPOCH};

use kandela_model::Timestamp;

use crate::telemetry::Telemetry;
use crate::telemetry::events::TaskFailed;

pub(crate) use forward::{Followed, forward, name_of};
pub(crate) use host::{machine_name, read_host};
pub(crate) use own::{tell, tell_now};
pub(crate) use scrape::scraping;
pub(crate) use upkeep::{flush_in_time, keep_tidy, read_ahead, tell_of_damage};

/// Runs a task, and tells it if the task breaks.
pub(crate) async fn watched(
    task: &'static str,
    telemetry: Telemetry,
    work: impl Future<Output = ()> + Send + 'static,
) {
    if let Err(error) = tokio::spawn(work).await {
        telemetry.emit(TaskFailed { task, error: &error });
    }
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_nanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}
