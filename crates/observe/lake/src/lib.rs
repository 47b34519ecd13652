//! The lake: takes telemetry in, keeps it small and safe, and finds it again.
//!
//! A write goes to the write-ahead log, is acknowledged, and lies in memory; minutes later it stands in sorted Parquet files
//! that a Delta log lists, where any engine can read it. A query sees memory and files as one. The lake knows no PromQL and
//! no wire format.
//!
//! ```no_run
//! # async fn tour() -> Result<(), Box<dyn std::error::Error>> {
//! use futures::TryStreamExt;
//! use kandela_lake::{Lake, LakeConfig, QueryLimits};
//! use kandela_model::{MetricBatch, Timestamp};
//!
//! let lake = Lake::open(LakeConfig::at("data")).await?;
//! let mut batch = MetricBatch::default();
//! let up = batch.add_series([("__name__", "up"), ("job", "shop")])?;
//! batch.add_sample(up, Timestamp::from_millis(1_700_000_000_000), 1.0);
//! lake.append(&batch)?;
//! let rows = lake.sql("SELECT labels['job'], value FROM metrics", &QueryLimits::default()).await?.rows;
//! let rows: Vec<_> = rows.try_collect().await?;
//! # Ok(())
//! # }
//! ```

mod accumulators;
mod config;
mod error;
mod flush;
mod head;
mod index;
mod lake;
mod points;
mod quarantine;
mod recover;
pub mod rows;
pub mod schema;
mod series;
mod sql;
mod table;
mod tail;
mod view;
pub mod wal;

pub use config::{Durability, LakeConfig, Retention};
pub use error::{ErrorClass, LakeError, Result};
pub use flush::FlushReport;
pub use head::{Appended, RejectReason, Rejected};
pub use index::{Cardinality, Counts, IndexedSeries};
pub use kandela_config::matcher::{MatchOp, Matcher};
pub use lake::{Lake, LakeStats, TableStats, TimeRange};
pub use points::{FoundSeries, PointReader, TimedHistogram, TimedValues};
pub use quarantine::Quarantined;
pub use recover::Recovery;
pub use sql::{Answer, QUERY_STACK, QueryLimits, QueryMemory, explain};
pub use table::{CompactReport, RetentionReport};
pub use tail::{LakeTail, Tailed};
