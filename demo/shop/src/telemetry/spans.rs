//! Spans around what goes over a boundary: requests in and out, the database, the queue.

use std::time::Instant;

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::trace::{Link, SpanContext, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};

use super::instruments::INSTRUMENTS;

fn start(name: String, kind: SpanKind, attributes: Vec<KeyValue>, parent: &Context) -> Context {
    let tracer = global::tracer("kandela-shop");
    let span = tracer
        .span_builder(name)
        .with_kind(kind)
        .with_attributes(attributes)
        .start_with_context(&tracer, parent);
    parent.with_span(span)
}

/// A request that came in. Ends once, when it is dropped; then without an answer, if none was noted.
pub(crate) struct ServerCall {
    context: Context,
    attributes: Vec<KeyValue>,
    since: Instant,
}

impl ServerCall {
    pub(crate) fn start(method: &Method, route: &'static str, path: &str, headers: &HeaderMap) -> ServerCall {
        let parent =
            global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor(headers)));
        let attributes = vec![
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("http.route", route),
            KeyValue::new("url.scheme", "http"),
        ];
        let mut of_span = attributes.clone();
        of_span.push(KeyValue::new("url.path", path.to_owned()));
        let context = start(format!("{method} {route}"), SpanKind::Server, of_span, &parent);
        INSTRUMENTS.active.add(1, &attributes);
        ServerCall { context, attributes, since: Instant::now() }
    }

    /// In which the request is to be handled.
    pub(crate) fn context(&self) -> Context {
        self.context.clone()
    }

    /// Notes the answer.
    pub(crate) fn answered(mut self, status: StatusCode) {
        INSTRUMENTS.active.add(-1, &self.attributes);
        note_status(&self.context, &mut self.attributes, status, status.is_server_error());
    }
}

impl Drop for ServerCall {
    fn drop(&mut self) {
        let answered =
            self.attributes.iter().any(|attribute| attribute.key.as_str() == "http.response.status_code");
        if !answered {
            INSTRUMENTS.active.add(-1, &self.attributes);
            self.attributes.push(KeyValue::new("error.type", "no_answer"));
            self.context.span().set_status(Status::error("no answer"));
        }
        INSTRUMENTS.server.record(self.since.elapsed().as_secs_f64(), &self.attributes);
        self.context.span().end();
    }
}

/// A request that goes out.
pub(crate) struct ClientCall {
    context: Context,
    attributes: Vec<KeyValue>,
    since: Instant,
}

impl ClientCall {
    /// Starts the span, and puts its context into `headers`.
    pub(crate) fn start(
        method: &Method,
        route: &'static str,
        server: &str,
        attempt: usize,
        headers: &mut HeaderMap,
    ) -> ClientCall {
        let (host, port) = server.rsplit_once(':').unwrap_or((server, ""));
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("server.address", host.to_owned()),
            KeyValue::new("url.template", route),
        ];
        if let Ok(port) = port.parse::<i64>() {
            attributes.push(KeyValue::new("server.port", port));
        }
        let mut of_span = attributes.clone();
        if attempt > 0 {
            of_span
                .push(KeyValue::new("http.request.resend_count", i64::try_from(attempt).unwrap_or(i64::MAX)));
        }
        let context = start(format!("{method} {route}"), SpanKind::Client, of_span, &Context::current());
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut HeaderInjector(headers));
        });
        ClientCall { context, attributes, since: Instant::now() }
    }

    pub(crate) fn answered(mut self, status: StatusCode) {
        let failed = status.is_client_error() || status.is_server_error();
        note_status(&self.context, &mut self.attributes, status, failed);
    }

    /// No answer came; `error` is one of a few words.
    pub(crate) fn failed(mut self, error: &'static str) {
        self.attributes.push(KeyValue::new("error.type", error));
        self.context.span().set_attribute(KeyValue::new("error.type", error));
        self.context.span().set_status(Status::error(error));
    }
}

impl Drop for ClientCall {
    fn drop(&mut self) {
        INSTRUMENTS.client.record(self.since.elapsed().as_secs_f64(), &self.attributes);
        self.context.span().end();
    }
}

fn note_status(context: &Context, attributes: &mut Vec<KeyValue>, status: StatusCode, failed: bool) {
    attributes.push(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    let span = context.span();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if failed {
        attributes.push(KeyValue::new("error.type", status.as_str().to_owned()));
        span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
        span.set_status(Status::error(""));
    }
}

/// A context with a span of the database operation, to be ended by whoever runs it.
pub(crate) fn db_span(operation: &'static str, table: &'static str) -> Context {
    let attributes = vec![
        KeyValue::new("db.system.name", "sqlite"),
        KeyValue::new("db.operation.name", operation),
        KeyValue::new("db.collection.name", table),
    ];
    start(format!("{operation} {table}"), SpanKind::Client, attributes, &Context::current())
}

/// The span of an order that is put into the queue.
pub(crate) fn producer_span() -> Context {
    start("send orders".to_owned(), SpanKind::Producer, messaging("send"), &Context::current())
}

/// The span of an order that is worked off: a trace of its own, which links to where the order came from.
pub(crate) fn consumer_span(sent: SpanContext) -> Context {
    let tracer = global::tracer("kandela-shop");
    let span = tracer
        .span_builder("process orders")
        .with_kind(SpanKind::Consumer)
        .with_attributes(messaging("process"))
        .with_links(vec![Link::with_context(sent)])
        .start_with_context(&tracer, &Context::new());
    Context::new().with_span(span)
}

fn messaging(operation: &'static str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "in_process"),
        KeyValue::new("messaging.destination.name", "orders"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation),
    ]
}
