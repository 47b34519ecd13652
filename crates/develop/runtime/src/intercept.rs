//! Interceptors: what is done before and after a call, as values, as plain functions, and as `tower` layers.
//!
//! | interceptor | before | after |
//! |---|---|---|
//! | [`Timing`](timing::Timing) | one more in flight | its latency counted, by operation and outcome |
//! | [`Metrics`](metrics::Metrics) | one more in flight | requests, errors, duration, for Prometheus |
//! | [`Deadline`](deadline::Deadline) | refuses what has no time left, hands on what is left | – |
//! | [`Propagate`](propagate::Propagate) | trace context in or out | – |
//! | [`Spans`](spans::Spans) | the same, and a span starts | the span ends |
//! | [`Retry`](retry::Retry) | – | calls again within a budget; see there why it is no [`Intercept`] |
//!
//! They compose with [`Intercept::then`], the left one outermost, and [`call`](Intercept::call) or
//! [`call_async`](Intercept::call_async) whatever is within. Each start has exactly one end, also where a call is dropped or panics:
//! see [`Intercept`] and its laws. For `tower`, see `layer` (cargo feature `tower`).
//!
//! # The order of a stack
//! From the outside in: trace context (all within belongs to a span), metrics or timing (they are to see refusals too), deadline (the
//! whole call has one), retry (within the deadline of the whole), then what each try has of its own: a timing, a shorter deadline,
//! admission, and trace context out.
//!
//! # Admission
//! A breaker, a limiter or a pool is an interceptor whose `before` asks for a permit, answers at once where there is none, and
//! otherwise keeps the permit as its `State`. It comes back when the state is dropped: after the answer, and just so if the call is
//! cancelled or panics. Where the permit wants to know how it went, `after` tells it, and a permit dropped untold was cancelled.
//!
//! ```
//! use std::ops::ControlFlow;
//! use std::sync::Arc;
//! use kandela_runtime::intercept::{Intercept, Then};
//! use tokio::sync::{OwnedSemaphorePermit, Semaphore};
//!
//! /// At most so many at once; the rest is refused.
//! struct Admit(Arc<Semaphore>);
//!
//! impl<Req> Intercept<Req, Result<u32, &'static str>> for Admit {
//!     type InnerReq = Req;
//!     type InnerResp = Result<u32, &'static str>;
//!     type State = OwnedSemaphorePermit;
//!
//!     fn before(&self, request: Req) -> ControlFlow<Self::InnerResp, (Req, OwnedSemaphorePermit)> {
//!         match self.0.clone().try_acquire_owned() {
//!             Ok(permit) => ControlFlow::Continue((request, permit)),
//!             Err(_) => ControlFlow::Break(Err("busy")),
//!         }
//!     }
//!
//!     fn after(&self, response: Self::InnerResp, _permit: OwnedSemaphorePermit) -> Self::InnerResp {
//!         response
//!     }
//! }
//!
//! let admit = Admit(Arc::new(Semaphore::new(1)));
//! let inner = |_| admit.call("while the outer call holds the permit", |_| Ok(2));
//! assert_eq!(admit.call("first", inner), Err("busy"));
//! assert_eq!(admit.call("afterwards", |_| Ok(3)), Ok(3));
//! ```
//!
//! The page `docs/runtime-intercept.md` tells how they are used with `tower`, and has the numbers.

pub mod deadline;
pub mod http;
#[cfg(feature = "tower")]
pub mod layer;
pub mod measured;
pub mod metrics;
pub mod operation;
pub mod propagate;
pub mod refusal;
pub mod retry;
#[cfg(feature = "profiler")]
pub mod spans;
pub mod timeout_header;
pub mod timing;

use std::fmt;

pub use kandela_algebra::intercept::{Field, Identity, Intercept, Then};
use kandela_model::KnobError;

use crate::range::OutOfRange;

/// Why an interceptor was not built.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InterceptError {
    /// A setting lies outside of its range.
    Setting(OutOfRange),
    /// No name of a metric can begin so.
    MetricName {
        /// What was given.
        given: String,
    },
    /// A setting is no value of its knob.
    Knob(KnobError),
}

impl fmt::Display for InterceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InterceptError::Setting(error) => error.fmt(f),
            InterceptError::MetricName { given } => write!(
                f,
                "metric prefix {given:?} is no beginning of a name; use letters, digits, _ and :, a digit not first"
            ),
            InterceptError::Knob(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InterceptError {}

impl From<OutOfRange> for InterceptError {
    fn from(error: OutOfRange) -> Self {
        InterceptError::Setting(error)
    }
}

impl From<KnobError> for InterceptError {
    fn from(error: KnobError) -> Self {
        InterceptError::Knob(error)
    }
}
