//! The breaker beside a naive one, on any sequence of events, clock steps backwards included.
#![cfg(feature = "breaker")]

use std::sync::Arc;
use std::time::Duration;

use kandela_runtime::breaker::{Breaker, Permit, Settings, Span, State};
use kandela_runtime::clock::{ManualClock, Moment};
use kandela_runtime::steward::Steward;
use proptest::prelude::*;

const WINDOW: usize = 8;
const MINIMUM: usize = 4;
const PROBES: usize = 3;

#[derive(Clone, Debug)]
enum Event {
    Permit,
    Success(usize),
    Slow(usize),
    Failure(usize),
    Cancel(usize),
    Forget(usize),
    Advance(u64),
    StepBack(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => Just(Event::Permit),
        3 => (0..8usize).prop_map(Event::Success),
        2 => (0..8usize).prop_map(Event::Slow),
        5 => (0..8usize).prop_map(Event::Failure),
        1 => (0..8usize).prop_map(Event::Cancel),
        1 => (0..8usize).prop_map(Event::Forget),
        4 => (0..2500u64).prop_map(Event::Advance),
        1 => (2000..100_000u64).prop_map(Event::StepBack),
    ]
}

/// Everything remembered, nothing optimised. Times in milliseconds that never go back.
struct Naive {
    time: u64,
    state: State,
    epoch: usize,
    calls: Vec<(bool, bool)>,
    until: u64,
    openings: u32,
    half_open_until: u64,
    out: usize,
}

impl Naive {
    fn change(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
        self.calls.clear();
        self.out = 0;
    }

    fn open(&mut self) {
        self.openings += 1;
        self.until = self.time + (1000u64 << (self.openings - 1).min(20)).min(60_000);
        self.change(State::Open);
    }

    /// The epoch that a permit belongs to.
    fn permit(&mut self) -> Option<usize> {
        if self.state == State::Open && self.time >= self.until {
            self.change(State::HalfOpen);
            self.half_open_until = self.time + 5000;
        }
        if self.state == State::HalfOpen && self.time >= self.half_open_until {
            self.open();
        }
        match self.state {
            State::Closed => Some(self.epoch),
            State::Open => None,
            State::HalfOpen if self.out + self.calls.len() == PROBES => None,
            State::HalfOpen => {
                self.out += 1;
                Some(self.epoch)
            }
        }
    }

    /// A call ended: failed, slow, or none of both; none where it was cancelled.
    fn end(&mut self, epoch: usize, call: Option<(bool, bool)>) {
        if epoch != self.epoch || self.state == State::Open {
            return;
        }
        self.out = self.out.saturating_sub(1);
        let Some(call) = call else { return };
        self.calls.push(call);
        let last: Vec<_> = self.calls.iter().rev().take(WINDOW).collect();
        let failed = last.iter().filter(|call| call.0).count() as f64;
        let slow = last.iter().filter(|call| call.1).count() as f64;
        if self.state == State::Closed {
            let calls = last.len() as f64;
            if last.len() >= MINIMUM && (failed / calls >= 0.5 || slow / calls >= 0.8) {
                self.open();
            }
        } else if failed >= 0.5 * PROBES as f64 || slow >= 0.8 * PROBES as f64 {
            self.open();
        } else if self.calls.len() == PROBES {
            self.openings = 0;
            self.change(State::Closed);
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_a_naive_breaker_does(events in prop::collection::vec(event(), 1..300)) {
        let clock = ManualClock::new();
        clock.set(Moment::from_nanos(1_000_000_000_000));
        let steward = Steward::new(Arc::new(clock.clone()));
        let settings = Settings {
            span: Span::Calls(WINDOW),
            minimum_calls: MINIMUM,
            probes: PROBES as u32,
            slow: Duration::from_millis(100),
            slow_floor: Duration::from_millis(100),
            longest_half_open: Duration::from_secs(5),
            jitter: 0.0,
            learn: false,
            ..Settings::default()
        };
        let breaker = Breaker::new("b", settings, &steward).expect("within range");
        let mut naive = Naive {
            time: 0, state: State::Closed, epoch: 0, calls: Vec::new(), until: 0, openings: 0, half_open_until: 0, out: 0,
        };
        let mut held: Vec<(Permit, usize)> = Vec::new();
        let millis = Duration::from_millis;
        for event in events {
            let taken = match event {
                Event::Success(at) | Event::Slow(at) | Event::Failure(at) | Event::Cancel(at) | Event::Forget(at)
                    if at < held.len() => Some(held.swap_remove(at)),
                _ => None,
            };
            match (event, taken) {
                (Event::Permit, _) => {
                    let (ours, theirs) = (breaker.permit(), naive.permit());
                    prop_assert_eq!(ours.is_ok(), theirs.is_some());
                    held.extend(ours.ok().zip(theirs));
                }
                (Event::Success(_), Some((permit, epoch))) => {
                    permit.success(millis(10));
                    naive.end(epoch, Some((false, false)));
                }
                (Event::Slow(_), Some((permit, epoch))) => {
                    permit.success(millis(100));
                    naive.end(epoch, Some((false, true)));
                }
                (Event::Failure(_), Some((permit, epoch))) => {
                    permit.failure();
                    naive.end(epoch, Some((true, false)));
                }
                (Event::Cancel(_), Some((permit, epoch))) => {
                    permit.cancelled();
                    naive.end(epoch, None);
                }
                (Event::Forget(_), Some((permit, _))) => std::mem::forget(permit),
                (Event::Advance(time), _) => {
                    clock.advance(millis(time));
                    naive.time += time;
                }
                (Event::StepBack(time), _) => {
                    clock.set(Moment::from_nanos(clock.now_nanos().saturating_sub(time * 1_000_000)));
                }
                _ => {}
            }
            prop_assert_eq!(breaker.report().state, naive.state);
        }
    }
}

trait Nanos {
    fn now_nanos(&self) -> u64;
}

impl Nanos for ManualClock {
    fn now_nanos(&self) -> u64 {
        use kandela_runtime::clock::Clock;
        self.now().as_nanos()
    }
}
