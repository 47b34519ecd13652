//! What a limiter is told when it is built.

use std::time::Duration;

use super::control::Algorithm;
use super::gate::HIGHEST_LIMIT;
use crate::range::{OutOfRange, within};

/// What a limiter is told when it is built. The defaults suit a service of which nothing is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The limit at first: 1 to 1,048,575. 20 by default.
    pub initial: usize,
    /// The lowest limit. 1 by default.
    pub min: usize,
    /// The highest limit. 1,000 by default.
    pub max: usize,
    /// How the limit follows what is measured.
    pub algorithm: Algorithm,
    /// The shortest window: 1 ms to 1 min. 100 ms by default.
    pub window: Duration,
    /// The fewest calls in a window: 5 to 100,000. 50 by default.
    pub calls: u64,
    /// How many may wait: 0 to 65,536. 100 by default.
    pub queue: usize,
    /// The longest that anybody waits, if 0.4 of the 99th percentile of latency is not less: 0 to 1 min. 1 s by default.
    pub max_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            initial: 20,
            min: 1,
            max: 1000,
            algorithm: Algorithm::default(),
            window: Duration::from_millis(100),
            calls: 50,
            queue: 100,
            max_wait: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// # Errors
    /// [`OutOfRange`] where a setting is none.
    pub(super) fn checked(self) -> Result<Settings, OutOfRange> {
        within("limiter.min", self.min, 1..=HIGHEST_LIMIT)?;
        within("limiter.max", self.max, self.min..=HIGHEST_LIMIT)?;
        within("limiter.initial", self.initial, self.min..=self.max)?;
        within("limiter.window", self.window, Duration::from_millis(1)..=Duration::from_secs(60))?;
        within("limiter.calls", self.calls, 5..=100_000)?;
        within("limiter.queue", self.queue, 0..=65_536)?;
        within("limiter.max_wait", self.max_wait, Duration::ZERO..=Duration::from_secs(60))?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_settings_are_refused_with_their_range() {
        let error = Settings { max: 0, ..Settings::default() }.checked().expect_err("zero");
        assert_eq!(error.to_string(), "limiter.max is 0; it may be 1 to 1048575");
        let default = Settings::default;
        for absurd in [
            Settings { min: 0, ..default() },
            Settings { initial: 5000, ..default() },
            Settings { window: Duration::ZERO, ..default() },
            Settings { calls: 0, ..default() },
            Settings { queue: usize::MAX, ..default() },
            Settings { max_wait: Duration::MAX, ..default() },
        ] {
            assert!(absurd.clone().checked().is_err(), "{absurd:?}");
        }
    }
}
