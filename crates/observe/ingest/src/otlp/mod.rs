//! OpenTelemetry's protocol (<https://opentelemetry.io/docs/specs/otlp/>), protobuf and JSON.
//!
//! Each signal has a module with three functions: `from_protobuf` and `from_json` read the bytes of a request, `decode` turns
//! the request into values of the model. What is wrong with one item costs only that item: [`Outcome`] counts and explains
//! what was refused, which is what the protocol's partial success wants.
//!
//! ```
//! use kandela_ingest::otlp::{Limits, logs};
//!
//! let request = logs::from_json(br#"{"resourceLogs": [{"scopeLogs": [{"logRecords": [
//!     {"timeUnixNano": "1700000000000000000", "severityNumber": 9, "body": {"stringValue": "started"}}
//! ]}]}]}"#)?;
//! let (records, outcome) = logs::decode(request, &Limits::default());
//! assert_eq!(records.len(), 1);
//! assert_eq!(outcome.rejected, 0);
//! # Ok::<(), kandela_ingest::otlp::OtlpError>(())
//! ```

mod json;
mod labels;
pub mod logs;
pub mod metrics;
mod names;
mod resource;
pub mod traces;
mod value;

use std::collections::BTreeMap;

pub use names::TranslationStrategy;

/// A body that is no OTLP request. The sender's fault: 400 over HTTP, `INVALID_ARGUMENT` over gRPC.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OtlpError {
    /// Not the protobuf message of the signal.
    #[error("the body is not an OTLP request in protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// Not JSON, or a field that does not hold what its type allows.
    #[error("the body is not an OTLP request in JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// How much an item may hold. An item past a limit is refused, the others are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attributes of one resource, scope, span, event, link, record or data point.
    pub attributes_per_item: usize,
    /// How deep lists and maps may stand within an attribute's value or a log's body.
    pub nesting: usize,
    /// Bytes of the batch that a metrics request becomes: resource attributes stand in every series.
    pub batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { attributes_per_item: 1_024, nesting: 32, batch_bytes: 256 << 20 }
    }
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Items that were taken: spans, log records, or data points.
    pub accepted: u64,
    /// Items that were not.
    pub rejected: u64,
    /// Why, and what else the sender should know; empty when all is well.
    pub message: String,
}

/// Why an item, or a part of one, was not taken as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
enum Fault {
    #[error("{count} attributes are over the limit attributes_per_item of {max}")]
    TooManyAttributes { count: usize, max: usize },
    #[error("a value is nested deeper than the limit nesting of {max}")]
    TooDeep { max: usize },
    #[error("the request becomes more than the limit batch_bytes of {max}; send smaller requests")]
    BatchTooLarge { max: usize },
    #[error("{field} has {len} bytes instead of {expected}")]
    IdLength { field: &'static str, len: usize, expected: usize },
    #[error("{field} is all zeros")]
    ZeroId { field: &'static str },
    #[error("a data point has no time")]
    NoTime,
    #[error("a data point has no value")]
    NoValue,
    #[error("metric {metric:?} has no data of a known kind")]
    NoData { metric: String },
    #[error("metric name {metric:?} leaves no valid Prometheus name")]
    MetricName { metric: String },
    #[error("attribute name {name:?} leaves no valid label name")]
    LabelName { name: String },
    #[error("aggregation temporality {0} is neither delta nor cumulative")]
    Temporality(i32),
    #[error("histogram: {0}")]
    Histogram(String),
}

/// Collects what was not taken.
#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    rejected: u64,
    faults: BTreeMap<Fault, u64>,
}

impl Tally {
    /// Kinds of faults that are told apart; further ones are only counted.
    const DESCRIBED: usize = 10;

    fn accept(&mut self) {
        self.accepted += 1;
    }

    fn reject(&mut self, items: u64, fault: Fault) {
        self.rejected += items;
        self.note(items, fault);
    }

    /// Notes something that was left out of `items` items that are taken nevertheless.
    fn note(&mut self, items: u64, fault: Fault) {
        if let Some(count) = self.faults.get_mut(&fault) {
            *count += items;
        } else if self.faults.len() < Self::DESCRIBED {
            self.faults.insert(fault, items);
        }
    }

    fn outcome(self) -> Outcome {
        let faults: Vec<String> =
            self.faults.iter().map(|(fault, items)| format!("{items}× {fault}")).collect();
        Outcome { accepted: self.accepted, rejected: self.rejected, message: faults.join("; ") }
    }
}

/// An id of `N` bytes.
fn id<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], Fault> {
    let wrong_length = |_| Fault::IdLength { field, len: bytes.len(), expected: N };
    let id: [u8; N] = bytes.try_into().map_err(wrong_length)?;
    if id == [0; N] { Err(Fault::ZeroId { field }) } else { Ok(id) }
}

/// An id that may be left out, which some senders say by zeros.
fn optional_id<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<Option<[u8; N]>, Fault> {
    match id(field, bytes) {
        Ok(id) => Ok(Some(id)),
        Err(Fault::ZeroId { .. }) => Ok(None),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Nanoseconds since the epoch as tables keep them; saturates in the year 2262.
fn nanos(unsigned: u64) -> i64 {
    i64::try_from(unsigned).unwrap_or(i64::MAX)
}
