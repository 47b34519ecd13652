//! Retries within a budget: only of what may be repeated, only while there is time, and never so many that they become the load.
//!
//! A [`Retry`] calls its handler again where the answer is worth it. It is no [`Intercept`](super::Intercept), which sees each
//! request once: whatever is within it (a deadline for each try, a span for each try) sees every try, whatever is outside sees
//! one call. What it decides is pure, [`Attempts::next`]; waiting is the caller's.

pub mod backoff;
pub mod budget;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kandela_model::KnobType;

use super::InterceptError;
use crate::clock::{Clock, Moment};
use crate::knob::{LeasedKnob, live};
use crate::random::SharedRandom;
use crate::range::within;
use crate::steward::Steward;
use crate::sync::{AtomicU64, Mutex, Ordering};
use backoff::Backoff;
use budget::{Allowance, RetryBudget};

/// What an answer says about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stands.
    Final,
    /// Trying again may help.
    Transient,
    /// Trying again may help, but not before this time has passed.
    Later(Duration),
}

/// How requests and answers of a protocol are looked at.
pub struct Protocol<Req, Resp> {
    /// The same request once more, if it may be repeated: it changes nothing, or changes the same when it comes twice.
    pub again: fn(&Req) -> Option<Req>,
    /// Until when the request is of use.
    pub deadline: fn(&Req) -> Option<Moment>,
    /// What the answer says about trying again.
    pub verdict: fn(&Resp) -> Verdict,
}

/// How much is retried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How often a request is tried at most, the first time included: 1 to 10.
    pub attempts: usize,
    /// Retries for each request over ten seconds: 0 to 1.
    pub share: f64,
    /// Retries a second that are allowed besides: 0 to 1,000.
    pub floor_per_second: f64,
    /// How long to wait before each.
    pub backoff: Backoff,
}

impl Default for Settings {
    /// Three attempts, a fifth of the requests and ten a second.
    fn default() -> Self {
        Settings { attempts: 3, share: 0.2, floor_per_second: 10.0, backoff: Backoff::default() }
    }
}

/// Calls again what failed, within a budget.
pub struct Retry<Req, Resp> {
    clock: Arc<dyn Clock>,
    attempts: Arc<LeasedKnob<usize>>,
    share: Arc<LeasedKnob<f64>>,
    floor_per_second: f64,
    backoff: Backoff,
    random: SharedRandom,
    budget: Mutex<RetryBudget>,
    protocol: Protocol<Req, Resp>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    retries: AtomicU64,
    exhausted: AtomicU64,
    over_budget: AtomicU64,
    too_late: AtomicU64,
}

/// What was retried and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// Requests, each counted once.
    pub requests: u64,
    /// Tries beyond the first.
    pub retries: u64,
    /// Failures that stood since all attempts were made.
    pub exhausted: u64,
    /// Failures that stood for the budget's sake.
    pub over_budget: u64,
    /// Failures that stood since the deadline would have come first.
    pub too_late: u64,
}

impl<Req, Resp> Retry<Req, Resp> {
    /// Retries as `settings` say, with `seed` for its jitter. Two of them are knobs: `NAME.attempts` and `NAME.budget_share`.
    ///
    /// # Errors
    /// [`InterceptError::Setting`] where a setting is.
    pub fn new(
        name: &str,
        settings: Settings,
        seed: u64,
        protocol: Protocol<Req, Resp>,
        steward: &Steward,
    ) -> Result<Retry<Req, Resp>, InterceptError> {
        within("retry.attempts", settings.attempts, 1..=10)?;
        within("retry.share", settings.share, 0.0..=1.0)?;
        within("retry.floor_per_second", settings.floor_per_second, 0.0..=1000.0)?;
        let tries = KnobType::Int { min: 1, max: 10, log: false };
        let attempts = live(steward, name, "attempts", tries, settings.attempts)?;
        let shares = KnobType::Float { min: 0.0, max: 1.0, log: false };
        let share = live(steward, name, "budget_share", shares, settings.share)?;
        Ok(Retry {
            clock: steward.clock().clone(),
            attempts,
            share,
            floor_per_second: settings.floor_per_second,
            backoff: settings.backoff,
            random: SharedRandom::seeded(seed),
            budget: Mutex::new(RetryBudget::new()),
            protocol,
            counts: Counts::default(),
        })
    }

    /// Begins with `request`: counts it, and keeps a copy if it may be repeated.
    pub fn begin(&self, request: &Req) -> Attempts<Req> {
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        self.budget.lock().deposit(self.clock.now());
        Attempts {
            again: (self.protocol.again)(request),
            until: (self.protocol.deadline)(request).unwrap_or(Moment::NEVER),
            made: 1,
        }
    }

    /// Calls `handler` until an answer stands; `wait` blocks for a time (`std::thread::sleep`).
    pub fn call(
        &self,
        request: Req,
        mut handler: impl FnMut(Req) -> Resp,
        mut wait: impl FnMut(Duration),
    ) -> Resp {
        let mut attempts = self.begin(&request);
        let mut response = handler(request);
        while let Some((time, request)) = attempts.next(self, &response) {
            wait(time);
            response = handler(request);
        }
        response
    }

    /// Awaits `handler` until an answer stands; `wait` waits for a time (`tokio::time::sleep`).
    pub async fn call_async<F, W>(
        &self,
        request: Req,
        mut handler: impl FnMut(Req) -> F,
        mut wait: impl FnMut(Duration) -> W,
    ) -> Resp
    where
        F: Future<Output = Resp>,
        W: Future<Output = ()>,
    {
        let mut attempts = self.begin(&request);
        let mut response = handler(request).await;
        while let Some((time, request)) = attempts.next(self, &response) {
            wait(time).await;
            response = handler(request).await;
        }
        response
    }

    /// What was retried so far, and what was not.
    pub fn retries(&self) -> Retries {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Retries {
            requests: count(&self.counts.requests),
            retries: count(&self.counts.retries),
            exhausted: count(&self.counts.exhausted),
            over_budget: count(&self.counts.over_budget),
            too_late: count(&self.counts.too_late),
        }
    }

    fn withdraw(&self, now: Moment) -> bool {
        let allowance = Allowance { share: self.share.read(), floor_per_second: self.floor_per_second };
        self.budget.lock().withdraw(now, allowance)
    }
}

/// The tries of one request.
#[derive(Debug)]
pub struct Attempts<Req> {
    again: Option<Req>,
    until: Moment,
    made: usize,
}

impl<Req> Attempts<Req> {
    /// After an answer: how long to wait and what to send then; none where the answer stands.
    pub fn next<Resp>(&mut self, retry: &Retry<Req, Resp>, response: &Resp) -> Option<(Duration, Req)> {
        let asked = match (retry.protocol.verdict)(response) {
            Verdict::Final => return None,
            Verdict::Transient => Duration::ZERO,
            Verdict::Later(time) => time,
        };
        let request = self.again.take()?;
        let stands = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
            None
        };
        if self.made >= retry.attempts.read() {
            return stands(&retry.counts.exhausted);
        }
        let now = retry.clock.now();
        // On top of what was asked, so that those who were turned away together don't return together.
        let wait = asked.saturating_add(retry.backoff.wait(self.made, &retry.random));
        if now.after(wait) >= self.until {
            return stands(&retry.counts.too_late);
        }
        if !retry.withdraw(now) {
            return stands(&retry.counts.over_budget);
        }
        retry.counts.retries.fetch_add(1, Ordering::Relaxed);
        self.made += 1;
        self.again = (retry.protocol.again)(&request);
        Some((wait, request))
    }
}

impl<Req, Resp> fmt::Debug for Retry<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("backoff", &self.backoff)
            .field("retries", &self.retries())
            .finish_non_exhaustive()
    }
}

impl<Req, Resp> fmt::Debug for Protocol<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protocol").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[derive(Clone, Copy)]
    struct Request {
        may_repeat: bool,
        until: Option<Moment>,
    }

    const SAFE: Request = Request { may_repeat: true, until: None };

    fn retry(clock: &ManualClock, settings: Settings) -> Retry<Request, Verdict> {
        let steward = Steward::new(Arc::new(clock.clone()));
        let protocol = Protocol {
            again: |request: &Request| request.may_repeat.then_some(*request),
            deadline: |request| request.until,
            verdict: |response: &Verdict| *response,
        };
        Retry::new("pay", settings, 7, protocol, &steward).expect("good settings")
    }

    /// How often a handler is called that never does better than `answer`, and how long it was waited for.
    fn tries(
        retry: &Retry<Request, Verdict>,
        clock: &ManualClock,
        request: Request,
        answer: Verdict,
    ) -> (u32, Duration) {
        let (mut tries, begun) = (0, clock.now());
        let handler = |_| {
            tries += 1;
            answer
        };
        retry.call(request, handler, |time| clock.advance(time));
        (tries, clock.now().since(begun))
    }

    #[test]
    fn what_fails_is_tried_as_often_as_allowed() {
        let clock = ManualClock::new();
        let retry = retry(&clock, Settings { attempts: 4, ..Settings::default() });
        assert_eq!(tries(&retry, &clock, SAFE, Verdict::Transient).0, 4);
        assert_eq!(tries(&retry, &clock, SAFE, Verdict::Final).0, 1);
        let expected = Retries { requests: 2, retries: 3, exhausted: 1, ..Retries::default() };
        assert_eq!(retry.retries(), expected);
    }

    #[test]
    fn what_may_not_be_repeated_is_tried_once() {
        let clock = ManualClock::new();
        let retry = retry(&clock, Settings::default());
        let request = Request { may_repeat: false, until: None };
        assert_eq!(tries(&retry, &clock, request, Verdict::Transient).0, 1);
    }

    #[test]
    fn nothing_is_tried_again_after_its_deadline() {
        let clock = ManualClock::new();
        let retry = retry(&clock, Settings::default());
        let until = clock.now().after(Duration::from_secs(2));
        let request = Request { may_repeat: true, until: Some(until) };
        assert_eq!(
            tries(&retry, &clock, request, Verdict::Later(Duration::from_secs(3))),
            (1, Duration::ZERO)
        );
        assert_eq!(retry.retries().too_late, 1);
    }

    #[test]
    fn a_server_that_names_a_time_is_given_it() {
        let clock = ManualClock::new();
        let retry = retry(&clock, Settings { attempts: 2, ..Settings::default() });
        let (tries, waited) = tries(&retry, &clock, SAFE, Verdict::Later(Duration::from_secs(3)));
        assert_eq!(tries, 2);
        assert!((3.0..3.025).contains(&waited.as_secs_f64()), "{waited:?}");
    }

    #[test]
    fn a_service_that_is_down_sees_a_fifth_more_requests_not_three_times_as_many() {
        let clock = ManualClock::new();
        let retry = retry(&clock, Settings { floor_per_second: 0.0, ..Settings::default() });
        let mut tried = 0;
        for _ in 0..5_000 {
            clock.advance(Duration::from_millis(1));
            let handler = |_| {
                tried += 1;
                Verdict::Transient
            };
            retry.call(SAFE, handler, |_| {});
        }
        assert_eq!(tried, 6_000);
    }

    #[test]
    fn jitter_is_repeatable_by_its_seed() {
        let waited = || {
            let clock = ManualClock::new();
            let retry = retry(&clock, Settings::default());
            tries(&retry, &clock, SAFE, Verdict::Transient)
        };
        assert_eq!(waited(), waited());
    }

    #[test]
    fn absurd_settings_are_refused_with_their_range() {
        let steward = Steward::default();
        let of = |settings| {
            let protocol = retry(&ManualClock::new(), Settings::default()).protocol;
            Retry::new("pay", settings, 0, protocol, &steward).expect_err("absurd").to_string()
        };
        assert_eq!(
            of(Settings { attempts: 0, ..Settings::default() }),
            "retry.attempts is 0; it may be 1 to 10"
        );
        assert!(of(Settings { share: f64::NAN, ..Settings::default() }).contains("0.0 to 1.0"));
        assert!(of(Settings { floor_per_second: -1.0, ..Settings::default() }).contains("1000"));
    }
}
