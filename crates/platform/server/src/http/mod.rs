//! The HTTP interfaces: routes with their roles, and what stands around every request.

mod autopilot;
mod health;
mod levels;
mod own_metrics;
mod page;
mod prometheus;
mod sql;
mod status;
pub(crate) mod write;

pub(crate) use prometheus::Spool;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode, Uri};
use kandela_config::kandela::Role;

use crate::app::App;
use crate::guard::{self, Door};
use crate::otlp;
use crate::refusal::Refusal;
use crate::telemetry::events::RequestServed;
use crate::telemetry::{RequestSpan, Telemetry};

/// The route that answered; the response carries it to the middleware that counts.
#[derive(Clone, Copy)]
pub(crate) struct RouteName(pub &'static str);

/// Routes of one listener. A route cannot be added without saying which role it needs.
pub(crate) struct Routes {
    door: Door,
    router: Router<Arc<App>>,
}

impl Routes {
    pub(crate) fn new(door: Door) -> Self {
        Self { door, router: Router::new() }
    }

    /// Adds a route that `needed` and stronger roles may use.
    pub(crate) fn add(mut self, path: &'static str, needed: Role, methods: MethodRouter<Arc<App>>) -> Self {
        let name = map_response(move |mut response: Response| async move {
            response.extensions_mut().insert(RouteName(path));
            response
        });
        let role = from_fn_with_state((self.door.clone(), needed), guard::require);
        self.router = self.router.route(path, methods.layer(role).layer(name));
        self
    }

    /// Closes the list: the door stands before every route, and before what is no route.
    pub(crate) fn finish(self, app: Arc<App>) -> Router {
        let dialect = self.door.dialect;
        let unknown = move |request: Request| async move {
            if let Some(place) = without_empty_parts(request.uri()) {
                return (StatusCode::PERMANENT_REDIRECT, [(LOCATION, place)]).into_response();
            }
            let message = format!("there is nothing at {}", request.uri().path());
            Refusal::new(StatusCode::NOT_FOUND, message).into_response_in(dialect, request.headers())
        };
        let telemetry = app.telemetry.clone();
        behind(self.door, &telemetry, self.router.fallback(unknown).with_state(app))
    }
}

/// Where the same path lies without empty parts, if it has any: a client's base address may end with a slash.
fn without_empty_parts(uri: &Uri) -> Option<String> {
    if !uri.path().contains("//") {
        return None;
    }
    let parts = uri.path().split('/').filter(|part| !part.is_empty());
    let path: String = parts.flat_map(|part| ["/", part]).collect();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{}{query}", if path.is_empty() { "/" } else { &path }))
}

/// Puts the door before all that a router serves, and counts what goes through.
pub(crate) fn behind(door: Door, telemetry: &Telemetry, router: Router) -> Router {
    let counted = (telemetry.clone(), door.listener);
    router.layer(from_fn_with_state(door, guard::stand)).layer(from_fn_with_state(counted, count))
}

/// Middleware: counts, times and traces every request, and forbids browsers to guess at content.
async fn count(
    State((telemetry, listener)): State<(Telemetry, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let span = RequestSpan::start(request.headers());
    let method = request.method().clone();
    let mut response = next.run(request).await;
    let route = response.extensions().get::<RouteName>().map_or("other", |route| route.0);
    let status = response.status();
    span.finish(telemetry.spans(), &method, route, status);
    telemetry.emit(RequestServed { listener, route, method, status, took: began.elapsed() });
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Everything on the main port.
pub(crate) fn main_routes(door: Door) -> Routes {
    let routes = Routes::new(door)
        .add("/", Role::Viewer, get(page::index))
        .add("/ui/app.js", Role::Viewer, get(page::script))
        .add("/ui/style.css", Role::Viewer, get(page::style))
        .add("/ui/icon.svg", Role::Viewer, get(page::icon))
        .add("/-/healthy", Role::Viewer, get(health::healthy))
        .add("/-/ready", Role::Viewer, get(health::ready))
        .add("/-/reload", Role::Operator, post(health::reload).put(health::reload))
        .add("/metrics", Role::Viewer, get(own_metrics::expose))
        .add("/api/kandela/v1/status", Role::Viewer, get(status::status))
        .add("/api/kandela/v1/levels", Role::Viewer, get(levels::levels))
        .add("/api/kandela/v1/autopilot", Role::Viewer, get(autopilot::systems))
        .add("/api/kandela/v1/autopilot/status", Role::Viewer, get(autopilot::status))
        .add("/api/kandela/v1/autopilot/ledger", Role::Viewer, get(autopilot::ledger))
        .add("/api/kandela/v1/autopilot/explain/{proposal}", Role::Viewer, get(autopilot::explain))
        .add("/api/kandela/v1/autopilot/orders", Role::Operator, post(autopilot::order))
        .add("/api/sql", Role::Viewer, get(sql::sql).post(sql::sql))
        .add("/api/v1/write", Role::Writer, post(write::write))
        .add("/api/v1/otlp/v1/metrics", Role::Writer, post(otlp::metrics));
    prometheus::add(routes)
}

/// OTLP over HTTP, on its own port.
pub(crate) fn otlp_routes(door: Door) -> Routes {
    Routes::new(door)
        .add("/v1/metrics", Role::Writer, post(otlp::metrics))
        .add("/v1/traces", Role::Writer, post(otlp::traces))
        .add("/v1/logs", Role::Writer, post(otlp::logs))
}
