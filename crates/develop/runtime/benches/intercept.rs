//! What a call costs with nothing around it, with each layer alone, with all of them, and with comparable layers of `tower` and
//! `tower-http`: `cargo bench -p kandela-runtime --bench intercept`.
//!
//! The service within answers at once, so what is measured is what the layers add. Requests are built outside of what is timed;
//! dropping request and answer is within it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use divan::{Bencher, black_box};
use http::{HeaderValue, Request, Response};
use kandela_runtime::clock::{Clock, SystemClock};
use kandela_runtime::intercept::deadline::Deadline;
use kandela_runtime::intercept::http as fields;
use kandela_runtime::intercept::layer::{DeadlineLayer, InterceptLayer, RetryLayer};
use kandela_runtime::intercept::metrics::{Metrics, Red};
use kandela_runtime::intercept::propagate::Propagate;
use kandela_runtime::intercept::retry::{Retry, Settings};
use kandela_runtime::intercept::timing::{Timing, Timings};
use kandela_runtime::intercept::{Identity, Intercept};
use kandela_runtime::steward::Steward;
use kandela_runtime::trace_context::{Ids, SpanContext};
use tower::retry::Policy;
use tower::{Layer, Service, service_fn};

type Ask = Request<String>;
type Answer = Result<Response<String>, Infallible>;

fn main() {
    divan::main();
}

fn request() -> Ask {
    let mut request = Request::new(String::new());
    let parent = HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    request.headers_mut().insert("traceparent", parent);
    request.extensions_mut().insert(fields::Operation("GET /carts/{id}"));
    request
}

fn nothing() -> impl Service<Ask, Response = Response<String>, Error = Infallible, Future: Send> + Clone {
    service_fn(|request: Ask| {
        black_box(&request);
        std::future::ready(Ok(Response::new(String::new())))
    })
}

/// Calls until an answer is there, which it is at the first poll.
fn measure<S: Service<Ask, Error: std::fmt::Debug>>(bencher: Bencher<'_, '_>, mut service: S) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _within = runtime.enter();
    bencher.with_inputs(request).bench_local_values(|request| {
        let mut context = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut context).is_ready());
        let Poll::Ready(answer) = pin!(service.call(request)).poll(&mut context) else {
            unreachable!("the service answers at once")
        };
        answer.is_ok()
    });
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

fn timing() -> Timing<Ask, Answer> {
    let timings = Arc::new(Timings::new(100).expect("100 is a number of operations"));
    Timing::new(timings, clock(), fields::operation, fields::outcome)
}

fn metrics() -> Metrics<Ask, Answer> {
    Metrics::new(
        Arc::new(Red::new("bench", 100).expect("a prefix")),
        clock(),
        fields::operation,
        fields::outcome,
    )
}

fn deadline(steward: &Steward) -> Deadline<Ask, Answer> {
    Deadline::new("bench", Duration::from_secs(1), fields::deadlines(), steward).expect("a timeout")
}

fn retry(steward: &Steward) -> Retry<Ask, Answer> {
    Retry::new("bench", Settings::default(), 1, fields::retries(), steward).expect("settings")
}

fn incoming(ids: &Arc<Ids>) -> Propagate<Ask, Answer> {
    Propagate::new(ids.clone(), true, fields::sent_span(), fields::current_span())
}

fn outgoing(ids: &Arc<Ids>) -> Propagate<Ask, Answer> {
    Propagate::new(ids.clone(), true, fields::current_span(), fields::sent_span())
}

#[divan::bench]
fn a_nothing(bencher: Bencher<'_, '_>) {
    measure(bencher, nothing());
}

#[divan::bench]
fn b_identity(bencher: Bencher<'_, '_>) {
    measure(bencher, InterceptLayer::new(Identity).layer(nothing()));
}

#[divan::bench]
fn c_timing(bencher: Bencher<'_, '_>) {
    measure(bencher, InterceptLayer::new(timing()).layer(nothing()));
}

#[divan::bench]
fn d_metrics(bencher: Bencher<'_, '_>) {
    measure(bencher, InterceptLayer::new(metrics()).layer(nothing()));
}

#[divan::bench]
fn e_deadline(bencher: Bencher<'_, '_>) {
    measure(bencher, DeadlineLayer::new(deadline(&Steward::default())).layer(nothing()));
}

#[divan::bench]
fn f_retry(bencher: Bencher<'_, '_>) {
    measure(bencher, RetryLayer::new(retry(&Steward::default())).layer(nothing()));
}

#[divan::bench]
fn g_trace_context_in(bencher: Bencher<'_, '_>) {
    let ids = Arc::new(Ids::from_system());
    measure(bencher, InterceptLayer::new(incoming(&ids)).layer(nothing()));
}

#[divan::bench]
fn h_trace_context_in_and_out(bencher: Bencher<'_, '_>) {
    let ids = Arc::new(Ids::from_system());
    measure(bencher, InterceptLayer::new(incoming(&ids).then(outgoing(&ids))).layer(nothing()));
}

#[divan::bench]
fn i_all_of_them(bencher: Bencher<'_, '_>) {
    let (steward, ids) = (Steward::default(), Arc::new(Ids::from_system()));
    let within = InterceptLayer::new(outgoing(&ids)).layer(nothing());
    let within = RetryLayer::new(retry(&steward)).layer(within);
    let within = DeadlineLayer::new(deadline(&steward)).layer(within);
    measure(bencher, InterceptLayer::new(incoming(&ids).then(metrics()).then(timing())).layer(within));
}

#[divan::bench]
fn j_tower_timeout(bencher: Bencher<'_, '_>) {
    measure(bencher, tower::timeout::TimeoutLayer::new(Duration::from_secs(1)).layer(nothing()));
}

/// As `f_retry`: a copy of the request is kept, the answer needs no retry.
#[derive(Clone)]
struct Never;

impl Policy<Ask, Response<String>, Infallible> for Never {
    type Future = std::future::Ready<()>;
    fn retry(&mut self, _: &mut Ask, answer: &mut Answer) -> Option<Self::Future> {
        black_box(answer);
        None
    }
    fn clone_request(&mut self, request: &Ask) -> Option<Ask> {
        Some(request.clone())
    }
}

#[divan::bench]
fn k_tower_retry(bencher: Bencher<'_, '_>) {
    measure(bencher, tower::retry::RetryLayer::new(Never).layer(nothing()));
}

#[divan::bench]
fn l_tower_http_trace_without_subscriber(bencher: Bencher<'_, '_>) {
    measure(bencher, tower_http::trace::TraceLayer::new_for_http().layer(nothing()));
}

#[divan::bench]
fn parse_traceparent(bencher: Bencher<'_, '_>) {
    let parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    bencher.bench_local(|| SpanContext::parse(black_box(parent), []).is_ok());
}
