//! Retries of services.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::{Layer, Service};

use super::POLLED_AGAIN;
use crate::intercept::retry::{Attempts, Retry};

/// Retries around services.
pub struct RetryLayer<Req, Resp> {
    retry: Arc<Retry<Req, Resp>>,
}

impl<Req, Resp> RetryLayer<Req, Resp> {
    /// A layer of `retry`.
    pub fn new(retry: impl Into<Arc<Retry<Req, Resp>>>) -> RetryLayer<Req, Resp> {
        RetryLayer { retry: retry.into() }
    }
}

impl<Req, Resp> Clone for RetryLayer<Req, Resp> {
    fn clone(&self) -> Self {
        RetryLayer { retry: self.retry.clone() }
    }
}

impl<Req, Resp> fmt::Debug for RetryLayer<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RetryLayer").field(&self.retry).finish()
    }
}

impl<S, Req, Resp> Layer<S> for RetryLayer<Req, Resp> {
    type Service = Retried<S, Req, Resp>;

    fn layer(&self, inner: S) -> Self::Service {
        Retried { retry: self.retry.clone(), inner }
    }
}

/// A service that is called again where it fails.
pub struct Retried<S, Req, Resp> {
    retry: Arc<Retry<Req, Resp>>,
    inner: S,
}

impl<S: Clone, Req, Resp> Clone for Retried<S, Req, Resp> {
    fn clone(&self) -> Self {
        Retried { retry: self.retry.clone(), inner: self.inner.clone() }
    }
}

impl<S, Req, Resp> fmt::Debug for Retried<S, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retried").field("retry", &self.retry).finish_non_exhaustive()
    }
}

impl<S, Req> Service<Req> for Retried<S, Req, Result<S::Response, S::Error>>
where
    S: Service<Req> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Retrying<S, S::Future, Req, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        // The clone may not be ready; the one that is makes the call.
        let next = self.inner.clone();
        let mut service = std::mem::replace(&mut self.inner, next);
        let attempts = self.retry.begin(&request);
        let step = Step::Calling { call: service.call(request) };
        Retrying { step, attempts, request: None, service, retry: self.retry.clone() }
    }
}

pin_project! {
    /// A call that may be made again.
    pub struct Retrying<S, F, Req, Resp> {
        #[pin]
        step: Step<F>,
        attempts: Attempts<Req>,
        request: Option<Req>,
        service: S,
        retry: Arc<Retry<Req, Resp>>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        Calling {
            #[pin]
            call: F,
        },
        Waiting {
            #[pin]
            sleep: Sleep,
        },
        Readying,
    }
}

impl<S, Req> Future for Retrying<S, S::Future, Req, Result<S::Response, S::Error>>
where
    S: Service<Req>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Calling { call } => {
                    let response = ready!(call.poll(context));
                    let Some((wait, request)) = this.attempts.next(this.retry, &response) else {
                        return Poll::Ready(response);
                    };
                    *this.request = Some(request);
                    this.step.set(Step::Waiting { sleep: tokio::time::sleep(wait) });
                }
                StepProjection::Waiting { sleep } => {
                    ready!(sleep.poll(context));
                    this.step.set(Step::Readying);
                }
                StepProjection::Readying => {
                    ready!(this.service.poll_ready(context))?;
                    let request = this.request.take().expect(POLLED_AGAIN);
                    let call = this.service.call(request);
                    this.step.set(Step::Calling { call });
                }
            }
        }
    }
}

impl<S, F, Req, Resp> fmt::Debug for Retrying<S, F, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retrying").field("retry", &self.retry).finish_non_exhaustive()
    }
}
