//! A span that has not ended yet.

use std::fmt;
use std::sync::Arc;

use kandela_model::{Attributes, Span, SpanEvent, SpanKind, SpanLink, SpanStatus, StatusCode, Value};

use super::{Started, Tracer};
use crate::trace_context::{SpanContext, SpanId, TraceParent};

/// At most so many attributes, events and links each; more are dropped, as OpenTelemetry's SDKs do by default.
const MOST: usize = 128;

/// A span that has started. It ends when it is dropped: by return, `?`, panic or the cancellation of the future that holds it.
///
/// One that is dropped by a panic ends as an error, unless its status was set. It may be held across an `.await` and sent between
/// threads: what is within it is said by ids, not by time.
#[must_use = "the span ends when it is dropped"]
pub struct ActiveSpan {
    tracer: Tracer,
    context: SpanContext,
    started: Started,
    /// None where the span is not sampled.
    span: Option<Box<Span>>,
}

impl ActiveSpan {
    pub(super) fn start(
        tracer: Tracer,
        context: SpanContext,
        parent: Option<SpanId>,
        service: Arc<str>,
        name: String,
    ) -> ActiveSpan {
        let (started, start_unix_nano) = tracer.start();
        let TraceParent { trace_id, span_id, flags } = context.parent;
        let span = flags.is_sampled().then(|| {
            Box::new(Span {
                trace_id: trace_id.to_bytes(),
                span_id: span_id.to_bytes(),
                parent_span_id: parent.map(SpanId::to_bytes),
                trace_state: context.state.as_str().to_owned(),
                flags: u32::from(flags.bits()),
                service,
                name,
                kind: SpanKind::Internal,
                start_unix_nano,
                end_unix_nano: start_unix_nano,
                status: SpanStatus::default(),
                resource: tracer.shared.resource.clone(),
                attributes: Attributes::new(),
                scope: tracer.shared.scope.clone(),
                events: Vec::new(),
                links: Vec::new(),
            })
        });
        ActiveSpan { tracer, context, started, span }
    }

    /// What others need to know to be its children.
    pub fn context(&self) -> &SpanContext {
        &self.context
    }

    /// Its role in the call; without this, [`SpanKind::Internal`].
    pub fn set_kind(&mut self, kind: SpanKind) {
        if let Some(span) = &mut self.span {
            span.kind = kind;
        }
    }

    /// Sets an attribute. Of a key that is set twice, the last value counts.
    pub fn set_attribute(&mut self, key: &str, value: impl Into<AttributeValue>) {
        let Some(span) = &mut self.span else { return };
        let AttributeValue(value) = value.into();
        if let Some((_, held)) = span.attributes.iter_mut().find(|(held, _)| held == key) {
            *held = value;
        } else if span.attributes.len() < MOST {
            span.attributes.push((key.to_owned(), value));
        }
    }

    /// Says how it went. `message` is kept for errors.
    pub fn set_status(&mut self, code: StatusCode, message: &str) {
        let Some(span) = &mut self.span else { return };
        let message = if code == StatusCode::Error { message.to_owned() } else { String::new() };
        span.status = SpanStatus { code, message };
    }

    /// Says what happened now.
    pub fn add_event(&mut self, name: &str, attributes: Attributes) {
        let elapsed = self.tracer.since(&self.started);
        let Some(span) = self.span.as_mut().filter(|span| span.events.len() < MOST) else { return };
        let time_unix_nano = span.start_unix_nano.saturating_add(elapsed);
        span.events.push(SpanEvent { time_unix_nano, name: name.to_owned(), attributes });
    }

    /// Names a span that this one is related to without being its child.
    pub fn add_link(&mut self, to: &SpanContext) {
        let Some(span) = self.span.as_mut().filter(|span| span.links.len() < MOST) else { return };
        span.links.push(SpanLink {
            trace_id: to.parent.trace_id.to_bytes(),
            span_id: to.parent.span_id.to_bytes(),
            trace_state: to.state.as_str().to_owned(),
            attributes: Attributes::new(),
        });
    }
}

impl Drop for ActiveSpan {
    fn drop(&mut self) {
        let Some(mut span) = self.span.take() else { return };
        span.end_unix_nano = span.start_unix_nano.saturating_add(self.tracer.since(&self.started));
        if std::thread::panicking() && span.status.code == StatusCode::Unset {
            span.status = SpanStatus { code: StatusCode::Error, message: "panicked".to_owned() };
        }
        self.tracer.shared.sink.end(*span);
    }
}

impl fmt::Debug for ActiveSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveSpan").field("context", &self.context).finish_non_exhaustive()
    }
}

/// What an attribute may be set to: text, whole and floating-point numbers, truth values, and any [`Value`].
#[derive(Clone, Debug)]
pub struct AttributeValue(Value);

impl From<Value> for AttributeValue {
    fn from(value: Value) -> Self {
        AttributeValue(value)
    }
}
impl From<&str> for AttributeValue {
    fn from(value: &str) -> Self {
        AttributeValue(Value::Str(value.to_owned()))
    }
}
impl From<String> for AttributeValue {
    fn from(value: String) -> Self {
        AttributeValue(Value::Str(value))
    }
}
impl From<i64> for AttributeValue {
    fn from(value: i64) -> Self {
        AttributeValue(Value::Int(value))
    }
}
impl From<f64> for AttributeValue {
    fn from(value: f64) -> Self {
        AttributeValue(Value::Double(value))
    }
}
impl From<bool> for AttributeValue {
    fn from(value: bool) -> Self {
        AttributeValue(Value::Bool(value))
    }
}
