//! How long a breaker stays open: longer each time, and not in step with others.

use std::time::Duration;

use crate::random::Random;

/// Doublings end here; the longest wait is reached before.
const MOST_DOUBLINGS: u32 = 20;

/// Exponential backoff with jitter from a seeded generator.
#[derive(Debug)]
pub(crate) struct Backoff {
    longest: Duration,
    jitter: f64,
    random: Random,
}

impl Backoff {
    /// Waits of at most `longest`, off by up to the share `jitter` in both directions.
    pub(crate) fn new(longest: Duration, jitter: f64, seed: u64) -> Backoff {
        Backoff { longest, jitter, random: Random::seeded(seed) }
    }

    /// The wait after `failures` failures in a row, at least one: `first`, doubled for each one more.
    pub(crate) fn wait(&mut self, first: Duration, failures: u32) -> Duration {
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(MOST_DOUBLINGS));
        let off = 1.0 + self.jitter * (2.0 * self.random.unit() - 1.0);
        doubled.min(self.longest.max(first)).mul_f64(off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(10 * SECOND, 0.0, 1);
        let waits: Vec<u64> = [1, 2, 3, 4, 5, 99].map(|n| backoff.wait(SECOND, n).as_secs()).to_vec();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn jitter_stays_within_its_share_and_differs_by_seed() {
        let waits = |seed| {
            let mut backoff = Backoff::new(10 * SECOND, 0.2, seed);
            (0..100).map(|_| backoff.wait(SECOND, 1)).collect::<Vec<_>>()
        };
        assert!(waits(1).iter().all(|wait| (0.8..=1.2).contains(&wait.as_secs_f64())));
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }
}
