//! Deadlines: how long a request may still take travels with it, and is never more than what is left.
//!
//! Within a process a deadline is a [`Moment`] that the request carries; between processes it is sent as the time that is left,
//! so that clocks need not agree. A [`Deadline`] takes the earliest of the moment carried, the time that was sent, and its own
//! timeout, from now; hands the request on with that moment and what is left of it; and refuses a request whose time is up
//! before any work is done. So an inner call gets the least of its own timeout and what is left of the outer one's.
//!
//! A running call is ended by [`Deadline::call_within`], and by the `tower` layer: when its time is up, its future is dropped and
//! the answer is that of [`Expired::Running`].
//!
//! Source: gRPC, "Deadlines", and the deadline propagation of Google's "Site Reliability Engineering", chapter 22.

use std::fmt;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use kandela_algebra::intercept::{Field, Intercept};
use kandela_model::KnobType;

use super::InterceptError;
use crate::clock::{Clock, Moment};
use crate::knob::{LeasedKnob, live};
use crate::range::within;
use crate::steward::Steward;
use crate::sync::{AtomicU64, Ordering};

/// The shortest and the longest timeout.
pub const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(86_400);

/// When a request's time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Before it was begun: nothing was done.
    Unbegun,
    /// While it was worked on: something may have been done.
    Running,
}

/// Where a request keeps its deadline, and how it is answered when that has passed.
pub struct Placement<Req, Resp> {
    /// The deadline within this process.
    pub carried: Field<Req, Option<Moment>>,
    /// The time that was left when the request was sent, and that is sent on.
    pub sent: Field<Req, Option<Duration>>,
    /// The answer of a request whose time is up.
    pub answer: fn(Expired) -> Resp,
}

/// An interceptor that keeps deadlines.
pub struct Deadline<Req, Resp> {
    clock: Arc<dyn Clock>,
    timeout: Arc<LeasedKnob<Duration>>,
    placement: Placement<Req, Resp>,
    refused: AtomicU64,
    ended: AtomicU64,
}

/// How often time was up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expirations {
    /// Requests that were not begun.
    pub refused: u64,
    /// Calls that were ended while they ran.
    pub ended: u64,
}

impl<Req, Resp> Deadline<Req, Resp> {
    /// A deadline of at most `timeout` from when it sees a request. The timeout is the knob `NAME.timeout_seconds`.
    ///
    /// # Errors
    /// [`InterceptError::Setting`] where `timeout` lies outside of [`TIMEOUTS`].
    pub fn new(
        name: &str,
        timeout: Duration,
        placement: Placement<Req, Resp>,
        steward: &Steward,
    ) -> Result<Deadline<Req, Resp>, InterceptError> {
        within("deadline.timeout", timeout, TIMEOUTS)?;
        let (shortest, longest) = (TIMEOUTS.start().as_secs_f64(), TIMEOUTS.end().as_secs_f64());
        let seconds = KnobType::Float { min: shortest, max: longest, log: true };
        let timeout = live(steward, name, "timeout_seconds", seconds, timeout)?;
        let clock = steward.clock().clone();
        Ok(Deadline { clock, timeout, placement, refused: AtomicU64::new(0), ended: AtomicU64::new(0) })
    }

    /// How often time was up so far.
    pub fn expirations(&self) -> Expirations {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Expirations { refused: count(&self.refused), ended: count(&self.ended) }
    }

    /// Awaits `handler`, no longer than what the request has left; then its future is dropped. `sleep` waits for a time
    /// (`tokio::time::sleep`) from when it is called; what it returns is polled only once the handler has to be waited for.
    pub async fn call_within<F, S>(
        &self,
        request: Req,
        handler: impl FnOnce(Req) -> F,
        sleep: impl FnOnce(Duration) -> S,
    ) -> Resp
    where
        F: Future<Output = Resp>,
        S: Future<Output = ()>,
    {
        let (request, allowed) = match self.before(request) {
            ControlFlow::Continue(admitted) => admitted,
            ControlFlow::Break(answer) => return answer,
        };
        let finished = {
            let mut work = pin!(handler(request));
            let mut sleep = pin!(sleep(allowed.left));
            poll_fn(|context| match work.as_mut().poll(context) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
            })
            .await
        };
        finished.map_or_else(|| self.end_running(), |response| self.after(response, allowed))
    }

    /// How much is left until then.
    pub(crate) fn left(&self, until: Moment) -> Duration {
        until.since(self.clock.now())
    }

    /// The answer of a call that was ended while it ran.
    pub(crate) fn end_running(&self) -> Resp {
        self.ended.fetch_add(1, Ordering::Relaxed);
        (self.placement.answer)(Expired::Running)
    }
}

/// What a request may still take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Until when.
    pub until: Moment,
    /// How long that was when the request was handed on; above zero.
    pub left: Duration,
}

impl<Req, Resp> Intercept<Req, Resp> for Deadline<Req, Resp> {
    type InnerReq = Req;
    type InnerResp = Resp;
    type State = Allowed;

    fn before(&self, mut request: Req) -> ControlFlow<Resp, (Req, Allowed)> {
        let Placement { carried, sent, answer } = &self.placement;
        let now = self.clock.now();
        let from_afar = (sent.get)(&request).map_or(Moment::NEVER, |left| now.after(left));
        let from_here = (carried.get)(&request).unwrap_or(Moment::NEVER);
        let until = from_here.min(from_afar).min(now.after(self.timeout.read()));
        let left = until.since(now);
        if left.is_zero() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return ControlFlow::Break(answer(Expired::Unbegun));
        }
        (carried.set)(&mut request, Some(until));
        (sent.set)(&mut request, Some(left));
        ControlFlow::Continue((request, Allowed { until, left }))
    }

    fn after(&self, response: Resp, _: Allowed) -> Resp {
        response
    }
}

impl<Req, Resp> fmt::Debug for Deadline<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline")
            .field("timeout", &self.timeout.read())
            .field("expirations", &self.expirations())
            .finish_non_exhaustive()
    }
}

impl<Req, Resp> fmt::Debug for Placement<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use kandela_model::{Epoch, KnobValue, Lease};

    use super::*;
    use crate::clock::ManualClock;

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Request {
        carried: Option<Moment>,
        sent: Option<Duration>,
    }

    fn deadline(
        clock: &ManualClock,
        timeout: Duration,
    ) -> (Steward, Deadline<Request, Result<Request, Expired>>) {
        let steward = Steward::new(Arc::new(clock.clone()));
        let placement = Placement {
            carried: Field { get: |r: &Request| r.carried, set: |r, moment| r.carried = moment },
            sent: Field { get: |r: &Request| r.sent, set: |r, left| r.sent = left },
            answer: Err,
        };
        let deadline = Deadline::new("pay", timeout, placement, &steward).expect("a good timeout");
        (steward, deadline)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_inner_call_gets_the_least_of_its_own_timeout_and_what_is_left() {
        let clock = ManualClock::new();
        let (_outer_steward, outer) = deadline(&clock, 2 * SECOND);
        let (_inner_steward, inner) = deadline(&clock, SECOND);
        let left_after = |passed: Duration| {
            outer.call(Request::default(), |request| {
                clock.advance(passed);
                inner.call(request, Ok)
            })
        };
        assert_eq!(left_after(Duration::ZERO).expect("in time").sent, Some(SECOND));
        assert_eq!(left_after(3 * SECOND / 2).expect("in time").sent, Some(SECOND / 2));
        assert_eq!(left_after(3 * SECOND), Err(Expired::Unbegun));
        assert_eq!(inner.expirations(), Expirations { refused: 1, ended: 0 });
    }

    #[test]
    fn a_time_sent_from_afar_counts_from_its_arrival() {
        let clock = ManualClock::new();
        clock.advance(100 * SECOND);
        let (_steward, deadline) = deadline(&clock, 60 * SECOND);
        let request = Request { sent: Some(SECOND), carried: None };
        let seen = deadline.call(request, Ok).expect("in time");
        assert_eq!(seen.carried, Some(clock.now().after(SECOND)));
    }

    #[test]
    fn a_request_that_has_no_time_left_is_not_begun() {
        let (_steward, deadline) = deadline(&ManualClock::new(), SECOND);
        let request = Request { sent: Some(Duration::ZERO), carried: None };
        assert_eq!(deadline.call(request, |_| unreachable!("it is refused")), Err(Expired::Unbegun));
    }

    #[test]
    fn a_clock_that_steps_backwards_makes_no_timeout_longer_than_its_own() {
        let clock = ManualClock::new();
        clock.advance(100 * SECOND);
        let (_steward, deadline) = deadline(&clock, SECOND);
        let request = Request { carried: Some(clock.now().after(SECOND)), sent: None };
        clock.set(Moment::ORIGIN);
        assert_eq!(deadline.call(request, Ok).expect("in time").sent, Some(SECOND));
    }

    #[test]
    fn the_timeout_is_a_knob() {
        let (steward, deadline) = deadline(&ManualClock::new(), SECOND);
        let knob = steward.knobs().get("pay.timeout_seconds").expect("registered");
        knob.set(KnobValue::Float(0.25), Epoch(1), Lease::Confirmed).expect("within range");
        assert_eq!(deadline.call(Request::default(), Ok).expect("in time").sent, Some(SECOND / 4));
    }

    #[test]
    fn a_timeout_of_nothing_is_refused() {
        let (steward, deadline) = deadline(&ManualClock::new(), SECOND);
        let error = Deadline::new("x", Duration::ZERO, deadline.placement, &steward).expect_err("zero");
        assert_eq!(error.to_string(), "deadline.timeout is 0ns; it may be 1ms to 86400s");
    }
}
