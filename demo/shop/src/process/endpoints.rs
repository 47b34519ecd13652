//! The endpoints of a service. Every request passes its telemetry, the limiter and the faults.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use http::{Method, StatusCode};
use opentelemetry::context::FutureExt;

use super::listen::Hangup;
use crate::failure::Failure;
use crate::faults::{Faults, Struck};
use crate::knobs::KnobMaker;
use crate::resilience::limiter::Limiter;
use crate::services::Service;
use crate::telemetry::{self, ServerCall};

/// Collects a service's endpoints.
pub(crate) struct Endpoints {
    router: Router,
    names: Vec<String>,
    guard: Arc<Guard>,
}

struct Guard {
    /// What stands in for an outside world has no limiter.
    limiter: Option<Limiter>,
    faults: Faults,
}

impl Endpoints {
    pub(super) fn new(service: Service, knobs: &KnobMaker) -> Result<Endpoints> {
        let limiter = if service.is_outside() { None } else { Some(Limiter::new(knobs)?) };
        let guard = Arc::new(Guard { limiter, faults: Faults::default() });
        Ok(Endpoints { router: Router::new(), names: Vec::new(), guard })
    }

    /// Adds `GET route`.
    pub(crate) fn get<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(
        &mut self,
        route: &'static str,
        handler: H,
        state: &S,
    ) {
        self.add(MethodFilter::GET, "GET", route, handler, state);
    }

    /// Adds `POST route`.
    pub(crate) fn post<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(
        &mut self,
        route: &'static str,
        handler: H,
        state: &S,
    ) {
        self.add(MethodFilter::POST, "POST", route, handler, state);
    }

    fn add<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(
        &mut self,
        filter: MethodFilter,
        method: &str,
        route: &'static str,
        handler: H,
        state: &S,
    ) {
        let name: Arc<str> = format!("{method} {route}").into();
        self.names.push(name.to_string());
        let door = Door { guard: self.guard.clone(), route, name };
        let guarded = on(filter, handler).layer(middleware::from_fn_with_state(door, pass));
        let router = Router::new().route(route, guarded).with_state(state.clone());
        self.router = std::mem::take(&mut self.router).merge(router);
    }

    pub(super) fn faults(&self) -> Faults {
        self.guard.faults.clone()
    }

    /// `GET /items/{id}` and so on.
    pub(super) fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    pub(super) fn router(self) -> Router {
        self.router
    }
}

#[derive(Clone)]
struct Door {
    guard: Arc<Guard>,
    route: &'static str,
    name: Arc<str>,
}

async fn pass(State(door): State<Door>, request: Request, next: Next) -> Response {
    let method: Method = request.method().clone();
    let call = ServerCall::start(&method, door.route, request.uri().path(), request.headers());
    let context = call.context();
    let answer = guarded(&door, request, next).with_context(context).await;
    if answer.extensions().get::<Hangup>().is_none() {
        call.answered(answer.status());
    }
    answer
}

async fn guarded(door: &Door, request: Request, next: Next) -> Response {
    let Some(limiter) = &door.guard.limiter else { return handle(door, request, next).await };
    let Some(place) = limiter.enter() else {
        telemetry::shed(door.route);
        let busy = Failure::new(StatusCode::TOO_MANY_REQUESTS, "too many requests are under way");
        return busy.into_response();
    };
    let answer = handle(door, request, next).await;
    match answer.status() {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            place.dropped();
        }
        _ => place.success(),
    }
    answer
}

async fn handle(door: &Door, request: Request, next: Next) -> Response {
    match door.guard.faults.strike(&door.name).await {
        Struck::Not => next.run(request).await,
        Struck::Status(status) => Failure::new(status, "a fault was put here").into_response(),
        Struck::Drop => {
            let mut answer = StatusCode::INTERNAL_SERVER_ERROR.into_response();
            answer.extensions_mut().insert(Hangup);
            answer
        }
    }
}
