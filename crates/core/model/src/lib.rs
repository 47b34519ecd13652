//! The vocabulary of Kandela: what a label set, a sample, a histogram, a span, a log record, a profile and an event are,
//! which tables keep them, and what a tunable knob looks like.
//!
//! This crate knows no I/O, no clock and no wire format. Decoders turn bytes into these values, the lake keeps them, and
//! everything downstream reads them.
//!
//! ```
//! use kandela_model::{Labels, MetricBatch, Timestamp};
//!
//! let mut batch = MetricBatch::default();
//! let series = batch.add_series([("__name__", "up"), ("job", "shop")])?;
//! batch.add_sample(series, Timestamp::from_millis(1_700_000_000_000), 1.0);
//! assert_eq!(batch.labels(series).get("job"), Some("shop"));
//! assert_eq!(batch.labels(series).metric_name(), Some("up"));
//! # Ok::<(), kandela_model::LabelError>(())
//! ```

mod batch;
mod event;
mod histogram;
mod knob;
mod labels;
mod log;
mod metadata;
mod profile;
mod sample;
mod span;
pub mod tables;
mod tenant;
mod time;
mod value;

pub use batch::{
    BatchSample, BatchSeries, DeltaSample, MetricBatch, SeriesExemplar, SeriesHistogram, SeriesIndex,
};
pub use event::{Event, EventKind};
pub use histogram::{BucketSpan, CUSTOM_BOUNDS_SCHEMA, Histogram, HistogramError, ResetHint};
#[cfg(feature = "serde")]
pub use knob::wire::{KnobAction, KnobChange, KnobState, LONGEST_LEASE, WireValue};
pub use knob::{ApplyCost, Epoch, Hold, Knob, KnobError, KnobSpec, KnobType, KnobValue, Lease, StepCap};
pub use labels::{LabelError, Labels, LabelsRef, METRIC_NAME};
pub use log::LogRecord;
pub use metadata::{Metadata, MetricKind};
pub use profile::{Frame, Profile, ProfileSample, ValueType};
pub use sample::{Exemplar, STALE_NAN, Sample, is_stale};
pub use span::{Span, SpanEvent, SpanKind, SpanLink, SpanStatus, StatusCode};
pub use tenant::{TenantId, TenantIdError};
pub use time::Timestamp;
pub use value::{Attributes, Scope, Value};
