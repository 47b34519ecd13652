//! Interceptors compose as the nesting of their calls, and each start has one end.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;

use kandela_algebra::intercept::{Field, Intercept};
use kandela_algebra::laws::{self, Broken};
use proptest::collection::vec;
use proptest::prelude::*;

type Log = Rc<RefCell<Vec<String>>>;

/// What a generated interceptor does with the numbers that pass it.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Answers by itself where the request divides evenly.
    Refuses { divisor: i64 },
    /// Adds on the way in, multiplies on the way out.
    Transforms { add: i64, times: i64 },
    /// Only records.
    Records,
    /// As `Records`, and panics on its way in at these requests.
    Panics { divisor: i64 },
}

struct Generated {
    name: &'static str,
    kind: Kind,
    log: Log,
}

/// Notes the end of what its interceptor started, once.
struct Started {
    name: &'static str,
    log: Log,
    ended: bool,
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.ended {
            self.log.borrow_mut().push(format!("{} dropped", self.name));
        }
    }
}

impl Intercept<i64, i64> for Generated {
    type InnerReq = i64;
    type InnerResp = i64;
    type State = Started;

    fn before(&self, request: i64) -> ControlFlow<i64, (i64, Started)> {
        self.log.borrow_mut().push(format!("{} starts {request}", self.name));
        let mut started = Started { name: self.name, log: self.log.clone(), ended: false };
        match self.kind {
            Kind::Refuses { divisor } if request % divisor == 0 => {
                self.log.borrow_mut().push(format!("{} refuses", self.name));
                started.ended = true;
                ControlFlow::Break(-1)
            }
            Kind::Panics { divisor } if request % divisor == 0 => {
                std::panic::resume_unwind(Box::new("generated"))
            }
            Kind::Transforms { add, .. } => ControlFlow::Continue((request.wrapping_add(add), started)),
            _ => ControlFlow::Continue((request, started)),
        }
    }

    fn after(&self, response: i64, mut started: Started) -> i64 {
        started.ended = true;
        self.log.borrow_mut().push(format!("{} ends {response}", self.name));
        match self.kind {
            Kind::Transforms { times, .. } => response.wrapping_mul(times),
            _ => response,
        }
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (1i64..4).prop_map(|divisor| Kind::Refuses { divisor }),
        (-3i64..3, -3i64..3).prop_map(|(add, times)| Kind::Transforms { add, times }),
        Just(Kind::Records),
    ]
}

fn stack(kinds: [Kind; 3]) -> ([Generated; 3], Log) {
    let log = Log::default();
    let names = ["a", "b", "c"];
    let generated = std::array::from_fn(|i| Generated { name: names[i], kind: kinds[i], log: log.clone() });
    (generated, log)
}

fn starts_and_ends(log: &Log) -> (u64, u64) {
    let log = log.borrow();
    let starts = log.iter().filter(|event| event.contains("starts")).count();
    ((starts as u64), (log.len() - starts) as u64)
}

proptest! {
    #[test]
    fn a_stack_is_the_nesting_of_its_calls_however_it_is_bracketed(
        kinds in [kind(), kind(), kind()],
        requests in vec(any::<i64>(), 1..6),
        factor in -3i64..3,
    ) {
        let ([a, b, c], log) = stack(kinds);
        laws::intercept((&a, &b, &c), requests, |request| request.wrapping_mul(factor), || log.take())?;
    }

    #[test]
    fn every_start_has_one_end_whether_it_is_answered_cancelled_or_panics(
        kinds in [kind(), kind(), kind()],
        requests in vec(any::<i64>(), 1..6),
    ) {
        let ([a, b, c], log) = stack(kinds);
        laws::one_end(&a.then(b).then(c), requests, |request| request, || starts_and_ends(&log))?;
    }
}

#[test]
fn an_interceptor_that_panics_on_its_way_in_ends_those_around_it() {
    let ([a, b, c], log) = stack([Kind::Records, Kind::Panics { divisor: 1 }, Kind::Records]);
    let stack = a.then(b).then(c);
    let call = std::panic::AssertUnwindSafe(|| stack.call(1, |request| request));
    assert!(std::panic::catch_unwind(call).is_err());
    assert_eq!(log.take(), ["a starts 1", "b starts 1", "b dropped", "a dropped"]);
}

#[test]
fn a_cancelled_call_ends_from_the_innermost_out() {
    let ([a, b, c], log) = stack([Kind::Records; 3]);
    let stack = a.then(b.then(c));
    let mut call = Box::pin(stack.call_async(7, |_| std::future::pending()));
    let waker = std::task::Waker::noop();
    assert!(call.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    drop(call);
    assert_eq!(log.take()[3..], ["c dropped", "b dropped", "a dropped"]);
}

#[test]
fn a_call_that_is_never_polled_starts_nothing() {
    let ([a, ..], log) = stack([Kind::Records; 3]);
    drop(a.call_async(7, |_| std::future::pending()));
    assert!(log.borrow().is_empty());
}

/// Counts its starts, and its ends only where it gets to `after`.
struct Leaky(Log);

impl Intercept<i64, i64> for Leaky {
    type InnerReq = i64;
    type InnerResp = i64;
    type State = ();
    fn before(&self, request: i64) -> ControlFlow<i64, (i64, ())> {
        self.0.borrow_mut().push("starts".to_owned());
        ControlFlow::Continue((request, ()))
    }
    fn after(&self, response: i64, (): ()) -> i64 {
        self.0.borrow_mut().push("ends".to_owned());
        response
    }
}

#[test]
fn the_law_finds_an_interceptor_whose_state_is_no_guard() {
    let log = Log::default();
    let broken = laws::one_end(&Leaky(log.clone()), [1], |request| request, || starts_and_ends(&log));
    let Err(Broken::Counterexample { inputs, .. }) = broken else { panic!("it leaks: {broken:?}") };
    assert!(inputs.contains(&"Panics".to_owned()), "{inputs:?}");
}

#[test]
fn the_law_finds_an_interceptor_that_answers_by_what_came_before() {
    struct Counts(std::cell::Cell<i64>);
    impl Intercept<i64, i64> for Counts {
        type InnerReq = i64;
        type InnerResp = i64;
        type State = ();
        fn before(&self, request: i64) -> ControlFlow<i64, (i64, ())> {
            ControlFlow::Continue((request, ()))
        }
        fn after(&self, response: i64, (): ()) -> i64 {
            self.0.set(self.0.get() + 1);
            response + self.0.get()
        }
    }
    let ([a, b, _], log) = stack([Kind::Records; 3]);
    let counts = Counts(std::cell::Cell::new(0));
    let broken = laws::intercept((&a, &b, &counts), [1], |request| request, || log.take());
    assert!(matches!(broken, Err(Broken::Counterexample { .. })), "{broken:?}");
}

proptest! {
    #[test]
    fn a_field_gets_what_was_set(wholes in vec(any::<(u8, u8)>(), 1..5), parts in vec(any::<u8>(), 2..5)) {
        let second: Field<(u8, u8), u8> = Field { get: |whole| whole.1, set: |whole, part| whole.1 = part };
        laws::field(second, wholes, parts, PartialEq::eq)?;
    }
}

#[test]
fn the_law_finds_a_field_that_forgets() {
    let halves: Field<u8, u8> = Field { get: |whole| *whole, set: |whole, part| *whole = part & 0xf0 };
    assert!(matches!(laws::field(halves, [0], [1, 2], u8::eq), Err(Broken::Counterexample { .. })));
}
