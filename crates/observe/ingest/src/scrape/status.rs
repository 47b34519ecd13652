//! What is known of targets, for the targets API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kandela_model::{Labels, Timestamp};

use super::target::Target;

/// Whether a target's last scrape succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It has not been scraped yet.
    #[default]
    Unknown,
    /// It succeeded.
    Up,
    /// It failed.
    Down,
}

impl Health {
    /// The word of Prometheus' targets API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A target that is scraped, as Prometheus' `/api/v1/targets` tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveTarget {
    /// Labels before relabelling.
    pub discovered_labels: Labels,
    /// The labels that its series carry.
    pub labels: Labels,
    /// The job's name in the config.
    pub scrape_pool: String,
    /// Whom it asks, parameters included.
    pub scrape_url: String,
    /// Why the last scrape failed; empty if it did not.
    pub last_error: String,
    /// When the last scrape began.
    pub last_scrape: Option<Timestamp>,
    /// How long it took.
    pub last_scrape_duration: Duration,
    /// How it went.
    pub health: Health,
    /// How often it is scraped.
    pub scrape_interval: Duration,
    /// How long a scrape may take.
    pub scrape_timeout: Duration,
}

/// A target that relabelling dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedTarget {
    /// Labels before relabelling.
    pub discovered_labels: Labels,
    /// The job's name in the config.
    pub scrape_pool: String,
}

/// All targets at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Targets {
    /// Those that are scraped, by job.
    pub active: Vec<ActiveTarget>,
    /// Those that relabelling dropped; of each job a bounded number.
    pub dropped: Vec<DroppedTarget>,
    /// How many it dropped, by job.
    pub dropped_counts: BTreeMap<String, usize>,
}

/// How the last scrape of one target went.
#[derive(Clone, Debug, Default)]
pub(super) struct LastScrape {
    pub(super) error: String,
    pub(super) at: Option<Timestamp>,
    pub(super) duration: Duration,
    pub(super) health: Health,
}

/// One target's entry, shared by its loop, which writes, and the API, which reads.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) target: Arc<Target>,
    discovered: Mutex<Labels>,
    last: Mutex<LastScrape>,
}

impl Status {
    pub(super) fn new(target: Arc<Target>, discovered: Labels) -> Self {
        Self { target, discovered: Mutex::new(discovered), last: Mutex::default() }
    }

    pub(super) fn set_discovered(&self, labels: Labels) {
        *lock(&self.discovered) = labels;
    }

    pub(super) fn record(&self, last: LastScrape) {
        *lock(&self.last) = last;
    }

    /// The last scrape of the same target under an older config stays known.
    pub(super) fn inherit(&self, older: &Self) {
        self.record(lock(&older.last).clone());
    }

    pub(super) fn show(&self, pool: &str) -> ActiveTarget {
        let last = lock(&self.last).clone();
        ActiveTarget {
            discovered_labels: lock(&self.discovered).clone(),
            labels: self.target.public.clone(),
            scrape_pool: pool.to_owned(),
            scrape_url: self.target.url.to_string(),
            last_error: last.error,
            last_scrape: last.at,
            last_scrape_duration: last.duration,
            health: last.health,
            scrape_interval: self.target.interval,
            scrape_timeout: self.target.timeout,
        }
    }
}

/// What a pool shows.
#[derive(Debug, Default)]
pub(super) struct PoolView {
    pub(super) active: Vec<Arc<Status>>,
    pub(super) dropped: Vec<Labels>,
    pub(super) dropped_count: usize,
}

/// Locks, and takes the value as it is where a thread panicked: no holder leaves it half-written.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
