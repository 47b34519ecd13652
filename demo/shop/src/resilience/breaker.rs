//! A circuit breaker for each endpoint of a downstream; its thresholds are knobs.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use kandela_runtime::knob::LeasedKnob;
use parking_lot::Mutex;

use crate::knobs::KnobMaker;

/// Keeps calls away from an endpoint that fails.
pub(crate) struct Breaker {
    failure_rate: Arc<LeasedKnob<f64>>,
    minimum_calls: Arc<LeasedKnob<usize>>,
    open: Arc<LeasedKnob<Duration>>,
    endpoints: Mutex<HashMap<String, Endpoint>>,
}

#[derive(Default)]
struct Endpoint {
    /// Whether each of the last calls failed, oldest first.
    failed: VecDeque<bool>,
    failures: usize,
    /// Since when it is open, or when the last probe went out.
    opened: Option<Instant>,
}

impl Breaker {
    /// The breaker of the downstream `name`, with the knobs `NAME.breaker.failure_rate`, `.minimum_calls` and `.open_seconds`.
    pub(crate) fn new(knobs: &KnobMaker, name: &str) -> Result<Breaker> {
        Ok(Breaker {
            failure_rate: knobs.share(&format!("{name}.breaker.failure_rate"), 0.05..=1.0)?,
            minimum_calls: knobs.wide_size(&format!("{name}.breaker.minimum_calls"), 5..=1000)?,
            open: knobs.time(&format!("{name}.breaker.open_seconds"), 0.1..=120.0)?,
            endpoints: Mutex::default(),
        })
    }

    /// Lets a call through to `endpoint`, if it may go: one in each of its times where it is open, as a probe.
    pub(crate) fn permit(&self, endpoint: String) -> Option<Permit<'_>> {
        let open = self.open.read();
        let mut endpoints = self.endpoints.lock();
        if let Some(endpoint) = endpoints.get_mut(&endpoint) {
            if !endpoint.admits(open) {
                return None;
            }
            endpoint.opened = endpoint.opened.map(|_| Instant::now());
        }
        Some(Permit { breaker: self, endpoint, failed: true })
    }

    fn record(&self, endpoint: &str, failed: bool) {
        let (rate, calls) = (self.failure_rate.read(), self.minimum_calls.read());
        let mut endpoints = self.endpoints.lock();
        let endpoint = endpoints.entry(endpoint.to_owned()).or_default();
        if endpoint.opened.is_some() {
            if !failed {
                *endpoint = Endpoint::default();
            }
            return;
        }
        endpoint.push(failed, calls);
        let enough = endpoint.failed.len() >= calls;
        if enough && endpoint.failures as f64 >= rate * endpoint.failed.len() as f64 {
            endpoint.opened = Some(Instant::now());
        }
    }
}

/// A call that was let through. One that is dropped before it succeeded, given up half-way say, has failed.
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    endpoint: String,
    failed: bool,
}

impl Permit<'_> {
    /// The call went well.
    pub(crate) fn success(mut self) {
        self.failed = false;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.breaker.record(&self.endpoint, self.failed);
    }
}

impl Endpoint {
    fn admits(&self, open: Duration) -> bool {
        self.opened.is_none_or(|since| since.elapsed() >= open)
    }

    fn push(&mut self, failed: bool, calls: usize) {
        self.failed.push_back(failed);
        self.failures += usize::from(failed);
        while self.failed.len() > calls {
            self.failures -= usize::from(self.failed.pop_front() == Some(true));
        }
    }
}

#[cfg(test)]
mod tests {
    use kandela_runtime::steward::Steward;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn an_endpoint_whose_calls_all_fail_is_left_alone_and_its_neighbour_is_not() {
        let settings = Settings::defaults().expect("built in");
        let knobs = KnobMaker::new("payment", Steward::default(), settings);
        let breaker = Breaker::new(&knobs, "bank").expect("has defaults");
        for _ in 0..100 {
            drop(breaker.permit("a".to_owned()).expect("closed"));
            breaker.permit("b".to_owned()).expect("closed").success();
        }
        let admits = |endpoint: &str| breaker.permit(endpoint.to_owned()).is_some();
        assert_eq!((admits("a"), admits("b")), (false, true));
    }
}
