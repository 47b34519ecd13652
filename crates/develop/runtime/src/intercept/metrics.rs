//! Metrics: requests, errors and duration (RED) by operation, without a lock, as values and as Prometheus text.
//!
//! Tom Wilkie, "The RED Method: key metrics for microservices architecture", 2015. Durations are counted in the classic buckets of
//! Prometheus, at powers of two from 61 µs to 64 s; where the whole distribution is wanted, see [`timing`](super::timing).

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::InterceptError;
use super::measured::{Measured, Outcome, Record};
use super::operation::Operations;
use crate::exposition::{escaped, family};
use crate::sync::{AtomicU64, Ordering};

/// Counts calls into [`Red`].
pub type Metrics<Req, Resp> = Measured<Red, Req, Resp>;

/// The media type of [`Red::text`].
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bounds are 2ⁿ seconds for n from −14 to 6.
const FINITE: usize = 21;
const BOUNDS_NANOS: [u64; FINITE] = {
    let mut bounds = [0; FINITE];
    let mut n = 0;
    while n < FINITE {
        bounds[n] = (64_000_000_000_u64) >> (FINITE - 1 - n);
        n += 1;
    }
    bounds
};

/// Requests, errors and durations of all operations.
#[derive(Debug)]
pub struct Red {
    prefix: String,
    operations: Operations<Counts>,
}

/// The counts of one operation.
#[derive(Debug, Default)]
pub struct Counts {
    in_flight: AtomicU64,
    by_outcome: [Durations; Outcome::ALL.len()],
}

#[derive(Debug, Default)]
struct Durations {
    buckets: [AtomicU64; FINITE],
    longer: AtomicU64,
    nanos: AtomicU64,
}

/// What was counted of one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationCounts {
    /// Its name.
    pub operation: String,
    /// Calls that have started and not ended.
    pub in_flight: u64,
    /// What was counted of each outcome that there was.
    pub by_outcome: Vec<OutcomeCounts>,
}

/// What was counted of one outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeCounts {
    /// The outcome.
    pub outcome: Outcome,
    /// Calls that have ended so.
    pub requests: u64,
    /// How long they took together, in seconds.
    pub seconds: f64,
    /// Upper bounds in seconds, the last infinite, and how many calls took no longer.
    pub cumulative: Vec<(f64, u64)>,
}

impl OperationCounts {
    /// Calls that have ended.
    pub fn requests(&self) -> u64 {
        self.by_outcome.iter().map(|counts| counts.requests).sum()
    }

    /// Calls that ended otherwise than they should.
    pub fn errors(&self) -> u64 {
        let failed = self.by_outcome.iter().filter(|counts| counts.outcome != Outcome::Ok);
        failed.map(|counts| counts.requests).sum()
    }
}

impl Red {
    /// Metrics whose names begin with `prefix`, as in `shop_requests_total`, for up to `most_operations`, from 1 to 100,000; those
    /// that come later are counted as [`OTHER`](super::operation::OTHER).
    ///
    /// # Errors
    /// [`InterceptError::MetricName`] where no metric can begin so; [`InterceptError::Setting`] where `most_operations` is.
    pub fn new(prefix: &str, most_operations: usize) -> Result<Red, InterceptError> {
        let is_start = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
        let is_name =
            prefix.starts_with(is_start) && prefix.chars().all(|c| is_start(c) || c.is_ascii_digit());
        if !is_name {
            return Err(InterceptError::MetricName { given: prefix.to_owned() });
        }
        Ok(Red { prefix: prefix.to_owned(), operations: Operations::new(most_operations)? })
    }

    /// What was counted so far, by operation.
    pub fn snapshot(&self) -> Vec<OperationCounts> {
        self.operations.all().into_iter().map(|(name, counts)| counts.snapshot(name)).collect()
    }

    /// The same in Prometheus' text format 0.0.4: `_requests_total`, `_request_duration_seconds`, both by `operation` and
    /// `outcome`, and `_requests_in_flight` by `operation`.
    pub fn text(&self) -> String {
        let operations = self.snapshot();
        let mut out = String::with_capacity(512 + 4096 * operations.len());
        let prefix = &self.prefix;
        family(
            &mut out,
            &format!("{prefix}_requests_in_flight"),
            "gauge",
            "Calls that have started and not ended.",
        );
        for of in &operations {
            let operation = escaped(&of.operation);
            let _ =
                writeln!(out, "{prefix}_requests_in_flight{{operation=\"{operation}\"}} {}", of.in_flight);
        }
        family(&mut out, &format!("{prefix}_requests_total"), "counter", "Calls that have ended.");
        for (labels, counts) in labelled(&operations) {
            let _ = writeln!(out, "{prefix}_requests_total{{{labels}}} {}", counts.requests);
        }
        family(&mut out, &format!("{prefix}_request_duration_seconds"), "histogram", "How long calls took.");
        for (labels, counts) in labelled(&operations) {
            for (bound, count) in &counts.cumulative {
                let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
                let _ = writeln!(
                    out,
                    "{prefix}_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {count}"
                );
            }
            let _ = writeln!(out, "{prefix}_request_duration_seconds_count{{{labels}}} {}", counts.requests);
            let _ = writeln!(out, "{prefix}_request_duration_seconds_sum{{{labels}}} {}", counts.seconds);
        }
        out
    }
}

fn labelled(operations: &[OperationCounts]) -> impl Iterator<Item = (String, &OutcomeCounts)> {
    operations.iter().flat_map(|of| {
        let operation = escaped(&of.operation);
        of.by_outcome.iter().map(move |counts| {
            (format!("operation=\"{operation}\",outcome=\"{}\"", counts.outcome.as_str()), counts)
        })
    })
}

impl Counts {
    fn snapshot(&self, operation: String) -> OperationCounts {
        let by_outcome = Outcome::ALL
            .into_iter()
            .filter_map(|outcome| self.by_outcome[outcome.index()].snapshot(outcome))
            .collect();
        OperationCounts { operation, in_flight: self.in_flight.load(Ordering::Relaxed), by_outcome }
    }
}

impl Durations {
    fn snapshot(&self, outcome: Outcome) -> Option<OutcomeCounts> {
        let mut requests = 0;
        let mut cumulative = Vec::with_capacity(FINITE + 1);
        for (nanos, count) in BOUNDS_NANOS.iter().zip(&self.buckets) {
            requests += count.load(Ordering::Relaxed);
            cumulative.push((bound_seconds(*nanos), requests));
        }
        requests += self.longer.load(Ordering::Relaxed);
        cumulative.push((f64::INFINITY, requests));
        let seconds = self.nanos.load(Ordering::Relaxed) as f64 / 1e9;
        (requests > 0).then_some(OutcomeCounts { outcome, requests, seconds, cumulative })
    }

    fn count(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let position = BOUNDS_NANOS.partition_point(|bound| *bound < nanos);
        self.buckets.get(position).unwrap_or(&self.longer).fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// The exact power of two that the bound in whole nanoseconds stands for.
fn bound_seconds(nanos: u64) -> f64 {
    (nanos as f64 / 1e9).log2().round().exp2()
}

impl Record for Red {
    type Operation = Counts;

    fn operation(&self, name: &str) -> Arc<Counts> {
        self.operations.get(name)
    }

    fn start(operation: &Counts) {
        operation.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    fn end(operation: &Counts, outcome: Outcome, took: Duration) {
        operation.in_flight.fetch_sub(1, Ordering::Relaxed);
        operation.by_outcome[outcome.index()].count(took);
    }
}

#[cfg(test)]
mod tests {
    use kandela_algebra::intercept::Intercept;

    use super::*;
    use crate::clock::ManualClock;

    fn measured(prefix: &str) -> Arc<Red> {
        let clock = ManualClock::new();
        let red = Arc::new(Red::new(prefix, 10).expect("a good prefix"));
        let outcome = |failed: &bool| if *failed { Outcome::Error } else { Outcome::Ok };
        let metrics: Metrics<(&'static str, u64, bool), bool> =
            Metrics::new(red.clone(), Arc::new(clock.clone()), |request| request.0, outcome);
        for request in [("pay", 250, false), ("pay", 251, true), ("pay\"", 100_000, false)] {
            metrics.call(request, |(_, ms, failed)| {
                clock.advance(Duration::from_millis(ms));
                failed
            });
        }
        red
    }

    #[test]
    fn requests_errors_and_durations_are_counted_by_operation() {
        let snapshot = measured("shop").snapshot();
        assert_eq!((snapshot[0].requests(), snapshot[0].errors(), snapshot[0].in_flight), (2, 1, 0));
        assert_eq!(snapshot[0].by_outcome[0].seconds, 0.25);
    }

    #[test]
    fn the_text_has_exact_bounds_and_escaped_labels() {
        let text = measured("shop").text();
        for line in [
            "shop_requests_total{operation=\"pay\",outcome=\"error\"} 1",
            "shop_request_duration_seconds_bucket{operation=\"pay\",outcome=\"ok\",le=\"0.125\"} 0",
            "shop_request_duration_seconds_bucket{operation=\"pay\",outcome=\"ok\",le=\"0.25\"} 1",
            "shop_request_duration_seconds_bucket{operation=\"pay\",outcome=\"error\",le=\"0.25\"} 0",
            "shop_request_duration_seconds_bucket{operation=\"pay\",outcome=\"error\",le=\"0.5\"} 1",
            "shop_request_duration_seconds_bucket{operation=\"pay\\\"\",outcome=\"ok\",le=\"64\"} 0",
            "shop_request_duration_seconds_bucket{operation=\"pay\\\"\",outcome=\"ok\",le=\"+Inf\"} 1",
            "shop_request_duration_seconds_bucket{operation=\"pay\",outcome=\"ok\",le=\"0.00006103515625\"} 0",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_name_that_no_metric_can_have_is_refused() {
        for name in ["", "1shop", "shop-2", "größe"] {
            let error = Red::new(name, 10).expect_err(name);
            assert!(error.to_string().contains("prefix"), "{error}");
        }
    }
}
