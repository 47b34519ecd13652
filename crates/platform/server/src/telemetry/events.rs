//! Everything that the server tells about itself: one struct an event, which says what is logged and what is counted.
//!
//! Log text and metric names of this crate live here and nowhere else.

use std::fmt::{Debug, Display};
use std::time::Duration;

use http::{Method, StatusCode};
use kandela_ingest::host::CollectorError;
use kandela_lake::{Quarantined, Recovery};
use tracing::{debug, error, info, warn};

use super::Metrics;
use super::registry::Word;

/// Something that happened and is worth telling.
pub(crate) trait InternalEvent {
    /// Logs and counts it.
    fn emit(self, metrics: &Metrics);
}

/// A request was answered.
pub(crate) struct RequestServed {
    pub listener: &'static str,
    pub route: &'static str,
    pub method: Method,
    pub status: StatusCode,
    pub took: Duration,
}

impl InternalEvent for RequestServed {
    fn emit(self, metrics: &Metrics) {
        let Self { listener, route, method, status, took } = self;
        debug!(listener, route, %method, status = status.as_u16(), ?took, "request served");
        let labels =
            [Word::Borrowed(listener), Word::Borrowed(route), method_word(&method), status_word(status)];
        metrics.requests.add(labels, 1);
        metrics.request_seconds.record([listener, route], took.as_secs_f64());
    }
}

/// A request was turned away at the door.
pub(crate) struct RequestRefused<'a> {
    pub listener: &'static str,
    /// `host`, `origin`, `credentials` or `role`.
    pub reason: &'static str,
    pub detail: &'a str,
}

impl InternalEvent for RequestRefused<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { listener, reason, detail } = self;
        debug!(listener, reason, detail, "request refused");
        metrics.refused.add([listener, reason], 1);
    }
}

/// A connection ended before it could carry a request.
pub(crate) struct ConnectionFailed<'a> {
    pub listener: &'static str,
    /// `accept`, `tls` or `protocol`.
    pub stage: &'static str,
    pub error: &'a dyn Display,
}

impl InternalEvent for ConnectionFailed<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { listener, stage, error } = self;
        debug!(listener, stage, %error, "connection failed");
        metrics.connection_failures.add([listener, stage], 1);
    }
}

/// Telemetry came in and is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TelemetryReceived {
    pub protocol: &'static str,
    pub samples: u64,
    pub histograms: u64,
    pub exemplars: u64,
    pub spans: u64,
    pub logs: u64,
    /// As they came over the wire.
    pub bytes: u64,
}

impl InternalEvent for TelemetryReceived {
    fn emit(self, metrics: &Metrics) {
        let Self { protocol, samples, histograms, exemplars, spans, logs, bytes } = self;
        debug!(protocol, samples, histograms, exemplars, spans, logs, bytes, "telemetry received");
        let signals = [
            ("samples", samples),
            ("histograms", histograms),
            ("exemplars", exemplars),
            ("spans", spans),
            ("logs", logs),
        ];
        for (signal, count) in signals.into_iter().filter(|(_, count)| *count > 0) {
            metrics.received.add([protocol, signal], count);
        }
        metrics.received_bytes.add([protocol], bytes);
    }
}

/// Telemetry came in whole and part of it is not kept.
pub(crate) struct TelemetryDropped<'a> {
    pub protocol: &'static str,
    pub sender: &'a str,
    pub signal: &'static str,
    pub count: u64,
    /// What the first of them had wrong.
    pub example: &'a str,
}

impl InternalEvent for TelemetryDropped<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { protocol, sender, signal, count, example } = self;
        match (protocol, signal) {
            // Nobody else is told.
            ("scrape", "samples") => {
                warn!(protocol, job = sender, signal, count, example, "telemetry dropped");
            }
            _ => debug!(protocol, sender, signal, count, example, "telemetry dropped"),
        }
        metrics.dropped.add([protocol, signal], count);
    }
}

/// A payload was refused as a whole.
pub(crate) struct PayloadRefused<'a> {
    pub protocol: &'static str,
    pub status: StatusCode,
    pub error: &'a str,
}

impl InternalEvent for PayloadRefused<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { protocol, status, error } = self;
        debug!(protocol, status = status.as_u16(), error, "payload refused");
        metrics.refused_payloads.add([Word::Borrowed(protocol), status_word(status)], 1);
    }
}

/// A query ended.
pub(crate) struct QueryFinished {
    pub language: &'static str,
    /// `ok`, `error`, `timeout` or `cancelled`.
    pub outcome: &'static str,
    pub rows: u64,
    pub took: Duration,
}

impl InternalEvent for QueryFinished {
    fn emit(self, metrics: &Metrics) {
        let Self { language, outcome, rows, took } = self;
        debug!(language, outcome, rows, ?took, "query finished");
        metrics.queries.add([language, outcome], 1);
        metrics.query_seconds.record([language], took.as_secs_f64());
    }
}

/// A background pass over the lake ended.
pub(crate) struct UpkeepFinished<'a> {
    /// `flush`, `compact` or `retention`.
    pub pass: &'static str,
    pub tenant: &'a str,
    pub took: Duration,
    pub report: &'a dyn Debug,
}

impl InternalEvent for UpkeepFinished<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { pass, tenant, took, report } = self;
        debug!(pass, tenant, ?took, ?report, "upkeep finished");
        metrics.upkeep.add([pass, "ok"], 1);
        metrics.upkeep_seconds.record([pass], took.as_secs_f64());
    }
}

/// A background pass over the lake failed; it will be tried again at its next turn.
pub(crate) struct UpkeepFailed<'a> {
    pub pass: &'static str,
    pub tenant: &'a str,
    pub error: &'a dyn Display,
}

impl InternalEvent for UpkeepFailed<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { pass, tenant, error } = self;
        warn!(pass, tenant, %error, "upkeep failed");
        metrics.upkeep.add([pass, "error"], 1);
    }
}

/// A tenant's lake is open.
pub(crate) struct TenantOpened<'a> {
    pub tenant: &'a str,
    pub took: Duration,
    pub recovery: &'a Recovery,
}

impl InternalEvent for TenantOpened<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { tenant, took, recovery } = self;
        let Recovery { records, points, torn_bytes, .. } = recovery;
        info!(tenant, ?took, records, points, torn_bytes, "lake open");
        for damaged in &recovery.damaged {
            error!(tenant, damaged, "part of the write-ahead log is damaged");
        }
        for missing in &recovery.missing {
            error!(tenant, ?missing, "acknowledged log sequences are missing");
        }
        metrics.tenants_opened.add([] as [&'static str; 0], 1);
        metrics.recovered_points.add([] as [&'static str; 0], recovery.points);
        metrics.damaged_log_parts.add([] as [&'static str; 0], recovery.damaged.len() as u64);
    }
}

/// A damaged file left its table.
pub(crate) struct FileQuarantined<'a> {
    pub tenant: &'a str,
    pub file: &'a Quarantined,
}

impl InternalEvent for FileQuarantined<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { tenant, file: Quarantined { table, file, reason, rows, place } } = self;
        error!(tenant, table, file, reason, rows, place = %place.display(), "damaged file put aside; the rest is served");
        metrics.quarantined_files.add([*table], 1);
    }
}

/// A part of this machine's own metrics could not be read.
pub(crate) struct HostReadFailed<'a> {
    pub error: &'a CollectorError,
}

impl InternalEvent for HostReadFailed<'_> {
    fn emit(self, metrics: &Metrics) {
        let CollectorError { collector, source, .. } = self.error;
        debug!(collector, error = %source, "host metrics not read");
        metrics.host_failures.add([*collector], 1);
    }
}

/// A receiver took a batch.
pub(crate) struct Forwarded<'a> {
    pub receiver: &'a str,
    pub samples: u64,
    pub bytes: u64,
    pub took: Duration,
}

impl InternalEvent for Forwarded<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { receiver, samples, bytes, took } = self;
        debug!(receiver, samples, bytes, ?took, "batch forwarded");
        metrics.forwarded.add([receiver.to_owned()], samples);
        metrics.forwarded_bytes.add([receiver.to_owned()], bytes);
        metrics.forward_seconds.record([receiver.to_owned()], took.as_secs_f64());
    }
}

/// A receiver did not take a batch now; it is sent again.
pub(crate) struct ForwardRetried<'a> {
    pub receiver: &'a str,
    pub error: &'a str,
}

impl InternalEvent for ForwardRetried<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { receiver, error } = self;
        debug!(receiver, error, "batch not taken, it will be sent again");
        metrics.forward_retries.add([receiver.to_owned()], 1);
    }
}

/// Samples do not go on to a receiver.
pub(crate) struct ForwardDropped<'a> {
    pub receiver: &'a str,
    /// `refused`, `too old` or `lost`.
    pub reason: &'static str,
    pub samples: u64,
    pub error: &'a str,
}

impl InternalEvent for ForwardDropped<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { receiver, reason, samples, error } = self;
        warn!(receiver, reason, samples, error, "samples not forwarded");
        metrics.forward_dropped.add([Word::Owned(receiver.to_owned()), Word::Borrowed(reason)], samples);
    }
}

/// The configuration was read again.
pub(crate) struct Reloaded<'a> {
    /// The keys that wait for a restart, or why it failed and the old configuration stays in force.
    pub outcome: &'a Result<Vec<&'static str>, String>,
}

impl InternalEvent for Reloaded<'_> {
    fn emit(self, metrics: &Metrics) {
        match self.outcome {
            Ok(waiting) if waiting.is_empty() => info!("configuration reloaded"),
            Ok(waiting) => {
                warn!(keys = waiting.join(", "), "configuration reloaded; some keys wait for a restart");
            }
            Err(error) => error!(error, "configuration not reloaded, the one before stays in force"),
        }
        metrics.reloads.add([if self.outcome.is_ok() { "ok" } else { "error" }], 1);
    }
}

/// A background task ended that should have run for ever.
pub(crate) struct TaskFailed<'a> {
    pub task: &'static str,
    pub error: &'a dyn Display,
}

impl InternalEvent for TaskFailed<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { task, error } = self;
        error!(task, %error, "background task failed");
        metrics.task_failures.add([task], 1);
    }
}

fn method_word(method: &Method) -> Word {
    let known = [Method::GET, Method::POST, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS];
    let words = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"];
    let place = known.iter().position(|candidate| candidate == method);
    Word::Borrowed(place.and_then(|place| words.get(place).copied()).unwrap_or("other"))
}

fn status_word(status: StatusCode) -> Word {
    Word::Owned(status.as_u16().to_string())
}
