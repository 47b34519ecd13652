//! What differs between metrics, traces and logs.

use kandela_ingest::otlp;
use kandela_lake::Lake;
use kandela_model::MetricBatch;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use otlp::OtlpError;

use super::items;
use super::untimely::{leave_out_untimely, now_nanos};
use crate::app::App;
use crate::label_limits;
use crate::receive;
use crate::refusal::Refusal;
use crate::telemetry::events::TelemetryReceived;
use crate::tenants::refusal_of;

/// What became of a request.
pub(super) struct Taken {
    pub received: TelemetryReceived,
    pub rejected: u64,
    /// Why; may also warn where nothing was rejected.
    pub message: String,
}

/// One of OTLP's signals.
pub(super) trait Signal: 'static {
    type Request: Send + 'static;
    type Response: prost::Message + serde::Serialize + Default;
    /// What own metrics call its items.
    const ITEMS: &'static str;

    fn from_protobuf(bytes: &[u8]) -> Result<Self::Request, OtlpError>;
    fn from_json(bytes: &[u8]) -> Result<Self::Request, OtlpError>;
    /// Blocks for the log's write.
    fn keep(request: Self::Request, app: &App, lake: &Lake) -> Result<Taken, Refusal>;
    fn response(rejected: u64, message: String) -> Self::Response;
}

pub(super) struct Metrics;
pub(super) struct Traces;
pub(super) struct Logs;

impl Signal for Metrics {
    type Request = ExportMetricsServiceRequest;
    type Response = ExportMetricsServiceResponse;
    const ITEMS: &'static str = "samples";

    fn from_protobuf(bytes: &[u8]) -> Result<Self::Request, OtlpError> {
        otlp::metrics::from_protobuf(bytes)
    }

    fn from_json(bytes: &[u8]) -> Result<Self::Request, OtlpError> {
        otlp::metrics::from_json(bytes)
    }

    fn keep(request: Self::Request, app: &App, lake: &Lake) -> Result<Taken, Refusal> {
        let mut batch = MetricBatch::default();
        let settings = app.settings.load();
        let outcome = otlp::metrics::decode(&request, &settings.otlp_metrics, &mut batch);
        settings.redactor.metrics(&mut batch);
        let left_out = label_limits::enforce(&settings.label_limits, &mut batch);
        let appended = receive::append(lake, &batch)?;
        let problems = [
            Some(outcome.message),
            left_out.problem,
            receive::rejections(&appended),
            receive::left_out_exemplars(&appended),
        ];
        let problems = problems.map(Option::unwrap_or_default);
        Ok(Taken {
            received: receive::counted(&appended),
            rejected: outcome.rejected + left_out.points + appended.rejected_points() as u64,
            message: told(&problems),
        })
    }

    fn response(rejected: u64, message: String) -> Self::Response {
        let partial_success = is_partial(rejected, &message).then(|| ExportMetricsPartialSuccess {
            rejected_data_points: signed(rejected),
            error_message: message,
        });
        ExportMetricsServiceResponse { partial_success }
    }
}

impl Signal for Traces {
    type Request = ExportTraceServiceRequest;
    type Response = ExportTraceServiceResponse;
    const ITEMS: &'static str = "spans";

    fn from_protobuf(bytes: &[u8]) -> Result<Self::Request, OtlpError> {
        otlp::traces::from_protobuf(bytes)
    }

    fn from_json(bytes: &[u8]) -> Result<Self::Request, OtlpError> {
        otlp::traces::from_json(bytes)
    }

    fn keep(request: Self::Request, app: &App, lake: &Lake) -> Result<Taken, Refusal> {
        let settings = app.settings.load();
        let (mut spans, outcome) = otlp::traces::decode(request, &settings.otlp_limits);
        let untimely = leave_out_untimely(lake, "spans", &mut spans, |span| span.start_unix_nano);
        settings.redactor.spans(&mut spans);
        let kept = lake.append_spans(&spans).map_err(|error| refusal_of(&error))?;
        let received = items(kept as u64, |received| &mut received.spans);
        Ok(Taken {
            received,
            rejected: outcome.rejected + untimely.count(),
            message: told(&[outcome.message, untimely.told()]),
        })
    }

    fn response(rejected: u64, message: String) -> Self::Response {
        let partial_success = is_partial(rejected, &message)
            .then(|| ExportTracePartialSuccess { rejected_spans: signed(rejected), error_message: message });
        ExportTraceServiceResponse { partial_success }
    }
}

impl Signal for Logs {
    type Request = ExportLogsServiceRequest;
    type Response = ExportLogsServiceResponse;
    const ITEMS: &'static str = "logs";

    fn from_protobuf(bytes: &[u8]) -> Result<Self::Request, OtlpError> {
        otlp::logs::from_protobuf(bytes)
    }

    fn from_json(bytes: &[u8]) -> Result<Self::Request, OtlpError> {
        otlp::logs::from_json(bytes)
    }

    fn keep(request: Self::Request, app: &App, lake: &Lake) -> Result<Taken, Refusal> {
        let settings = app.settings.load();
        let (mut records, outcome) = otlp::logs::decode(request, &settings.otlp_limits);
        let now = now_nanos();
        for record in records.iter_mut().filter(|record| record.time_unix_nano == 0) {
            record.time_unix_nano = now;
        }
        let untimely = leave_out_untimely(lake, "logs", &mut records, |record| record.time_unix_nano);
        settings.redactor.logs(&mut records);
        let kept = lake.append_logs(&records).map_err(|error| refusal_of(&error))?;
        let received = items(kept as u64, |received| &mut received.logs);
        Ok(Taken {
            received,
            rejected: outcome.rejected + untimely.count(),
            message: told(&[outcome.message, untimely.told()]),
        })
    }

    fn response(rejected: u64, message: String) -> Self::Response {
        let partial_success = is_partial(rejected, &message).then(|| ExportLogsPartialSuccess {
            rejected_log_records: signed(rejected),
            error_message: message,
        });
        ExportLogsServiceResponse { partial_success }
    }
}

pub(super) fn told(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}

/// A full success carries no partial success at all.
fn is_partial(rejected: u64, message: &str) -> bool {
    rejected > 0 || !message.is_empty()
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
