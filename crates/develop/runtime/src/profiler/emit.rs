//! Operations shown as spans of the `tracing` crate, to whatever subscriber there is.

use std::cell::RefCell;

use hashbrown::HashMap;
use tracing::Span;

/// The target of the spans that operations are shown as.
pub const TARGET: &str = "kandela_runtime::operation";

/// The span of an operation that is on no stack.
pub(super) type Shown = Option<Span>;

/// The spans of a thread's open operations, by the ids of their frames.
pub(super) struct ShownHere {
    is_on: bool,
    spans: RefCell<HashMap<u64, Span>>,
}

impl ShownHere {
    pub(super) fn new(is_on: bool) -> ShownHere {
        ShownHere { is_on, spans: RefCell::default() }
    }

    #[inline]
    pub(super) fn begin(&self, id: u64, operation: &'static str) {
        if self.is_on {
            self.show(id, operation);
        }
    }

    #[cold]
    fn show(&self, id: u64, operation: &'static str) {
        // A span's name is fixed where it is written; the bridge to OpenTelemetry takes another from this field.
        let span = tracing::info_span!(target: TARGET, "operation", otel.name = operation, operation);
        self.put(id, Some(span));
    }

    #[inline]
    pub(super) fn end(&self, id: u64) {
        drop(self.take(id));
    }

    fn put(&self, id: u64, shown: Shown) {
        let Some(span) = shown else { return };
        span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
        self.spans.borrow_mut().insert(id, span);
    }

    /// Leaves the span of `id`.
    pub(super) fn take(&self, id: u64) -> Shown {
        if !self.is_on {
            return None;
        }
        // The subscriber may trace, so nothing is borrowed while it is called.
        let span = self.spans.borrow_mut().remove(&id)?;
        span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        Some(span)
    }

    /// Enters a span again as that of `id`, then those of `open`, outermost first.
    pub(super) fn resume(&self, id: u64, shown: Shown, open: &[u64]) {
        if !self.is_on {
            return;
        }
        self.put(id, shown);
        for id in open {
            let span = self.spans.borrow().get(id).cloned();
            if let Some(span) = span {
                span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
            }
        }
    }

    /// Leaves those of `open`, innermost first, then that of `id`.
    pub(super) fn pause(&self, id: u64, open: &[u64]) -> Shown {
        if !self.is_on {
            return None;
        }
        for id in open.iter().rev() {
            let span = self.spans.borrow().get(id).cloned();
            if let Some(span) = span {
                span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
            }
        }
        self.take(id)
    }
}
