//! Interceptors as `tower` layers.
//!
//! Any interceptor that leaves the types of requests and answers as they are is a layer, [`InterceptLayer`]. Deadlines also have to
//! end what runs, [`DeadlineLayer`], and retries call a service again, [`RetryLayer`]; both wait by tokio's clock.
//!
//! A layer is ready when what is within is; whoever refuses does so when called.
//!
//! ```
//! use std::{convert::Infallible, sync::Arc, time::Duration};
//! use http::{Request, Response};
//! use kandela_runtime::intercept::{Intercept, deadline::Deadline, http as fields, metrics::{Metrics, Red}};
//! use kandela_runtime::intercept::{layer::{DeadlineLayer, InterceptLayer}, propagate::Propagate};
//! use kandela_runtime::{steward::Steward, trace_context::Ids};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let steward = Steward::default();
//! let red = Arc::new(Red::new("shop", 100)?);
//! let ids = Arc::new(Ids::from_system());
//! let incoming = Propagate::new(ids, true, fields::sent_span(), fields::current_span());
//! let metrics = Metrics::new(red.clone(), steward.clock().clone(), fields::operation, fields::outcome);
//! let deadline = Deadline::new("shop", Duration::from_secs(1), fields::deadlines(), &steward)?;
//!
//! let shop = ServiceBuilder::new()
//!     .layer(InterceptLayer::new(incoming.then(metrics)))
//!     .layer(DeadlineLayer::new(deadline))
//!     .service(service_fn(|request: Request<String>| async move {
//!         Ok::<_, Infallible>(Response::new(String::new()))
//!     }));
//! # let _ = shop.oneshot(Request::new(String::new())).await;
//! assert!(red.text().contains("shop_requests_total{operation=\"GET\",outcome=\"ok\"} 1"));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod deadline;
mod retry;

use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use kandela_algebra::intercept::Intercept;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

pub use deadline::{DeadlineLayer, Limited, Limiting};
pub use retry::{Retried, RetryLayer, Retrying};

/// An interceptor around services.
pub struct InterceptLayer<I> {
    intercept: Arc<I>,
}

impl<I> InterceptLayer<I> {
    /// A layer of `intercept`; a whole stack of them, if it is composed.
    pub fn new(intercept: impl Into<Arc<I>>) -> InterceptLayer<I> {
        InterceptLayer { intercept: intercept.into() }
    }
}

impl<I> Clone for InterceptLayer<I> {
    fn clone(&self) -> Self {
        InterceptLayer { intercept: self.intercept.clone() }
    }
}

impl<I> fmt::Debug for InterceptLayer<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterceptLayer").finish_non_exhaustive()
    }
}

impl<I, S> Layer<S> for InterceptLayer<I> {
    type Service = Intercepted<I, S>;

    fn layer(&self, inner: S) -> Intercepted<I, S> {
        Intercepted { intercept: self.intercept.clone(), inner }
    }
}

/// A service with an interceptor around it.
pub struct Intercepted<I, S> {
    intercept: Arc<I>,
    inner: S,
}

impl<I, S: Clone> Clone for Intercepted<I, S> {
    fn clone(&self) -> Self {
        Intercepted { intercept: self.intercept.clone(), inner: self.inner.clone() }
    }
}

impl<I, S> fmt::Debug for Intercepted<I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercepted").finish_non_exhaustive()
    }
}

impl<I, S, Req> Service<Req> for Intercepted<I, S>
where
    S: Service<Req>,
    I: Intercept<
            Req,
            Result<S::Response, S::Error>,
            InnerReq = Req,
            InnerResp = Result<S::Response, S::Error>,
        >,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Intercepting<I, S::Future, I::State, Req, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let call = match self.intercept.before(request) {
            ControlFlow::Continue((request, state)) => {
                Call::Running { inner: self.inner.call(request), state: Some(state) }
            }
            ControlFlow::Break(answer) => Call::Refused { answer: Some(answer) },
        };
        Intercepting { call, intercept: self.intercept.clone(), request: PhantomData }
    }
}

pin_project! {
    /// A call with an interceptor around it. Dropped, it ends what the interceptor began.
    pub struct Intercepting<I, F, T, Req, Resp> {
        #[pin]
        call: Call<F, T, Resp>,
        intercept: Arc<I>,
        request: PhantomData<fn(Req)>,
    }
}

pin_project! {
    #[project = CallProjection]
    enum Call<F, T, Resp> {
        Running {
            #[pin]
            inner: F,
            state: Option<T>,
        },
        Refused {
            answer: Option<Resp>,
        },
    }
}

const POLLED_AGAIN: &str = "a future is not polled after its end";

impl<I, F, Req> Future for Intercepting<I, F, I::State, Req, F::Output>
where
    F: Future,
    I: Intercept<Req, F::Output, InnerReq = Req, InnerResp = F::Output>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.call.project() {
            CallProjection::Refused { answer } => Poll::Ready(answer.take().expect(POLLED_AGAIN)),
            CallProjection::Running { inner, state } => {
                // Held on the stack, so that a panic in the handler ends it while it unwinds.
                let held = state.take().expect(POLLED_AGAIN);
                match inner.poll(context) {
                    Poll::Ready(response) => Poll::Ready(this.intercept.after(response, held)),
                    Poll::Pending => {
                        *state = Some(held);
                        Poll::Pending
                    }
                }
            }
        }
    }
}

impl<I, F, T, Req, Resp> fmt::Debug for Intercepting<I, F, T, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercepting").finish_non_exhaustive()
    }
}
