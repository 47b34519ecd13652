//! Why a scrape failed.

use std::time::Duration;

use kandela_config::duration_text;
use thiserror::Error;

use super::client::ClientError;
use crate::exposition::ExpositionError;

/// Why a scrape failed. Its target is then down, and the series of the scrape before end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScrapeError {
    /// The client could not be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The target could not be reached, or broke off.
    #[error("{0}")]
    Connection(String),
    /// The target took too long.
    #[error("the target did not answer in full within the scrape timeout of {}", duration_text(*.0))]
    Timeout(Duration),
    /// The target answered with another status than 200.
    #[error("server returned HTTP status {0}")]
    Status(http::StatusCode),
    /// The body is longer than allowed.
    #[error("the body is longer than body_size_limit, {0} bytes uncompressed")]
    BodySize(u64),
    /// The body is no exposition.
    #[error(transparent)]
    Page(#[from] ExpositionError),
    /// There are more samples than allowed.
    #[error("sample_limit exceeded: {samples} samples after metric relabelling, limit {limit}")]
    Samples {
        /// After relabelling.
        samples: u64,
        /// `sample_limit`.
        limit: u64,
    },
    /// There are more series than Kandela keeps of one target.
    #[error("the target exposes more than {0} series, the most that are kept of one target")]
    Series(usize),
    /// A label set breaks a label limit.
    #[error("{limit} exceeded: {series} has {found}, limit {allowed}")]
    Labels {
        /// The limit's key.
        limit: &'static str,
        /// The series.
        series: String,
        /// What it has.
        found: u64,
        /// What it may have.
        allowed: u64,
    },
    /// Relabelling took the metric's name away.
    #[error("relabelling left {0} without a metric name; let the rules keep __name__")]
    NoName(String),
    /// A name is outside `metric_name_validation_scheme`.
    #[error("{name:?} of {series} is no name under metric_name_validation_scheme: legacy")]
    Name {
        /// The series.
        series: String,
        /// The metric's or a label's name.
        name: String,
    },
    /// The job has more targets than allowed, and so none is scraped.
    #[error("target_limit exceeded (number of targets: {targets}, limit: {limit})")]
    Targets {
        /// After relabelling.
        targets: usize,
        /// `target_limit`.
        limit: u64,
    },
    /// The samples were not kept.
    #[error("storing the scraped samples: {0}")]
    Sink(String),
}
