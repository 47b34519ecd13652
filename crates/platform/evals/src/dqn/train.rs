//! One training, and what the network that it ends with is worth.

use std::time::Instant;

use kandela_tune::dqn::{Dqn, End, Settings, Transition};
use kandela_tune::random::seeded;
use serde::{Deserialize, Serialize};

use super::environment::Task;

/// How many episodes a final network is judged by.
const EPISODES: u32 = 100;

/// Streams of randomness, so that episodes to judge by are none that were trained on.
const TRAINING: u64 = 1;
const JUDGING: u64 = 2;

/// What one seed came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) environment: String,
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    /// A hash of the agent's settings.
    pub(crate) settings: String,
    pub(crate) build: String,
    /// The mean return of the final greedy policy over the episodes that it is judged by.
    pub(crate) mean: f64,
    /// The least of those returns.
    pub(crate) worst: f64,
    /// What training took, in seconds.
    pub(crate) seconds: f64,
}

/// The figures of a training: mean, worst, seconds.
pub(crate) fn train(
    task: Task,
    seed: u64,
    steps: u64,
    settings: &Settings,
) -> anyhow::Result<(f64, f64, f64)> {
    let began = Instant::now();
    let settings = Settings { horizon: steps, ..settings.clone() };
    let mut dqn = Dqn::new(task.observation_len(), task.actions(), settings, seed)?;
    let mut random = seeded(seed, TRAINING);
    let mut episode = task.reset(&mut random);
    let mut observation = episode.observation();
    for _ in 0..steps {
        let action = dqn.act(&observation)?;
        let (reward, end) = episode.step(action);
        let next = episode.observation();
        dqn.observe(&Transition { observation: &observation, action, reward, next: &next, end })?;
        dqn.learn();
        observation = next;
        if end != End::Goes {
            episode = task.reset(&mut random);
            observation = episode.observation();
        }
    }
    let seconds = began.elapsed().as_secs_f64();

    let mut random = seeded(seed, JUDGING);
    let mut returns = Vec::new();
    for _ in 0..EPISODES {
        let mut episode = task.reset(&mut random);
        let mut sum = 0.0;
        loop {
            let action = dqn.greedy(&episode.observation())?;
            let (reward, end) = episode.step(action);
            sum += f64::from(reward);
            if end != End::Goes {
                break;
            }
        }
        returns.push(sum);
    }
    let mean = returns.iter().sum::<f64>() / f64::from(EPISODES);
    let worst = returns.iter().copied().fold(f64::INFINITY, f64::min);
    Ok((mean, worst, seconds))
}
