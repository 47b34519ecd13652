//! Measures each call from its start to its one end, and tells a recorder.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use kandela_algebra::intercept::Intercept;

use crate::clock::{Clock, Moment};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// As it should.
    Ok,
    /// It failed.
    Error,
    /// It was not worked on: somebody was overloaded, or its time was up.
    Refused,
    /// Whoever waited for it went away.
    Cancelled,
    /// Its handler panicked.
    Panicked,
}

impl Outcome {
    /// Each of them.
    pub const ALL: [Outcome; 5] =
        [Outcome::Ok, Outcome::Error, Outcome::Refused, Outcome::Cancelled, Outcome::Panicked];

    /// The word that metrics use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Error => "error",
            Outcome::Refused => "refused",
            Outcome::Cancelled => "cancelled",
            Outcome::Panicked => "panicked",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// Keeps what calls came to, by operation: [`Timings`](super::timing::Timings), [`Red`](super::metrics::Red).
pub trait Record: Send + Sync + 'static {
    /// What is kept for one operation.
    type Operation: Send + Sync;

    /// Where calls of this operation are recorded.
    fn operation(&self, name: &str) -> Arc<Self::Operation>;

    /// A call starts.
    fn start(operation: &Self::Operation);

    /// A call that started has ended, after `took`.
    fn end(operation: &Self::Operation, outcome: Outcome, took: Duration);
}

/// An interceptor that measures: `Measured<Timings, _, _>` times, `Measured<Red, _, _>` counts requests, errors and durations.
pub struct Measured<R, Req, Resp> {
    record: Arc<R>,
    clock: Arc<dyn Clock>,
    operation: fn(&Req) -> &str,
    outcome: fn(&Resp) -> Outcome,
}

impl<R: Record, Req, Resp> Measured<R, Req, Resp> {
    /// Tells `record` of each call: which `operation` a request is of, and what `outcome` a response is.
    ///
    /// Operations are few and known beforehand: a route, never a path with names in it.
    pub fn new(
        record: Arc<R>,
        clock: Arc<dyn Clock>,
        operation: fn(&Req) -> &str,
        outcome: fn(&Resp) -> Outcome,
    ) -> Measured<R, Req, Resp> {
        Measured { record, clock, operation, outcome }
    }
}

impl<R: Record, Req, Resp> Intercept<Req, Resp> for Measured<R, Req, Resp> {
    type InnerReq = Req;
    type InnerResp = Resp;
    type State = Started<R>;

    fn before(&self, request: Req) -> ControlFlow<Resp, (Req, Started<R>)> {
        let operation = self.record.operation((self.operation)(&request));
        R::start(&operation);
        let (clock, at) = (self.clock.clone(), self.clock.now());
        ControlFlow::Continue((request, Started { operation, clock, at, outcome: Outcome::Cancelled }))
    }

    fn after(&self, response: Resp, mut started: Started<R>) -> Resp {
        started.outcome = (self.outcome)(&response);
        response
    }
}

impl<R, Req, Resp> fmt::Debug for Measured<R, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").finish_non_exhaustive()
    }
}

/// A call that started. Its drop is its end, the only one: [`Measured`]'s `after` says how it went and drops it; dropped without,
/// it was cancelled or its handler panicked.
pub struct Started<R: Record> {
    operation: Arc<R::Operation>,
    clock: Arc<dyn Clock>,
    at: Moment,
    outcome: Outcome,
}

impl<R: Record> Drop for Started<R> {
    fn drop(&mut self) {
        let is_unfinished = self.outcome == Outcome::Cancelled;
        let outcome =
            if is_unfinished && std::thread::panicking() { Outcome::Panicked } else { self.outcome };
        R::end(&self.operation, outcome, self.clock.now().since(self.at));
    }
}

impl<R: Record> fmt::Debug for Started<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("at", &self.at).finish_non_exhaustive()
    }
}
