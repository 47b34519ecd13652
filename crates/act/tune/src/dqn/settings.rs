//! How a network learns.

use serde::{Deserialize, Serialize};

use super::DqnError;
use super::matrix::LANES;

/// How a network learns. The defaults were chosen on CartPole, Acrobot and MountainCar together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Widths of the hidden layers, each a multiple of 8.
    pub hidden: Vec<usize>,
    /// What a reward one step later counts for, from 0 to 1.
    pub discount: f64,
    /// How many steps of reward are looked at before the network's own estimate counts, at least 1.
    pub steps_ahead: usize,
    /// The learning rate at first; it falls linearly to a hundredth over `horizon`.
    pub learning_rate: f64,
    /// How many experiences a gradient step looks at, at least 1.
    pub batch: usize,
    /// Once in how many observed steps the gradient is followed, at least 1.
    pub learn_every: u64,
    /// How many experiences are kept, at least `batch`.
    pub replay: usize,
    /// How many experiences there are before learning begins, at most `replay`.
    pub warm_up: usize,
    /// The exponent of priorities: 0 for uniform replay, 1 for wholly by error.
    pub priority: f64,
    /// How far the bias of prioritised replay is made up for at first, from 0 to 1; it rises linearly to 1 over `horizon`.
    pub correction: f64,
    /// How the target network follows.
    pub target: Target,
    /// The share of steps that explore, once it has fallen.
    pub exploration: f64,
    /// The share of `horizon` over which exploration falls from 1, and what is new stops being worth anything.
    pub exploring: f64,
    /// What seeing something for the first time is worth at first, in units of reward.
    pub novelty: f64,
    /// How long one random action is kept up at most, in steps; 1 for a new one each step.
    pub longest_repeat: usize,
    /// The longest gradient that is followed.
    pub gradient: f64,
    /// How many steps will be observed. Schedules end there; what is observed after is learned from at their ends.
    pub horizon: u64,
}

/// How the target network follows the one that learns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// After each gradient step by this share of the way, above 0 and at most 1.
    Soft(f64),
    /// All the way, once in so many gradient steps, at least 1.
    Hard(u64),
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            hidden: vec![64, 64],
            discount: 0.99,
            steps_ahead: 3,
            learning_rate: 1e-3,
            batch: 32,
            learn_every: 1,
            replay: 50_000,
            warm_up: 1000,
            priority: 0.6,
            correction: 0.4,
            target: Target::Soft(0.005),
            exploration: 0.01,
            exploring: 0.2,
            novelty: 0.3,
            longest_repeat: 20,
            gradient: 10.0,
            horizon: 50_000,
        }
    }
}

impl Settings {
    /// # Errors
    /// [`DqnError::Settings`], which names the one that is out of range.
    pub(super) fn check(&self) -> Result<(), DqnError> {
        let within = |number: f64, low: f64, high: f64| (low..=high).contains(&number);
        let target = match self.target {
            Target::Soft(share) => share > 0.0 && share <= 1.0,
            Target::Hard(every) => every >= 1,
        };
        let rules = [
            (
                "hidden",
                self.hidden.iter().all(|width| width % LANES == 0 && (LANES..=4096).contains(width)),
                "multiples of 8, from 8 to 4096",
            ),
            ("hidden", self.hidden.len() <= 16, "at most 16 layers"),
            ("discount", within(self.discount, 0.0, 1.0), "from 0 to 1"),
            ("steps_ahead", (1..=1000).contains(&self.steps_ahead), "from 1 to 1000"),
            ("learning_rate", within(self.learning_rate, 0.0, 1.0), "from 0 to 1"),
            ("batch", (1..=65_536).contains(&self.batch), "from 1 to 65536"),
            ("learn_every", self.learn_every >= 1, "at least 1"),
            ("replay", (self.batch..=1 << 26).contains(&self.replay), "from `batch` to 2^26"),
            ("warm_up", self.warm_up <= self.replay, "at most `replay`"),
            ("priority", within(self.priority, 0.0, 1.0), "from 0 to 1"),
            ("correction", within(self.correction, 0.0, 1.0), "from 0 to 1"),
            ("target", target, "a soft share above 0 and at most 1, or hard once in at least 1 step"),
            ("exploration", within(self.exploration, 0.0, 1.0), "from 0 to 1"),
            ("exploring", within(self.exploring, 0.0, 1.0), "from 0 to 1"),
            ("novelty", within(self.novelty, 0.0, 1e9), "from 0 to 1e9"),
            ("longest_repeat", (1..=1 << 20).contains(&self.longest_repeat), "from 1 to 2^20"),
            ("gradient", self.gradient.is_finite() && self.gradient > 0.0, "finite and above 0"),
        ];
        let broken = rules.into_iter().find(|(_, kept, _)| !kept);
        broken.map_or(Ok(()), |(name, _, range)| Err(DqnError::Settings { name, range }))
    }

    /// How much of the horizon is behind after `steps`, from 0 to 1.
    pub(super) fn progress(&self, steps: u64) -> f64 {
        if steps >= self.horizon { 1.0 } else { steps as f64 / self.horizon as f64 }
    }
}
