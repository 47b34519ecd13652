//! Trace context in and out: an interceptor around [`trace_context`](crate::trace_context).

use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use kandela_algebra::intercept::{Field, Intercept};

use crate::trace_context::{Ids, SpanContext, SpanId};

/// An interceptor that takes a request's context from one field, and puts that of a child of it into another.
///
/// On the way in: from the headers into what the handler finds (`Propagate::new(ids, true, received, current)`); on the way out:
/// from what the caller was in, into the headers. A request that brings no good context starts a trace.
///
/// The child is a span that somebody has to record, or what is handed on has a parent that nobody knows: [`Spans`](super::spans::Spans)
/// does both (cargo feature `profiler`), and [`Tracer::start_as`](crate::tracer::Tracer::start_as) does it by hand.
pub struct Propagate<Req, Resp> {
    ids: Arc<Ids>,
    samples: bool,
    from: Field<Req, Option<SpanContext>>,
    to: Field<Req, Option<SpanContext>>,
    response: PhantomData<fn() -> Resp>,
}

impl<Req, Resp> Propagate<Req, Resp> {
    /// From `from` to `to`. Traces that start here say that they are sampled if `samples`.
    pub fn new(
        ids: Arc<Ids>,
        samples: bool,
        from: Field<Req, Option<SpanContext>>,
        to: Field<Req, Option<SpanContext>>,
    ) -> Propagate<Req, Resp> {
        Propagate { ids, samples, from, to, response: PhantomData }
    }

    /// The span that the request brings as its parent, and the child that is to be handed on.
    pub(super) fn parent_and_child(&self, request: &Req) -> (Option<SpanId>, SpanContext) {
        match (self.from.get)(request) {
            Some(parent) => (Some(parent.parent.span_id), parent.child(&self.ids)),
            None => (None, SpanContext::root(&self.ids, self.samples)),
        }
    }

    pub(super) fn hand_on(&self, request: &mut Req, child: SpanContext) {
        (self.to.set)(request, Some(child));
    }
}

impl<Req, Resp> Intercept<Req, Resp> for Propagate<Req, Resp> {
    type InnerReq = Req;
    type InnerResp = Resp;
    type State = ();

    fn before(&self, mut request: Req) -> ControlFlow<Resp, (Req, ())> {
        let (_, child) = self.parent_and_child(&request);
        self.hand_on(&mut request, child);
        ControlFlow::Continue((request, ()))
    }

    fn after(&self, response: Resp, (): ()) -> Resp {
        response
    }
}

impl<Req, Resp> fmt::Debug for Propagate<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Propagate").field("samples", &self.samples).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Request = (Option<SpanContext>, Option<SpanContext>);

    fn propagate(samples: bool) -> Propagate<Request, Option<SpanContext>> {
        let received = Field { get: |r: &Request| r.0.clone(), set: |r, context| r.0 = context };
        let current = Field { get: |r: &Request| r.1.clone(), set: |r, context| r.1 = context };
        Propagate::new(Arc::new(Ids::seeded(1, 2)), samples, received, current)
    }

    fn passed(
        propagate: &Propagate<Request, Option<SpanContext>>,
        received: Option<SpanContext>,
    ) -> SpanContext {
        propagate.call((received, None), |(_, current)| current).expect("there is always a context")
    }

    #[test]
    fn a_request_with_a_context_goes_on_in_its_trace_under_a_span_of_its_own() {
        let parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let received =
            SpanContext::parse(parent, [&b"congo=t61"[..]]).expect("the example of the specification");
        let current = passed(&propagate(false), Some(received.clone()));
        assert_eq!(current.parent.trace_id, received.parent.trace_id);
        assert_ne!(current.parent.span_id, received.parent.span_id);
        assert_eq!((current.parent.flags, current.state), (received.parent.flags, received.state));
    }

    #[test]
    fn a_request_without_one_starts_a_trace_with_random_ids() {
        let propagate = propagate(true);
        let (first, second) = (passed(&propagate, None), passed(&propagate, None));
        assert_ne!(first.parent.trace_id, second.parent.trace_id);
        assert!(first.parent.flags.is_sampled() && first.parent.flags.is_random());
    }
}
