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
