//! When a target is scraped.

use std::time::Duration;

use kandela_model::Timestamp;

/// How far a scrape may come late and still be stamped with its planned time, at most a hundredth of the interval.
const TOLERANCE: Duration = Duration::from_millis(2);

/// How long to wait until the first scrape: each target has its own place in the interval, by its hash, so that scrapes
/// spread out and stay in their place over restarts.
pub(super) fn first_wait(now: Timestamp, hash: u64, interval: Duration) -> Duration {
    let interval = micros(interval);
    let since_boundary = now.micros().rem_euclid(interval) as u64;
    let place = hash % interval as u64;
    let wait = (interval as u64 - since_boundary + place) % interval as u64;
    Duration::from_micros(wait)
}

/// Planned scrape times. Timers jitter by a millisecond or two, which would cost storage: timestamps in equal steps compress
/// to almost nothing.
pub(super) struct Plan {
    interval: i64,
    tolerance: i64,
    planned: Option<i64>,
}

impl Plan {
    pub(super) fn new(interval: Duration) -> Self {
        let tolerance = TOLERANCE.min(interval / 100);
        Self { interval: micros(interval), tolerance: micros(tolerance), planned: None }
    }

    /// The timestamp, in whole milliseconds, of a scrape that starts at `now`.
    pub(super) fn stamp(&mut self, now: Timestamp) -> Timestamp {
        let now = now.millis() * 1_000;
        let planned = self.planned.get_or_insert(now);
        let behind = now - *planned;
        if behind >= self.interval {
            *planned += behind / self.interval * self.interval;
        }
        let is_close = (0..=self.tolerance).contains(&(now - *planned));
        Timestamp::from_micros(if is_close { *planned } else { now })
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_first_scrape_comes_at_the_targets_place_in_the_interval() {
        let interval = Duration::from_secs(10);
        for hash in [0, 1, 9_999_999, 10_000_000, u64::MAX] {
            for now in [0, 3_333, 9_999, 1_795_464_152_934] {
                let wait = first_wait(millis(now), hash, interval);
                assert!(wait < interval);
                let place = (now * 1_000 + wait.as_micros() as i64) % 10_000_000;
                assert_eq!(place as u64, hash % 10_000_000);
            }
        }
    }

    #[test]
    fn a_scrape_that_is_a_little_late_is_stamped_with_its_planned_time() {
        let mut plan = Plan::new(Duration::from_secs(10));
        assert_eq!(plan.stamp(millis(5_000)), millis(5_000));
        assert_eq!(plan.stamp(millis(15_002)), millis(15_000));
        assert_eq!(plan.stamp(millis(25_001)), millis(25_000));
    }

    #[test]
    fn a_scrape_that_is_too_late_or_early_keeps_its_own_time() {
        let mut plan = Plan::new(Duration::from_secs(10));
        plan.stamp(millis(5_000));
        assert_eq!(plan.stamp(millis(15_003)), millis(15_003));
        assert_eq!(plan.stamp(millis(24_999)), millis(24_999));
    }

    #[test]
    fn a_scrape_that_was_left_out_does_not_shift_the_plan() {
        let mut plan = Plan::new(Duration::from_secs(10));
        plan.stamp(millis(5_000));
        assert_eq!(plan.stamp(millis(35_001)), millis(35_000));
    }

    #[test]
    fn short_intervals_tolerate_a_hundredth() {
        let mut plan = Plan::new(Duration::from_millis(100));
        plan.stamp(millis(0));
        assert_eq!(plan.stamp(millis(101)), millis(100));
        assert_eq!(plan.stamp(millis(202)), millis(202));
    }
}
