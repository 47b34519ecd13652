//! The interceptors of this crate obey the laws of `kandela_algebra::intercept`, whatever the requests.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use kandela_algebra::laws;
use kandela_runtime::clock::{Clock, ManualClock, Moment};
use kandela_runtime::intercept::deadline::{Deadline, Expired, Placement};
use kandela_runtime::intercept::measured::Outcome;
use kandela_runtime::intercept::metrics::{Metrics, Red};
use kandela_runtime::intercept::propagate::Propagate;
use kandela_runtime::intercept::timing::{Timing, Timings};
use kandela_runtime::intercept::{Field, Intercept};
use kandela_runtime::steward::Steward;
use kandela_runtime::trace_context::{Ids, SpanContext};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug, Default)]
struct Request {
    work: Duration,
    fails: bool,
    carried: Option<Moment>,
    sent: Option<Duration>,
    received: Option<SpanContext>,
    current: Option<SpanContext>,
}

type Answer = Result<bool, Expired>;

/// A clock, and an interceptor of each kind that goes by it.
struct Parts {
    clock: ManualClock,
    timings: Arc<Timings>,
    red: Arc<Red>,
    timing: Timing<Request, Answer>,
    metrics: Metrics<Request, Answer>,
    deadline: Deadline<Request, Answer>,
    propagate: Propagate<Request, Answer>,
}

fn outcome(answer: &Answer) -> Outcome {
    match answer {
        Ok(true) => Outcome::Ok,
        Ok(false) => Outcome::Error,
        Err(_) => Outcome::Refused,
    }
}

fn parts() -> Parts {
    let clock = ManualClock::new();
    let steward = Steward::new(Arc::new(clock.clone()));
    let timings = Arc::new(Timings::new(10).expect("10 is a number of operations"));
    let red = Arc::new(Red::new("laws", 10).expect("a good prefix"));
    let placement = Placement {
        carried: Field { get: |r: &Request| r.carried, set: |r, moment| r.carried = moment },
        sent: Field { get: |r: &Request| r.sent, set: |r, left| r.sent = left },
        answer: Err,
    };
    let received = Field { get: |r: &Request| r.received.clone(), set: |r, context| r.received = context };
    let current = Field { get: |r: &Request| r.current.clone(), set: |r, context| r.current = context };
    Parts {
        timing: Timing::new(timings.clone(), steward.clock().clone(), |_| "work", outcome),
        metrics: Metrics::new(red.clone(), steward.clock().clone(), |_| "work", outcome),
        deadline: Deadline::new("laws", Duration::from_secs(1), placement, &steward)
            .expect("1 s is a timeout"),
        propagate: Propagate::new(Arc::new(Ids::seeded(1, 2)), true, received, current),
        clock,
        timings,
        red,
    }
}

impl Parts {
    fn handle(&self, request: &Request) -> Answer {
        self.clock.advance(request.work);
        Ok(!request.fails)
    }

    fn ended(&self) -> Vec<(Outcome, u64)> {
        let timings = self.timings.snapshot();
        let by_outcome = timings.iter().flat_map(|operation| &operation.by_outcome);
        by_outcome.map(|(outcome, latencies)| (*outcome, latencies.count())).collect()
    }

    fn starts_and_ends(&self) -> (u64, u64) {
        let (mut starts, mut ends) = (0, 0);
        for operation in self.timings.snapshot() {
            starts += operation.in_flight;
            ends += operation.all().count();
        }
        for operation in self.red.snapshot() {
            starts += operation.in_flight;
            ends += operation.requests();
        }
        (starts + ends, ends)
    }
}

fn request() -> impl Strategy<Value = Request> {
    let millis = || (0_u64..2000).prop_map(Duration::from_millis);
    (millis(), any::<bool>(), prop::option::of(millis())).prop_map(|(work, fails, sent)| Request {
        work,
        fails,
        sent,
        ..Request::default()
    })
}

proptest! {
    #[test]
    fn timing_deadline_and_trace_context_compose_however_they_are_bracketed(
        requests in vec(request(), 1..5),
        turn in 0_usize..3,
    ) {
        let parts = parts();
        let before = RefCell::new(Vec::new());
        let recorded = || {
            let (now, then) = (parts.ended(), before.replace(parts.ended()));
            let was = |outcome: Outcome| then.iter().find(|(of, _)| *of == outcome).map_or(0, |(_, count)| *count);
            now.into_iter().map(|(outcome, count)| (outcome, count - was(outcome))).filter(|(_, n)| *n > 0).collect::<Vec<_>>()
        };
        let handler = |request: Request| parts.handle(&request);
        let (timing, deadline, propagate) = (&parts.timing, &parts.deadline, &parts.propagate);
        match turn {
            0 => laws::intercept((timing, deadline, propagate), requests, handler, recorded)?,
            1 => laws::intercept((deadline, propagate, timing), requests, handler, recorded)?,
            _ => laws::intercept((propagate, timing, deadline), requests, handler, recorded)?,
        }
    }

    #[test]
    fn what_is_timed_and_counted_ends_once(requests in vec(request(), 1..5)) {
        let parts = parts();
        let stack = (&parts.metrics).then(&parts.deadline).then(&parts.timing);
        laws::one_end(&stack, requests, |request: Request| parts.handle(&request), || parts.starts_and_ends())?;
        prop_assert!(parts.red.snapshot().iter().all(|operation| operation.in_flight == 0));
        prop_assert!(parts.timings.snapshot().iter().all(|operation| operation.in_flight == 0));
    }

    #[test]
    fn no_inner_deadline_is_later_than_an_outer_one(
        work in (0_u64..1500).prop_map(Duration::from_millis),
        sent in prop::option::of((0_u64..1500).prop_map(Duration::from_millis)),
    ) {
        let parts = parts();
        let request = Request { work, sent, ..Request::default() };
        let mut nested = None;
        let answer = parts.deadline.call(request, |outer| {
            parts.clock.advance(outer.work);
            let outer_until = outer.carried;
            parts.deadline.call(outer, |inner| {
                nested = Some((outer_until, inner.carried, inner.sent));
                Ok(true)
            })
        });
        match nested {
            Some((outer, inner, sent)) => {
                prop_assert_eq!(outer, inner);
                prop_assert_eq!(sent, inner.map(|until| until.since(parts.clock.now())));
            }
            None => prop_assert_eq!(answer, Err(Expired::Unbegun)),
        }
    }
}
