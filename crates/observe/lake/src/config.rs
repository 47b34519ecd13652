//! How a lake is set up.

use std::path::PathBuf;
use std::time::Duration;

use kandela_model::Timestamp;

pub use crate::wal::Durability;

/// How a lake is set up. The default needs nothing but a folder.
#[derive(Clone, Debug)]
pub struct LakeConfig {
    /// The folder of the tables and the log.
    pub root: PathBuf,
    /// The name under which this writer's progress stands in the tables; unique among the writers of one lake.
    pub node: String,
    /// Bytes that the lake may hold in memory: half for the head, a quarter for queries, the rest for compaction and
    /// caches.
    pub memory_limit: usize,
    /// How much older than the newest sample of the head a sample may be.
    pub out_of_order_window: Duration,
    /// How old the oldest sample of the head gets before it is flushed to a table.
    pub flush_interval: Duration,
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// Active series that the head takes before it refuses new ones.
    pub max_series: usize,
    /// How many files a table's date may gather before they are merged.
    pub compact_at_files: usize,
    /// How long rows are kept.
    pub retention: Retention,
}

/// How long rows are kept, by table, and how many bytes all tables may take.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Series, samples, histograms and exemplars.
    pub metrics: Duration,
    /// Spans.
    pub spans: Duration,
    /// Log records.
    pub logs: Duration,
    /// Profiles.
    pub profiles: Duration,
    /// Events.
    pub events: Duration,
    /// Bytes of all tables together; the oldest dates go first.
    pub max_bytes: Option<u64>,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Retention {
    fn default() -> Self {
        Self {
            metrics: DAY * 15,
            spans: DAY * 7,
            logs: DAY * 7,
            profiles: DAY * 7,
            events: DAY * 400,
            max_bytes: None,
        }
    }
}

impl Retention {
    /// How long rows of `table` are kept.
    pub fn of(&self, table: &str) -> Duration {
        match table {
            "spans" => self.spans,
            "logs" => self.logs,
            "profiles" => self.profiles,
            "events" => self.events,
            _ => self.metrics,
        }
    }

    /// The oldest day of `table` that is kept; days count from the Unix epoch.
    pub(crate) fn oldest_day(&self, table: &str, today: i32) -> i32 {
        let days = i32::try_from(self.of(table).as_secs().div_ceil(DAY.as_secs())).unwrap_or(i32::MAX);
        today.saturating_sub(days)
    }

    /// When the oldest day of `table` that is kept begins: what is older goes with the next retention run.
    pub fn oldest(&self, table: &str, now: Timestamp) -> Timestamp {
        let day = i64::from(self.oldest_day(table, now.day()));
        Timestamp::from_micros(day.saturating_mul(DAY.as_micros() as i64))
    }
}

impl LakeConfig {
    /// The default set-up in `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            node: "local".to_owned(),
            memory_limit: 2 << 30,
            out_of_order_window: Duration::from_secs(3_600),
            flush_interval: Duration::from_secs(300),
            durability: Durability::Process,
            max_series: 5_000_000,
            compact_at_files: 8,
            retention: Retention::default(),
        }
    }

    /// The head's share of the memory limit, in bytes.
    pub fn head_share(&self) -> usize {
        self.memory_limit / 2
    }

    /// The queries' share of the memory limit, in bytes.
    pub fn query_share(&self) -> usize {
        self.memory_limit / 4
    }

    /// The share of points that were read lately, in bytes.
    pub fn cache_share(&self) -> usize {
        self.memory_limit / 8
    }

    /// The share of compaction and of the series' indexes, in bytes.
    pub fn compaction_share(&self) -> usize {
        self.memory_limit / 8
    }
}
