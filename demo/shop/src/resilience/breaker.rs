//! The library's circuit breaker, one for each endpoint of a downstream. What is normal it learns only in a shop that tunes
//! itself; else thresholds stand where the knobs are.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kandela_runtime::breaker::{self, Endpoints, Settings, Span};

use crate::knobs::KnobMaker;

/// The most endpoints of a downstream that have a breaker of their own.
const MOST: usize = 64;

/// Keeps calls away from an endpoint that fails.
pub(crate) struct Breaker {
    endpoints: Endpoints,
}

impl Breaker {
    /// The breaker of the downstream `name`: those of its endpoints begin where the settings have `NAME.breaker.failure_rate`,
    /// `.minimum_calls` and `.open_seconds`.
    pub(crate) fn new(knobs: &KnobMaker, name: &str) -> Result<Breaker> {
        let own = ["failure_rate", "minimum_calls", "open_seconds"];
        let [failure_rate, minimum_calls, open_seconds] = own.map(|knob| format!("{name}.breaker.{knob}"));
        let place = knobs.place(&[&failure_rate, &minimum_calls, &open_seconds]);
        let minimum_calls = knobs.initial_size(&minimum_calls)?;
        let settings = Settings {
            span: Span::Calls(minimum_calls),
            minimum_calls,
            failure_rate: knobs.initial_number(&failure_rate)?,
            open_for: Duration::try_from_secs_f64(knobs.initial_number(&open_seconds)?)
                .with_context(|| place.clone())?,
            learn: knobs.is_self_tuning(),
            ..Settings::default()
        };
        let endpoints =
            Endpoints::new(&knobs.name(&format!("{name}.breaker")), settings, MOST, knobs.steward());
        Ok(Breaker { endpoints: endpoints.context(place)? })
    }

    /// Lets a call through to `endpoint`, if it may go.
    pub(crate) fn permit(&self, endpoint: &str) -> Option<Permit> {
        let permit = self.endpoints.get(endpoint).permit().ok()?;
        Some(Permit { permit: Some(permit), since: Instant::now() })
    }
}

/// A call that was let through. One that is dropped before it succeeded, given up half-way say, has failed.
pub(crate) struct Permit {
    permit: Option<breaker::Permit>,
    since: Instant,
}

impl Permit {
    /// The call went well.
    pub(crate) fn success(mut self) {
        if let Some(permit) = self.permit.take() {
            permit.success(self.since.elapsed());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.failure();
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
            drop(breaker.permit("a").expect("closed"));
            breaker.permit("b").expect("closed").success();
        }
        let admits = |endpoint: &str| breaker.permit(endpoint).is_some();
        assert_eq!((admits("a"), admits("b")), (false, true));
    }
}
