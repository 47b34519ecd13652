//! The breaker as a `tower::Layer`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::call::{CallError, Verdict, errors_are_failures};
use super::{Breaker, Permit};
use crate::clock::Moment;

/// How results are classified.
pub type Classify<Response, Error> = fn(&Result<Response, Error>) -> Verdict;

/// Puts a breaker around a service.
#[derive(Debug)]
pub struct BreakerLayer<Response, Error> {
    breaker: Breaker,
    classify: Classify<Response, Error>,
}

impl<Response, Error> BreakerLayer<Response, Error> {
    /// A layer for which errors are failures.
    pub fn new(breaker: Breaker) -> Self {
        BreakerLayer { breaker, classify: errors_are_failures }
    }

    /// A layer that lets `classify` say what a result means: an answer of status 503 is no error in most HTTP services.
    #[must_use]
    pub fn classify(self, classify: Classify<Response, Error>) -> Self {
        BreakerLayer { classify, ..self }
    }
}

// Not derived: answers and errors need not be `Clone`.
impl<Response, Error> Clone for BreakerLayer<Response, Error> {
    fn clone(&self) -> Self {
        BreakerLayer { breaker: self.breaker.clone(), classify: self.classify }
    }
}

impl<S, Response, Error> Layer<S> for BreakerLayer<Response, Error> {
    type Service = Broken<S, Response, Error>;

    fn layer(&self, inner: S) -> Self::Service {
        Broken { inner, breaker: self.breaker.clone(), classify: self.classify }
    }
}

/// A service behind a breaker.
#[derive(Debug)]
pub struct Broken<S, Response, Error> {
    inner: S,
    breaker: Breaker,
    classify: Classify<Response, Error>,
}

impl<S: Clone, Response, Error> Clone for Broken<S, Response, Error> {
    fn clone(&self) -> Self {
        Broken { inner: self.inner.clone(), breaker: self.breaker.clone(), classify: self.classify }
    }
}

impl<S, Request> Service<Request> for Broken<S, S::Response, S::Error>
where
    S: Service<Request>,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = CallError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, CallError<S::Error>>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(CallError::Failed)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let permit = match self.breaker.permit() {
            Ok(permit) => permit,
            Err(open) => return Box::pin(async move { Err(CallError::Open(open)) }),
        };
        let started = self.breaker.shared.clock.now();
        let (breaker, classify) = (self.breaker.clone(), self.classify);
        let call = self.inner.call(request);
        Box::pin(async move {
            let result = call.await;
            end(permit, &breaker, started, classify(&result));
            result.map_err(CallError::Failed)
        })
    }
}

fn end(permit: Permit, breaker: &Breaker, started: Moment, verdict: Verdict) {
    match verdict {
        Verdict::Success => permit.success(breaker.shared.clock.now().since(started)),
        Verdict::Failure => permit.failure(),
        Verdict::Nothing => permit.cancelled(),
    }
}
