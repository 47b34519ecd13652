//! Turns requests away once so many are under way; how many is a knob.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use kandela_runtime::knob::LeasedKnob;

use crate::knobs::KnobMaker;

/// Counts requests under way.
pub(crate) struct Limiter {
    limit: Arc<LeasedKnob<usize>>,
    under_way: Arc<AtomicUsize>,
}

impl Limiter {
    /// A service's limiter, with the knob `limiter.limit`.
    pub(crate) fn new(knobs: &KnobMaker) -> Result<Limiter> {
        Ok(Limiter { limit: knobs.wide_size("limiter.limit", 1..=20_000)?, under_way: Arc::default() })
    }

    /// A place for one request, if there is one.
    pub(crate) fn enter(&self) -> Option<Place> {
        let place = Place { under_way: self.under_way.clone() };
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        (before < self.limit.read()).then_some(place)
    }
}

/// A request's place, given back when it is dropped.
pub(crate) struct Place {
    under_way: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use kandela_model::{Epoch, Knob, KnobValue, Lease};
    use kandela_runtime::steward::Steward;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn who_is_turned_away_takes_no_place() {
        let settings = Settings::defaults().expect("built in");
        let limiter =
            Limiter::new(&KnobMaker::new("cart", Steward::default(), settings)).expect("has a default");
        for limit in [2500, 625, 157, 40, 10, 3, 1] {
            limiter.limit.set(KnobValue::Int(limit), Epoch(1), Lease::Confirmed).expect("within a step");
        }
        let place = limiter.enter().expect("the first");
        assert!(limiter.enter().is_none());
        assert_eq!(limiter.under_way.load(Ordering::Relaxed), 1);
        drop(place);
        assert!(limiter.enter().is_some());
    }
}
