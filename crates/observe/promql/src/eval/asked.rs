//! What is asked of the evaluator, and why it may have no answer.

use crate::source::SourceError;

/// How a query is evaluated. Times and durations are microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How old the newest sample of a series may be.
    pub lookback: i64,
    /// The step of a subquery that names none.
    pub subquery_step: i64,
    /// Threads that one query may use, at least 1.
    pub threads: usize,
    /// Whether a name that a function takes away goes at the end of the query, as with Prometheus' feature
    /// `promql-delayed-name-removal`, or at once, as without. Until it goes it tells series apart, and labels may be taken from
    /// it.
    pub delayed_name_removal: bool,
}

impl Default for Options {
    /// Prometheus' lookback and evaluation interval; one thread.
    fn default() -> Self {
        Self { lookback: 300_000_000, subquery_step: 60_000_000, threads: 1, delayed_name_removal: false }
    }
}

impl Options {
    /// As the engine that Prometheus' own test scripts are written for.
    pub fn of_scripts() -> Self {
        Self { delayed_name_removal: true, ..Self::default() }
    }
}

/// When a query is evaluated, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Once.
    Instant(i64),
    /// From `from` in steps of `step`, which is above zero, up to `through`.
    Range {
        /// The first time.
        from: i64,
        /// None later.
        through: i64,
        /// The distance.
        step: i64,
    },
}

/// Why a query has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EvalError {
    /// The query is wrong.
    #[error("{0}")]
    Bad(String),
    /// It cannot be evaluated on these data.
    #[error("{0}")]
    Execution(String),
    /// It would hold more samples than [`super::Limits::samples`].
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// It would hold more bytes than [`super::Limits::memory`].
    #[error(
        "the query would hold more than its memory limit of {limit} bytes: ask for fewer series, a shorter time or a longer step"
    )]
    TooMuchMemory {
        /// The limit.
        limit: usize,
    },
    /// What queries share is in use.
    #[error(
        "the memory that queries share is in use: try again in a moment, ask for less, or raise the memory limit"
    )]
    MemoryTaken,
    /// Its deadline passed.
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// Whoever asked has gone.
    #[error("query was canceled in expression evaluation")]
    Cancelled,
    /// Its series cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
}
