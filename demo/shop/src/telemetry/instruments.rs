//! The shop's metrics. Times are in seconds.

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram, UpDownCounter};
use opentelemetry::{KeyValue, global};

/// Bounds for times, as the semantic conventions advise for HTTP, with two more at the slow end.
const BOUNDS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0];

pub(super) struct Instruments {
    pub(super) server: Histogram<f64>,
    pub(super) active: UpDownCounter<i64>,
    pub(super) client: Histogram<f64>,
    db: Histogram<f64>,
    pool_wait: Histogram<f64>,
    cache: Counter<u64>,
    shed: Counter<u64>,
    refused: Counter<u64>,
    queued: UpDownCounter<i64>,
    sent: Counter<u64>,
    processed: Histogram<f64>,
}

// Made at first use, which is after `start` has set whom to tell.
pub(super) static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| {
    let meter = global::meter("kandela-shop");
    let time = |name: &'static str, what: &'static str| {
        meter
            .f64_histogram(name)
            .with_unit("s")
            .with_description(what)
            .with_boundaries(BOUNDS.to_vec())
            .build()
    };
    let count = |name: &'static str, unit: &'static str, what: &'static str| {
        meter.u64_counter(name).with_unit(unit).with_description(what).build()
    };
    Instruments {
        server: time("http.server.request.duration", "Duration of HTTP server requests."),
        active: meter.i64_up_down_counter("http.server.active_requests").with_unit("{request}").build(),
        client: time("http.client.request.duration", "Duration of HTTP client requests."),
        db: time("db.client.operation.duration", "Duration of database client operations."),
        pool_wait: time("shop.pool.wait_time", "The time it took to get a place in a pool."),
        cache: count("shop.cache.requests", "{request}", "Answers that a cache was asked for."),
        shed: count("shop.limiter.shed", "{request}", "Requests that the limiter turned away."),
        refused: count("shop.breaker.refused", "{request}", "Calls that an open breaker kept back."),
        queued: meter.i64_up_down_counter("shop.orders.queued").with_unit("{order}").build(),
        sent: count("messaging.client.sent.messages", "{message}", "Messages that a producer sent."),
        processed: time("messaging.process.duration", "Duration of processing an order."),
    }
});

/// It took so long to get a place in the pool `name`.
pub(crate) fn pool_wait(name: &'static str, wait: Duration) {
    INSTRUMENTS.pool_wait.record(wait.as_secs_f64(), &[KeyValue::new("pool.name", name)]);
}

/// The cache was asked, and knew or not.
pub(crate) fn cache_asked(hit: bool) {
    INSTRUMENTS.cache.add(1, &[KeyValue::new("cache.hit", hit)]);
}

/// The limiter turned a request for `route` away.
pub(crate) fn shed(route: &'static str) {
    INSTRUMENTS.shed.add(1, &[KeyValue::new("http.route", route)]);
}

/// The breaker of the downstream `name` kept a call back.
pub(crate) fn breaker_refused(name: &'static str) {
    INSTRUMENTS.refused.add(1, &[KeyValue::new("peer.service", name)]);
}

/// A database operation took so long.
pub(crate) fn db_took(operation: &'static str, table: &'static str, time: Duration) {
    let attributes = [
        KeyValue::new("db.system.name", "sqlite"),
        KeyValue::new("db.operation.name", operation),
        KeyValue::new("db.collection.name", table),
    ];
    INSTRUMENTS.db.record(time.as_secs_f64(), &attributes);
}

/// So many orders came into the queue, or left it.
pub(crate) fn orders_queued(change: i64) {
    INSTRUMENTS.queued.add(change, &[]);
    if let Ok(sent @ 1..) = u64::try_from(change) {
        INSTRUMENTS.sent.add(sent, &messaging());
    }
}

/// An order was worked off, so long after it was taken.
pub(crate) fn order_processed(time: Duration, paid: bool) {
    let mut attributes = messaging().to_vec();
    if !paid {
        attributes.push(KeyValue::new("error.type", "payment_failed"));
    }
    INSTRUMENTS.processed.record(time.as_secs_f64(), &attributes);
}

fn messaging() -> [KeyValue; 2] {
    [KeyValue::new("messaging.system", "in_process"), KeyValue::new("messaging.destination.name", "orders")]
}
