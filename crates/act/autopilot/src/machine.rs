//! The state machine: observe, propose, admit, canary, verify, promote or roll back, learn.
//!
//! [`Machine::decide`] is pure: a state and an input give the events to write and the commands to carry out then. The state is the
//! fold of the events, and nothing else; so a ledger, read again, gives the state that the manager was in.
//!
//! - Whoever drives it writes the events first, under the condition that nobody else has written meanwhile, and only then carries
//!   the commands out. Every command that turns a knob comes with an event that says so.
//! - What came of a command is the next input.
//! - A trial never survives the manager that began it: whoever takes office ends it and brings the knobs to the good settings.

mod decide;
mod event;
mod gate;
mod state;
pub(crate) mod wire;

use std::time::Duration;

use kandela_algebra::feedback::Step;
use kandela_model::{Epoch, KnobValue, Timestamp};
use kandela_tune::Config;

pub use event::{
    Arm, Event, Export, Judged, Learnt, Mode, Observation, Reading, Reason, RowError, Scope, Seen, Side,
    VERSION, short, since_it_began,
};
pub use gate::Gate;
pub(crate) use gate::paused_by;
pub use state::{
    Context, Current, Earned, MEMORY, News, Office, Open, Phase, Promotion, SUGGESTED, Slice, State,
    Suggestion, Trial, Unsettled,
};

pub use wire::Values;

use crate::calendar::Freeze;
use crate::watchdog::Report;

/// What a person declared of how the manager is to work.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How often it looks.
    pub interval: Duration,
    /// How long a slice is measured.
    pub slice: Duration,
    /// How long after knobs were turned measuring begins.
    pub wash_out: Duration,
    /// How late the manager may be: how much longer a lease is than wash-out, slice, and the interval until it looks again.
    pub grace: Duration,
    /// The most slices of the canary phase.
    pub canary_slices: usize,
    /// The most slices of the verify phase.
    pub verify_slices: usize,
    /// When nothing is tried.
    pub freeze: Freeze,
    /// The most proposals an hour.
    pub per_hour: usize,
    /// The most proposals a day.
    pub per_day: usize,
    /// Nothing is tried while less than this share of an error budget is left.
    pub error_budget_floor: f64,
    /// How far from a context's middle a workload still counts as of it, by each measure.
    pub context_radius: f64,
    /// After how many trials in a row that broke one constraint the manager stops.
    pub patience: u32,
    /// How long a proposal waits for its admission.
    pub expiry: Duration,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            interval: Duration::from_secs(10),
            slice: Duration::from_secs(30),
            wash_out: Duration::from_secs(5),
            grace: Duration::from_secs(30),
            canary_slices: 40,
            verify_slices: 120,
            freeze: Freeze::default(),
            per_hour: 12,
            per_day: 100,
            error_budget_floor: 0.1,
            context_radius: 0.25,
            patience: 8,
            expiry: Duration::from_secs(86_400),
        }
    }
}

impl Policy {
    /// How long knobs stay where a slice needs them unless they are turned again.
    pub fn lease(&self) -> Duration {
        let times = [self.slice, self.interval, self.grace];
        times.into_iter().fold(self.wash_out, Duration::saturating_add)
    }
}

/// What judges a trial by its slices. Pure: the same trial is judged alike.
pub trait Judge: Send + Sync {
    /// Whether a part of the system can be tried before the whole. Where none can, the canary phase would show what the verify phase
    /// shows, and is left out.
    fn has_canary(&self) -> bool;

    /// What the next slice of a trial is: where which arm is.
    fn next(&self, trial: &Trial) -> (Scope, Arm);

    /// What the slices of the trial's phase show.
    fn judge(&self, trial: &Trial) -> Judged;
}

/// What comes in.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The manager starts.
    Office {
        /// Who it is.
        holder: String,
        /// How far it may go.
        mode: Mode,
        /// The settings to begin with, where nothing began before.
        initial: Config,
        /// Objective and constraints, in words.
        goals: Vec<String>,
        /// The fingerprint of the space.
        space: String,
        /// The probability with which anything at all may be promoted by mistake.
        alpha: f64,
        /// For how many proposals that is meant.
        expected: u32,
        /// What watchdogs did while nobody was in office.
        reports: Vec<Report>,
    },
    /// What watchdogs did without being asked to.
    Reported(Vec<Report>),
    /// Knobs that stood at the good settings and do so no longer, though nothing is tried.
    Strayed(Vec<Strayed>),
    /// Time has passed, and this is seen.
    Tick(Observation),
    /// What a strategy proposes, or why there is nothing to propose.
    Candidate(Result<Candidate, String>, Observation),
    /// What came of turning knobs for a slice.
    Turned(u64, Result<(), Trouble>),
    /// What a slice gave.
    Measured(u64, Reading),
    /// What came of bringing the knobs to the good settings, by the row that announced it.
    Settled(u64, Result<(), Trouble>),
    /// A person orders something.
    Order(Order),
}

/// What a strategy proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The settings.
    pub config: Config,
    /// Where they lie in the unit cube.
    pub point: Vec<f64>,
    /// How often the strategy was asked until something new came.
    pub asked: u32,
    /// Which strategy.
    pub strategy: String,
}

/// A knob that somebody turned past the manager, or that was lost with a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct Strayed {
    /// Of which part of the system.
    pub target: String,
    /// Which.
    pub knob: String,
    /// Where it stands.
    pub stands: KnobValue,
}

/// Why knobs were not turned, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Whether the system itself said no: to try again is of no use.
    pub refused: bool,
    /// What was said.
    pub what: String,
}

/// What a person may order.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Try nothing new, and end what is tried.
    Pause {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Go on.
    Resume {
        /// Who.
        by: String,
    },
    /// Try this proposal.
    Approve {
        /// Which.
        proposal: u64,
        /// Who.
        by: String,
    },
    /// Don't try this proposal.
    Decline {
        /// Which.
        proposal: u64,
        /// Who.
        by: String,
    },
    /// Propose these settings next.
    Suggest {
        /// The knobs that are to change, and to what.
        values: Config,
        /// Who.
        by: String,
    },
    /// Undo a proposal and all that was promoted after it, or everything.
    RollBack {
        /// Which; all of them, where there is none.
        proposal: Option<u64>,
        /// Who.
        by: String,
    },
    /// Go so far and no further.
    SetMode {
        /// How far.
        mode: Mode,
        /// Who.
        by: String,
    },
    /// Take over what a similar system learned.
    Import(Export),
}

/// What is to be done once the events are written.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Ask a strategy for settings.
    Propose {
        /// For which context.
        context: u64,
        /// Where the knobs stand.
        good: Config,
        /// What a person suggested, before all else.
        suggested: Option<Config>,
        /// Settings that were good before, to try first.
        remembered: Option<Config>,
    },
    /// Turn knobs for a slice.
    Turn {
        /// Which slice.
        slice: u64,
        /// Where.
        scope: Scope,
        /// To what: for [`Arm::Control`], back to what is confirmed.
        arm: Arm,
        /// The candidate's settings.
        values: Config,
        /// For how long.
        lease: Duration,
    },
    /// Measure a slice.
    Measure {
        /// Which.
        slice: u64,
        /// What is turned.
        scope: Scope,
        /// From when.
        from: Timestamp,
        /// Until when.
        to: Timestamp,
    },
    /// Bring all knobs, everywhere, to these settings for good.
    Settle {
        /// The row that announces it.
        row: u64,
        /// The settings.
        values: Config,
        /// All knobs that may stand elsewhere.
        knobs: Vec<String>,
    },
}

impl Command {
    /// Whether it changes the system.
    pub const fn turns(&self) -> bool {
        matches!(self, Command::Turn { .. } | Command::Settle { .. })
    }
}

/// What follows from an input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// To write, first.
    pub events: Vec<Event>,
    /// To carry out, then.
    pub commands: Vec<Command>,
    /// Why an order is not followed, where it is not.
    pub refused: Option<String>,
}

/// The state machine.
pub struct Machine<J> {
    /// How it is to work.
    pub policy: Policy,
    /// What judges trials.
    pub judge: J,
}

/// The fold of rows, as a step: what replays a ledger.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replay;

impl Step for Replay {
    type State = State;
    type In = (Timestamp, Epoch, Event);
    type Out = ();

    fn begin(&self) -> State {
        State::default()
    }
    fn step(&self, state: &mut State, (at, epoch, event): Self::In) {
        state.apply(at, epoch, &event);
    }
}
