//! Deadlines that end what runs.

use crate::clock::Moment;
use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use kandela_algebra::intercept::Intercept;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::{Layer, Service};

use super::POLLED_AGAIN;
use crate::intercept::deadline::Deadline;

/// Deadlines around services: a call whose time is up is dropped, and answered as the deadline says.
pub struct DeadlineLayer<Req, Resp> {
    deadline: Arc<Deadline<Req, Resp>>,
}

impl<Req, Resp> DeadlineLayer<Req, Resp> {
    /// A layer of `deadline`.
    pub fn new(deadline: impl Into<Arc<Deadline<Req, Resp>>>) -> DeadlineLayer<Req, Resp> {
        DeadlineLayer { deadline: deadline.into() }
    }
}

impl<Req, Resp> Clone for DeadlineLayer<Req, Resp> {
    fn clone(&self) -> Self {
        DeadlineLayer { deadline: self.deadline.clone() }
    }
}

impl<Req, Resp> fmt::Debug for DeadlineLayer<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeadlineLayer").field(&self.deadline).finish()
    }
}

impl<S, Req, Resp> Layer<S> for DeadlineLayer<Req, Resp> {
    type Service = Limited<S, Req, Resp>;

    fn layer(&self, inner: S) -> Self::Service {
        Limited { deadline: self.deadline.clone(), inner }
    }
}

/// A service whose calls have deadlines.
pub struct Limited<S, Req, Resp> {
    deadline: Arc<Deadline<Req, Resp>>,
    inner: S,
}

impl<S: Clone, Req, Resp> Clone for Limited<S, Req, Resp> {
    fn clone(&self) -> Self {
        Limited { deadline: self.deadline.clone(), inner: self.inner.clone() }
    }
}

impl<S, Req, Resp> fmt::Debug for Limited<S, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl<S, Req> Service<Req> for Limited<S, Req, Result<S::Response, S::Error>>
where
    S: Service<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Limiting<S::Future, Req, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let (inner, until, refused) = match self.deadline.before(request) {
            ControlFlow::Continue((request, allowed)) => {
                (Some(self.inner.call(request)), allowed.until, None)
            }
            ControlFlow::Break(answer) => (None, Moment::ORIGIN, Some(answer)),
        };
        Limiting { inner, sleep: None, until, refused, deadline: self.deadline.clone() }
    }
}

pin_project! {
    /// A call with a deadline.
    pub struct Limiting<F, Req, Resp> {
        #[pin]
        inner: Option<F>,
        #[pin]
        sleep: Option<Sleep>,
        until: Moment,
        refused: Option<Resp>,
        deadline: Arc<Deadline<Req, Resp>>,
    }
}

impl<F: Future, Req> Future for Limiting<F, Req, F::Output> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(this.refused.take().expect(POLLED_AGAIN));
        };
        if let Poll::Ready(response) = inner.poll(context) {
            return Poll::Ready(response);
        }
        // A timer is set only for what has to be waited for.
        if this.sleep.is_none() {
            this.sleep.set(Some(tokio::time::sleep(this.deadline.left(*this.until))));
        }
        let is_up = this.sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(context).is_ready());
        if !is_up {
            return Poll::Pending;
        }
        this.inner.set(None);
        Poll::Ready(this.deadline.end_running())
    }
}

impl<F, Req, Resp> fmt::Debug for Limiting<F, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiting").field("until", &self.until).finish_non_exhaustive()
    }
}
