//! What Kandela concludes, or was told, that is no measurement.

use crate::Timestamp;

/// One row of the `events` table. Within a stream, `seq` counts from 0 without a gap: an append names the sequence that it
/// expects and is refused when another writer was first.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub ts: Timestamp,
    /// The ordered stream it belongs to, such as `autopilot`.
    pub stream: String,
    /// Its place in the stream.
    pub seq: i64,
    /// The writer's term of office: a writer of a lower epoch is refused.
    pub epoch: i64,
    /// What it is.
    pub kind: EventKind,
    /// What it is about: a service, a series, a knob.
    pub subject: String,
    /// `holds`, `violated` or `unknown`, where it is a judgement.
    pub verdict: Option<String>,
    /// Everything else, as JSON.
    pub payload: String,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Something unusual was seen.
    Anomaly,
    /// An alert changed its state.
    Alert,
    /// Something was deployed.
    Deploy,
    /// A forecast was made.
    Forecast,
    /// The autopilot decided.
    Decision,
    /// A fault was injected on purpose.
    Chaos,
    /// The configuration changed.
    Config,
}

impl EventKind {
    /// The word that tables and APIs use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anomaly => "anomaly",
            Self::Alert => "alert",
            Self::Deploy => "deploy",
            Self::Forecast => "forecast",
            Self::Decision => "decision",
            Self::Chaos => "chaos",
            Self::Config => "config",
        }
    }
}
