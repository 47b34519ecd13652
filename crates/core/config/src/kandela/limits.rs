//! How much is taken in, how long it is kept, and how much a query may cost.

use std::time::Duration;

use serde::Serialize;

use super::interval;
use crate::read::Fields;
use crate::units::{parse_size, serialize_duration, serialize_size, serialize_size_or_none};

const DAY: Duration = Duration::from_secs(86_400);

/// How long telemetry is kept, by table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Retention {
    /// Series, samples, histograms and exemplars.
    #[serde(serialize_with = "serialize_duration")]
    pub metrics: Duration,
    /// Spans.
    #[serde(serialize_with = "serialize_duration")]
    pub spans: Duration,
    /// Log records.
    #[serde(serialize_with = "serialize_duration")]
    pub logs: Duration,
    /// Profiles.
    #[serde(serialize_with = "serialize_duration")]
    pub profiles: Duration,
    /// Events: anomalies, alerts, deploys, forecasts, decisions.
    #[serde(serialize_with = "serialize_duration")]
    pub events: Duration,
    /// Bytes of all tables together; the oldest dates go first. Nothing means no limit.
    #[serde(serialize_with = "serialize_size_or_none", skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// What is refused, with an error that names the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Limits {
    /// Active series in total.
    pub series: u64,
    /// Series of one scrape.
    pub series_per_target: u64,
    /// Bytes of a request's body, decompressed.
    #[serde(serialize_with = "serialize_size")]
    pub body_size: u64,
    /// Labels of a series.
    pub labels_per_series: u64,
    /// Bytes of a label's name.
    pub label_name_length: u64,
    /// Bytes of a label's value.
    pub label_value_length: u64,
    /// What one query may cost.
    pub query: QueryLimits,
}

/// What one query may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QueryLimits {
    /// Time.
    #[serde(serialize_with = "serialize_duration")]
    pub timeout: Duration,
    /// Bytes; nothing means the queries' share of the memory limit.
    #[serde(serialize_with = "serialize_size_or_none", skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Samples that a PromQL query may hold at a time.
    pub samples: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            metrics: DAY * 15,
            spans: DAY * 7,
            logs: DAY * 7,
            profiles: DAY * 7,
            events: DAY * 400,
            size: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            series: 5_000_000,
            series_per_target: 250_000,
            body_size: 64 << 20,
            labels_per_series: 128,
            label_name_length: 1_024,
            label_value_length: 8_192,
            query: QueryLimits::default(),
        }
    }
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120), memory: None, samples: 50_000_000 }
    }
}

impl Retention {
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let default = Self::default();
        let retention = Self {
            metrics: interval(&mut fields, "metrics").unwrap_or(default.metrics),
            spans: interval(&mut fields, "spans").unwrap_or(default.spans),
            logs: interval(&mut fields, "logs").unwrap_or(default.logs),
            profiles: interval(&mut fields, "profiles").unwrap_or(default.profiles),
            events: interval(&mut fields, "events").unwrap_or(default.events),
            size: fields.size_limit("size"),
        };
        fields.finish(&[]);
        retention
    }
}

impl Limits {
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let default = Self::default();
        let limits = Self {
            series: above_zero(&mut fields, "series").unwrap_or(default.series),
            series_per_target: above_zero(&mut fields, "series_per_target")
                .unwrap_or(default.series_per_target),
            body_size: size_above_zero(&mut fields, "body_size").unwrap_or(default.body_size),
            labels_per_series: above_zero(&mut fields, "labels_per_series")
                .unwrap_or(default.labels_per_series),
            label_name_length: above_zero(&mut fields, "label_name_length")
                .unwrap_or(default.label_name_length),
            label_value_length: above_zero(&mut fields, "label_value_length")
                .unwrap_or(default.label_value_length),
            query: fields.section("query", QueryLimits::read).unwrap_or_default(),
        };
        fields.finish(&[]);
        limits
    }
}

impl QueryLimits {
    fn read(mut fields: Fields<'_>) -> Self {
        let default = Self::default();
        let limits = Self {
            timeout: interval(&mut fields, "timeout").unwrap_or(default.timeout),
            memory: size_above_zero(&mut fields, "memory"),
            samples: above_zero(&mut fields, "samples").unwrap_or(default.samples),
        };
        fields.finish(&[]);
        limits
    }
}

/// A count that must be above zero: a limit of nothing would refuse everything.
fn above_zero(fields: &mut Fields<'_>, key: &'static str) -> Option<u64> {
    let item = fields.get_set(key)?;
    let count = item.count();
    if count == Some(0) {
        item.invalid(format!("{key} must be above zero; raise it, or remove the key for the default"));
    }
    count
}

fn size_above_zero(fields: &mut Fields<'_>, key: &'static str) -> Option<u64> {
    let item = fields.get_set(key)?;
    let size = item.parse(parse_size);
    if size == Some(0) {
        item.invalid(format!("{key} must be above zero; raise it, or remove the key for the default"));
    }
    size
}
