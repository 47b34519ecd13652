//! Operations shown elsewhere too: as spans of a [`Tracer`], and as spans of the `tracing` crate.

use std::cell::RefCell;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::trace_context::SpanContext;
use crate::tracer::{ActiveSpan, Tracer};

/// The target of the `tracing` spans that operations are shown as.
#[cfg(feature = "tracing")]
pub const TARGET: &str = "kandela_runtime::operation";

/// Where operations are shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Shows {
    /// As spans of a service.
    pub(super) tracer: Option<(Tracer, Arc<str>)>,
    #[cfg(feature = "tracing")]
    pub(super) tracing: bool,
}

/// What an operation, or a place that was carried here, is shown as.
#[derive(Default)]
pub(super) struct Shown {
    /// What spans within it are children of.
    context: Option<SpanContext>,
    /// Ends when this is dropped.
    _span: Option<Box<ActiveSpan>>,
    #[cfg(feature = "tracing")]
    tracing: Option<tracing::Span>,
}

impl Shown {
    /// A place within a span.
    pub(super) fn within(context: Option<SpanContext>) -> Shown {
        Shown { context, ..Shown::default() }
    }

    #[cfg(feature = "tracing")]
    fn enter(tracing: Option<&tracing::Span>) {
        if let Some(span) = tracing {
            span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
        }
    }

    #[cfg(feature = "tracing")]
    fn exit(tracing: Option<&tracing::Span>) {
        if let Some(span) = tracing {
            span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        }
    }
}

/// What the frames of a thread are shown as, by their ids.
///
/// Sinks and subscribers may use the profiler themselves, so nothing is borrowed while they are called.
pub(super) struct ShownHere {
    is_on: bool,
    shows: Shows,
    frames: RefCell<HashMap<u64, Shown>>,
}

impl ShownHere {
    pub(super) fn new(shows: &Shows) -> ShownHere {
        let is_on = shows.tracer.is_some();
        #[cfg(feature = "tracing")]
        let is_on = is_on || shows.tracing;
        ShownHere { is_on, shows: shows.clone(), frames: RefCell::default() }
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// The span at the innermost of these frames that are shown.
    pub(super) fn nearest(&self, mut frames: impl Iterator<Item = u64>) -> Option<SpanContext> {
        let shown = self.frames.borrow();
        frames.find_map(|id| shown.get(&id)).and_then(|shown| shown.context.clone())
    }

    /// Shows an operation that begins.
    #[cold]
    pub(super) fn begin(&self, id: u64, parent: Option<SpanContext>, operation: &'static str) {
        let span = self.shows.tracer.as_ref().map(|(tracer, service)| match &parent {
            Some(parent) => tracer.start_child(parent, service.clone(), operation),
            None => tracer.start_span(tracer.new_trace_id(), None, service.clone(), operation),
        });
        // A tracing span's name is fixed where it is written; the bridge to OpenTelemetry takes another from this field.
        #[cfg(feature = "tracing")]
        let tracing = self
            .shows
            .tracing
            .then(|| tracing::info_span!(target: TARGET, "operation", otel.name = operation, operation));
        let shown = Shown {
            context: span.as_ref().map(|span| span.context().clone()).or(parent),
            _span: span.map(Box::new),
            #[cfg(feature = "tracing")]
            tracing,
        };
        self.put(id, Some(shown));
    }

    /// The frame `id` is on this thread, shown as that.
    pub(super) fn put(&self, id: u64, shown: Option<Shown>) {
        let Some(shown) = shown.filter(|_| self.is_on) else { return };
        #[cfg(feature = "tracing")]
        Shown::enter(shown.tracing.as_ref());
        self.frames.borrow_mut().insert(id, shown);
    }

    /// The frame `id` is on this thread no longer.
    #[inline]
    pub(super) fn take(&self, id: u64) -> Option<Shown> {
        if self.is_on { self.take_shown(id) } else { None }
    }

    #[cold]
    fn take_shown(&self, id: u64) -> Option<Shown> {
        let shown = self.frames.borrow_mut().remove(&id)?;
        #[cfg(feature = "tracing")]
        Shown::exit(shown.tracing.as_ref());
        Some(shown)
    }

    /// Puts the frame `id` here; it brings along those of `open`, outermost first.
    pub(super) fn resume(&self, id: u64, shown: Option<Shown>, open: &[u64]) {
        self.put(id, shown);
        #[cfg(feature = "tracing")]
        open.iter().for_each(|&id| Shown::enter(self.tracing_of(id).as_ref()));
        #[cfg(not(feature = "tracing"))]
        let _ = open;
    }

    /// Takes the frame `id` from here, with those of `open`, which stay known.
    pub(super) fn pause(&self, id: u64, open: &[u64]) -> Option<Shown> {
        #[cfg(feature = "tracing")]
        open.iter().rev().for_each(|&id| Shown::exit(self.tracing_of(id).as_ref()));
        #[cfg(not(feature = "tracing"))]
        let _ = open;
        self.take(id)
    }

    #[cfg(feature = "tracing")]
    fn tracing_of(&self, id: u64) -> Option<tracing::Span> {
        self.frames.borrow().get(&id).and_then(|shown| shown.tracing.clone())
    }
}
