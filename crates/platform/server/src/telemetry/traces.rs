//! Spans of the server's own requests, a bounded number a second.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Method, StatusCode};
use kandela_model::{Attributes, Scope, Span, SpanKind, SpanStatus, StatusCode as SpanStatusCode, Value};
use parking_lot::Mutex;

/// Spans kept a second. Requests beyond that leave none, failed ones excepted as long as there is room.
const PER_SECOND: u32 = 10;
/// Spans that wait for the lake; more are dropped.
const WAITING: usize = 1024;

/// Takes the spans of finished requests until the lake asks for them.
pub(crate) struct SpanRecorder {
    state: Mutex<State>,
    service: Arc<str>,
    resource: Arc<Attributes>,
    scope: Arc<Scope>,
}

#[derive(Default)]
struct State {
    second: u64,
    taken: u32,
    waiting: Vec<Span>,
}

/// A request while it is being served.
pub(crate) struct RequestSpan {
    trace_id: [u8; 16],
    parent: Option<[u8; 8]>,
    start_unix_nano: i64,
}

impl Default for SpanRecorder {
    fn default() -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let resource = vec![
            ("service.name".to_owned(), Value::Str("kandela".to_owned())),
            ("service.version".to_owned(), Value::Str(version.clone())),
        ];
        Self {
            state: Mutex::default(),
            service: "kandela".into(),
            resource: Arc::new(resource),
            scope: Arc::new(Scope { name: "kandela-server".to_owned(), version, attributes: Vec::new() }),
        }
    }
}

impl RequestSpan {
    /// Starts a span; it continues the caller's trace where the request carries a W3C `traceparent`.
    pub(crate) fn start(headers: &HeaderMap) -> Self {
        let context = headers.get("traceparent").and_then(|value| parse_traceparent(value.to_str().ok()?));
        let (trace_id, parent) = match context {
            Some((trace_id, parent)) => (trace_id, Some(parent)),
            None => (rand::random(), None),
        };
        Self { trace_id, parent, start_unix_nano: unix_nanos() }
    }

    /// Ends it and leaves it with the recorder.
    pub(crate) fn finish(
        self,
        recorder: &SpanRecorder,
        method: &Method,
        route: &'static str,
        status: StatusCode,
    ) {
        let failed = status.is_server_error();
        if !recorder.admit(failed) {
            return;
        }
        let code = if failed { SpanStatusCode::Error } else { SpanStatusCode::Unset };
        let attributes = vec![
            ("http.request.method".to_owned(), Value::Str(method.as_str().to_owned())),
            ("http.route".to_owned(), Value::Str(route.to_owned())),
            ("http.response.status_code".to_owned(), Value::Int(i64::from(status.as_u16()))),
        ];
        let span = Span {
            trace_id: self.trace_id,
            span_id: rand::random(),
            parent_span_id: self.parent,
            trace_state: String::new(),
            flags: 1,
            service: recorder.service.clone(),
            name: format!("{method} {route}"),
            kind: SpanKind::Server,
            start_unix_nano: self.start_unix_nano,
            end_unix_nano: unix_nanos().max(self.start_unix_nano),
            status: SpanStatus { code, message: String::new() },
            resource: recorder.resource.clone(),
            attributes,
            scope: recorder.scope.clone(),
            events: Vec::new(),
            links: Vec::new(),
        };
        recorder.state.lock().waiting.push(span);
    }
}

impl SpanRecorder {
    fn admit(&self, failed: bool) -> bool {
        let second = unix_nanos() as u64 / 1_000_000_000;
        let mut state = self.state.lock();
        if state.second != second {
            state.second = second;
            state.taken = 0;
        }
        let room = state.waiting.len() < WAITING;
        let admitted = room && (failed || state.taken < PER_SECOND);
        state.taken += u32::from(admitted);
        admitted
    }

    /// The spans since the last call.
    pub(crate) fn drain(&self) -> Vec<Span> {
        std::mem::take(&mut self.state.lock().waiting)
    }
}

fn unix_nanos() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}

/// W3C Trace Context, version 00: `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zero.
fn parse_traceparent(text: &str) -> Option<([u8; 16], [u8; 8])> {
    let mut parts = text.trim().split('-');
    let version = parts.next()?;
    if version.len() != 2 || version == "ff" {
        return None;
    }
    let trace_id: [u8; 16] = hex(parts.next()?)?;
    let parent: [u8; 8] = hex(parts.next()?)?;
    let zero = trace_id == [0; 16] || parent == [0; 8];
    if zero { None } else { Some((trace_id, parent)) }
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_context_that_is_not_one_is_ignored() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(parse_traceparent(good).unwrap().1, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
            "00-éaf7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert!(parse_traceparent(bad).is_none(), "{bad:?} was read as a context");
        }
    }

    #[test]
    fn a_flood_of_requests_leaves_a_bounded_number_of_spans() {
        let recorder = SpanRecorder::default();
        for _ in 0..5_000 {
            let span = RequestSpan::start(&HeaderMap::new());
            span.finish(&recorder, &Method::GET, "/api/sql", StatusCode::OK);
        }
        // The loop may cross into a second or third second.
        assert!((1..=5 * PER_SECOND as usize).contains(&recorder.drain().len()));
        assert!(recorder.drain().is_empty());
    }
}
