//! When to try something else.

use rand::Rng;

use crate::random::Random;

/// Temporally extended ε-greedy exploration (Dabney et al., 2021): a random action is kept up for a while, so that a walk leaves
/// the place where single steps cancel out. A repeat of `n` steps or more has probability `1/n`.
#[derive(Clone, Debug)]
pub(super) struct Explorer {
    longest: usize,
    /// The mean length of a repeat.
    mean: f64,
    kept_up: Option<(usize, usize)>,
}

impl Explorer {
    pub(super) fn new(longest: usize) -> Explorer {
        let mean = (1..=longest).map(|n| 1.0 / n as f64).sum();
        Explorer { longest, mean, kept_up: None }
    }

    /// A random action, or `None` where the policy shall choose. In the long run `share` of the steps are random.
    pub(super) fn choose(&mut self, share: f64, actions: usize, random: &mut Random) -> Option<usize> {
        if let Some((action, left)) = self.kept_up {
            self.kept_up = (left > 1).then_some((action, left - 1));
            return Some(action);
        }
        let begins = share / (self.mean - share * self.mean + share);
        if random.random::<f64>() >= begins {
            return None;
        }
        let action = random.random_range(0..actions);
        let length = (1.0 / (1.0 - random.random::<f64>())) as usize;
        let more = length.min(self.longest) - 1;
        self.kept_up = (more > 0).then_some((action, more));
        Some(action)
    }

    /// The episode is over, and so is what was kept up.
    pub(super) fn forget(&mut self) {
        self.kept_up = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::seeded;

    #[test]
    fn the_share_of_random_steps_is_what_was_asked_for_however_long_they_last() {
        for longest in [1, 20] {
            let (mut explorer, mut random) = (Explorer::new(longest), seeded(5, 0));
            let steps = 200_000;
            let explored = (0..steps).filter(|_| explorer.choose(0.2, 3, &mut random).is_some()).count();
            let share = explored as f64 / f64::from(steps);
            assert!((share - 0.2).abs() < 0.01, "{share} at {longest}");
        }
    }
}
