//! The server's own telemetry: typed events, counters and latencies, spans of requests.

mod autopilot;
pub(crate) mod events;
pub(crate) mod exposition;
mod lakes;
mod registry;
mod traces;

use std::sync::Arc;

pub(crate) use autopilot::{Managed, autopilot};
pub(crate) use events::InternalEvent;
pub(crate) use lakes::lakes;
pub(crate) use registry::Family;
use registry::{Counter, Latency};
pub(crate) use traces::{RequestSpan, SpanRecorder};

/// A handle on the process' own telemetry; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Telemetry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    metrics: Metrics,
    spans: SpanRecorder,
}

impl Telemetry {
    /// Logs and counts what happened.
    pub(crate) fn emit(&self, event: impl InternalEvent) {
        event.emit(&self.0.metrics);
    }

    /// All families that events feed, in a fixed order.
    pub(crate) fn gather(&self) -> Vec<Family> {
        self.0.metrics.gather()
    }

    /// Where finished requests leave their spans.
    pub(crate) fn spans(&self) -> &SpanRecorder {
        &self.0.spans
    }
}

/// Every family that an event feeds.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Counter<4>,
    request_seconds: Latency<2>,
    refused: Counter<2>,
    connection_failures: Counter<2>,
    received: Counter<2>,
    received_bytes: Counter<1>,
    dropped: Counter<2>,
    refused_payloads: Counter<2>,
    queries: Counter<2>,
    query_seconds: Latency<1>,
    upkeep: Counter<2>,
    upkeep_seconds: Latency<1>,
    tenants_opened: Counter<0>,
    recovered_points: Counter<0>,
    damaged_log_parts: Counter<0>,
    quarantined_files: Counter<1>,
    host_failures: Counter<1>,
    forwarded: Counter<1>,
    forwarded_bytes: Counter<1>,
    forward_seconds: Latency<1>,
    forward_retries: Counter<1>,
    forward_dropped: Counter<2>,
    reloads: Counter<1>,
    task_failures: Counter<1>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Counter::new(
                "kandela_http_requests_total",
                "Requests answered.",
                ["listener", "route", "method", "code"],
            ),
            request_seconds: Latency::new(
                "kandela_http_request_duration_seconds",
                "Time from a request's head to its answer's head.",
                ["listener", "route"],
            ),
            refused: Counter::new(
                "kandela_http_refused_requests_total",
                "Requests turned away for their host, origin, credentials or role.",
                ["listener", "reason"],
            ),
            connection_failures: Counter::new(
                "kandela_connection_failures_total",
                "Connections that ended before they carried a request.",
                ["listener", "stage"],
            ),
            received: Counter::new(
                "kandela_received_total",
                "Samples, histograms, exemplars, spans and logs that were acknowledged.",
                ["protocol", "signal"],
            ),
            received_bytes: Counter::new(
                "kandela_received_bytes_total",
                "Bytes of acknowledged payloads as they came over the wire.",
                ["protocol"],
            ),
            dropped: Counter::new(
                "kandela_dropped_total",
                "Samples, histograms, exemplars, spans and logs that were refused within a payload.",
                ["protocol", "signal"],
            ),
            refused_payloads: Counter::new(
                "kandela_refused_payloads_total",
                "Payloads refused as a whole.",
                ["protocol", "code"],
            ),
            queries: Counter::new("kandela_queries_total", "Queries that ended.", ["language", "outcome"]),
            query_seconds: Latency::new(
                "kandela_query_duration_seconds",
                "Time from a query's arrival to its last row.",
                ["language"],
            ),
            upkeep: Counter::new(
                "kandela_upkeep_passes_total",
                "Flushes, compactions and retention passes.",
                ["pass", "outcome"],
            ),
            upkeep_seconds: Latency::new(
                "kandela_upkeep_duration_seconds",
                "Time that a flush, a compaction or a retention pass took.",
                ["pass"],
            ),
            tenants_opened: Counter::new("kandela_tenants_opened_total", "Lakes opened.", []),
            recovered_points: Counter::new(
                "kandela_recovered_points_total",
                "Samples and histograms read back from the write-ahead log at a start.",
                [],
            ),
            damaged_log_parts: Counter::new(
                "kandela_damaged_log_parts_total",
                "Damaged parts of the write-ahead log that were put aside.",
                [],
            ),
            quarantined_files: Counter::new(
                "kandela_quarantined_files_total",
                "Damaged files that left their table and were put aside.",
                ["table"],
            ),
            host_failures: Counter::new(
                "kandela_host_collector_failures_total",
                "Times a part of this machine's metrics could not be read.",
                ["collector"],
            ),
            forwarded: Counter::new(
                "kandela_forwarded_samples_total",
                "Samples, histograms and exemplars that a remote_write receiver took.",
                ["receiver"],
            ),
            forwarded_bytes: Counter::new(
                "kandela_forwarded_bytes_total",
                "Bytes of requests that a remote_write receiver took.",
                ["receiver"],
            ),
            forward_seconds: Latency::new(
                "kandela_forward_duration_seconds",
                "Time that a remote_write receiver took to accept a request.",
                ["receiver"],
            ),
            forward_retries: Counter::new(
                "kandela_forward_retries_total",
                "Requests that are sent to a remote_write receiver again.",
                ["receiver"],
            ),
            forward_dropped: Counter::new(
                "kandela_forward_dropped_samples_total",
                "Samples that did not go on to a remote_write receiver.",
                ["receiver", "reason"],
            ),
            reloads: Counter::new(
                "kandela_config_reloads_total",
                "Times the configuration was read again.",
                ["outcome"],
            ),
            task_failures: Counter::new(
                "kandela_task_failures_total",
                "Background tasks that ended although they should run for ever.",
                ["task"],
            ),
        }
    }
}

impl Metrics {
    fn gather(&self) -> Vec<Family> {
        vec![
            self.requests.gather(),
            self.request_seconds.gather(),
            self.refused.gather(),
            self.connection_failures.gather(),
            self.received.gather(),
            self.received_bytes.gather(),
            self.dropped.gather(),
            self.refused_payloads.gather(),
            self.queries.gather(),
            self.query_seconds.gather(),
            self.upkeep.gather(),
            self.upkeep_seconds.gather(),
            self.tenants_opened.gather(),
            self.recovered_points.gather(),
            self.damaged_log_parts.gather(),
            self.quarantined_files.gather(),
            self.host_failures.gather(),
            self.forwarded.gather(),
            self.forwarded_bytes.gather(),
            self.forward_seconds.gather(),
            self.forward_retries.gather(),
            self.forward_dropped.gather(),
            self.reloads.gather(),
            self.task_failures.gather(),
        ]
    }
}
