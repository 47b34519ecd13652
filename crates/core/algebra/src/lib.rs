//! Laws that make Kandela's answers independent of sharding, batching and order.
//!
//! A system that keeps telemetry adds things up all day: per batch, per file, per shard, per step of a query.
//! Whether the answer is the same however the work was cut is a property of *what* is added up, and each
//! module here states one such property, as a trait or a type that only lets through what has it:
//!
//! - [`merge`]: summaries that merge, and windows that slide over them;
//! - [`histogram`]: the one latency type, a log-bucketed histogram whose counts merge exactly;
//! - [`mod@unit`]: units, conversions, and when a conversion may move past an aggregation;
//! - [`rollup`]: pod → service → team, without double counts;
//! - [`envelope`]: bounds between measurements of what changes only so fast;
//! - [`intercept`]: what is done before and after a call, and nests; where a part lies within a whole;
//! - [`feedback`]: machines that answer one input at a time, and loops that close with a delay;
//! - [`tree`]: profiles and other trees of named parts, what a part has of its own and in all;
//! - [`verdict`]: what partial evidence shows, and what is still missing;
//! - `laws` (cargo feature `laws`): each law as a function that returns the first counterexample, for tests.
//!
//! The crate knows nothing but `std`: no clock, no I/O, no wire format.
//!
//! ```
//! use kandela_algebra::histogram::LogHistogram;
//! use kandela_algebra::merge::Merge;
//!
//! let (mut monday, mut tuesday) = (LogHistogram::new(), LogHistogram::new());
//! for ms in 1..=100 {
//!     monday.record(f64::from(ms) / 1000.0);
//!     tuesday.record(f64::from(ms) / 100.0);
//! }
//! monday.merge_from(&tuesday);
//! let p50 = monday.quantile(0.5).expect("200 values were recorded");
//! // The 100th of the 200 durations is 0.09 s; the histogram states how far off it may be.
//! assert!((p50 - 0.09).abs() <= 0.09 * monday.relative_error());
//! ```

pub mod envelope;
pub mod feedback;
pub mod histogram;
pub mod intercept;
#[cfg(feature = "laws")]
pub mod laws;
pub mod merge;
pub mod rollup;
pub mod tree;
pub mod unit;
pub mod verdict;
