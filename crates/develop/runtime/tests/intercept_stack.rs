//! All interceptors in one `tower` stack before a service, as a server or a client would have them.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use kandela_runtime::clock::{Clock, Moment};
use kandela_runtime::intercept::deadline::Deadline;
use kandela_runtime::intercept::http as fields;
use kandela_runtime::intercept::layer::{DeadlineLayer, InterceptLayer, RetryLayer};
use kandela_runtime::intercept::measured::Outcome;
use kandela_runtime::intercept::metrics::{Metrics, Red};
use kandela_runtime::intercept::propagate::Propagate;
use kandela_runtime::intercept::retry::{Retry, Settings};
use kandela_runtime::intercept::timing::{Timing, Timings};
use kandela_runtime::intercept::{Intercept, timeout_header};
use kandela_runtime::steward::Steward;
use kandela_runtime::trace_context::Ids;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneService;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

type Ask = Request<()>;
type Answer = Result<Response<String>, Infallible>;
type Shop = BoxCloneService<Ask, Response<String>, Infallible>;

const WHOLE: Duration = Duration::from_secs(1);
const EACH_TRY: Duration = Duration::from_millis(400);

/// Tokio's clock, which stands still in tests but for what is waited for.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Moment {
        Moment::ORIGIN.after(self.0.elapsed())
    }
}

/// At most so many at once.
struct Admit(Arc<Semaphore>);

impl Intercept<Ask, Answer> for Admit {
    type InnerReq = Ask;
    type InnerResp = Answer;
    type State = OwnedSemaphorePermit;

    fn before(&self, request: Ask) -> ControlFlow<Answer, (Ask, OwnedSemaphorePermit)> {
        match self.0.clone().try_acquire_owned() {
            Ok(permit) => ControlFlow::Continue((request, permit)),
            Err(_) => ControlFlow::Break(Ok(fields::overloaded(Duration::ZERO))),
        }
    }

    fn after(&self, response: Answer, _permit: OwnedSemaphorePermit) -> Answer {
        response
    }
}

/// What the handler is to do, and what it saw.
#[derive(Default)]
struct Backend {
    /// Answers that come first; then all is well.
    failures: Mutex<Vec<StatusCode>>,
    takes: Duration,
    panics: bool,
    seen: Mutex<Vec<Ask>>,
    dropped: AtomicUsize,
}

impl Backend {
    async fn handle(self: Arc<Self>, request: Ask) -> Answer {
        let unfinished = Unfinished(self.clone());
        self.seen.lock().push(request);
        if self.panics {
            // Without the panic hook's message: it is meant.
            std::panic::resume_unwind(Box::new("meant"));
        }
        sleep(self.takes).await;
        std::mem::forget(unfinished);
        let mut response = Response::new(String::new());
        let mut failures = self.failures.lock();
        *response.status_mut() = if failures.is_empty() { StatusCode::OK } else { failures.remove(0) };
        Ok(response)
    }

    fn headers(&self, name: &str) -> Vec<String> {
        let seen = self.seen.lock();
        let value = |request: &Ask| request.headers()[name].to_str().expect("ASCII").to_owned();
        seen.iter().map(value).collect()
    }
}

struct Unfinished(Arc<Backend>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// The stack, and all that it records.
struct Stack {
    shop: Shop,
    backend: Arc<Backend>,
    red: Arc<Red>,
    calls: Arc<Timings>,
    tries: Arc<Timings>,
    whole: Arc<Deadline<Ask, Answer>>,
    each_try: Arc<Deadline<Ask, Answer>>,
    retry: Arc<Retry<Ask, Answer>>,
    permits: Arc<Semaphore>,
}

fn stack(backend: Backend, permits: usize) -> Stack {
    let steward = Steward::new(Arc::new(TokioClock(Instant::now())));
    let clock = steward.clock().clone();
    let ids = Arc::new(Ids::seeded(1, 2));
    let timings = || Arc::new(Timings::new(100).expect("100 is a number of operations"));
    let (calls, tries) = (timings(), timings());
    let red = Arc::new(Red::new("shop", 100).expect("a good prefix"));
    let deadline = |name, timeout| {
        Arc::new(Deadline::new(name, timeout, fields::deadlines(), &steward).expect("a good timeout"))
    };
    let whole: Arc<Deadline<Ask, Answer>> = deadline("shop", WHOLE);
    let each_try = deadline("shop.try", EACH_TRY);
    let settings = Settings { attempts: 3, ..Settings::default() };
    let retry =
        Arc::new(Retry::new("shop", settings, 7, fields::retries(), &steward).expect("good settings"));
    let permits = Arc::new(Semaphore::new(permits));
    let backend = Arc::new(backend);

    let incoming = Propagate::new(ids.clone(), true, fields::sent_span(), fields::current_span());
    let metrics = Metrics::new(red.clone(), clock.clone(), fields::operation, fields::outcome);
    let timing = Timing::new(calls.clone(), clock.clone(), fields::operation, fields::outcome);
    let of_each_try = Timing::new(tries.clone(), clock.clone(), fields::operation, fields::outcome);
    let outgoing = Propagate::new(ids, true, fields::current_span(), fields::sent_span());
    let shop = ServiceBuilder::new()
        .layer(InterceptLayer::new(incoming))
        .layer(InterceptLayer::new(metrics.then(timing)))
        .layer(DeadlineLayer::new(whole.clone()))
        .layer(RetryLayer::new(retry.clone()))
        .layer(InterceptLayer::new(of_each_try))
        .layer(DeadlineLayer::new(each_try.clone()))
        .layer(InterceptLayer::new(Admit(permits.clone()).then(outgoing)))
        .service(service_fn({
            let backend = backend.clone();
            move |request| backend.clone().handle(request)
        }));
    Stack { shop: BoxCloneService::new(shop), backend, red, calls, tries, whole, each_try, retry, permits }
}

impl Stack {
    async fn ask(&self, request: Ask) -> StatusCode {
        let Ok(response) = self.shop.clone().oneshot(request).await;
        response.status()
    }

    /// Calls and tries that ended, by outcome. Each of them ended once, and none is left.
    fn ended(&self) -> [Vec<(Outcome, u64)>; 2] {
        let ended = [&self.calls, &self.tries].map(|timings| {
            let operations = timings.snapshot();
            assert!(operations.iter().all(|operation| operation.in_flight == 0), "{operations:?}");
            let by_outcome = operations.iter().flat_map(|operation| &operation.by_outcome);
            by_outcome.map(|(outcome, latencies)| (*outcome, latencies.count())).collect()
        });
        let counted: Vec<_> = self.red.snapshot();
        assert!(counted.iter().all(|operation| operation.in_flight == 0), "{counted:?}");
        let counted = counted.iter().flat_map(|operation| &operation.by_outcome);
        let counted: Vec<_> = counted.map(|counts| (counts.outcome, counts.requests)).collect();
        assert_eq!(counted, ended[0], "metrics and timing see the same calls");
        ended
    }
}

fn get() -> Ask {
    let mut request = Request::new(());
    request.extensions_mut().insert(fields::Operation("GET /carts/{id}"));
    request
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_through_in_its_trace_with_what_is_left_of_its_time() {
    let stack = stack(Backend::default(), 8);
    let mut request = get();
    let headers = request.headers_mut();
    let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", sent.parse().expect("a value"));
    headers.insert("tracestate", "congo=t61rcWkgMzE".parse().expect("a value"));
    headers.insert("grpc-timeout", "300m".parse().expect("a value"));
    assert_eq!(stack.ask(request).await, StatusCode::OK);
    let traceparent = &stack.backend.headers("traceparent")[0];
    assert!(traceparent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{traceparent}");
    assert!(traceparent.ends_with("-01") && traceparent != sent, "{traceparent}");
    assert_eq!(stack.backend.headers("tracestate"), ["congo=t61rcWkgMzE"]);
    assert_eq!(stack.backend.headers("grpc-timeout"), ["300000u"]);
    assert_eq!(stack.ended(), [vec![(Outcome::Ok, 1)], vec![(Outcome::Ok, 1)]]);
    assert_eq!(stack.red.snapshot()[0].operation, "GET /carts/{id}");
}

#[tokio::test(start_paused = true)]
async fn each_try_is_a_span_of_its_own_with_less_time_and_the_call_is_one() {
    let failures = vec![StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_GATEWAY];
    let takes = Duration::from_millis(300);
    let stack = stack(Backend { failures: Mutex::new(failures), takes, ..Backend::default() }, 8);
    assert_eq!(stack.ask(get()).await, StatusCode::OK);
    let tries = vec![(Outcome::Ok, 1), (Outcome::Error, 1), (Outcome::Refused, 1)];
    assert_eq!(stack.ended(), [vec![(Outcome::Ok, 1)], tries]);
    let parents = stack.backend.headers("traceparent");
    assert!(parents.iter().all(|parent| parent[..36] == parents[0][..36]), "{parents:?}");
    assert!(parents[0] != parents[1] && parents[1] != parents[2], "{parents:?}");
    let left: Vec<Duration> = stack
        .backend
        .headers("grpc-timeout")
        .iter()
        .map(|value| timeout_header::parse(value.as_bytes()).expect("of the grammar"))
        .collect();
    assert_eq!(left[..2], [EACH_TRY, EACH_TRY]);
    // Two tries and two waits are gone of the whole.
    assert!(left[2] <= WHOLE - 2 * takes && left[2] > Duration::from_millis(300), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn what_runs_when_time_is_up_is_ended() {
    let stack = stack(Backend { takes: Duration::from_secs(3600), ..Backend::default() }, 8);
    let begun = Instant::now();
    assert_eq!(stack.ask(get()).await, StatusCode::GATEWAY_TIMEOUT);
    assert!(begun.elapsed() <= WHOLE + Duration::from_millis(1), "{:?}", begun.elapsed());
    let handled = stack.backend.seen.lock().len();
    assert_eq!(stack.backend.dropped.load(Ordering::SeqCst), handled);
    let [calls, tries] = stack.ended();
    assert_eq!(calls, [(Outcome::Refused, 1)]);
    assert_eq!(tries.iter().map(|(_, count)| count).sum::<u64>(), handled as u64);
    let ended = stack.whole.expirations().ended + stack.each_try.expirations().ended;
    assert_eq!(ended, handled as u64);
}

#[tokio::test(start_paused = true)]
async fn what_arrives_too_late_reaches_no_handler() {
    let stack = stack(Backend::default(), 8);
    let mut request = get();
    request.headers_mut().insert("grpc-timeout", "0m".parse().expect("a value"));
    assert_eq!(stack.ask(request).await, StatusCode::GATEWAY_TIMEOUT);
    assert!(stack.backend.seen.lock().is_empty());
    assert_eq!(stack.ended(), [vec![(Outcome::Refused, 1)], vec![]]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_ends_once_at_each_level() {
    let stack = stack(Backend { takes: Duration::from_millis(100), ..Backend::default() }, 8);
    let waited = tokio::time::timeout(Duration::from_millis(50), stack.ask(get())).await;
    assert!(waited.is_err());
    assert_eq!(stack.backend.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(stack.ended(), [vec![(Outcome::Cancelled, 1)], vec![(Outcome::Cancelled, 1)]]);
    assert_eq!(stack.permits.available_permits(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_ends_once_at_each_level_and_poisons_nothing() {
    let stack = stack(Backend { panics: true, ..Backend::default() }, 8);
    for round in 1..=3 {
        let call = tokio::spawn(stack.shop.clone().oneshot(get()));
        assert!(call.await.expect_err("it panics").is_panic());
        assert_eq!(stack.ended(), [vec![(Outcome::Panicked, round)], vec![(Outcome::Panicked, round)]]);
    }
    assert_eq!(stack.permits.available_permits(), 8);
}

#[tokio::test(start_paused = true)]
async fn under_overload_every_call_ends_once_and_retries_stay_within_their_budget() {
    let stack = stack(Backend { takes: Duration::from_millis(100), ..Backend::default() }, 2);
    let calls: Vec<_> = (0..1000)
        .map(|nth| {
            let call = stack.shop.clone().oneshot(get());
            tokio::spawn(async move {
                sleep(Duration::from_millis(nth)).await;
                // Every tenth caller goes away before its answer.
                let patience =
                    if nth % 10 == 0 { Duration::from_millis(30) } else { Duration::from_secs(60) };
                tokio::time::timeout(patience, call).await
            })
        })
        .collect();
    for call in calls {
        let _ = call.await.expect("nothing panics");
    }
    let [ended, tries] = stack.ended();
    let total = |counts: &[(Outcome, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
    let retries = stack.retry.retries();
    assert_eq!((total(&ended), retries.requests), (1000, 1000));
    assert!(total(&tries) <= 1000 + retries.retries, "{tries:?} {retries:?}");
    // A fifth of the requests, and ten a second over ten seconds.
    assert!(retries.retries <= 300 && retries.over_budget > 0, "{retries:?}");
    let of = |outcome| ended.iter().find(|(of, _)| *of == outcome).map_or(0, |(_, count)| *count);
    assert!(of(Outcome::Ok) > 0 && of(Outcome::Refused) > 0 && of(Outcome::Cancelled) > 0, "{ended:?}");
    assert_eq!(stack.permits.available_permits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_until_the_service_is_ready_again() {
    let readied = Arc::new(AtomicUsize::new(0));

    #[derive(Clone)]
    struct Counts(Arc<AtomicUsize>);
    impl Service<Ask> for Counts {
        type Response = Response<String>;
        type Error = Infallible;
        type Future = std::future::Ready<Answer>;
        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Ask) -> Self::Future {
            std::future::ready(Ok(fields::overloaded(Duration::ZERO)))
        }
    }

    let steward = Steward::default();
    let retry = Retry::new("x", Settings::default(), 7, fields::retries(), &steward).expect("good settings");
    let service = ServiceBuilder::new().layer(RetryLayer::new(retry)).service(Counts(readied.clone()));
    let Ok(response) = service.oneshot(get()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(readied.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn the_plain_functions_do_what_the_layers_do() {
    let steward = Steward::new(Arc::new(TokioClock(Instant::now())));
    let deadline: Deadline<Ask, Answer> =
        Deadline::new("plain", WHOLE, fields::deadlines(), &steward).expect("a good timeout");
    let settings = Settings { attempts: 5, ..Settings::default() };
    let retry: Retry<Ask, Answer> =
        Retry::new("plain", settings, 7, fields::retries(), &steward).expect("good settings");
    let timings = Arc::new(Timings::new(10).expect("10 is a number of operations"));
    let timing: Timing<Ask, Answer> =
        Timing::new(timings.clone(), steward.clock().clone(), fields::operation, fields::outcome);
    let handler = |_| async {
        sleep(Duration::from_millis(400)).await;
        Ok(fields::overloaded(Duration::ZERO))
    };
    let call = deadline.call_within(
        get(),
        |request| retry.call_async(request, |request| timing.call_async(request, handler), sleep),
        sleep,
    );
    let Ok(response) = call.await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    let tries = &timings.snapshot()[0];
    assert_eq!((tries.of(Outcome::Refused).count(), tries.of(Outcome::Cancelled).count()), (2, 1));
}

/// Notes what passes it, and how its state ended.
#[derive(Clone)]
struct Notes(&'static str, Arc<Mutex<Vec<String>>>);

struct Noted {
    by: Notes,
    is_answered: bool,
}

impl Drop for Noted {
    fn drop(&mut self) {
        let how = if self.is_answered { "answered" } else { "dropped" };
        self.by.1.lock().push(format!("{} {how}", self.by.0));
    }
}

impl Intercept<u32, Result<u32, Infallible>> for Notes {
    type InnerReq = u32;
    type InnerResp = Result<u32, Infallible>;
    type State = Noted;

    fn before(&self, request: u32) -> ControlFlow<Result<u32, Infallible>, (u32, Noted)> {
        self.1.lock().push(format!("{} sees {request}", self.0));
        if request == 0 {
            return ControlFlow::Break(Ok(0));
        }
        ControlFlow::Continue((request - 1, Noted { by: self.clone(), is_answered: false }))
    }

    fn after(&self, response: Result<u32, Infallible>, mut noted: Noted) -> Result<u32, Infallible> {
        noted.is_answered = true;
        response.map(|number| number * 10)
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_a_stack_is_the_layers_of_its_parts() {
    /// At 3 the handler panics, at 4 it takes too long for the caller.
    async fn handle(number: u32) -> Result<u32, Infallible> {
        match number {
            3 => std::panic::resume_unwind(Box::new("meant")),
            4 => sleep(Duration::from_secs(3600)).await,
            _ => {}
        }
        Ok(number)
    }
    let notes = Arc::new(Mutex::new(Vec::new()));
    let [a, b, c] = ["a", "b", "c"].map(|name| Notes(name, notes.clone()));
    let one = InterceptLayer::new(a.clone().then(b.clone()).then(c.clone()));
    let one = ServiceBuilder::new().layer(one).service(service_fn(handle));
    let three = ServiceBuilder::new()
        .layer(InterceptLayer::new(a))
        .layer(InterceptLayer::new(b))
        .layer(InterceptLayer::new(c))
        .service(service_fn(handle));
    for request in 0..=8 {
        let patience = Duration::from_secs(1);
        let by_one = tokio::spawn(tokio::time::timeout(patience, one.clone().oneshot(request))).await;
        let noted_by_one = std::mem::take(&mut *notes.lock());
        let by_three = tokio::spawn(tokio::time::timeout(patience, three.clone().oneshot(request))).await;
        let noted_by_three = std::mem::take(&mut *notes.lock());
        assert_eq!(format!("{by_one:?}").split("Id(").next(), format!("{by_three:?}").split("Id(").next());
        assert_eq!(noted_by_one, noted_by_three, "request {request}");
        let handed_on = request.min(3) as usize;
        assert_eq!(noted_by_one.len(), 2 * handed_on + usize::from(request < 3), "{noted_by_one:?}");
    }
}
