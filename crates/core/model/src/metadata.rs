//! What a metric family is.

use std::fmt;
use std::str::FromStr;

/// The kind of a metric family, under OpenMetrics' names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricKind {
    /// Not stated.
    #[default]
    Unknown,
    /// Only grows, or starts again at zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets of a cumulative distribution.
    Histogram,
    /// Buckets of a current distribution.
    GaugeHistogram,
    /// Quantiles that the client computed.
    Summary,
    /// Constant 1 with labels that inform.
    Info,
    /// One boolean series a state.
    StateSet,
}

impl MetricKind {
    /// OpenMetrics' word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MetricKind {
    type Err = ();

    /// Reads OpenMetrics' words, and `untyped`, which text 0.0.4 says for unknown.
    fn from_str(word: &str) -> Result<Self, ()> {
        Ok(match word {
            "unknown" | "untyped" => Self::Unknown,
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            _ => return Err(()),
        })
    }
}

/// What is known of a metric family besides its samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The family's name as Prometheus' metadata API gives it: `http_requests_total`, `request_duration_seconds`.
    pub family: String,
    /// Its kind.
    pub kind: MetricKind,
    /// Its unit, as the source wrote it; empty when not stated.
    pub unit: String,
    /// Its description; empty when not stated.
    pub help: String,
}
