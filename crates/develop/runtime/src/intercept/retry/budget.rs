//! How many retries there may be: a share of the requests, and a few a second besides.
//!
//! Without such a bound, retries multiply the load just when a service is at its limit. Source: Finagle's `RetryBudget` (a share
//! and a floor over a window of ten seconds), and gRPC's retry throttling (proposal A6).

use std::time::Duration;

use crate::clock::Moment;

/// The window that requests and retries are counted over.
pub const WINDOW: Duration = Duration::from_secs(10);

const SLOTS: usize = 20;
const SLOT_NANOS: u64 = WINDOW.as_nanos() as u64 / SLOTS as u64;

/// How much may be retried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Retries for each request, 0.2 for one in five.
    pub share: f64,
    /// Retries a second whatever the requests: a client that asks seldom may retry too.
    pub floor_per_second: f64,
}

/// Counts requests and retries of the last [`WINDOW`]. A retry is allowed where, with it, that window has no more retries than
/// `share · requests + floor · 10 s`.
///
/// The window moves in steps of half a second. A clock that steps backwards is taken to stand still.
#[derive(Clone, Debug, Default)]
pub struct RetryBudget {
    slots: [Slot; SLOTS],
    /// The slot of the latest moment seen, counted from the clock's origin.
    latest: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    requests: u64,
    retries: u64,
}

impl RetryBudget {
    /// Nothing counted yet.
    pub fn new() -> RetryBudget {
        RetryBudget::default()
    }

    /// Counts a request, not its retries.
    pub fn deposit(&mut self, now: Moment) {
        self.slot(now).requests += 1;
    }

    /// Counts a retry if `allowance` has room for it.
    pub fn withdraw(&mut self, now: Moment, allowance: Allowance) -> bool {
        self.slot(now);
        let requests: u64 = self.slots.iter().map(|slot| slot.requests).sum();
        let retries: u64 = self.slots.iter().map(|slot| slot.retries).sum();
        let allowed = allowance.share * requests as f64 + allowance.floor_per_second * WINDOW.as_secs_f64();
        let is_allowed = (retries + 1) as f64 <= allowed;
        if is_allowed {
            self.slot(now).retries += 1;
        }
        is_allowed
    }

    fn slot(&mut self, now: Moment) -> &mut Slot {
        let slot = (now.as_nanos() / SLOT_NANOS).max(self.latest);
        let passed = (slot - self.latest).min(SLOTS as u64);
        for forgotten in 1..=passed {
            self.slots[((slot - passed + forgotten) % SLOTS as u64) as usize] = Slot::default();
        }
        self.latest = slot;
        &mut self.slots[(slot % SLOTS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const FIFTH: Allowance = Allowance { share: 0.2, floor_per_second: 0.0 };

    fn at(ms: u64) -> Moment {
        Moment::ORIGIN.after(Duration::from_millis(ms))
    }

    #[test]
    fn a_share_of_the_requests_is_retried_and_no_more() {
        let mut budget = RetryBudget::new();
        let retried = (0..1000).filter(|ms| {
            budget.deposit(at(*ms));
            budget.withdraw(at(*ms), FIFTH)
        });
        assert_eq!(retried.count(), 200);
    }

    #[test]
    fn a_few_a_second_are_retried_whatever_the_requests() {
        let mut budget = RetryBudget::new();
        let floor = Allowance { share: 0.0, floor_per_second: 3.0 };
        let retried = (0..60_000).step_by(10).filter(|ms| budget.withdraw(at(*ms), floor)).count();
        assert!((150..=210).contains(&retried), "{retried} in a minute of 3 a second and 30 at the start");
    }

    #[test]
    fn requests_of_long_ago_allow_nothing() {
        let mut budget = RetryBudget::new();
        (0..100).for_each(|_| budget.deposit(at(0)));
        assert!(budget.withdraw(at(9_400), FIFTH));
        assert!(!budget.withdraw(at(10_000), FIFTH));
    }

    #[test]
    fn a_clock_that_steps_backwards_forgets_nothing() {
        let mut budget = RetryBudget::new();
        budget.deposit(at(60_000));
        let one = Allowance { share: 1.0, floor_per_second: 0.0 };
        assert!(budget.withdraw(at(0), one));
        assert!(!budget.withdraw(at(0), one));
    }

    proptest! {
        #[test]
        fn no_retry_is_allowed_that_takes_its_window_over_the_allowance(
            steps in vec((0_u64..700, any::<bool>()), 1..400),
            share in 0.0..1.0_f64,
            floor_per_second in 0.0..2.0_f64,
        ) {
            let allowance = Allowance { share, floor_per_second };
            let mut budget = RetryBudget::new();
            let (mut now, mut requests, mut retries) = (0, Vec::new(), Vec::new());
            for (step, is_request) in steps {
                now += step;
                if is_request {
                    budget.deposit(at(now));
                    requests.push(now);
                    continue;
                }
                if !budget.withdraw(at(now), allowance) {
                    continue;
                }
                retries.push(now);
                let recent = |times: &[u64], window: u64| {
                    times.iter().filter(|time| **time + window > now).count() as f64
                };
                // The window that the budget sees is between 9.5 and 10 seconds long.
                let allowed = share * recent(&requests, 10_000) + floor_per_second * 10.0;
                prop_assert!(recent(&retries, 9_500) <= allowed);
            }
        }
    }
}
