//! Is a change better? Randomised slices, an interval that may be looked at after each, and a decision.
//!
//! An [`Experiment`] is a state machine without a clock: [`asks`](Experiment::asks) says which [`Arm`] the next slice of time is to
//! run, [`observe`](Experiment::observe) takes what it gave. The same plan, stake, seed and slices give the same answers, so a ledger
//! of the slices is all that a restart needs.
//!
//! **Design.** Slices come in *blocks* of two halves, one for each arm, in an order that a fair coin decides block by block. A block
//! gives one observation: the logarithm of the ratio between its halves, signed so that above 0 is better, clipped at a declared
//! bound. If the change does nothing, then whatever the load, the noise and yesterday's noise do, the coin alone decides the sign, so
//! the next observation is 0 on average given all that came before. That is all that [betting](crate::betting) asks. So neither
//! autocorrelation nor drift nor heavy tails make false promotions more likely than declared, however often one looks.
//!
//! - [`Design::Canary`]: the changed unit runs either arm, another one is the control at the same time, and a half's value is their
//!   ratio. What a unit is worse at all the time cancels, and so does what hits both. Where the units share a resource (a database,
//!   a lock, cores) this judges safety only: a treated unit that takes from the control looks better by it.
//! - [`Design::Switchback`]: the whole system runs either arm, measured at its entry. Each half begins with wash-out slices, which
//!   are dropped. This judges the benefit.
//!
//! **Rejection.** A block is dropped for what the arm can't touch: too little offered load, load that changed between the halves, a
//! disturbance, a control that was wildly off. A slice of the changed arm that gave no value is not dropped; it counts as the worst,
//! or else a change that breaks things would be judged by the slices it did not break.
//!
//! **Decision.** Evidence is gathered twice. *Screening* is over once the interval's lower end clears zero; what screening found is
//! then measured again from nothing, since it was selected for looking good. Both together must reach the level that was staked
//! in the [`Account`], and *confirmation* alone its own. An experiment ends as futile once the interval's upper end falls below
//! the smallest gain worth having.

mod account;
mod blocks;
mod plan;

use serde::{Deserialize, Serialize};

pub use account::{Account, AccountError, Row};
pub use blocks::{Arm, Rejected, Slice};
pub use plan::{Design, Plan, PlanError, Rules};

use kandela_algebra::verdict::Verdict;

use crate::betting::{EVEN, Interval, Sequence};
use blocks::{Blocks, Ended};

/// A comparison of a change with what is. See the [module](self).
#[derive(Clone, Debug)]
pub struct Experiment {
    plan: Plan,
    stake: f64,
    blocks: Blocks,
    phase: Phase,
    sequence: Sequence,
    /// The capital that earlier phases and epochs end with.
    earned: f64,
    epoch: u32,
    decision: Option<Decision>,
}

/// What the next slice is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its number, counted from 0.
    pub slice: u64,
    /// The arm to run.
    pub arm: Arm,
    /// Whether it is only to let the effect of the slice before wear off; what it gives is dropped.
    pub wash_out: bool,
}

/// Which of its two rounds of evidence an experiment is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The first.
    Screening,
    /// The second: what looked good is measured again.
    Confirmation,
}

/// How an experiment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It is better, shown twice.
    Promote,
    /// It is not better by as much as is worth having.
    Futile,
    /// The most blocks that were declared are over and nothing is shown.
    Exhausted,
}

/// Where an experiment stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Which round of evidence this is.
    pub phase: Phase,
    /// Counts up from 0, by [`Experiment::begin_epoch`].
    pub epoch: u32,
    /// The gain, as a natural logarithm of a ratio that is above 0 where the change is better, by this phase's and epoch's evidence
    /// alone. Its lower end is wrong with at most the probability that this phase needs, its upper end with [`Plan::futility`].
    pub gain: Interval,
    /// The mean of this phase's and epoch's observations; `None` before the first.
    pub mean: Option<f64>,
    /// How many blocks counted, in this phase and epoch.
    pub blocks: u32,
    /// How many blocks there were in all, and how many of them were dropped for each reason.
    pub all_blocks: u32,
    /// The dropped ones.
    pub rejected: Rejected,
    /// What is still missing; `None` once it is decided.
    pub missing: Option<MissingSlices>,
    /// How it ended, if it did.
    pub decision: Option<Decision>,
}

/// The evidence that a promotion still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingSlices {
    /// How many more slices at least, wash-out included, if every block is the best that counts.
    pub at_least: u64,
    /// How many more at most before it ends undecided.
    pub at_most: u64,
}

/// Why a slice can't be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// It is not the slice that was asked for.
    #[error("slice {told} was told where slice {expected} was asked for; tell each once, in order")]
    OutOfTurn {
        /// The number that was told.
        told: u64,
        /// The one that was asked for.
        expected: u64,
    },
    /// The experiment is over.
    #[error("slice {0} comes after the experiment was decided; settle it, and open another")]
    Over(u64),
}

impl Experiment {
    /// An experiment by `plan` that may promote by mistake with probability `stake`, as [`Account::open`] gives it.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(plan: Plan, stake: f64, seed: u64) -> Result<Experiment, PlanError> {
        plan.check(stake)?;
        let blocks = Blocks::new(&plan, seed);
        let sequence = screening(&plan, stake);
        let phase = Phase::Screening;
        Ok(Experiment { plan, stake, blocks, phase, sequence, earned: 1.0, epoch: 0, decision: None })
    }

    /// The plan that it follows.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The next slice; `None` once it is decided.
    pub fn asks(&self) -> Option<Asked> {
        self.decision.is_none().then(|| self.blocks.asks())
    }

    /// Takes what the slice that was asked for gave, and says where the experiment stands.
    ///
    /// # Errors
    /// [`ExperimentError`]; the experiment then stands where it stood.
    pub fn observe(&mut self, slice: u64, gave: &Slice) -> Result<Progress, ExperimentError> {
        let Some(asked) = self.asks() else { return Err(ExperimentError::Over(slice)) };
        if asked.slice != slice {
            return Err(ExperimentError::OutOfTurn { told: slice, expected: asked.slice });
        }
        match self.blocks.observe(&self.plan, gave) {
            Ended::Not => {}
            Ended::Rejected => self.decide(),
            Ended::Observed(gain) => {
                self.sequence.observe(gain);
                self.decide();
            }
        }
        Ok(self.progress())
    }

    /// Where it stands.
    pub fn progress(&self) -> Progress {
        let above = self.sequence.above();
        let counted = above.len();
        Progress {
            phase: self.phase,
            epoch: self.epoch,
            gain: self.sequence.interval(),
            mean: (counted > 0).then(|| above.seen().iter().sum::<f64>() / counted as f64),
            blocks: u32::try_from(counted).unwrap_or(u32::MAX),
            all_blocks: self.blocks.ended(),
            rejected: self.blocks.rejected(),
            missing: self.missing(),
            decision: self.decision,
        }
    }

    /// Whether the change is better. What is decided is never taken back.
    pub fn verdict(&self) -> Verdict {
        match self.decision {
            Some(Decision::Promote) => Verdict::Holds,
            Some(Decision::Futile) => Verdict::Violated,
            Some(Decision::Exhausted) | None => Verdict::Unknown,
        }
    }

    /// What the stake has grown to, as a multiple of it; what [`Account::settle`] asks for, also of one that was stopped half-way.
    pub fn capital(&self) -> f64 {
        self.earned * self.sequence.above().capital()
    }

    /// Begins a new epoch, once the workload is no longer the one that was measured: what was seen before counts no more. Of the
    /// stake, what it has not lost is left, and never more than was staked, so the account pays nothing for it. Whoever says so must
    /// not have looked at the arms: a block given up for how it goes is a block that was chosen. Without effect once it is decided.
    pub fn begin_epoch(&mut self) {
        if self.decision.is_some() {
            return;
        }
        self.earned = self.capital().min(1.0);
        self.epoch += 1;
        self.phase = Phase::Screening;
        self.blocks.drop_current();
        self.sequence = screening(&self.plan, self.stake * self.earned);
    }

    fn decide(&mut self) {
        let gain = self.sequence.interval();
        if gain.lower > 0.0 {
            match self.phase {
                Phase::Screening => self.begin_confirmation(),
                Phase::Confirmation => self.decision = Some(Decision::Promote),
            }
        } else if gain.upper < self.plan.smallest_gain {
            self.decision = Some(Decision::Futile);
        }
        if self.decision.is_none() && self.blocks.ended() >= self.plan.most_blocks {
            self.decision = Some(Decision::Exhausted);
        }
    }

    fn begin_confirmation(&mut self) {
        self.earned = self.capital();
        self.phase = Phase::Confirmation;
        let level = confirmation_level(&self.plan, self.stake * self.earned);
        let spread = self.sequence.above().spread();
        self.sequence = Sequence::new(self.plan.clip, level, self.plan.futility, spread);
    }

    fn missing(&self) -> Option<MissingSlices> {
        if self.decision.is_some() {
            return None;
        }
        let above = self.sequence.above();
        let blocks = match self.phase {
            Phase::Screening => {
                let left = self.stake * self.earned;
                let first = above.at_least_until(1.0 / screening_level(&self.plan, left));
                first.saturating_add(fewest(self.plan.confirmation))
            }
            Phase::Confirmation => {
                above.at_least_until(1.0 / confirmation_level(&self.plan, self.stake * self.earned))
            }
        };
        let left = self.plan.most_blocks.saturating_sub(self.blocks.ended());
        let slices = |blocks: u32| self.blocks.slices_until(blocks.max(1));
        Some(MissingSlices { at_least: slices(blocks), at_most: slices(left) })
    }
}

fn screening(plan: &Plan, left: f64) -> Sequence {
    Sequence::new(plan.clip, screening_level(plan, left), plan.futility, EVEN)
}

/// What screening must reach so that confirmation, at its own level, makes up the rest of what was staked.
fn screening_level(plan: &Plan, left: f64) -> f64 {
    (left / plan.confirmation).min(0.5)
}

/// Its own level, or less where screening has not earned the rest.
fn confirmation_level(plan: &Plan, left: f64) -> f64 {
    left.min(plan.confirmation)
}

/// The fewest observations that can reach `level`: each at best doubles the capital.
fn fewest(level: f64) -> u32 {
    libm::ceil(libm::log2(1.0 / level)) as u32
}
