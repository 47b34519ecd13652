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
    failure_share: Arc<LeasedKnob<f64>>,
    window: Arc<LeasedKnob<usize>>,
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

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Fine,
    Failed,
}

impl Breaker {
    /// The breaker of the downstream `name`, with the knobs `NAME.breaker.failure_share`, `.window` (calls) and `.open_s`.
    pub(crate) fn new(knobs: &KnobMaker, name: &str) -> Result<Breaker> {
        Ok(Breaker {
            failure_share: knobs.share(&format!("{name}.breaker.failure_share"), 0.05..=1.0)?,
            window: knobs.wide_size(&format!("{name}.breaker.window"), 5..=1000)?,
            open: knobs.time(&format!("{name}.breaker.open_s"), 0.1..=120.0)?,
            endpoints: Mutex::default(),
        })
    }

    /// Whether a call may go to `endpoint` now. Where it is open for its time, one call may, as a probe.
    pub(crate) fn admits(&self, endpoint: &str) -> bool {
        let open = self.open.read();
        let mut endpoints = self.endpoints.lock();
        let Some(endpoint) = endpoints.get_mut(endpoint) else { return true };
        match endpoint.opened {
            None => true,
            Some(since) if since.elapsed() < open => false,
            Some(_) => {
                endpoint.opened = Some(Instant::now());
                true
            }
        }
    }

    /// Notes how a call went.
    pub(crate) fn record(&self, endpoint: &str, outcome: Outcome) {
        let (share, window) = (self.failure_share.read(), self.window.read());
        let mut endpoints = self.endpoints.lock();
        let endpoint = endpoints.entry(endpoint.to_owned()).or_default();
        if endpoint.opened.is_some() {
            if outcome == Outcome::Fine {
                *endpoint = Endpoint::default();
            }
            return;
        }
        endpoint.push(outcome == Outcome::Failed, window);
        let full = endpoint.failed.len() >= window;
        if full && endpoint.failures as f64 >= share * endpoint.failed.len() as f64 {
            endpoint.opened = Some(Instant::now());
        }
    }
}

impl Endpoint {
    fn push(&mut self, failed: bool, window: usize) {
        self.failed.push_back(failed);
        self.failures += usize::from(failed);
        while self.failed.len() > window {
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
            assert!(breaker.admits("a"));
            breaker.record("a", Outcome::Failed);
            breaker.record("b", Outcome::Fine);
        }
        assert_eq!((breaker.admits("a"), breaker.admits("b")), (false, true));
    }
}
