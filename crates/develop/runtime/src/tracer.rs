//! Spans of distributed traces: `tracer.start_span(trace_id, parent, service, operation)`.
//!
//! A span is one operation of one service in one trace, with ids that other services know. It ends when it is dropped, once, and
//! then goes to a [`SpanSink`], which never makes the program wait: [`SpanBuffer`] keeps a bounded number for an exporter and
//! counts what it had no room for.
//!
//! ```
//! use std::sync::Arc;
//! use kandela_runtime::tracer::{SpanBuffer, Tracer};
//!
//! let buffer = Arc::new(SpanBuffer::new(1024)?);
//! let tracer = Tracer::new(buffer.clone());
//!
//! let mut request = tracer.start_span(tracer.new_trace_id(), None, "shop", "GET /cart");
//! request.set_attribute("http.request.method", "GET");
//! drop(tracer.start_child(request.context(), "shop", "read cart"));
//! println!("traceparent: {}", request.context().parent); // for the next service
//! drop(request);
//!
//! let spans = buffer.take(100);
//! assert_eq!(spans[0].parent_span_id, Some(spans[1].span_id));
//! # Ok::<(), kandela_runtime::range::OutOfRange>(())
//! ```
//!
//! The ids and how they travel are those of [`trace_context`](crate::trace_context), the rest is OpenTelemetry's data model, as
//! `kandela_model` has it.
//!
//! The page `docs/runtime-profiler.md` has how spans go out.

#[cfg(feature = "otlp")]
pub mod otlp;
mod sink;
mod span;

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use kandela_model::{Attributes, Scope, Value};

use crate::clock::{Clock, Moment};
use crate::random::mix;
use crate::trace_context::{Ids, SpanContext, SpanId, TraceFlags, TraceId, TraceParent, TraceState};
pub use sink::{SpanBuffer, SpanSink};
pub use span::{ActiveSpan, AttributeValue};

/// Starts spans. Copies share the sink and the source of ids.
#[derive(Clone)]
pub struct Tracer {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    sink: Arc<dyn SpanSink>,
    ids: Arc<Ids>,
    wall: Wall,
    resource: Arc<Attributes>,
    scope: Arc<Scope>,
}

/// Where the tracer reads the time since the Unix epoch.
#[derive(Clone)]
enum Wall {
    /// A span starts at the system's time and lasts by its monotonic clock: a step of the system's time changes no duration.
    System,
    /// The time of a clock whose origin is the epoch.
    Given(Arc<dyn Clock>),
}

/// When a span started.
enum Started {
    System(Instant),
    Given(Moment),
}

impl Tracer {
    /// Ended spans go to `sink`. Ids are random.
    pub fn new(sink: Arc<dyn SpanSink>) -> Tracer {
        Tracer::with(sink, Ids::from_system(), Wall::System)
    }

    /// The same spans at every run: ids from `seed`, and times from `clock`, whose origin is taken as the Unix epoch.
    pub fn seeded(sink: Arc<dyn SpanSink>, seed: u64, clock: Arc<dyn Clock>) -> Tracer {
        Tracer::with(sink, Ids::seeded(mix(!seed), seed), Wall::Given(clock))
    }

    fn with(sink: Arc<dyn SpanSink>, ids: Ids, wall: Wall) -> Tracer {
        let scope = Scope {
            name: "kandela-runtime".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            attributes: Attributes::new(),
        };
        let shared =
            Shared { sink, ids: Arc::new(ids), wall, resource: Arc::default(), scope: Arc::new(scope) };
        Tracer { shared: Arc::new(shared) }
    }

    /// This tracer with attributes of the process, such as `host.name`. `service.name` comes from each span.
    pub fn with_resource<'a>(&self, attributes: impl IntoIterator<Item = (&'a str, Value)>) -> Tracer {
        let resource = attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let shared = Shared { resource: Arc::new(resource), ..(*self.shared).clone() };
        Tracer { shared: Arc::new(shared) }
    }

    /// An id for a trace that begins here.
    pub fn new_trace_id(&self) -> TraceId {
        self.shared.ids.trace_id()
    }

    /// Starts a span of `service` in a trace, caused by `parent`, or at its root.
    pub fn start_span(
        &self,
        trace_id: TraceId,
        parent: Option<SpanId>,
        service: impl Into<Arc<str>>,
        operation: impl Into<String>,
    ) -> ActiveSpan {
        let flags = TraceFlags::new(true, false);
        let context = SpanContext {
            parent: TraceParent { trace_id, span_id: self.shared.ids.span_id(), flags },
            state: TraceState::default(),
        };
        self.start_as(context, parent, service, operation)
    }

    /// Starts a span caused by that of `parent`, which may be of another service. Where the parent is not sampled, neither is the
    /// span: its ids go on to other services, but it goes to no sink.
    pub fn start_child(
        &self,
        parent: &SpanContext,
        service: impl Into<Arc<str>>,
        operation: impl Into<String>,
    ) -> ActiveSpan {
        let context = parent.clone().child(&self.shared.ids);
        self.start_as(context, Some(parent.parent.span_id), service, operation)
    }

    /// Starts the span that `context` names: its ids were made before, and others may know them already, as those that an
    /// interceptor has put into a request. `parent` is the span of the same trace that caused it, none at the trace's root. Where
    /// `context` is not sampled, the span goes to no sink. Ids name one span, so start it once.
    pub fn start_as(
        &self,
        context: SpanContext,
        parent: Option<SpanId>,
        service: impl Into<Arc<str>>,
        operation: impl Into<String>,
    ) -> ActiveSpan {
        ActiveSpan::start(self.clone(), context, parent, service.into(), operation.into())
    }

    /// Now: for this process, and in nanoseconds since the epoch.
    fn start(&self) -> (Started, i64) {
        match &self.shared.wall {
            Wall::System => (Started::System(Instant::now()), since_epoch(SystemTime::now())),
            Wall::Given(clock) => {
                let now = clock.now();
                (Started::Given(now), i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
            }
        }
    }

    /// Nanoseconds since a span started.
    fn since(&self, started: &Started) -> i64 {
        let elapsed = match (started, &self.shared.wall) {
            (Started::Given(started), Wall::Given(clock)) => clock.now().since(*started),
            (Started::System(started), _) => started.elapsed(),
            (Started::Given(_), Wall::System) => std::time::Duration::ZERO,
        };
        i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
    }
}

fn since_epoch(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").finish_non_exhaustive()
    }
}
