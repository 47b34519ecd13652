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

/// Sends what is `expected` in each minute, and tells how each request went and when each minute's requests are all sent.
pub(super) async fn all(
    plan: &Plan,
    client: HttpClient,
    expected: &[f64],
    told: UnboundedSender<Event>,
) -> Result<()> {
    let target = plan.target().to_owned();
    let mut customers = Customers::new(StdRng::seed_from_u64(plan.seed));
    let places = Arc::new(Semaphore::new(plan.in_flight));
    let begin = Instant::now() + Duration::from_millis(10);
    let (mut minute, mut requests) = (0, 0);
    for (of_minute, due) in Arrivals::new(expected, plan.minute(), StdRng::seed_from_u64(plan.seed ^ 0xA5A5))
    {
        while minute < of_minute {
            tell(&told, Event::AllSent { minute, requests });
            (minute, requests) = (minute + 1, 0);
        }
        requests += 1;
        let due = begin + due;
        tokio::time::sleep_until(due.into()).await;
        let step = customers.step();
        let Ok(place) = places.clone().try_acquire_owned() else {
            tell(&told, Event::Settled { minute, outcome: Outcome::Dropped, seconds: 0.0 });
            continue;
        };
        let (client, target, told, timeout) = (client.clone(), target.clone(), told.clone(), plan.timeout);
        tokio::spawn(async move {
            let outcome = tokio::time::timeout_at((due + timeout).into(), send(&client, &target, step)).await;
            let outcome = outcome.unwrap_or(Outcome::TimedOut);
            tell(&told, Event::Settled { minute, outcome, seconds: due.elapsed().as_secs_f64() });
            drop(place);
        });
    }
    while minute < expected.len() {
        tell(&told, Event::AllSent { minute, requests });
        (minute, requests) = (minute + 1, 0);
    }
    Ok(())
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
            "{target} does not answer; start the shop with kandela-shop up, or give its gateway by --target"
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
