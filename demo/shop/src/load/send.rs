//! Sends requests when they are due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;

use super::Plan;
use super::arrivals::Arrivals;
use super::report::{Event, Outcome};
use super::session::{Customers, Step};
use crate::downstream::{HttpClient, SESSION};

/// Who sends, and tells how it went.
pub(super) struct Sender {
    client: HttpClient,
    target: String,
    timeout: Duration,
    places: Arc<Semaphore>,
    customers: Customers,
    told: UnboundedSender<Event>,
    minute: usize,
    /// Requests of this minute so far.
    requests: u64,
}

impl Sender {
    pub(super) fn new(plan: &Plan, client: HttpClient, told: UnboundedSender<Event>) -> Sender {
        Sender {
            client,
            target: plan.target().to_owned(),
            timeout: plan.timeout,
            places: Arc::new(Semaphore::new(plan.in_flight)),
            customers: Customers::new(StdRng::seed_from_u64(plan.seed)),
            told,
            minute: 0,
            requests: 0,
        }
    }

    /// Goes on to a later minute: those before have all their requests.
    pub(super) fn go_on_to(&mut self, minute: usize) {
        while self.minute < minute {
            tell(&self.told, Event::AllSent { minute: self.minute, requests: self.requests });
            (self.minute, self.requests) = (self.minute + 1, 0);
        }
    }

    /// Sends what some customer does next, which was due then.
    pub(super) fn send(&mut self, due: Instant) {
        self.requests += 1;
        let (minute, step) = (self.minute, self.customers.step());
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return tell(&self.told, Event::Settled { minute, outcome: Outcome::Dropped, seconds: 0.0 });
        };
        let (client, target, told) = (self.client.clone(), self.target.clone(), self.told.clone());
        let left = due + self.timeout;
        tokio::spawn(async move {
            let outcome = tokio::time::timeout_at(left.into(), send(&client, &target, step)).await;
            let outcome = outcome.unwrap_or(Outcome::TimedOut);
            tell(&told, Event::Settled { minute, outcome, seconds: due.elapsed().as_secs_f64() });
            drop(place);
        });
    }
}

/// When requests come is random in a way of its own.
pub(super) fn arrivals_rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ 0xA5A5)
}

/// Sends what is `expected` in each minute, and tells how each request went and when each minute's requests are all sent.
pub(super) async fn all(plan: &Plan, client: HttpClient, expected: &[f64], told: UnboundedSender<Event>) {
    let mut sender = Sender::new(plan, client, told);
    let begin = Instant::now() + Duration::from_millis(10);
    for (minute, due) in Arrivals::new(expected, plan.minute(), arrivals_rng(plan.seed)) {
        sender.go_on_to(minute);
        let due = begin + due;
        tokio::time::sleep_until(due.into()).await;
        sender.send(due);
    }
    sender.go_on_to(expected.len());
}

/// Whoever prints ends last, but for an error of its own, which is said elsewhere.
fn tell(told: &UnboundedSender<Event>, event: Event) {
    let _ = told.send(event);
}

/// Whether a shop answers at `target`.
pub(super) async fn check(client: &HttpClient, target: &str) -> Result<()> {
    let uri: Uri =
        format!("{target}/healthz").parse().with_context(|| format!("--target {target:?} is no URL"))?;
    if uri.scheme_str() != Some("http") {
        bail!("--target is {target:?}; give http://HOST:PORT");
    }
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    let answer = tokio::time::timeout(Duration::from_secs(5), client.request(request)).await;
    match answer {
        Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
        _ => bail!(
            "{target} does not answer; start the shop (`kandela shop up`), or give its gateway by --target"
        ),
    }
}

async fn send(client: &HttpClient, target: &str, step: Step) -> Outcome {
    let mut request = Request::new(Full::new(step.body));
    let Ok(uri) = format!("{target}{}", step.path).parse() else { return Outcome::Failed };
    *request.uri_mut() = uri;
    *request.method_mut() = step.method;
    if let Ok(session) = HeaderValue::from_str(&step.session) {
        request.headers_mut().insert(SESSION, session);
    }
    let Ok(answer) = client.request(request).await else { return Outcome::Failed };
    let status = answer.status();
    if answer.into_body().collect().await.is_err() {
        return Outcome::Failed;
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Outcome::Shed,
        status if status.is_success() => Outcome::Ok,
        // The line that should have filled the basket failed, and was counted then.
        StatusCode::CONFLICT => Outcome::Ok,
        _ => Outcome::Failed,
    }
}
