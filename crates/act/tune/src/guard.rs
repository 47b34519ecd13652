//! What a person declares: what is to become better, and what must not be broken meanwhile.
//!
//! An [`Objective`] and a [`Constraint`] name a PromQL expression, which whoever observes evaluates over each slice of a trial; here
//! come the numbers only. A [`Guards`] is all constraints within *one trial* and says of them `Holds`, `Violated` or `Unknown`.
//!
//! - The unit of evidence is the slice: one reading for each constraint and slice, however many requests it had.
//! - A reading counts as the logarithm of its ratio to the bound, clipped at [`Constraint::clip`]. *Holds* means that the mean of
//!   that is below zero, shown by betting; see [`crate::betting`].
//! - *Violated* comes from a detector to which good times give no credit, and is final within the trial.
//! - *Holds* lasts for the constraint's window and must be shown anew by later slices; when it runs out, or the last reading
//!   is missing, the verdict is *Unknown*, and nothing is admitted.

use std::collections::BTreeSet;
use std::time::Duration;

use kandela_algebra::verdict::{self, Stages, Truth, Verdict};
use serde::{Deserialize, Serialize};

use crate::betting::{Bets, EVEN, Watch};
pub use crate::safe::Bound;

/// Which way an objective is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Down: latency, cost.
    Lower,
    /// Up: throughput.
    Higher,
}

/// What is to become better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Its name.
    pub name: String,
    /// A PromQL expression with one positive value for a slice.
    pub expression: String,
    /// Which way it is to go.
    pub better: Better,
}

/// What must not be broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// Its name, different from all others'.
    pub name: String,
    /// A PromQL expression with one value, 0 or more, for a slice.
    pub expression: String,
    /// The bound that it is held to, above 0.
    pub bound: Bound,
    /// What the bound is on.
    #[serde(default)]
    pub of: Of,
    /// How long it counts as held after it was shown.
    pub window: Duration,
    /// The most that one slice counts, as a natural logarithm of the ratio to the bound.
    #[serde(default = "default_clip")]
    pub clip: f64,
}

/// Twice or half the bound, about.
fn default_clip() -> f64 {
    0.7
}

/// What a bound is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// The value itself.
    #[default]
    Value,
    /// The value's ratio to that of the control at the same time: `Max(1.1)` allows ten percent more.
    RatioToControl,
}

/// What a constraint's expression gave for a slice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Where the change is in force.
    pub treated: f64,
    /// At the control, at the same time.
    pub control: Option<f64>,
}

/// Why constraints can't guard, or a reading can't be taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// Two constraints of one name.
    #[error("constraint {0} is there twice; name each its own way")]
    Twice(String),
    /// More than a guard takes.
    #[error("{0} constraints are more than the {max} that a guard takes; combine some by `or` in one expression", max = Stages::MOST)]
    TooMany(usize),
    /// A bound, window or clip that means nothing.
    #[error("constraint {constraint}: {what}")]
    Declared {
        /// The constraint.
        constraint: String,
        /// What is wrong, and what to do.
        what: &'static str,
    },
    /// An error probability that is none.
    #[error("{0} is no probability of error; give one above 0 and below 1, such as 0.05")]
    Error(f64),
    /// A reading of what was not declared.
    #[error("there is no constraint {0}; tell readings by the names that were declared")]
    Unknown(String),
    /// A reading from before the last one.
    #[error(
        "constraint {constraint}: a reading at {at} ms comes after one at {last} ms; tell them in the order of time"
    )]
    Backwards {
        /// The constraint.
        constraint: String,
        /// When it was read, in milliseconds since the epoch.
        at: i64,
        /// When the last one was.
        last: i64,
    },
}

/// Where a constraint stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing<'a> {
    /// The constraint.
    pub constraint: &'a Constraint,
    /// What is known of it.
    pub verdict: Verdict,
    /// The mean of the logarithm of the ratio to the bound, signed so that below 0 is within it, over the readings since it was last
    /// shown to hold; `None` before the first.
    pub mean: Option<f64>,
    /// How many readings those are.
    pub readings: usize,
    /// Until when it counts as held, in milliseconds since the epoch; `None` where it was not shown.
    pub held_until: Option<i64>,
}

impl Constraint {
    /// What a reading says: the logarithm of its ratio to the bound, above 0 where it is broken, not yet clipped; none where it says nothing.
    pub fn excess(&self, reading: Reading) -> Option<f64> {
        let value = match self.of {
            Of::Value => reading.treated,
            Of::RatioToControl => {
                let control = reading.control.filter(|control| control.is_finite() && *control >= 0.0)?;
                match (self.bound, reading.treated == 0.0 && control == 0.0) {
                    // No errors beside no errors: the least that can be, and no lack of evidence.
                    (Bound::Max(_), true) => 0.0,
                    (Bound::Min(_), true) => 1.0,
                    (_, false) => reading.treated / control,
                }
            }
        };
        if value.is_nan() {
            return None;
        }
        let value = libm::log(value.max(0.0));
        Some(match self.bound {
            Bound::Max(bound) => value - libm::log(bound),
            Bound::Min(bound) => libm::log(bound) - value,
        })
    }
}

/// What a constraint still needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing<'a> {
    /// The constraint.
    pub constraint: &'a Constraint,
    /// Why it is not held now.
    pub why: Why,
    /// How many more readings at least until it could be.
    pub readings: u32,
}

/// Why a constraint is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// There were not enough readings yet, or too close to the bound.
    NotShown,
    /// It was, but its window is over.
    Expired,
    /// The last slice gave no reading.
    NoReading,
}

/// All constraints within one trial. See the [module](self).
#[derive(Clone, Debug)]
pub struct Guards {
    watched: Vec<Watched>,
    stages: Stages,
    guard: verdict::Guard,
    /// For each constraint, the probability of error.
    level: f64,
}

#[derive(Clone, Debug)]
struct Watched {
    constraint: Constraint,
    last: Option<i64>,
    reads: bool,
    /// That the mean is below zero, since it was last shown.
    within: Bets,
    watch: Watch,
    violated: bool,
    held_until: Option<i64>,
}

impl Guards {
    /// Guards of a trial that begins now. `error` is split over the constraints: each time that all were shown to hold, any of them was
    /// broken on average, over the readings that it was shown by, with at most that probability; and an alarm without a reason is as rare,
    /// once in `1/error` slices.
    /// Where nothing is declared, everything is admitted.
    ///
    /// # Errors
    /// [`GuardError`], which names the constraint.
    pub fn new(constraints: Vec<Constraint>, error: f64) -> Result<Guards, GuardError> {
        if !(error > 0.0 && error < 1.0) {
            return Err(GuardError::Error(error));
        }
        let count = constraints.len();
        let stages = u32::try_from(count).ok().and_then(Stages::of).ok_or(GuardError::TooMany(count))?;
        let mut names = BTreeSet::new();
        for constraint in &constraints {
            check(constraint)?;
            if !names.insert(constraint.name.as_str()) {
                return Err(GuardError::Twice(constraint.name.clone()));
            }
        }
        let all =
            (0..Stages::MOST).take(count).fold(Truth::always(), |all, i| all.and(&Truth::answered(i, true)));
        let watched = constraints.into_iter().map(Watched::new).collect();
        Ok(Guards { watched, stages, guard: verdict::Guard::new(all), level: error / count.max(1) as f64 })
    }

    /// Takes what a constraint's expression gave for a slice in which the change was in force and which ended `at`, in milliseconds
    /// since the epoch; `None` where its source gave nothing. What is no number, or lacks the control that the bound is relative to, counts as nothing.
    ///
    /// # Errors
    /// [`GuardError::Unknown`] and [`GuardError::Backwards`].
    pub fn tell(&mut self, constraint: &str, at: i64, reading: Option<Reading>) -> Result<(), GuardError> {
        let watched = self.watched.iter_mut().find(|watched| watched.constraint.name == constraint);
        let watched = watched.ok_or_else(|| GuardError::Unknown(constraint.to_owned()))?;
        if let Some(last) = watched.last.filter(|last| at < *last) {
            return Err(GuardError::Backwards { constraint: constraint.to_owned(), at, last });
        }
        watched.tell(at, reading, self.level);
        Ok(())
    }

    /// What is known of all constraints together at `now`, in milliseconds since the epoch.
    pub fn verdict(&self, now: i64) -> Verdict {
        self.guard.verdict(self.stage(now))
    }

    /// Whether what they guard may be done: only where each was freshly shown to hold.
    pub fn admits(&self, now: i64) -> bool {
        self.guard.admits(self.stage(now))
    }

    /// What each constraint still needs before all admit; the one that needs most comes first. `None` where one is violated, so that
    /// no reading will help.
    pub fn missing(&self, now: i64) -> Option<Vec<Missing<'_>>> {
        let unanswered = self.guard.missing(self.stage(now))?;
        let watched = unanswered.iter().filter_map(|(place, _)| self.watched.get(*place as usize));
        let mut missing: Vec<Missing<'_>> = watched.map(|watched| watched.missing(now, self.level)).collect();
        missing.sort_by_key(|missing| std::cmp::Reverse(missing.readings));
        Some(missing)
    }

    /// Where each constraint stands at `now`, in the order of their declaration.
    pub fn standings(&self, now: i64) -> Vec<Standing<'_>> {
        self.watched.iter().map(|watched| watched.standing(now)).collect()
    }

    fn stage(&self, now: i64) -> verdict::Stage {
        let answers = (0..).zip(&self.watched).filter_map(|(place, watched)| match watched.verdict(now) {
            Verdict::Holds => Some((place, true)),
            Verdict::Violated => Some((place, false)),
            Verdict::Unknown => None,
        });
        answers
            .fold(self.stages.nothing(), |stage, (place, answer)| stage.learn(place, answer).unwrap_or(stage))
    }
}

fn check(constraint: &Constraint) -> Result<(), GuardError> {
    let declared = |what| Err(GuardError::Declared { constraint: constraint.name.clone(), what });
    let (Bound::Max(bound) | Bound::Min(bound)) = constraint.bound;
    if !(bound > 0.0 && bound.is_finite()) {
        return declared("its bound must be above 0 and finite; shift or invert the expression until it is");
    }
    if !(constraint.clip > 0.0 && constraint.clip.is_finite()) {
        return declared("its clip must be above 0 and finite, such as 0.7 for twice or half the bound");
    }
    if constraint.window.is_zero() {
        return declared("its window must be above 0: what was shown would expire at once");
    }
    Ok(())
}

impl Watched {
    fn new(constraint: Constraint) -> Watched {
        let (within, watch) = (Bets::new(constraint.clip, EVEN), Watch::new(constraint.clip));
        Watched { constraint, last: None, reads: false, within, watch, violated: false, held_until: None }
    }

    fn tell(&mut self, at: i64, reading: Option<Reading>, level: f64) {
        self.last = Some(at);
        let excess = reading.and_then(|reading| self.constraint.excess(reading));
        self.reads = excess.is_some();
        let Some(excess) = excess else { return };
        self.watch.observe(excess);
        self.violated |= self.watch.alarms(level);
        self.within.observe(-excess);
        if self.within.capital() * level >= 1.0 {
            let window = i64::try_from(self.constraint.window.as_millis()).unwrap_or(i64::MAX);
            self.held_until = Some(at.saturating_add(window));
            self.within = Bets::new(self.constraint.clip, self.within.spread());
        }
    }

    fn verdict(&self, now: i64) -> Verdict {
        if self.violated {
            Verdict::Violated
        } else if self.reads && self.held_until.is_some_and(|until| now < until) {
            Verdict::Holds
        } else {
            Verdict::Unknown
        }
    }

    fn missing(&self, now: i64, level: f64) -> Missing<'_> {
        let fresh = self.held_until.is_some_and(|until| now < until);
        let why = match self.held_until {
            _ if !self.reads && self.last.is_some() => Why::NoReading,
            Some(_) if !fresh => Why::Expired,
            _ => Why::NotShown,
        };
        let readings = if fresh { 1 } else { self.within.at_least_until(1.0 / level) };
        Missing { constraint: &self.constraint, why, readings }
    }

    fn standing(&self, now: i64) -> Standing<'_> {
        let readings = self.within.len();
        let mean = (readings > 0).then(|| -self.within.seen().iter().sum::<f64>() / readings as f64);
        let verdict = self.verdict(now);
        Standing { constraint: &self.constraint, verdict, mean, readings, held_until: self.held_until }
    }
}
