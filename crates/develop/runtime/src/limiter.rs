//! An adaptive concurrency limit: as many calls in flight as serve the far side best, and no more.
//!
//! ```
//! use kandela_runtime::limiter::{Limiter, Priority, Settings};
//! use kandela_runtime::steward::Steward;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let steward = Steward::default();
//! let limiter = Limiter::new("checkout.limiter", Settings::default(), &steward)?;
//! let permit = limiter.acquire(Priority::Normal).await?;
//! // … the call …
//! permit.success();
//! # Ok(())
//! # }
//! ```
//!
//! Calls beyond the limit wait for a moment, the most important first, and are turned away after that. How the limit follows what is
//! measured is one of [`Algorithm`]s, pure and by itself: [`control`], [`power`], [`vegas`], [`gradient`], [`guard`]. Whom to turn
//! away is decided by [`shed`]. The page `docs/runtime-limiter.md` has the numbers.

pub mod control;
mod gate;
pub mod gradient;
pub mod guard;
mod knobs;
#[cfg(feature = "tower")]
pub mod layer;
mod permit;
pub mod power;
mod priority;
mod queue;
pub mod sample;
mod settings;
pub mod shed;
pub mod vegas;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use control::Algorithm;
pub use permit::{Entry, Permit, Refused, Waiting, Why};
pub use priority::{CLASSES, Priority};
pub use settings::Settings;

use crate::clock::{Clock, Moment};
use crate::decision::{Decision, Reason};
use crate::range::OutOfRange;
use crate::steward::{Floor, Steered, Steward};
use crate::sync::{AtomicU64, Mutex, Ordering};
use control::Control;
use gate::{Entered, Gate};
use kandela_model::{Knob, KnobError};
use knobs::Knobs;
use permit::End;
use sample::Window;
use shed::{Door, Shedder};

/// Nobody waits for longer than this share of the 99th percentile of latency: so much is added to the slowest answers at most.
const PATIENCE: f64 = 0.4;
/// How much of that percentile is the last window's.
const NEWEST: f64 = 0.2;
/// The limit's knob follows, and the decision is put down, where the limit has moved by this share since.
const NOTED: f64 = 0.1;

/// An adaptive concurrency limit. Copies share one.
#[derive(Clone)]
pub struct Limiter {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    gate: Gate,
    clock: Arc<dyn Clock>,
    knobs: Knobs,
    /// Whether some are turned away at the door: 0 or 1.
    sheds: AtomicU64,
    /// Nanoseconds that anybody may wait.
    patience: AtomicU64,
    /// How many were turned away, by [`Why`].
    refused: [AtomicU64; 4],
    state: Mutex<State>,
}

struct State {
    window: Window,
    algorithm: Algorithm,
    control: Box<dyn Control>,
    reason: Reason,
    /// The 99th percentile of latency, smoothed, in seconds.
    slowest: Option<f64>,
    shedder: Shedder,
    door: Door,
}

/// How a limiter stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The limit at this moment, what is being tried included.
    pub limit: usize,
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// The share of each class that the door lets in, by [`Priority::class`].
    pub let_in: [f64; CLASSES],
    /// How long anybody may wait.
    pub patience: Duration,
    /// How many were turned away since the start: [`Why::Shed`], [`Why::Full`], [`Why::Displaced`], [`Why::WaitedTooLong`].
    pub refused: [u64; 4],
}

/// Why there is no limiter.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LimiterError {
    /// A setting is none.
    Setting(OutOfRange),
    /// A knob refused its first value.
    Knob(KnobError),
}

impl fmt::Display for LimiterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimiterError::Setting(error) => write!(f, "{error}; correct the limiter's settings"),
            LimiterError::Knob(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for LimiterError {}

impl Limiter {
    /// A limiter whose knobs are `NAME.limit` and so on, looked after by `steward`.
    ///
    /// # Errors
    /// [`LimiterError`] where a setting is out of its range.
    pub fn new(name: &str, settings: Settings, steward: &Steward) -> Result<Limiter, LimiterError> {
        let settings = settings.checked().map_err(LimiterError::Setting)?;
        let knobs = Knobs::new(name, &settings, steward).map_err(LimiterError::Knob)?;
        let patience = settings.max_wait;
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            gate: Gate::new(settings.initial, settings.queue, patience),
            clock: steward.clock().clone(),
            sheds: AtomicU64::new(0),
            patience: AtomicU64::new(nanos(patience)),
            refused: Default::default(),
            state: Mutex::new(State {
                window: Window::new(settings.window, settings.calls),
                algorithm: settings.algorithm,
                control: settings.algorithm.start(settings.initial as f64),
                reason: Reason::default(),
                slowest: None,
                shedder: Shedder::new(),
                door: Door::new(),
            }),
            knobs,
        });
        shared.knobs.limit.on_change({
            let shared = Arc::downgrade(&shared);
            move || {
                if let Some(shared) = shared.upgrade() {
                    shared.obey();
                }
            }
        });
        let part: Arc<dyn Steered> = shared.clone();
        steward.add(&part);
        Ok(Limiter { shared })
    }

    /// Leave to go on, after a short wait if need be. Needs tokio's timer.
    ///
    /// # Errors
    /// [`Refused`] where the call is turned away.
    pub async fn acquire(&self, priority: Priority) -> Result<Permit, Refused> {
        match self.enter(priority) {
            Entry::Admitted(permit) => Ok(permit),
            Entry::Refused(refused) => Err(refused),
            Entry::Waiting(mut waiting) => {
                match tokio::time::timeout(waiting.patience(), &mut waiting).await {
                    Ok(settled) => settled,
                    Err(_) => waiting.give_up(),
                }
            }
        }
    }

    /// Leave to go on at once.
    ///
    /// # Errors
    /// [`Refused`] where the limit is reached, or calls of this priority are shed.
    #[inline]
    pub fn try_acquire(&self, priority: Priority) -> Result<Permit, Refused> {
        if self.shared.is_turned_away_at_the_door(priority) {
            return Err(self.shared.refuse(priority, Why::Shed));
        }
        if self.shared.gate.try_enter() {
            return Ok(Permit::new(self.shared.clone(), priority));
        }
        self.shared.state.lock().window.blocked();
        Err(self.shared.refuse(priority, Why::Full))
    }

    /// Leave to go on, or a place in the queue. For those who have a timer of their own; others take
    /// [`acquire`](Limiter::acquire).
    #[inline]
    pub fn enter(&self, priority: Priority) -> Entry {
        if self.shared.is_turned_away_at_the_door(priority) {
            return Entry::Refused(self.shared.refuse(priority, Why::Shed));
        }
        if self.shared.gate.try_enter() {
            return Entry::Admitted(Permit::new(self.shared.clone(), priority));
        }
        self.enter_queue(priority)
    }

    fn enter_queue(&self, priority: Priority) -> Entry {
        let shared = &self.shared;
        shared.state.lock().window.blocked();
        match shared.gate.enter(priority, shared.clock.now()) {
            Entered::Admitted => Entry::Admitted(Permit::new(shared.clone(), priority)),
            Entered::Full => Entry::Refused(shared.refuse(priority, Why::Full)),
            Entered::Waits(place) => {
                let patience = Duration::from_nanos(shared.patience.load(Ordering::Relaxed));
                Entry::Waiting(Waiting::new(shared.clone(), priority, place, patience))
            }
        }
    }

    /// How it stands.
    pub fn report(&self) -> Report {
        let shared = &self.shared;
        let let_in = shared.state.lock().door.shares();
        Report {
            limit: shared.gate.limit(),
            in_flight: shared.gate.in_flight(),
            waiting: shared.gate.waiting(),
            let_in,
            patience: Duration::from_nanos(shared.patience.load(Ordering::Relaxed)),
            refused: shared.refused.each_ref().map(|count| count.load(Ordering::Relaxed)),
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("name", &self.shared.name).field("report", &self.report()).finish()
    }
}

impl Shared {
    #[inline]
    fn is_turned_away_at_the_door(&self, priority: Priority) -> bool {
        self.sheds.load(Ordering::Relaxed) != 0 && !self.state.lock().door.lets_in(priority.class())
    }

    fn refuse(&self, priority: Priority, why: Why) -> Refused {
        let number = match why {
            Why::Shed => 0,
            Why::Full => 1,
            Why::Displaced => 2,
            Why::WaitedTooLong => 3,
        };
        self.refused[number].fetch_add(1, Ordering::Relaxed);
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.window.refused(priority, why != Why::Shed);
        self.next_window(state, now);
        Refused { priority, why }
    }

    fn ended(&self, priority: Priority, started: Moment, end: End) {
        let now = self.clock.now();
        self.gate.leave(now);
        if end == End::Ignored {
            return;
        }
        let mut state = self.state.lock();
        match end {
            End::Success => state.window.completed(priority, now.since(started)),
            End::Dropped | End::Ignored => state.window.dropped(priority),
        }
        self.next_window(state, now);
    }

    /// Decides anew, if a window has ended.
    #[inline]
    fn next_window(&self, mut state: impl std::ops::DerefMut<Target = State>, now: Moment) {
        let Some((sample, demand)) = state.window.close(now, self.gate.limit()) else { return };
        let algorithm = self.knobs.algorithm.read();
        if algorithm != state.algorithm {
            state.algorithm = algorithm;
            state.control = algorithm.start(state.control.centre());
        }
        let held = self.knobs.limit.hold().held;
        let decision = if held { None } else { state.control.update(&sample, self.knobs.bounds()) };
        let shares = state.shedder.update(&demand);
        state.door.set(shares);
        self.sheds.store(u64::from(!state.door.is_open()), Ordering::Relaxed);
        if let Some(decision) = &decision {
            state.reason = decision.reason.clone();
        }
        if sample.completed > 0 {
            let known = state.slowest.unwrap_or(sample.latency.p99);
            state.slowest = Some(known + NEWEST * (sample.latency.p99 - known));
        }
        let patience = Duration::from_secs_f64(PATIENCE * state.slowest.unwrap_or(3600.0).min(3600.0));
        drop(state);
        let patience = patience.min(self.knobs.max_wait.read());
        self.patience.store(nanos(patience), Ordering::Relaxed);
        self.gate.set_patience(patience);
        if held {
            self.gate.set_limit(self.knobs.limit.read(), now);
        } else if let Some(decision) = decision {
            self.gate.set_limit(decision.value, now);
        }
    }

    /// Takes the limit that somebody outside has set.
    fn obey(&self) {
        let limit = self.knobs.limit.read();
        if self.knobs.limit.hold().held {
            self.gate.set_limit(limit, self.clock.now());
        }
    }
}

impl Steered for Shared {
    /// Puts a move of the limit by a tenth or more down, not each small one, and not what is only tried.
    fn tick(&self, floor: &mut Floor<'_>) {
        if self.gate.waiting() > 0 {
            self.gate.settle(self.clock.now());
        }
        let known = self.knobs.limit.read();
        if self.knobs.limit.hold().held {
            return;
        }
        let state = self.state.lock();
        let (centre, reason) = (state.control.centre(), state.reason.clone());
        drop(state);
        let value = (centre.round() as usize).max(1);
        if value != known && (centre / known as f64 - 1.0).abs() >= NOTED {
            floor.follow(&self.knobs.limit, Decision { value, reason });
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
