//! The breaker: no probe is lost, no more probes than may be, and it is not stuck half-open.

use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::breaker_parts::gate::Gate;
use crate::breaker_parts::machine::{End, Plan, State, Thresholds, Ticket};
use crate::breaker_parts::window::Span;
use crate::clock::Moment;

const SECOND: Duration = Duration::from_secs(1);
const GOOD: End = End::Success(Duration::from_millis(1));

/// A breaker that opens at its first failure, lets one probe through, and how many probes are out by their own count.
pub struct Fuse {
    gate: Gate,
    probes: AtomicUsize,
}

fn thresholds() -> Thresholds {
    Thresholds { failure_rate: 0.5, slow_rate: 1.0, slow: SECOND, minimum_calls: 1, open_for: SECOND }
}

fn at(seconds: u32) -> Moment {
    Moment::ORIGIN.after(seconds * SECOND)
}

impl Fuse {
    fn new() -> Fuse {
        let plan = Plan {
            span: Span::Calls(4),
            probes: 1,
            longest_open: SECOND,
            longest_half_open: 10 * SECOND,
            jitter: 0.0,
            seed: 0,
            learn: false,
            learn_from: 100,
            half_life: 60 * SECOND,
        };
        Fuse { gate: Gate::new(plan, at(0)), probes: AtomicUsize::new(0) }
    }

    fn admit(&self, now: Moment) -> Option<Ticket> {
        match self.gate.admit_if_closed() {
            Some(ticket) => Some(ticket),
            None => self.gate.admit(now, &thresholds()).0.ok(),
        }
    }

    fn end(&self, now: Moment, ticket: Ticket, end: End) {
        self.gate.end(now, &thresholds(), ticket, end);
    }

    fn state(&self) -> State {
        self.gate.with(|machine| machine.state())
    }
}

/// Each of `work` on a thread of its own, in every order, from a breaker that was open for long enough. Then calls that go well must
/// close it.
pub fn in_every_order_from_open(work: &[fn(&Fuse)]) {
    let work = work.to_vec();
    loom::model(move || {
        let fuse = Arc::new(Fuse::new());
        let ticket = fuse.admit(at(0)).expect("closed");
        fuse.end(at(0), ticket, End::Failure);
        assert_eq!(fuse.state(), State::Open);
        run(&fuse, &work);
        for seconds in [20, 40] {
            if let Some(ticket) = fuse.admit(at(seconds)) {
                fuse.end(at(seconds), ticket, GOOD);
            }
        }
        assert_eq!(fuse.state(), State::Closed, "it is stuck");
        assert!(fuse.gate.admit_if_closed().is_some(), "what it tells is not what it is");
    });
}

/// Two calls that began while it was closed end in every order: one fails, the other goes well.
pub fn late_results_in_every_order() {
    loom::model(|| {
        let fuse = Arc::new(Fuse::new());
        let (first, second) = (fuse.admit(at(0)).expect("closed"), fuse.admit(at(0)).expect("closed"));
        let other = {
            let fuse = fuse.clone();
            thread::spawn(move || fuse.end(at(0), first, End::Failure))
        };
        fuse.end(at(0), second, GOOD);
        other.join().unwrap();
        assert_eq!(fuse.state(), State::Open, "half of the calls failed, or all that counted");
        assert!(fuse.gate.admit_if_closed().is_none(), "what it tells is not what it is");
    });
}

fn run(fuse: &Arc<Fuse>, work: &[fn(&Fuse)]) {
    let spawn = |work: fn(&Fuse)| {
        let fuse = fuse.clone();
        thread::spawn(move || work(&fuse))
    };
    let running: Vec<_> = work.iter().copied().map(spawn).collect();
    running.into_iter().for_each(|thread| thread.join().unwrap());
}

fn probe(fuse: &Fuse, end: End) {
    let Some(ticket) = fuse.gate.admit(at(1), &thresholds()).0.ok() else { return };
    if fuse
        .gate
        .with(|machine| machine.state() == State::HalfOpen && machine.generation() == ticket.generation)
    {
        let others = fuse.probes.fetch_add(1, Ordering::SeqCst);
        assert_eq!(others, 0, "one probe may be out");
        fuse.probes.fetch_sub(1, Ordering::SeqCst);
    }
    fuse.end(at(1), ticket, end);
}

/// Probes, and it goes well.
pub fn good_probe(fuse: &Fuse) {
    probe(fuse, GOOD);
}

/// Probes, and it fails.
pub fn bad_probe(fuse: &Fuse) {
    probe(fuse, End::Failure);
}

/// Probes, and is cancelled.
pub fn cancelled_probe(fuse: &Fuse) {
    probe(fuse, End::Cancelled);
}

/// Probes, and never comes back.
pub fn lost_probe(fuse: &Fuse) {
    let _ = fuse.gate.admit(at(1), &thresholds());
}
