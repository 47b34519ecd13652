//! The limiter as a `tower::Layer`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::{Limiter, Priority, Refused};

/// What a result says about load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The call was answered: its latency counts.
    Success,
    /// The far side is overloaded.
    Dropped,
    /// Nothing.
    Ignored,
}

/// How much a request matters.
pub type Prioritise<Request> = fn(&Request) -> Priority;
/// What a result says about load.
pub type Classify<Response, Error> = fn(&Result<Response, Error>) -> Ended;

/// Puts a limiter around a service.
#[derive(Debug)]
pub struct LimiterLayer<Request, Response, Error> {
    limiter: Limiter,
    prioritise: Prioritise<Request>,
    classify: Classify<Response, Error>,
}

impl<Request, Response, Error> LimiterLayer<Request, Response, Error> {
    /// A layer for which all requests are of normal priority, and errors say nothing about load.
    pub fn new(limiter: Limiter) -> Self {
        LimiterLayer {
            limiter,
            prioritise: |_| Priority::Normal,
            classify: |result| if result.is_ok() { Ended::Success } else { Ended::Ignored },
        }
    }

    /// Lets `prioritise` say how much a request matters.
    #[must_use]
    pub fn prioritise(self, prioritise: Prioritise<Request>) -> Self {
        LimiterLayer { prioritise, ..self }
    }

    /// Lets `classify` say what a result says about load.
    #[must_use]
    pub fn classify(self, classify: Classify<Response, Error>) -> Self {
        LimiterLayer { classify, ..self }
    }
}

// Not derived: requests, answers and errors need not be `Clone`.
impl<Request, Response, Error> Clone for LimiterLayer<Request, Response, Error> {
    fn clone(&self) -> Self {
        let limiter = self.limiter.clone();
        LimiterLayer { limiter, prioritise: self.prioritise, classify: self.classify }
    }
}

impl<S, Request, Response, Error> Layer<S> for LimiterLayer<Request, Response, Error> {
    type Service = Limited<S, Request, Response, Error>;

    fn layer(&self, inner: S) -> Self::Service {
        Limited { inner, limiter: self.limiter.clone(), prioritise: self.prioritise, classify: self.classify }
    }
}

/// A service behind a limiter.
#[derive(Debug)]
pub struct Limited<S, Request, Response, Error> {
    inner: S,
    limiter: Limiter,
    prioritise: Prioritise<Request>,
    classify: Classify<Response, Error>,
}

impl<S: Clone, Request, Response, Error> Clone for Limited<S, Request, Response, Error> {
    fn clone(&self) -> Self {
        let (inner, limiter) = (self.inner.clone(), self.limiter.clone());
        Limited { inner, limiter, prioritise: self.prioritise, classify: self.classify }
    }
}

/// Why a limited service brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitedError<E> {
    /// The request was turned away.
    Refused(Refused),
    /// The service failed.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for LimitedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitedError::Refused(refused) => refused.fmt(f),
            LimitedError::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for LimitedError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LimitedError::Refused(refused) => Some(refused),
            LimitedError::Failed(error) => Some(error),
        }
    }
}

impl<S, Request> Service<Request> for Limited<S, Request, S::Response, S::Error>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
    Request: Send + 'static,
{
    type Response = S::Response;
    type Error = LimitedError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, LimitedError<S::Error>>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(LimitedError::Failed)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that said that it is ready makes the call; its copy has to be asked again.
        let copy = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, copy);
        let (limiter, classify) = (self.limiter.clone(), self.classify);
        let priority = (self.prioritise)(&request);
        Box::pin(async move {
            let permit = limiter.acquire(priority).await.map_err(LimitedError::Refused)?;
            let result = inner.call(request).await;
            match classify(&result) {
                Ended::Success => permit.success(),
                Ended::Dropped => permit.dropped(),
                Ended::Ignored => permit.ignored(),
            }
            result.map_err(LimitedError::Failed)
        })
    }
}
