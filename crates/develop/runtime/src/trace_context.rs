//! W3C trace context: which trace a request belongs to, and how that travels between services.
//!
//! Shared by `tracer`, which records spans, and by `intercept`, which reads and writes the headers of requests.
//!
//! Source: W3C, "Trace Context" (Recommendation, 23 November 2021) and "Trace Context Level 2" (Candidate Recommendation Draft,
//! 28 March 2024), whose wider keys and random flag are understood. Where Level 2 and 1 leave a choice, the strict one is taken:
//! a `tracestate` with a repeated key, a bad member or over 32 members is dropped as a whole, the trace goes on.

mod ids;
mod parent;
mod state;

pub use ids::{Ids, SpanId, TraceId};
pub use parent::{TRACEPARENT, TraceFlags, TraceParent, TraceParentError};
pub use state::{LONGEST_STATE, MOST_MEMBERS, TRACESTATE, TraceState, TraceStateError};

/// What a request says about its trace: the trace, the span that sent it, and what tracing systems keep along the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace, the span and its flags; as text, the `traceparent` header.
    pub parent: TraceParent,
    /// Entries of tracing systems.
    pub state: TraceState,
}

impl SpanContext {
    /// Reads both headers; several `tracestate` headers are one, in their order. A `tracestate` that is not good is dropped.
    ///
    /// # Errors
    /// [`TraceParentError`] where `traceparent` is not good: then there is no trace to go on with.
    pub fn parse<'a>(
        traceparent: &[u8],
        tracestate: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<SpanContext, TraceParentError> {
        let parent = TraceParent::parse(traceparent)?;
        let state = TraceState::parse(tracestate).unwrap_or_default();
        Ok(SpanContext { parent, state })
    }

    /// The first span of a new trace.
    pub fn root(ids: &Ids, sampled: bool) -> SpanContext {
        let flags = TraceFlags::new(sampled, true);
        let parent = TraceParent { trace_id: ids.trace_id(), span_id: ids.span_id(), flags };
        SpanContext { parent, state: TraceState::default() }
    }

    /// A span that this one causes: the same trace, flags and state.
    pub fn child(self, ids: &Ids) -> SpanContext {
        SpanContext { parent: TraceParent { span_id: ids.span_id(), ..self.parent }, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_state_leaves_the_trace_and_a_bad_parent_leaves_nothing() {
        let good = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = SpanContext::parse(good, [&b"FOO=1"[..]]).expect("the trace goes on");
        assert_eq!(context.state, TraceState::default());
        assert!(SpanContext::parse(b"00-0-0-0", [&b"foo=1"[..]]).is_err());
    }
}
