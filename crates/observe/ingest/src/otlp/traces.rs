//! Spans.

use std::sync::Arc;

use kandela_model::{Scope, Span, SpanEvent, SpanKind, SpanLink, SpanStatus, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1 as proto;
use prost::Message;

use super::json::{self, Request};
use super::resource::{Origin, origin, scope};
use super::value::attributes;
use super::{Fault, Limits, OtlpError, Outcome, Tally, id, nanos, optional_id};

/// Reads a request in protobuf.
///
/// # Errors
/// When the bytes are no such message.
pub fn from_protobuf(bytes: &[u8]) -> Result<ExportTraceServiceRequest, OtlpError> {
    Ok(ExportTraceServiceRequest::decode(bytes)?)
}

/// Reads a request in JSON.
///
/// # Errors
/// When the bytes are not JSON or not such a request.
pub fn from_json(bytes: &[u8]) -> Result<ExportTraceServiceRequest, OtlpError> {
    from_protobuf(&json::to_protobuf(Request::Traces, bytes)?)
}

/// The spans of a request. Spans without valid ids, or past a limit, are refused; links without valid ids are left out.
pub fn decode(request: ExportTraceServiceRequest, limits: &Limits) -> (Vec<Span>, Outcome) {
    let mut spans = Vec::new();
    let mut tally = Tally::default();
    for group in request.resource_spans {
        let count = |scopes: &[proto::ScopeSpans]| scopes.iter().map(|scope| scope.spans.len() as u64).sum();
        let origin = match origin(group.resource, limits) {
            Ok(origin) => origin,
            Err(fault) => {
                tally.reject(count(&group.scope_spans), fault);
                continue;
            }
        };
        for group in group.scope_spans {
            let scope = match scope(group.scope, limits) {
                Ok(scope) => scope,
                Err(fault) => {
                    tally.reject(group.spans.len() as u64, fault);
                    continue;
                }
            };
            spans.reserve(group.spans.len());
            for raw in group.spans {
                match span(raw, &origin, &scope, limits, &mut tally) {
                    Ok(span) => {
                        tally.accept();
                        spans.push(span);
                    }
                    Err(fault) => tally.reject(1, fault),
                }
            }
        }
    }
    (spans, tally.outcome())
}

fn span(
    raw: proto::Span,
    origin: &Origin,
    scope: &Arc<Scope>,
    limits: &Limits,
    tally: &mut Tally,
) -> Result<Span, Fault> {
    let status = raw.status.unwrap_or_default();
    let mut links = Vec::with_capacity(raw.links.len());
    for raw in raw.links {
        match link(raw, limits) {
            Ok(link) => links.push(link),
            Err(fault) => tally.note(1, fault),
        }
    }
    Ok(Span {
        trace_id: id("trace_id", &raw.trace_id)?,
        span_id: id("span_id", &raw.span_id)?,
        parent_span_id: optional_id("parent_span_id", &raw.parent_span_id)?,
        trace_state: raw.trace_state,
        flags: raw.flags,
        service: Arc::clone(&origin.service),
        name: raw.name,
        kind: kind(raw.kind),
        start_unix_nano: nanos(raw.start_time_unix_nano),
        end_unix_nano: nanos(raw.end_time_unix_nano),
        status: SpanStatus { code: status_code(status.code), message: status.message },
        resource: Arc::clone(&origin.resource),
        attributes: attributes(raw.attributes, limits)?,
        scope: Arc::clone(scope),
        events: raw.events.into_iter().map(|raw| event(raw, limits)).collect::<Result<_, _>>()?,
        links,
    })
}

fn event(raw: proto::span::Event, limits: &Limits) -> Result<SpanEvent, Fault> {
    Ok(SpanEvent {
        time_unix_nano: nanos(raw.time_unix_nano),
        name: raw.name,
        attributes: attributes(raw.attributes, limits)?,
    })
}

fn link(raw: proto::span::Link, limits: &Limits) -> Result<SpanLink, Fault> {
    Ok(SpanLink {
        trace_id: id("trace_id of a link", &raw.trace_id)?,
        span_id: id("span_id of a link", &raw.span_id)?,
        trace_state: raw.trace_state,
        attributes: attributes(raw.attributes, limits)?,
    })
}

fn kind(number: i32) -> SpanKind {
    match number {
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

fn status_code(number: i32) -> StatusCode {
    match number {
        1 => StatusCode::Ok,
        2 => StatusCode::Error,
        _ => StatusCode::Unset,
    }
}
