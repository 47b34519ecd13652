//! What a breaker's or a limiter's refusal comes to in the stack of layers that the documentation has.
#![cfg(all(feature = "intercept", feature = "breaker", feature = "limiter", feature = "tower"))]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use kandela_runtime::breaker::layer::BreakerLayer;
use kandela_runtime::breaker::{self, Breaker, CallError, Mode};
use kandela_runtime::clock::{Clock, Moment};
use kandela_runtime::intercept::deadline::Deadline;
use kandela_runtime::intercept::http as fields;
use kandela_runtime::intercept::layer::{DeadlineLayer, InterceptLayer, RetryLayer};
use kandela_runtime::intercept::measured::Outcome;
use kandela_runtime::intercept::metrics::{Metrics, Red};
use kandela_runtime::intercept::refusal::Failure;
use kandela_runtime::intercept::retry::{Retries, Retry, Settings};
use kandela_runtime::intercept::timing::{Timing, Timings};
use kandela_runtime::limiter::layer::{LimitedError, LimiterLayer};
use kandela_runtime::limiter::{self, Limiter, Priority};
use kandela_runtime::steward::Steward;
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

type Ask = Request<()>;
type Answer<E> = Result<Response<String>, E>;
/// What the documented order of layers makes of the error of the service within.
type Nested<E> = LimitedError<CallError<E>>;

const ASKED: u64 = 10;

/// Tokio's clock, which stands still in tests but for what is waited for.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Moment {
        Moment::ORIGIN.after(self.0.elapsed())
    }
}

/// A stack in the documented order, its error made `E` between the retries and the limiter, and what it records.
struct Stack<E> {
    service: BoxCloneSyncService<Ask, Response<String>, E>,
    breaker: Breaker,
    limiter: Limiter,
    calls: Arc<Red>,
    tries: Arc<Timings>,
    retry: Arc<Retry<Ask, Answer<E>>>,
}

fn stack<E, Within, Form>(
    within: impl Fn() -> Answer<Within> + Clone + Send + Sync + 'static,
    error: fn(Nested<Within>) -> E,
) -> Stack<E>
where
    E: Failure<Form> + Send + 'static,
    Within: Send + 'static,
{
    let steward = Steward::new(Arc::new(TokioClock(Instant::now())));
    let clock = steward.clock().clone();
    let breaker = Breaker::new("shop", breaker::Settings::default(), &steward).expect("within range");
    let one = limiter::Settings { initial: 1, queue: 0, ..limiter::Settings::default() };
    let limiter = Limiter::new("shop", one, &steward).expect("within range");
    let calls = Arc::new(Red::new("shop", 10).expect("a good prefix"));
    let tries = Arc::new(Timings::new(10).expect("10 is a number of operations"));
    let metrics = Metrics::new(calls.clone(), clock.clone(), fields::operation, fields::outcome);
    let of_each_try = Timing::new(tries.clone(), clock, fields::operation, fields::outcome);
    let second = Duration::from_secs(1);
    let deadline = Deadline::new("shop", second, fields::deadlines(), &steward).expect("a good timeout");
    let retry = Retry::new("shop", Settings::default(), 7, fields::retries(), &steward);
    let retry = Arc::new(retry.expect("good settings"));
    let service = ServiceBuilder::new()
        .layer(InterceptLayer::new(metrics))
        .layer(DeadlineLayer::new(deadline))
        .layer(RetryLayer::new(retry.clone()))
        .layer(InterceptLayer::new(of_each_try))
        .map_err(error)
        .layer(LimiterLayer::new(limiter.clone()))
        .layer(BreakerLayer::new(breaker.clone()))
        .service(service_fn(move |_| {
            let within = within.clone();
            async move {
                sleep(Duration::from_millis(1)).await;
                within()
            }
        }));
    Stack { service: BoxCloneSyncService::new(service), breaker, limiter, calls, tries, retry }
}

impl<E: std::fmt::Debug> Stack<E> {
    async fn ask(&self) -> Answer<E> {
        self.service.clone().oneshot(Request::new(())).await
    }

    /// Asks, and expects that it is told at once that nothing was done, and that everybody who counts takes it so.
    async fn is_refused(&self) {
        let begun = Instant::now();
        for _ in 0..ASKED {
            self.ask().await.expect_err("refused");
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(self.retry.retries(), Retries { requests: ASKED, ..Retries::default() });
        let [of_tries] = &self.tries.snapshot()[..] else { panic!("one operation") };
        assert_eq!((of_tries.of(Outcome::Refused).count(), of_tries.all().count()), (ASKED, ASKED));
        let [of_calls] = &self.calls.snapshot()[..] else { panic!("one operation") };
        let [counts] = &of_calls.by_outcome[..] else { panic!("one outcome: {of_calls:?}") };
        assert_eq!((counts.outcome, counts.requests), (Outcome::Refused, ASKED));
    }

    async fn is_refused_by_its_breaker(&self) {
        self.breaker.set_mode(Mode::ForcedOpen).expect("nobody holds the knob");
        self.is_refused().await;
        assert_eq!(self.breaker.report().refused, ASKED);
    }

    async fn is_refused_by_its_limiter(&self) {
        let permit = self.limiter.try_acquire(Priority::Normal).expect("room for one");
        self.is_refused().await;
        assert_eq!(self.limiter.report().refused.iter().sum::<u64>(), ASKED);
        permit.ignored();
        assert_eq!(self.ask().await.expect("there is room again").status(), StatusCode::OK);
    }
}

fn well<E>() -> Answer<E> {
    Ok(Response::new(String::new()))
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_each_request_once_and_at_once() {
    stack(well::<io::Error>, |error| error).is_refused_by_its_breaker().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_limiter_refuses_each_request_once_and_at_once() {
    stack(well::<io::Error>, |error| error).is_refused_by_its_limiter().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_a_box_is_one() {
    stack(well::<io::Error>, BoxError::from).is_refused_by_its_breaker().await;
    stack(well::<io::Error>, BoxError::from).is_refused_by_its_limiter().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_before_a_service_with_boxed_errors_is_one() {
    stack(well::<BoxError>, |error| error).is_refused_by_its_breaker().await;
    stack(well::<BoxError>, |error| error).is_refused_by_its_limiter().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_behind_breaker_and_limiter_is_an_error_and_tried_again() {
    let stack = stack(|| Err(io::Error::other("the line broke")), |error| error);
    stack.ask().await.expect_err("the line is broken");
    assert_eq!(
        stack.retry.retries(),
        Retries { requests: 1, retries: 2, exhausted: 1, ..Retries::default() }
    );
    assert_eq!(stack.tries.snapshot()[0].of(Outcome::Error).count(), 3);
}
