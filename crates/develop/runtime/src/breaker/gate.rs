//! What threads share of a breaker: a word that says whether it is closed, and the state machine under a lock.
//!
//! While the breaker is closed, leave is one load. Every result takes the lock for a moment, for the window counts exactly.

use super::machine::{End, Machine, Plan, State, Thresholds, Ticket, Transition};
use crate::clock::Moment;
use crate::sync::{AtomicU64, Mutex, Ordering};
use std::time::Duration;

const CLOSED: u64 = 0;
const NOT_CLOSED: u64 = 1;

pub(crate) struct Gate {
    /// The generation, doubled, and whether it is one in which the breaker is not closed.
    word: AtomicU64,
    machine: Mutex<Machine>,
}

/// Leave, or how long until asking again makes sense.
pub(crate) type Admission = Result<Ticket, Duration>;

impl Gate {
    pub(crate) fn new(plan: Plan, now: Moment) -> Gate {
        Gate { word: AtomicU64::new(CLOSED), machine: Mutex::new(Machine::new(plan, now)) }
    }

    /// Leave for a call while the breaker is closed.
    #[inline]
    pub(crate) fn admit_if_closed(&self) -> Option<Ticket> {
        let word = self.word.load(Ordering::Acquire);
        (word & NOT_CLOSED == CLOSED).then_some(Ticket { generation: word >> 1 })
    }

    /// Leave for a call.
    pub(crate) fn admit(&self, now: Moment, thresholds: &Thresholds) -> (Admission, Option<Transition>) {
        let mut machine = self.machine.lock();
        let admitted = machine.admit(now, thresholds);
        self.publish(&machine);
        admitted
    }

    /// A call has ended.
    #[inline]
    pub(crate) fn end(
        &self,
        now: Moment,
        thresholds: &Thresholds,
        ticket: Ticket,
        end: End,
    ) -> Option<Transition> {
        let mut machine = self.machine.lock();
        let transition = machine.end(now, thresholds, ticket, end);
        if transition.is_some() {
            self.publish(&machine);
        }
        transition
    }

    /// Looks at or changes what is not the state.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut Machine) -> R) -> R {
        look(&mut self.machine.lock())
    }

    fn publish(&self, machine: &Machine) {
        let closed = if machine.state() == State::Closed { CLOSED } else { NOT_CLOSED };
        self.word.store(machine.generation() << 1 | closed, Ordering::Release);
    }
}
