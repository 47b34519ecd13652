//! Calls through a breaker: permits, futures, fallbacks.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::machine::{End, Ticket};
use super::{Breaker, Shared};

/// Leave for one call. Dropped without a word, it counts as cancelled; dropped by a panic, as failed.
#[must_use = "a permit that is dropped counts as cancelled"]
pub struct Permit {
    shared: Arc<Shared>,
    /// None while the breaker is forced closed: nothing is looked at then.
    ticket: Option<Ticket>,
    end: End,
}

impl Permit {
    #[inline]
    pub(super) fn new(shared: Arc<Shared>, ticket: Option<Ticket>) -> Permit {
        Permit { shared, ticket, end: End::Cancelled }
    }

    /// The call went well, and took `latency`.
    #[inline]
    pub fn success(mut self, latency: Duration) {
        self.end = End::Success(latency);
    }

    /// The call failed.
    #[inline]
    pub fn failure(mut self) {
        self.end = End::Failure;
    }

    /// The call says nothing about the far side: it was cancelled, or refused for its content. The same as dropping the permit.
    pub fn cancelled(self) {
        drop(self);
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        if self.end == End::Cancelled && std::thread::panicking() {
            self.end = End::Failure;
        }
        self.shared.ended(ticket, self.end);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

/// The breaker is open: the call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// After how long asking again makes sense; none where somebody has forced the breaker open.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after {
            Some(time) => write!(f, "the circuit breaker is open; try again in {:.3} s", time.as_secs_f64()),
            None => write!(
                f,
                "the circuit breaker is forced open; set its mode to automatic to let calls through"
            ),
        }
    }
}

impl std::error::Error for Open {}

/// Why a call through a breaker brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// It was not made.
    Open(Open),
    /// It failed.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Open(open) => open.fmt(f),
            CallError::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CallError::Open(open) => Some(open),
            CallError::Failed(error) => Some(error),
        }
    }
}

/// What a result says about the far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is well.
    Success,
    /// It is not.
    Failure,
    /// Nothing: the caller asked for something that is not there.
    Nothing,
}

/// Ok is success, an error is failure.
pub fn errors_are_failures<T, E>(result: &Result<T, E>) -> Verdict {
    if result.is_ok() { Verdict::Success } else { Verdict::Failure }
}

impl Breaker {
    /// Makes the call, unless the breaker is open. An error counts as a failure, a panic too, and a dropped future as cancelled.
    ///
    /// # Errors
    /// [`CallError::Open`] where the call was not made; [`CallError::Failed`] where it failed.
    pub async fn call<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, CallError<E>> {
        self.call_with(errors_are_failures, call).await
    }

    /// Makes the call, unless the breaker is open, and lets `classify` say what its result means.
    ///
    /// # Errors
    /// As [`call`](Breaker::call).
    pub async fn call_with<T, E>(
        &self,
        classify: impl FnOnce(&Result<T, E>) -> Verdict,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let permit = self.permit().map_err(CallError::Open)?;
        let started = self.shared.clock.now();
        let result = call.await;
        let latency = self.shared.clock.now().since(started);
        match classify(&result) {
            Verdict::Success => permit.success(latency),
            Verdict::Failure => permit.failure(),
            Verdict::Nothing => permit.cancelled(),
        }
        result.map_err(CallError::Failed)
    }

    /// Makes the call, and takes what `fallback` has instead where the breaker is open or the call fails.
    pub async fn call_or<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
        fallback: impl FnOnce(CallError<E>) -> T,
    ) -> T {
        self.call(call).await.unwrap_or_else(fallback)
    }
}
