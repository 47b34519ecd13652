//! How long to wait before a retry.

use std::time::Duration;

use crate::random::SharedRandom;
use crate::range::{OutOfRange, within};

/// Exponential backoff with full jitter: before retry n, a time chosen evenly from zero to `base · 2ⁿ⁻¹`, `longest` at most.
///
/// Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015; of the kinds compared there, full jitter
/// makes clients that failed together come back least together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    longest: Duration,
}

impl Backoff {
    /// The first wait is up to `base`, no wait is over `longest`.
    ///
    /// # Errors
    /// [`OutOfRange`] unless 1 µs ≤ `base` ≤ `longest` ≤ 1 h.
    pub fn new(base: Duration, longest: Duration) -> Result<Backoff, OutOfRange> {
        within("retry.backoff.base", base, Duration::from_micros(1)..=Duration::from_secs(3600))?;
        within("retry.backoff.longest", longest, base..=Duration::from_secs(3600))?;
        Ok(Backoff { base, longest })
    }

    /// The wait before retry number `retry`, counted from 1.
    pub fn wait(&self, retry: usize, random: &SharedRandom) -> Duration {
        let doublings = u32::try_from(retry.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 2_u32.saturating_pow(doublings);
        self.base.saturating_mul(factor).min(self.longest).mul_f64(random.unit())
    }
}

impl Default for Backoff {
    /// From 25 ms to 1 s.
    fn default() -> Self {
        Backoff { base: Duration::from_millis(25), longest: Duration::from_secs(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_fill_their_range() {
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(50)).expect("in order");
        let random = SharedRandom::seeded(1);
        for (retry, longest_ms) in [(1, 10.0), (2, 20.0), (3, 40.0), (4, 50.0), (400, 50.0)] {
            let waits: Vec<f64> =
                (0..1000).map(|_| backoff.wait(retry, &random).as_secs_f64() * 1000.0).collect();
            let longest = waits.iter().fold(0.0_f64, |longest, wait| longest.max(*wait));
            let mean = waits.iter().sum::<f64>() / 1000.0;
            assert!(longest < longest_ms && longest > longest_ms * 0.99, "retry {retry}: {longest}");
            assert!((mean / longest_ms - 0.5).abs() < 0.03, "retry {retry}: {mean}");
        }
    }

    #[test]
    fn a_wait_of_nothing_and_one_that_shrinks_are_refused() {
        assert!(Backoff::new(Duration::ZERO, Duration::from_secs(1)).is_err());
        assert!(Backoff::new(Duration::from_secs(2), Duration::from_secs(1)).is_err());
    }
}
