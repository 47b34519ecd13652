//! A span for each call, under the ids that [`Propagate`] makes for it.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use kandela_algebra::intercept::Intercept;
use kandela_model::{SpanKind, StatusCode};

use super::measured::Outcome;
use super::propagate::Propagate;
use crate::tracer::{ActiveSpan, Tracer};

/// An interceptor that does what a [`Propagate`] does, and has a tracer record the span whose ids it hands on. So whoever is named
/// as a parent, here or in another service, is a span that was recorded.
///
/// Outcomes `error` and `refused` are the span's status. A call that is dropped ends its span; one that panics, as an error.
pub struct Spans<Req, Resp> {
    propagate: Propagate<Req, Resp>,
    tracer: Tracer,
    service: Arc<str>,
    kind: SpanKind,
    operation: fn(&Req) -> &str,
    outcome: fn(&Resp) -> Outcome,
}

impl<Req, Resp> Spans<Req, Resp> {
    /// Spans of `service`, named by `operation`. Their `kind` is [`SpanKind::Server`] around a `propagate` on the way in, and
    /// [`SpanKind::Client`] around one on the way out; within retries, that is a span for each try.
    pub fn new(
        propagate: Propagate<Req, Resp>,
        tracer: Tracer,
        service: impl Into<Arc<str>>,
        kind: SpanKind,
        operation: fn(&Req) -> &str,
        outcome: fn(&Resp) -> Outcome,
    ) -> Spans<Req, Resp> {
        Spans { propagate, tracer, service: service.into(), kind, operation, outcome }
    }
}

impl<Req, Resp> Intercept<Req, Resp> for Spans<Req, Resp> {
    type InnerReq = Req;
    type InnerResp = Resp;
    type State = ActiveSpan;

    fn before(&self, mut request: Req) -> ControlFlow<Resp, (Req, ActiveSpan)> {
        let (parent, own) = self.propagate.parent_and_child(&request);
        self.propagate.hand_on(&mut request, own.clone());
        let mut span = self.tracer.start_as(own, parent, self.service.clone(), (self.operation)(&request));
        span.set_kind(self.kind);
        ControlFlow::Continue((request, span))
    }

    fn after(&self, response: Resp, mut span: ActiveSpan) -> Resp {
        let outcome = (self.outcome)(&response);
        if matches!(outcome, Outcome::Error | Outcome::Refused) {
            span.set_status(StatusCode::Error, outcome.as_str());
        }
        response
    }
}

impl<Req, Resp> fmt::Debug for Spans<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans")
            .field("service", &self.service)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
