//! One steward for a process: the clock, the knobs and the decisions of all its parts, and whose turn it is to change something.
//!
//! A pool, a limiter and a cache of one process feel each other's changes: a larger pool makes a limiter see slower answers. If
//! both turn at once, neither learns what its own change did. So whoever turned a knob and expects an effect has the *floor* until
//! that effect was observed, a minute at most, and the others wait; they go on measuring. What a control loop does all the time by
//! its nature (a limit that follows load) needs no floor, it is only noted.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use kandela_model::Knob;
use parking_lot::Mutex;

use crate::clock::{Clock, Moment, SystemClock};
use crate::decision::{Decision, DecisionLog, Effect, Entry};
use crate::knob::{Knobs, LeasedKnob, Scalar};

/// How long a part may wait for the effect of what it changed before others may change something.
pub const LONGEST_OBSERVATION: Duration = Duration::from_secs(60);

/// A part that measures itself and turns its own knobs.
pub trait Steered: Send + Sync {
    /// Looks at what was measured since the last call, and turns what is to be turned through `floor`. Called every second or so.
    fn tick(&self, floor: &mut Floor<'_>);
}

/// What the parts of a process share. Copies share one steward.
#[derive(Clone)]
pub struct Steward {
    clock: Arc<dyn Clock>,
    knobs: Knobs,
    log: DecisionLog,
    parts: Arc<Mutex<Parts>>,
}

#[derive(Default)]
struct Parts {
    next: u64,
    steered: Vec<(u64, Weak<dyn Steered>)>,
    /// Which part has the floor, for which decision, until when.
    floor: Option<(u64, u64, Moment)>,
}

impl Steward {
    /// A steward that tells the time by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Steward {
        Steward { clock, knobs: Knobs::default(), log: DecisionLog::default(), parts: Arc::default() }
    }

    /// Its clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The knobs of all parts.
    pub fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    /// The decisions of all parts.
    pub fn log(&self) -> &DecisionLog {
        &self.log
    }

    /// Has `part` looked after until it is dropped.
    pub fn add(&self, part: &Arc<dyn Steered>) {
        let mut parts = self.parts.lock();
        let id = parts.next;
        parts.next += 1;
        parts.steered.push((id, Arc::downgrade(part)));
    }

    /// Lets every part look at what it measured. To be called every second or so, by whatever drives the process. A part that
    /// panics is not asked again; the others go on.
    pub fn tick(&self) {
        let now = self.clock.now();
        let mut parts = self.parts.lock();
        parts.steered.retain(|(_, part)| part.strong_count() > 0);
        let steered = parts.steered.clone();
        let mut holder =
            parts.floor.filter(|(part, _, until)| now < *until && steered.iter().any(|(id, _)| id == part));
        drop(parts);
        let mut panicked = Vec::new();
        for (id, part) in steered {
            let Some(part) = part.upgrade() else { continue };
            let mut floor = Floor { now, part: id, holder: &mut holder, log: &self.log };
            if catch_unwind(AssertUnwindSafe(|| part.tick(&mut floor))).is_err() {
                panicked.push(id);
            }
        }
        let mut parts = self.parts.lock();
        parts.steered.retain(|(id, _)| !panicked.contains(id));
        parts.floor = holder.filter(|(part, _, _)| !panicked.contains(part));
    }
}

impl Default for Steward {
    /// By the machine's monotonic clock.
    fn default() -> Self {
        Steward::new(Arc::new(SystemClock::new()))
    }
}

impl fmt::Debug for Steward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steward").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Through which a part turns its knobs.
pub struct Floor<'a> {
    now: Moment,
    part: u64,
    holder: &'a mut Option<(u64, u64, Moment)>,
    log: &'a DecisionLog,
}

impl Floor<'_> {
    /// The time of this tick.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Whether this part may change something now: no other waits for an effect.
    pub fn is_free(&self) -> bool {
        self.holder.is_none_or(|(part, _, _)| part == self.part)
    }

    /// Turns `knob`, and puts down what was decided and what came of it. With an expected effect, this part has the floor until it
    /// [`observed`](Floor::observed) that. None where the floor is another's: the part should decide again at its next tick.
    pub fn turn<T: Scalar>(&mut self, knob: &LeasedKnob<T>, decision: Decision<T>) -> Option<u64> {
        if !self.is_free() {
            return None;
        }
        let waits = decision.reason.expected.is_some();
        let (number, turned) = self.carry_out(knob, decision);
        if turned && waits {
            *self.holder = Some((self.part, number, self.now.after(LONGEST_OBSERVATION)));
        }
        Some(number)
    }

    /// Turns `knob` whoever has the floor: for what a control loop does all the time. Returns the decision's number.
    pub fn follow<T: Scalar>(&mut self, knob: &LeasedKnob<T>, decision: Decision<T>) -> u64 {
        self.carry_out(knob, decision).0
    }

    /// Says what followed decision `number`, and gives the floor back if it was held for that.
    pub fn observed(&mut self, number: u64, effect: Effect) {
        self.log.observe(number, effect);
        if self.holder.is_some_and(|(part, held_for, _)| part == self.part && held_for == number) {
            *self.holder = None;
        }
    }

    fn carry_out<T: Scalar>(&mut self, knob: &LeasedKnob<T>, decision: Decision<T>) -> (u64, bool) {
        let from = knob.get();
        let refused = knob.steer(decision.value).err().map(|error| error.to_string());
        let turned = refused.is_none();
        let number = self.log.record(Entry {
            number: 0,
            at: self.now,
            knob: knob.spec().name.clone(),
            from,
            to: decision.value.to_value(),
            reason: decision.reason,
            refused,
            observed: None,
        });
        (number, turned)
    }
}

#[cfg(test)]
mod tests {
    use kandela_model::{ApplyCost, Epoch, KnobSpec, KnobType, KnobValue, Lease, StepCap};

    use super::*;
    use crate::clock::ManualClock;
    use crate::decision::Reason;

    const EXPECTED: Effect = Effect { measure: "wait_seconds", before: 1.0, after: 0.5 };

    /// Wants its knob one higher at every tick, and if it `observes`, observes what it did at the tick after.
    struct Climber {
        knob: LeasedKnob<usize>,
        observes: bool,
        last: Mutex<Option<u64>>,
    }

    impl Climber {
        fn new(steward: &Steward, observes: bool) -> Arc<Climber> {
            let spec = KnobSpec {
                name: "size".to_owned(),
                kind: KnobType::Int { min: 0, max: 100, log: false },
                step_cap: StepCap::Unlimited,
                cost: ApplyCost::Live,
            };
            let knob = LeasedKnob::new(spec, 0, steward.clock().clone()).expect("0 is a size");
            let climber = Arc::new(Climber { knob, observes, last: Mutex::default() });
            let part: Arc<dyn Steered> = climber.clone();
            steward.add(&part);
            climber
        }
    }

    impl Steered for Climber {
        fn tick(&self, floor: &mut Floor<'_>) {
            let mut last = self.last.lock();
            match *last {
                Some(number) if self.observes => {
                    floor.observed(number, EXPECTED);
                    *last = None;
                }
                Some(_) => {}
                None => {
                    let reason = Reason { expected: Some(EXPECTED), ..Reason::default() };
                    *last = floor.turn(&self.knob, Decision { value: self.knob.read() + 1, reason });
                }
            }
        }
    }

    fn steward() -> (ManualClock, Steward) {
        let clock = ManualClock::new();
        (clock.clone(), Steward::new(Arc::new(clock)))
    }

    #[test]
    fn a_part_waits_until_another_has_observed_its_effect() {
        let (_, steward) = steward();
        let (first, second) = (Climber::new(&steward, true), Climber::new(&steward, true));
        steward.tick();
        assert_eq!((first.knob.read(), second.knob.read()), (1, 0));
        steward.tick();
        assert_eq!((first.knob.read(), second.knob.read()), (1, 1));
        assert_eq!(steward.log().entries()[0].observed, Some(EXPECTED));
    }

    #[test]
    fn the_floor_of_a_part_that_never_observes_is_free_after_a_minute() {
        let (clock, steward) = steward();
        let (_first, second) = (Climber::new(&steward, false), Climber::new(&steward, false));
        steward.tick();
        clock.advance(LONGEST_OBSERVATION - Duration::from_nanos(1));
        steward.tick();
        assert_eq!(second.knob.read(), 0);
        clock.advance(Duration::from_nanos(1));
        steward.tick();
        assert_eq!(second.knob.read(), 1);
    }

    #[test]
    fn a_dropped_part_leaves_the_floor() {
        let (_, steward) = steward();
        let (first, second) = (Climber::new(&steward, false), Climber::new(&steward, false));
        steward.tick();
        drop(first);
        steward.tick();
        assert_eq!(second.knob.read(), 1);
    }

    #[test]
    fn a_part_that_panics_stops_no_other_and_leaves_the_floor() {
        /// Takes the floor, then panics.
        struct Panics(Arc<Climber>);
        impl Steered for Panics {
            fn tick(&self, floor: &mut Floor<'_>) {
                self.0.tick(floor);
                panic!("as a part may");
            }
        }
        let (_, steward) = steward();
        let climber = Climber::new(&Steward::default(), false);
        let panics: Arc<dyn Steered> = Arc::new(Panics(climber.clone()));
        steward.add(&panics);
        let other = Climber::new(&steward, true);
        (0..4).for_each(|_| steward.tick());
        assert_eq!((climber.knob.read(), other.knob.read()), (1, 2));
    }

    #[test]
    fn a_knob_held_from_outside_makes_the_decision_an_advice() {
        let (_, steward) = steward();
        let (first, second) = (Climber::new(&steward, false), Climber::new(&steward, false));
        first.knob.set(KnobValue::Int(50), Epoch(1), Lease::Confirmed).expect("within range");
        steward.tick();
        let entries = steward.log().entries();
        assert!(
            entries[0].refused.as_ref().is_some_and(|why| why.contains("epoch 1 holds it")),
            "{entries:?}"
        );
        assert_eq!((first.knob.read(), second.knob.read()), (50, 1));
    }
}
