//! A deep Q-network: which of a few actions to take, learned from what came of those taken before.
//!
//! For observations of a few numbers and a handful of actions, on one core. Double (van Hasselt et al., 2016), dueling (Wang et al.,
//! 2016), with prioritised replay (Schaul et al., 2016), returns over several steps and a target network (Mnih et al., 2015).
//! Observations are normalised by what was seen. The same seed and the same calls give the same weights, on every machine.
//!
//! The policy is that of the target network. Where that follows softly it is a running average of what was learned, steadier than the latest weights.
//!
//! ```
//! use kandela_tune::dqn::{Dqn, End, Settings, Transition};
//!
//! // Two places; action 1 in place 1 is worth something and ends the episode, anything else changes place.
//! let settings = Settings { hidden: vec![16], batch: 16, warm_up: 32, horizon: 500, ..Settings::default() };
//! let mut dqn = Dqn::new(1, 2, settings, 7).unwrap();
//! let mut place = [0.0];
//! for _ in 0..500 {
//!     let action = dqn.act(&place).unwrap();
//!     let won = place == [1.0] && action == 1;
//!     let next = [1.0 - place[0]];
//!     let end = if won { End::Terminal } else { End::Goes };
//!     dqn.observe(&Transition { observation: &place, action, reward: f32::from(won), next: &next, end }).unwrap();
//!     dqn.learn();
//!     place = if won { [0.0] } else { next };
//! }
//! assert_eq!(dqn.greedy(&[1.0]).unwrap(), 1);
//! ```

mod explore;
mod matrix;
mod network;
mod normal;
mod novelty;
mod replay;
mod saved;
mod settings;

use std::collections::VecDeque;

pub use saved::Saved;
pub use settings::{Settings, Target};

use explore::Explorer;
use network::{Adam, Gradient, Pass, Shape};
use normal::Normal;
use novelty::Novelty;
use replay::{Experience, Replay, Sample};

use crate::random::{Random, seeded};

/// One step of an episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition<'a> {
    /// What was seen before.
    pub observation: &'a [f32],
    /// What was done.
    pub action: usize,
    /// What it earned.
    pub reward: f32,
    /// What was seen after.
    pub next: &'a [f32],
    /// Whether the episode goes on.
    pub end: End,
}

/// Whether an episode goes on after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It does.
    Goes,
    /// It ended: nothing can be earned after.
    Terminal,
    /// It was cut off, by a limit of time say: what could have been earned after still counts.
    Truncated,
}

/// What can't be learned from.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DqnError {
    /// A setting is out of range.
    #[error("setting {name}: it has to be {range}")]
    Settings {
        /// The setting.
        name: &'static str,
        /// Its range.
        range: &'static str,
    },
    /// There is nothing to see, or nothing to choose.
    #[error(
        "{observation} numbers an observation and {actions} actions: there have to be 1 to 65536 of each"
    )]
    Size {
        /// Numbers an observation.
        observation: usize,
        /// Actions.
        actions: usize,
    },
    /// An observation of another length, or with what is no finite number.
    #[error("an observation has {expected} finite numbers; this one is {got:?}")]
    Observation {
        /// How many.
        expected: usize,
        /// What came.
        got: Vec<f32>,
    },
    /// No such action.
    #[error("there is no action {action}; there are {actions}, counted from 0")]
    Action {
        /// What came.
        action: usize,
        /// How many there are.
        actions: usize,
    },
    /// The reward is no number, or so great that sums of it are none.
    #[error("{0} is no reward; give a number from -1e9 to 1e9")]
    Reward(f32),
    /// A saved network that can't be taken.
    #[error("the saved network can't be used: {0}")]
    Saved(String),
}

/// A network that learns. See the [module](self).
#[derive(Clone, Debug)]
pub struct Dqn {
    settings: Settings,
    observation_len: usize,
    actions: usize,
    shape: Shape,
    online: Vec<f32>,
    target: Vec<f32>,
    normal: Normal,
    observed: u64,
    gradient_steps: u64,

    replay: Replay,
    /// Steps whose return is not complete.
    pending: VecDeque<Step>,
    explorer: Explorer,
    novelty: Novelty,
    random: Random,
    adam: Adam,
    work: Work,
}

/// A step whose return is not complete.
#[derive(Clone, Debug)]
struct Step {
    observation: Vec<f32>,
    action: usize,
    reward: f32,
    novelty: f32,
}

/// Room that is used again in each step.
#[derive(Clone, Debug)]
struct Work {
    one: Pass,
    now: Pass,
    next_online: Pass,
    next_target: Pass,
    gradient: Gradient,
    sample: Sample,
    scales: Vec<(f32, f32)>,
    actions: Vec<usize>,
    slopes: Vec<f32>,
    errors: Vec<f32>,
}

impl Dqn {
    /// A network that knows nothing, for observations of `observation_len` numbers and actions from 0 to `actions - 1`.
    ///
    /// # Errors
    /// [`DqnError::Settings`], [`DqnError::Size`].
    pub fn new(
        observation_len: usize,
        actions: usize,
        settings: Settings,
        seed: u64,
    ) -> Result<Dqn, DqnError> {
        settings.check()?;
        if ![observation_len, actions].iter().all(|size| (1..=65_536).contains(size)) {
            return Err(DqnError::Size { observation: observation_len, actions });
        }
        let shape = Shape::new(observation_len, &settings.hidden, actions);
        let mut random = seeded(seed, 0);
        let online = shape.draw(&mut random);
        let pass = || Pass::new(&shape, settings.batch);
        let work = Work {
            one: Pass::new(&shape, 1),
            now: pass(),
            next_online: pass(),
            next_target: pass(),
            gradient: Gradient::new(&shape, settings.batch),
            sample: Sample::default(),
            scales: Vec::new(),
            actions: Vec::new(),
            slopes: Vec::new(),
            errors: Vec::new(),
        };
        Ok(Dqn {
            observation_len,
            actions,
            target: online.clone(),
            normal: Normal::new(observation_len),
            observed: 0,
            gradient_steps: 0,
            replay: Replay::new(observation_len, settings.replay),
            pending: VecDeque::new(),
            explorer: Explorer::new(settings.longest_repeat),
            novelty: Novelty::default(),
            random,
            adam: Adam::new(online.len()),
            online,
            work,
            shape,
            settings,
        })
    }

    /// How it learns.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many numbers it observes.
    pub fn observation_len(&self) -> usize {
        self.observation_len
    }

    /// How many actions there are.
    pub fn actions(&self) -> usize {
        self.actions
    }

    /// What to do next, to learn: mostly the best that is known, sometimes something else.
    ///
    /// # Errors
    /// [`DqnError::Observation`].
    pub fn act(&mut self, observation: &[f32]) -> Result<usize, DqnError> {
        self.check(observation)?;
        let least = self.settings.exploration;
        let share = least + (1.0 - least) * exploring(&self.settings, self.observed);
        match self.explorer.choose(share, self.actions, &mut self.random) {
            Some(action) => Ok(action),
            None => self.greedy(observation),
        }
    }

    /// The best that is known.
    ///
    /// # Errors
    /// [`DqnError::Observation`].
    pub fn greedy(&mut self, observation: &[f32]) -> Result<usize, DqnError> {
        Ok(best(self.values(observation)?))
    }

    /// What each action is expected to earn, in total and discounted.
    ///
    /// # Errors
    /// [`DqnError::Observation`].
    pub fn values(&mut self, observation: &[f32]) -> Result<&[f32], DqnError> {
        self.check(observation)?;
        let Work { one, scales, .. } = &mut self.work;
        scales.clear();
        scales.extend(self.normal.scales());
        Normal::apply(scales, observation, one.input());
        Ok(one.forward(&self.shape, &self.target))
    }

    /// Takes in what came of a step. Steps of an episode come in their order.
    ///
    /// # Errors
    /// [`DqnError::Observation`], [`DqnError::Action`], [`DqnError::Reward`]; nothing has changed then.
    pub fn observe(&mut self, transition: &Transition<'_>) -> Result<(), DqnError> {
        let Transition { observation, action, reward, next, end } = *transition;
        self.check(observation)?;
        self.check(next)?;
        if action >= self.actions {
            return Err(DqnError::Action { action, actions: self.actions });
        }
        if !(-MOST_REWARD..=MOST_REWARD).contains(&reward) {
            return Err(DqnError::Reward(reward));
        }
        self.observed += 1;
        self.normal.learn(observation);
        self.work.scales.clear();
        self.work.scales.extend(self.normal.scales());
        let novelty = self.novelty.visit(&self.work.scales, next);
        self.pending.push_back(Step { observation: observation.to_vec(), action, reward, novelty });
        while self.pending.len() >= self.settings.steps_ahead
            || (end != End::Goes && !self.pending.is_empty())
        {
            self.complete(next, end);
        }
        if end != End::Goes {
            self.explorer.forget();
        }
        Ok(())
    }

    /// Follows the gradient once, where it is time to: to be called after each step. Gives the mean absolute error of its estimates, in
    /// units of reward; `None` where it was not time.
    pub fn learn(&mut self) -> Option<f32> {
        let ready = self.replay.len() >= self.settings.warm_up.max(1);
        if !ready || !self.observed.is_multiple_of(self.settings.learn_every) {
            return None;
        }
        Some(self.gradient_step())
    }

    /// Moves the oldest pending step, with the return up to `next`, to the replay.
    fn complete(&mut self, next: &[f32], end: End) {
        let discount = self.settings.discount as f32;
        let summed = |of: fn(&Step) -> f32| {
            self.pending.iter().rev().fold(0.0, |after, step| of(step) + discount * after)
        };
        let (reward, novelty) = (summed(|step| step.reward), summed(|step| step.novelty));
        let ahead = self.pending.len() as f64;
        let Some(Step { observation, action, .. }) = self.pending.pop_front() else { return };
        let discount = match end {
            End::Terminal => 0.0,
            End::Goes | End::Truncated => libm::pow(self.settings.discount, ahead) as f32,
        };
        self.replay.push(&Experience { observation, action, reward, novelty, discount, next: next.to_vec() });
    }

    fn gradient_step(&mut self) -> f32 {
        let progress = self.settings.progress(self.observed);
        let Work { now, next_online, next_target, gradient, sample, scales, actions, slopes, errors, .. } =
            &mut self.work;
        let curious = (self.settings.novelty * exploring(&self.settings, self.observed)) as f32;
        let correction = self.settings.correction + progress * (1.0 - self.settings.correction);
        self.replay.sample(self.settings.batch, correction, &mut self.random, sample);
        let width = self.observation_len;
        for (row, place) in sample.places.iter().enumerate() {
            let numbers = row * width..(row + 1) * width;
            Normal::apply(scales, self.replay.observation(*place), &mut now.input()[numbers.clone()]);
            Normal::apply(scales, self.replay.next(*place), &mut next_online.input()[numbers]);
        }
        next_target.input().copy_from_slice(next_online.input());
        now.forward(&self.shape, &self.online);
        next_online.forward(&self.shape, &self.online);
        next_target.forward(&self.shape, &self.target);

        actions.clear();
        slopes.clear();
        errors.clear();
        for (row, (place, weight)) in sample.places.iter().zip(&sample.weights).enumerate() {
            let values = row * self.actions..(row + 1) * self.actions;
            let chosen = best(&next_online.values()[values]);
            let (reward, novelty, discount) = self.replay.outcome(*place);
            let wanted =
                reward + curious * novelty + discount * next_target.values()[row * self.actions + chosen];
            let action = self.replay.action(*place);
            let error = now.values()[row * self.actions + action] - wanted;
            actions.push(action);
            // The slope of Huber's loss.
            slopes.push(weight * error.clamp(-1.0, 1.0) / self.settings.batch as f32);
            errors.push(error.abs());
        }
        for (place, error) in sample.places.iter().zip(errors.iter()) {
            let priority = libm::pow(f64::from(*error) + LEAST_PRIORITY, self.settings.priority);
            self.replay.prioritise(*place, priority);
        }
        gradient.backward(&self.shape, &self.online, now, actions, slopes);
        gradient.clip(self.settings.gradient as f32);
        let rate = self.settings.learning_rate * (1.0 - (1.0 - LAST_RATE) * progress);
        self.adam.step(&mut self.online, &gradient.slopes, rate as f32);
        self.gradient_steps += 1;
        self.follow();
        self.work.errors.iter().sum::<f32>() / self.settings.batch as f32
    }

    fn follow(&mut self) {
        match self.settings.target {
            Target::Soft(share) => {
                let share = share as f32;
                for (target, online) in self.target.iter_mut().zip(&self.online) {
                    *target += share * (online - *target);
                }
            }
            Target::Hard(every) => {
                if self.gradient_steps.is_multiple_of(every) {
                    self.target.copy_from_slice(&self.online);
                }
            }
        }
    }

    fn check(&self, observation: &[f32]) -> Result<(), DqnError> {
        if observation.len() == self.observation_len && observation.iter().all(|number| number.is_finite()) {
            return Ok(());
        }
        Err(DqnError::Observation { expected: self.observation_len, got: observation.to_vec() })
    }
}

/// What every experience's priority has beside its error, so that none is never seen again; in units of reward.
const LEAST_PRIORITY: f64 = 1e-2;

/// How great a reward may be: returns over many steps stay numbers.
const MOST_REWARD: f32 = 1e9;

/// What the learning rate falls to, as a share.
const LAST_RATE: f64 = 0.01;

/// How much of exploration is left after so many steps, from 1 to 0.
fn exploring(settings: &Settings, observed: u64) -> f64 {
    let over = settings.progress(observed) / settings.exploring.max(f64::MIN_POSITIVE);
    1.0 - over.min(1.0)
}

/// The first of the greatest.
fn best(values: &[f32]) -> usize {
    let mut best = 0;
    for (action, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = action;
        }
    }
    best
}
