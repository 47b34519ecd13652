//! Scraping: targets are discovered, asked for their pages at an interval, and what they answer is handed on.
//!
//! Configured by Prometheus' own `scrape_configs`. What a target's labels become, what `up` says, when a series ends: all as
//! Prometheus has it, so that a Prometheus server's jobs can move here one by one. `docs/scraping.md` is for users.
//!
//! One [`Manager`] runs all jobs. Each job has a pool that listens to the job's discoveries and keeps one loop a target.
//! A loop fetches under the target's timeout, so one that hangs costs nobody else anything; it parses on a bounded number
//! of threads and hands one batch a scrape to the [`Sink`]. Nothing here knows what a sink is.

pub mod client;
pub mod discovery;
mod error;
mod fetch;
mod labels;
mod manager;
mod pool;
mod schedule;
mod series;
mod sink;
mod status;
mod target;
mod target_loop;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kandela_model::Timestamp;
use tokio::sync::Semaphore;

use crate::label_limits::LabelLimits;

pub use error::ScrapeError;
pub use manager::Manager;
pub use sink::Sink;
pub use status::{ActiveTarget, DroppedTarget, Health, Targets};

/// What holds for all jobs and is not in the config.
#[derive(Clone)]
pub struct ScrapeOptions {
    /// The longest body, uncompressed, where a job sets no `body_size_limit`, in bytes.
    pub max_body_bytes: u64,
    /// The most series of one target.
    pub max_series_per_target: usize,
    /// The limits on labels where a job sets none.
    pub label_limits: LabelLimits,
    /// The most targets of one job; more are left out with a warning.
    pub max_targets_per_job: usize,
    /// How many dropped targets of each job are shown.
    pub max_dropped_shown: usize,
    /// The shortest time between two changes of a job's targets.
    pub sync_throttle: Duration,
    /// Whether `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes` are written, as under
    /// Prometheus' feature `extra-scrape-metrics`.
    pub extra_metrics: bool,
    /// Moves every target's place in its interval, so that two servers with the same config don't scrape at once.
    pub offset_seed: u64,
    /// The `User-Agent` of requests.
    pub user_agent: String,
    /// What time it is.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Default for ScrapeOptions {
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 20,
            max_series_per_target: 250_000,
            label_limits: LabelLimits::default(),
            max_targets_per_job: 50_000,
            max_dropped_shown: 1_000,
            sync_throttle: Duration::from_secs(5),
            extra_metrics: false,
            offset_seed: 0,
            user_agent: format!("Kandela/{}", env!("CARGO_PKG_VERSION")),
            clock: Arc::new(system_time),
        }
    }
}

impl fmt::Debug for ScrapeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrapeOptions")
            .field("max_body_bytes", &self.max_body_bytes)
            .field("max_series_per_target", &self.max_series_per_target)
            .field("max_targets_per_job", &self.max_targets_per_job)
            .field("sync_throttle", &self.sync_throttle)
            .finish_non_exhaustive()
    }
}

fn system_time() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// What all jobs share.
struct Shared {
    sink: Arc<dyn Sink>,
    options: ScrapeOptions,
    /// Answers that are parsed at a time.
    parsing: Semaphore,
}

impl Shared {
    fn new(sink: Arc<dyn Sink>, options: ScrapeOptions) -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self { sink, options, parsing: Semaphore::new(threads) }
    }
}
