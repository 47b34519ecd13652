//! When requests are due: a Poisson process whose rate changes from minute to minute.

use std::time::Duration;

use rand::rngs::StdRng;

use crate::random;

/// Due times in order, each with its minute.
pub(super) struct Arrivals<'a> {
    expected: &'a [f64],
    minute_seconds: f64,
    rng: StdRng,
    minute: usize,
    /// When the last one of this minute was due, as a part of the minute.
    at: f64,
}

impl<'a> Arrivals<'a> {
    /// `expected` requests in each minute of this length.
    pub(super) fn new(expected: &'a [f64], minute: Duration, rng: StdRng) -> Arrivals<'a> {
        Arrivals { expected, minute_seconds: minute.as_secs_f64(), rng, minute: 0, at: 0.0 }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = (usize, Duration);

    fn next(&mut self) -> Option<(usize, Duration)> {
        while let Some(&expected) = self.expected.get(self.minute) {
            // Where nothing is expected the wait is infinite. The process has no memory, so each minute may begin anew.
            self.at += random::exponential(&mut self.rng) / expected;
            if self.at < 1.0 {
                let due = (self.minute as f64 + self.at) * self.minute_seconds;
                return Some((self.minute, Duration::from_secs_f64(due)));
            }
            self.minute += 1;
            self.at = 0.0;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn arrivals(expected: &[f64]) -> Vec<(usize, Duration)> {
        Arrivals::new(expected, Duration::from_secs(2), StdRng::seed_from_u64(7)).collect()
    }

    #[test]
    fn each_minute_gets_about_what_is_expected_of_it() {
        let due = arrivals(&[1000.0, 0.0, 4000.0]);
        let of_minute = |minute| due.iter().filter(|(of, _)| *of == minute).count();
        assert!((900..1100).contains(&of_minute(0)), "{}", of_minute(0));
        assert_eq!(of_minute(1), 0);
        assert!((3800..4200).contains(&of_minute(2)), "{}", of_minute(2));
    }

    #[test]
    fn requests_are_due_in_order_and_within_their_minute() {
        let due = arrivals(&[50.0, 50.0]);
        assert!(due.is_sorted_by_key(|(_, at)| *at));
        assert!(due.iter().all(|(minute, at)| at.as_secs_f64() / 2.0 >= *minute as f64
            && at.as_secs_f64() / 2.0 < *minute as f64 + 1.0));
    }

    #[test]
    fn the_same_seed_gives_the_same_requests() {
        assert_eq!(arrivals(&[30.0]), arrivals(&[30.0]));
    }
}
