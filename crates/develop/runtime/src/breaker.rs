//! A circuit breaker that knows what is normal: it stops calls to a far side that fails or drags, and probes when it is back.
//!
//! ```
//! use kandela_runtime::breaker::{Breaker, Settings};
//! use kandela_runtime::steward::Steward;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let steward = Steward::default();
//! let breaker = Breaker::new("checkout.payment", Settings::default(), &steward)?;
//! let answer = breaker.call_or(async { Err::<&str, _>("refused") }, |_| "pay later").await;
//! assert_eq!(answer, "pay later");
//! # Ok(())
//! # }
//! ```
//!
//! The state machine is pure and follows resilience4j. What it adds: thresholds follow what is normal for the service ([`baseline`]),
//! and a window opens it only if a healthy service would hardly ever show it. The page `docs/runtime-breaker.md` has the details.

mod backoff;
pub mod baseline;
mod call;
mod endpoints;
mod gate;
mod knobs;
#[cfg(feature = "tower")]
pub mod layer;
mod machine;
mod settings;
mod window;

use std::fmt;
use std::sync::Arc;

use kandela_model::{Knob, KnobError, KnobValue};

pub use baseline::{Knowledge, Normal};
pub use call::{CallError, Open, Permit, Verdict, errors_are_failures};
pub use endpoints::Endpoints;
pub use knobs::Mode;
pub use machine::State;
pub use settings::Settings;
pub use window::{Counts, Span};

use crate::clock::Clock;
use crate::decision::{Decision, DecisionLog, Effect, Entry, Reason};
use crate::knob::{LeasedKnob, Scalar};
use crate::range::OutOfRange;
use crate::steward::{Floor, Steered, Steward};
use crate::sync::{AtomicU64, Mutex, Ordering};
use gate::Gate;
use knobs::Knobs;
use machine::{End, Ticket, Transition};

/// A learned threshold is this many times what is normal.
const TIMES_NORMAL: f64 = 3.0;
/// A call is slow beyond this many times the normal 99th percentile.
const TIMES_P99: f64 = 2.0;
/// A learned threshold moves its knob, and is put down, where it has moved by this share.
const NOTED: f64 = 0.1;

/// A circuit breaker. Copies share one.
#[derive(Clone)]
pub struct Breaker {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    settings: Settings,
    gate: Gate,
    clock: Arc<dyn Clock>,
    knobs: Knobs,
    log: DecisionLog,
    /// Calls that were refused.
    refused: AtomicU64,
    /// The decision that opened it, and the failure rate then.
    opened: Mutex<Option<(u64, f64)>>,
}

/// How a breaker stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Where it stands.
    pub state: State,
    /// Who decides.
    pub mode: Mode,
    /// The calls that count.
    pub counts: Counts,
    /// What it knows of what is normal.
    pub knowledge: Knowledge,
    /// Calls refused since the start.
    pub refused: u64,
}

/// Why there is no breaker.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BreakerError {
    /// A setting is none.
    Setting(OutOfRange),
    /// A knob refused its first value.
    Knob(KnobError),
}

impl fmt::Display for BreakerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BreakerError::Setting(error) => write!(f, "{error}; correct the breaker's settings"),
            BreakerError::Knob(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for BreakerError {}

impl Breaker {
    /// A closed breaker whose knobs are `NAME.failure_rate` and so on, looked after by `steward`.
    ///
    /// # Errors
    /// [`BreakerError`] where a setting is out of its range.
    pub fn new(name: &str, settings: Settings, steward: &Steward) -> Result<Breaker, BreakerError> {
        let settings = settings.checked().map_err(BreakerError::Setting)?;
        let knobs = Knobs::new(name, &settings, steward).map_err(BreakerError::Knob)?;
        let clock = steward.clock().clone();
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            gate: Gate::new(settings.plan(), clock.now()),
            settings,
            clock,
            knobs,
            log: steward.log().clone(),
            refused: AtomicU64::new(0),
            opened: Mutex::new(None),
        });
        let part: Arc<dyn Steered> = shared.clone();
        steward.add(&part);
        Ok(Breaker { shared })
    }

    /// Leave for one call.
    ///
    /// # Errors
    /// [`Open`] where it should not be made.
    #[inline]
    pub fn permit(&self) -> Result<Permit, Open> {
        match self.shared.knobs.mode.read() {
            Mode::Automatic => {}
            Mode::ForcedClosed => return Ok(Permit::new(self.shared.clone(), None)),
            Mode::ForcedOpen => return Err(self.shared.refuse(None)),
        }
        match self.shared.gate.admit_if_closed() {
            Some(ticket) => Ok(Permit::new(self.shared.clone(), Some(ticket))),
            None => self.permit_when_not_closed(),
        }
    }

    #[cold]
    fn permit_when_not_closed(&self) -> Result<Permit, Open> {
        let shared = &self.shared;
        let (admission, transition) = shared.gate.admit(shared.clock.now(), &shared.knobs.thresholds());
        if let Some(transition) = transition {
            shared.note(transition);
        }
        match admission {
            Ok(ticket) => Ok(Permit::new(shared.clone(), Some(ticket))),
            Err(wait) => Err(shared.refuse(Some(wait))),
        }
    }

    /// Where it stands, whatever its mode. An open breaker becomes half-open with the first call after its time.
    pub fn state(&self) -> State {
        self.shared.gate.with(|machine| machine.state())
    }

    /// How it stands.
    pub fn report(&self) -> Report {
        let shared = &self.shared;
        let now = shared.clock.now();
        let mode = shared.knobs.mode.read();
        shared.gate.with(|machine| Report {
            state: machine.state(),
            mode,
            counts: machine.counts(now),
            knowledge: machine.knowledge(),
            refused: shared.refused.load(Ordering::Relaxed),
        })
    }

    /// Has calls go through, or not, whatever the breaker finds, until the mode is [`Mode::Automatic`] again.
    ///
    /// # Errors
    /// [`KnobError::Held`] while somebody outside holds the knob `NAME.mode`.
    pub fn set_mode(&self, mode: Mode) -> Result<(), KnobError> {
        self.shared.knobs.mode.steer(mode)
    }

    /// Forgets what is normal and learns it anew: the service was replaced by one that behaves otherwise. Thresholds stand where they
    /// stand until then.
    pub fn forget(&self) {
        let now = self.shared.clock.now();
        self.shared.gate.with(|machine| machine.forget(now));
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("name", &self.shared.name).field("report", &self.report()).finish()
    }
}

impl Shared {
    fn refuse(&self, retry_after: Option<std::time::Duration>) -> Open {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Open { retry_after }
    }

    #[inline]
    fn ended(&self, ticket: Ticket, end: End) {
        let transition = self.gate.end(self.clock.now(), &self.knobs.thresholds(), ticket, end);
        if let Some(transition) = transition {
            self.note(transition);
        }
    }

    /// Puts a change of state down; when it closes again, what that did.
    #[cold]
    fn note(&self, transition: Transition) {
        let state = |state: State| KnobValue::Choice(state.name().to_owned());
        let found = transition.evidence.iter().find(|(name, _)| *name == "failure_rate");
        let failure_rate = found.map_or(f64::NAN, |(_, rate)| *rate);
        let number = self.log.record(Entry {
            number: 0,
            at: self.clock.now(),
            knob: format!("{}.state", self.name),
            from: state(transition.from),
            to: state(transition.to),
            reason: Reason { why: transition.why.to_owned(), evidence: transition.evidence, expected: None },
            refused: None,
            observed: None,
        });
        let mut opened = self.opened.lock();
        match transition.to {
            State::Open => {
                opened.get_or_insert((number, failure_rate));
            }
            State::Closed => {
                if let Some((number, before)) = opened.take() {
                    let measure = "breaker_failure_rate";
                    self.log.observe(number, Effect { measure, before, after: failure_rate });
                }
            }
            State::HalfOpen => {}
        }
    }

    fn learned(&self, floor: &mut Floor<'_>, normal: Normal) {
        let settings = &self.settings;
        let evidence = || {
            vec![
                ("normal_failure_rate", normal.failure_rate),
                ("normal_slow_rate", normal.slow_rate),
                ("normal_latency_p99_seconds", normal.latency_p99),
            ]
        };
        let rate = |normally: f64, least: f64, most: f64| (TIMES_NORMAL * normally).clamp(least, most);
        let failure_rate = rate(normal.failure_rate, settings.failure_rate_floor, settings.failure_rate);
        follow(
            floor,
            &self.knobs.failure_rate,
            failure_rate,
            "three times the normal failure rate",
            evidence(),
        );
        let slow_rate = rate(normal.slow_rate, settings.slow_rate_floor, settings.slow_rate);
        follow(
            floor,
            &self.knobs.slow_rate,
            slow_rate,
            "three times the normal share of slow calls",
            evidence(),
        );
        let least = settings.slow_floor.min(settings.slow).as_secs_f64();
        let slow = (TIMES_P99 * normal.latency_p99).clamp(least, settings.slow.as_secs_f64());
        if is_other(self.knobs.slow.read().as_secs_f64(), slow) {
            let slow = std::time::Duration::from_secs_f64(slow);
            turn(floor, &self.knobs.slow, slow, "twice the normal 99th percentile of latency", evidence());
        }
    }
}

fn is_other(known: f64, wanted: f64) -> bool {
    (wanted / known - 1.0).abs() >= NOTED
}

fn follow(
    floor: &mut Floor<'_>,
    knob: &LeasedKnob<f64>,
    wanted: f64,
    why: &str,
    evidence: Vec<(&'static str, f64)>,
) {
    if is_other(knob.read(), wanted) {
        turn(floor, knob, wanted, why, evidence);
    }
}

fn turn<T: Scalar>(
    floor: &mut Floor<'_>,
    knob: &LeasedKnob<T>,
    value: T,
    why: &str,
    evidence: Vec<(&'static str, f64)>,
) {
    if !knob.hold().held {
        floor.follow(
            knob,
            Decision { value, reason: Reason { why: why.to_owned(), evidence, expected: None } },
        );
    }
}

impl Steered for Shared {
    /// Learns, and lets the thresholds follow what was learned where that moved by a tenth or more.
    fn tick(&self, floor: &mut Floor<'_>) {
        let now = self.clock.now();
        let knowledge = self.gate.with(|machine| {
            machine.learn(now);
            machine.knowledge()
        });
        if let Knowledge::Learned(normal) = knowledge {
            self.learned(floor, normal);
        }
    }
}
