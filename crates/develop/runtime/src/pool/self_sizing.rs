//! Runs a [`Sizer`] on a pool, by the process' steward.

use std::sync::Arc;

use kandela_model::Knob;
use parking_lot::Mutex;

use super::meter::Sample;
use super::sizer::{Advice, MEASURE, Sizer, WhatIf};
use super::{Manage, Pool};
use crate::decision::Effect;
use crate::knob::LeasedKnob;
use crate::steward::{Floor, Steered, Steward};

/// After so many windows at a new size, what it does is observed.
const OBSERVED_AFTER: u32 = 3;

/// A pool that measures itself and can be sized.
pub trait Sizable: Send + Sync {
    /// What was measured since this was last called.
    fn take_sample(&self) -> Sample;

    /// Its knob `<name>.size`.
    fn size_knob(&self) -> &LeasedKnob<usize>;
}

impl<M: Manage> Sizable for Pool<M> {
    fn take_sample(&self) -> Sample {
        Pool::take_sample(self)
    }

    fn size_knob(&self) -> &LeasedKnob<usize> {
        self.knob()
    }
}

/// A pool that sizes itself at each tick of its steward, for as long as this is kept.
///
/// A decision needs the floor, and holds it until what followed was observed: the 99th percentile of waits, over three windows at the
/// new size, or over those until the next decision. While somebody outside holds the knob, decisions are put down as advice, one for
/// each size advised.
pub struct SelfSizing {
    pool: Arc<dyn Sizable>,
    state: Mutex<State>,
}

struct State {
    sizer: Sizer,
    /// The decision whose effect is awaited.
    awaited: Option<Awaited>,
    /// What was advised last to whoever holds the knob.
    advised: Option<usize>,
}

struct Awaited {
    number: u64,
    before: f64,
    windows: u32,
    seen: Sample,
}

impl SelfSizing {
    /// Has `steward` size `pool` by `sizer`.
    pub fn new(pool: Arc<dyn Sizable>, sizer: Sizer, steward: &Steward) -> Arc<SelfSizing> {
        let state = Mutex::new(State { sizer, awaited: None, advised: None });
        let sizing = Arc::new(SelfSizing { pool, state });
        let part: Arc<dyn Steered> = sizing.clone();
        steward.add(&part);
        sizing
    }

    /// What the sizer thinks; none while too little is known.
    pub fn advice(&self) -> Option<Advice> {
        self.state.lock().sizer.advice().cloned()
    }

    /// What a pool of `size` would do under the present load; see [`Sizer::what_if`].
    pub fn what_if(&self, size: usize) -> Option<WhatIf> {
        self.state.lock().sizer.what_if(size)
    }
}

impl Steered for SelfSizing {
    fn tick(&self, floor: &mut Floor<'_>) {
        let knob = self.pool.size_knob();
        let size = knob.read();
        let sample = self.pool.take_sample();
        let mut state = self.state.lock();
        let state = &mut *state;
        let decision = state.sizer.update(&sample, size);
        state.observe(&sample, decision.is_some(), floor);
        let is_held = knob.hold().held;
        if !is_held {
            state.advised = None;
        }
        let Some(decision) = decision else { return };
        if is_held && state.advised == Some(decision.value) {
            return;
        }
        let before = decision.reason.expected.as_ref().map_or(0.0, |effect| effect.before);
        let value = decision.value;
        let Some(number) = floor.turn(knob, decision) else { return };
        if is_held {
            state.advised = Some(value);
            return;
        }
        state.awaited = Some(Awaited { number, before, windows: 0, seen: Sample::default() });
    }
}

impl State {
    fn observe(&mut self, sample: &Sample, decides_anew: bool, floor: &mut Floor<'_>) {
        let Some(awaited) = &mut self.awaited else { return };
        awaited.windows += 1;
        awaited.seen.append(sample);
        if awaited.windows < OBSERVED_AFTER && !decides_anew {
            return;
        }
        let after = awaited.seen.wait_p99();
        floor.observed(awaited.number, Effect { measure: MEASURE, before: awaited.before, after });
        self.awaited = None;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use kandela_model::{Epoch, KnobValue, Lease};

    use super::*;
    use crate::clock::ManualClock;
    use crate::pool::builder::size_knob;
    use crate::pool::simulate::{Phase, Shape, requests, run};
    use crate::pool::usl::Usl;

    /// A pool that measures what it is told to.
    struct Recorded {
        samples: Mutex<VecDeque<Sample>>,
        knob: LeasedKnob<usize>,
    }

    impl Sizable for Recorded {
        fn take_sample(&self) -> Sample {
            self.samples.lock().pop_front().unwrap_or_default()
        }

        fn size_knob(&self) -> &LeasedKnob<usize> {
            &self.knob
        }
    }

    /// What a pool of 4 measures that should be larger.
    fn too_small(steward: &Steward) -> Arc<Recorded> {
        let downstream = Usl { service: 0.02, sigma: 0.02, kappa: 0.0 };
        let length = Duration::from_secs(20);
        let phases = [Phase { length, rate: 180.0, downstream, shape: Shape::Exponential }];
        let mut samples = VecDeque::new();
        run(&phases, &requests(&phases, 1), 4, Duration::from_secs(1), |_, sample, size| {
            samples.push_back(sample.clone());
            size
        });
        let knob = size_knob("db", 4, 1..=64, steward).expect("within range");
        Arc::new(Recorded { samples: Mutex::new(samples), knob })
    }

    #[test]
    fn a_decision_turns_the_knob_and_what_followed_is_put_down() {
        let steward = Steward::new(Arc::new(ManualClock::new()));
        let pool = too_small(&steward);
        let sizing = SelfSizing::new(pool.clone(), Sizer::new(1..=64).expect("within range"), &steward);
        for _ in 0..10 {
            steward.tick();
        }
        let entries = steward.log().entries();
        let first = entries.first().expect("it is far too small");
        assert_eq!(
            (&first.from, first.knob.as_str(), &first.refused),
            (&KnobValue::Int(4), "db.size", &None)
        );
        assert!(first.reason.expected.is_some() && first.observed.is_some(), "{first:?}");
        assert!(pool.knob.read() > 4);
        assert!(sizing.advice().is_some() && sizing.what_if(16).is_some());
    }

    #[test]
    fn whoever_holds_the_knob_is_advised_once_for_each_size() {
        let steward = Steward::new(Arc::new(ManualClock::new()));
        let pool = too_small(&steward);
        pool.knob.set(KnobValue::Int(4), Epoch(1), Lease::Confirmed).expect("within a step");
        let _sizing = SelfSizing::new(pool.clone(), Sizer::new(1..=64).expect("within range"), &steward);
        for _ in 0..20 {
            steward.tick();
        }
        let entries = steward.log().entries();
        assert!(!entries.is_empty() && entries.iter().all(|entry| entry.refused.is_some()), "{entries:?}");
        assert!(entries.windows(2).all(|pair| pair[0].to != pair[1].to), "{entries:?}");
        assert_eq!(pool.knob.read(), 4);
    }

    #[test]
    fn sizing_ends_when_it_is_dropped() {
        let steward = Steward::new(Arc::new(ManualClock::new()));
        let pool = too_small(&steward);
        drop(SelfSizing::new(pool.clone(), Sizer::new(1..=64).expect("within range"), &steward));
        for _ in 0..10 {
            steward.tick();
        }
        assert_eq!(pool.knob.read(), 4);
    }
}
