//! A gateway that asks a catalogue, which has a bad second: `cargo run -p kandela-runtime --example intercept`.
//!
//! Shows one request's trace and time on their way, then what a few thousand requests came to while the catalogue was well, slow,
//! and failing. Ends by itself within five seconds.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use kandela_runtime::intercept::Intercept;
use kandela_runtime::intercept::deadline::Deadline;
use kandela_runtime::intercept::http as fields;
use kandela_runtime::intercept::layer::{DeadlineLayer, InterceptLayer, RetryLayer};
use kandela_runtime::intercept::metrics::{Metrics, Red};
use kandela_runtime::intercept::propagate::Propagate;
use kandela_runtime::intercept::retry::{Retry, Settings};
use kandela_runtime::intercept::timing::{Timing, Timings};
use kandela_runtime::random::SharedRandom;
use kandela_runtime::steward::Steward;
use kandela_runtime::trace_context::Ids;
use tokio::time::sleep;
use tower::{ServiceBuilder, ServiceExt, service_fn};

type Ask = Request<String>;
type Answer = Result<Response<String>, Infallible>;

/// How the catalogue is, in the order in which it is so.
const MOODS: [&str; 3] = ["well", "slow", "failing"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let steward = Steward::default();
    let clock = steward.clock().clone();
    let ids = Arc::new(Ids::from_system());
    let mood = Arc::new(AtomicU64::new(0));

    let tries = Arc::new(Timings::new(100)?);
    let retry = Arc::new(Retry::<Ask, Answer>::new(
        "catalogue",
        Settings { floor_per_second: 2.0, ..Settings::default() },
        42,
        fields::retries(),
        &steward,
    )?);
    let each_try =
        Arc::new(Deadline::new("catalogue.try", Duration::from_millis(60), fields::deadlines(), &steward)?);
    let of_tries = Timing::new(tries.clone(), clock.clone(), fields::operation, fields::outcome);
    let outgoing = Propagate::new(ids.clone(), true, fields::current_span(), fields::sent_span());
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(retry.clone()))
        .layer(InterceptLayer::new(of_tries))
        .layer(DeadlineLayer::new(each_try.clone()))
        .layer(InterceptLayer::new(outgoing))
        .service(service_fn({
            let (mood, random) = (mood.clone(), Arc::new(SharedRandom::seeded(7)));
            move |request| catalogue(request, mood.load(Ordering::Relaxed), random.clone())
        }));

    let red = Arc::new(Red::new("gateway", 100)?);
    let calls = Arc::new(Timings::new(100)?);
    let incoming = Propagate::new(ids, true, fields::sent_span(), fields::current_span());
    let metrics = Metrics::new(red.clone(), clock.clone(), fields::operation, fields::outcome);
    let timing = Timing::new(calls.clone(), clock, fields::operation, fields::outcome);
    let whole = Deadline::new("gateway", Duration::from_millis(200), fields::deadlines(), &steward)?;
    let gateway = ServiceBuilder::new()
        .layer(InterceptLayer::new(incoming.then(metrics).then(timing)))
        .layer(DeadlineLayer::new(whole))
        .service(service_fn(move |request: Ask| {
            let mut asked = Request::new(String::new());
            fields::carry(request.extensions(), asked.extensions_mut());
            asked.extensions_mut().insert(fields::Operation("list products"));
            client.clone().oneshot(asked)
        }));

    let mut first = Request::new(String::new());
    first
        .headers_mut()
        .insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?);
    first.headers_mut().insert("grpc-timeout", "150m".parse()?);
    println!("a request comes in:\n{}", headers(&first));
    let Ok(seen) = gateway.clone().oneshot(first).await;
    println!("the catalogue sees, of the same trace and within the same time:\n{}", seen.body());

    for (at, name) in MOODS.into_iter().enumerate() {
        mood.store(at as u64, Ordering::Relaxed);
        let before = retry.retries();
        let asked: Vec<_> = (0..1000)
            .map(|nth| {
                let mut request = Request::new(String::new());
                request.extensions_mut().insert(fields::Operation(["GET /", "GET /cart"][nth % 2]));
                let call = gateway.clone().oneshot(request);
                tokio::spawn(async move {
                    sleep(Duration::from_millis(nth as u64)).await;
                    call.await
                })
            })
            .collect();
        for call in asked {
            let _ = call.await?;
        }
        let retries = retry.retries();
        println!(
            "\nthe catalogue is {name}: 1000 requests, {} more tries, {} not tried again for the budget's sake",
            retries.retries - before.retries,
            retries.over_budget - before.over_budget
        );
        println!(
            "  {:<14} {:<10} {:>6} {:>10} {:>10}   (since the start)",
            "operation", "outcome", "count", "p50", "p99"
        );
        for timing in calls.snapshot().iter().chain(&tries.snapshot()) {
            for (outcome, latencies) in &timing.by_outcome {
                let at = |q| latencies.quantile(q).unwrap_or_default() * 1e3;
                println!(
                    "  {:<14} {:<10} {:>6} {:>7.1} ms {:>7.1} ms",
                    timing.operation,
                    outcome.as_str(),
                    latencies.count(),
                    at(0.5),
                    at(0.99)
                );
            }
        }
    }
    println!("\nfor Prometheus:");
    red.text()
        .lines()
        .filter(|line| line.starts_with("gateway_requests"))
        .for_each(|line| println!("  {line}"));
    println!("tries that were ended when their 60 ms were up: {}", each_try.expirations().ended);
    Ok(())
}

async fn catalogue(request: Ask, mood: u64, random: Arc<SharedRandom>) -> Answer {
    let takes = if mood == 1 { random.unit().powi(4) * 150.0 } else { 2.0 + 5.0 * random.unit() };
    sleep(Duration::from_secs_f64(takes / 1e3)).await;
    let mut response = Response::new(headers(&request));
    if mood == 2 && random.unit() < 0.6 {
        *response.status_mut() = StatusCode::BAD_GATEWAY;
    }
    Ok(response)
}

fn headers(request: &Ask) -> String {
    let lines = request
        .headers()
        .iter()
        .map(|(name, value)| format!("  {name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    lines.collect()
}
