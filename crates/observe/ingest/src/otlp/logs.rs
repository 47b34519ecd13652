//! Log records.

use std::sync::Arc;

use kandela_model::{LogRecord, Scope};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1 as proto;
use prost::Message;

use super::json::{self, Request};
use super::resource::{Origin, origin, scope};
use super::value::{attributes, value};
use super::{Fault, Limits, OtlpError, Outcome, Tally, nanos, optional_id};

/// The highest severity number that OTLP knows.
const FATAL4: u8 = 24;

/// Reads a request in protobuf.
///
/// # Errors
/// When the bytes are no such message.
pub fn from_protobuf(bytes: &[u8]) -> Result<ExportLogsServiceRequest, OtlpError> {
    Ok(ExportLogsServiceRequest::decode(bytes)?)
}

/// Reads a request in JSON.
///
/// # Errors
/// When the bytes are not JSON or not such a request.
pub fn from_json(bytes: &[u8]) -> Result<ExportLogsServiceRequest, OtlpError> {
    from_protobuf(&json::to_protobuf(Request::Logs, bytes)?)
}

/// The records of a request. Records past a limit are refused. A record whose trace or span id is invalid is taken without it,
/// as the protocol says, and the outcome's message tells.
pub fn decode(request: ExportLogsServiceRequest, limits: &Limits) -> (Vec<LogRecord>, Outcome) {
    let mut records = Vec::new();
    let mut tally = Tally::default();
    for group in request.resource_logs {
        let count =
            |scopes: &[proto::ScopeLogs]| scopes.iter().map(|scope| scope.log_records.len() as u64).sum();
        let origin = match origin(group.resource, limits) {
            Ok(origin) => origin,
            Err(fault) => {
                tally.reject(count(&group.scope_logs), fault);
                continue;
            }
        };
        for group in group.scope_logs {
            let scope = match scope(group.scope, limits) {
                Ok(scope) => scope,
                Err(fault) => {
                    tally.reject(group.log_records.len() as u64, fault);
                    continue;
                }
            };
            records.reserve(group.log_records.len());
            for raw in group.log_records {
                match record(raw, &origin, &scope, limits, &mut tally) {
                    Ok(record) => {
                        tally.accept();
                        records.push(record);
                    }
                    Err(fault) => tally.reject(1, fault),
                }
            }
        }
    }
    (records, tally.outcome())
}

fn record(
    raw: proto::LogRecord,
    origin: &Origin,
    scope: &Arc<Scope>,
    limits: &Limits,
    tally: &mut Tally,
) -> Result<LogRecord, Fault> {
    let body = value(raw.body, limits)?;
    let attributes = attributes(raw.attributes, limits)?;
    let trace_id = optional_id("trace_id", &raw.trace_id).unwrap_or_else(|fault| {
        tally.note(1, fault);
        None
    });
    let span_id = optional_id("span_id", &raw.span_id).unwrap_or_else(|fault| {
        tally.note(1, fault);
        None
    });
    let happened = if raw.time_unix_nano == 0 { raw.observed_time_unix_nano } else { raw.time_unix_nano };
    Ok(LogRecord {
        time_unix_nano: nanos(happened),
        observed_unix_nano: nanos(raw.observed_time_unix_nano),
        service: Arc::clone(&origin.service),
        severity_number: u8::try_from(raw.severity_number)
            .ok()
            .filter(|number| *number <= FATAL4)
            .unwrap_or(0),
        severity_text: raw.severity_text,
        body,
        trace_id,
        span_id,
        flags: raw.flags,
        event_name: raw.event_name,
        resource: Arc::clone(&origin.resource),
        attributes,
        scope: Arc::clone(scope),
    })
}
