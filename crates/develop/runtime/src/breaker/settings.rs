//! What a breaker is told when it is built.

use std::time::Duration;

use super::machine::Plan;
use super::window::Span;
use crate::range::{OutOfRange, within};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// What a breaker is told when it is built.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Which calls count. The last 100 by default.
    pub span: Span,
    /// How many of them it takes to judge: 1 to 100,000, and no more than [`Span::Calls`]. 20 by default.
    pub minimum_calls: usize,
    /// The share of failures that opens: above 0 to 1. Where it is learned, what holds until then, and never more than this. 0.5 by
    /// default.
    pub failure_rate: f64,
    /// Where it is learned, never less than this. 0.1 by default.
    pub failure_rate_floor: f64,
    /// The share of slow calls that opens: above 0 to 1. Where it is learned, as `failure_rate`. 0.8 by default.
    pub slow_rate: f64,
    /// Where it is learned, never less than this. 0.3 by default.
    pub slow_rate_floor: f64,
    /// From when on a call is slow: 1 µs to 1 h. Where it is learned, what holds until then, and never more than this. 60 s by default.
    pub slow: Duration,
    /// Where it is learned, never less than this. 10 ms by default.
    pub slow_floor: Duration,
    /// For how long it opens the first time: 1 ms to 1 h; doubled with each time that its probes do not go well. 1 s by default.
    pub open_for: Duration,
    /// For how long it opens at most: up to 1 d. 60 s by default.
    pub longest_open: Duration,
    /// By which share that is off at random, so that many breakers do not probe at once: 0 to 0.5. 0.2 by default.
    pub jitter: f64,
    /// How many calls are let through half-open: 1 to 1,000. 5 by default.
    pub probes: u32,
    /// How long it waits for them, before it opens again: 1 ms to 1 h. 30 s by default.
    pub longest_half_open: Duration,
    /// Whether thresholds are learned from what is normal for the service. They are by default.
    pub learn: bool,
    /// How many calls it takes to learn: 100 to 10,000,000. 1,000 by default.
    pub learn_from: u64,
    /// After how long what was learned counts half: 1 min to 30 d. 1 h by default.
    pub half_life: Duration,
    /// Of the jitter.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            span: Span::Calls(100),
            minimum_calls: 20,
            failure_rate: 0.5,
            failure_rate_floor: 0.1,
            slow_rate: 0.8,
            slow_rate_floor: 0.3,
            slow: 60 * SECOND,
            slow_floor: Duration::from_millis(10),
            open_for: SECOND,
            longest_open: 60 * SECOND,
            jitter: 0.2,
            probes: 5,
            longest_half_open: 30 * SECOND,
            learn: true,
            learn_from: 1000,
            half_life: HOUR,
            seed: 0,
        }
    }
}

impl Settings {
    /// # Errors
    /// [`OutOfRange`] where a setting is none.
    pub(super) fn checked(self) -> Result<Settings, OutOfRange> {
        let short = Duration::from_millis(1);
        let most_calls = match self.span {
            Span::Calls(calls) => within("breaker.span", calls, 1..=100_000)?,
            Span::Time(time) => {
                within("breaker.span", time, 100 * short..=HOUR)?;
                100_000
            }
        };
        within("breaker.minimum_calls", self.minimum_calls, 1..=most_calls)?;
        within("breaker.failure_rate", self.failure_rate, 0.001..=1.0)?;
        within("breaker.failure_rate_floor", self.failure_rate_floor, 0.001..=self.failure_rate)?;
        within("breaker.slow_rate", self.slow_rate, 0.001..=1.0)?;
        within("breaker.slow_rate_floor", self.slow_rate_floor, 0.001..=self.slow_rate)?;
        within("breaker.slow", self.slow, Duration::from_micros(1)..=HOUR)?;
        within("breaker.slow_floor", self.slow_floor, Duration::from_micros(1)..=HOUR)?;
        within("breaker.open_for", self.open_for, short..=HOUR)?;
        within("breaker.longest_open", self.longest_open, self.open_for..=24 * HOUR)?;
        within("breaker.jitter", self.jitter, 0.0..=0.5)?;
        within("breaker.probes", self.probes, 1..=1000)?;
        within("breaker.longest_half_open", self.longest_half_open, short..=HOUR)?;
        within("breaker.learn_from", self.learn_from, 100..=10_000_000)?;
        within("breaker.half_life", self.half_life, 60 * SECOND..=720 * HOUR)?;
        Ok(self)
    }

    pub(super) fn plan(&self) -> Plan {
        Plan {
            span: self.span,
            probes: self.probes,
            longest_open: self.longest_open,
            longest_half_open: self.longest_half_open,
            jitter: self.jitter,
            seed: self.seed,
            learn: self.learn,
            learn_from: self.learn_from,
            half_life: self.half_life,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_settings_are_refused_with_their_range() {
        let error = Settings { probes: 0, ..Settings::default() }.checked().expect_err("zero");
        assert_eq!(error.to_string(), "breaker.probes is 0; it may be 1 to 1000");
        let default = Settings::default;
        for absurd in [
            Settings { span: Span::Calls(0), ..default() },
            Settings { span: Span::Time(Duration::ZERO), ..default() },
            Settings { minimum_calls: 101, ..default() },
            Settings { failure_rate: f64::NAN, ..default() },
            Settings { failure_rate: 0.0, ..default() },
            Settings { slow_rate_floor: 0.9, ..default() },
            Settings { open_for: Duration::ZERO, ..default() },
            Settings { longest_open: Duration::MAX, ..default() },
            Settings { jitter: 2.0, ..default() },
            Settings { learn_from: 0, ..default() },
        ] {
            assert!(absurd.clone().checked().is_err(), "{absurd:?}");
        }
    }
}
