//! What a call holds while it is in flight, or while it waits to be.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Shared;
use super::gate::{Fate, Place};
use super::priority::Priority;
use crate::clock::Moment;

/// Leave to be in flight. It ends once, however it is dropped: unless it was said how the call went, it says nothing about the far
/// side.
#[must_use = "a permit that is dropped ends at once"]
pub struct Permit {
    shared: Arc<Shared>,
    priority: Priority,
    started: Moment,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Success,
    Dropped,
    Ignored,
}

impl Permit {
    #[inline]
    pub(super) fn new(shared: Arc<Shared>, priority: Priority) -> Permit {
        let started = shared.clock.now();
        Permit { shared, priority, started, end: End::Ignored }
    }

    /// The call was answered: its latency, from the permit until now, counts.
    #[inline]
    pub fn success(mut self) {
        self.end = End::Success;
    }

    /// The far side dropped the call, by a timeout or a refusal: a sign of overload.
    #[inline]
    pub fn dropped(mut self) {
        self.end = End::Dropped;
    }

    /// The call says nothing about load: it was refused for its content, or ended early. The same as dropping the permit.
    pub fn ignored(self) {
        drop(self);
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        self.shared.ended(self.priority, self.started, self.end);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("priority", &self.priority).finish_non_exhaustive()
    }
}

/// A call that was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// How much it mattered.
    pub priority: Priority,
    /// Why it was turned away.
    pub why: Why,
}

/// Why a call was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// There is overload, and it matters less than those who are let in.
    Shed,
    /// The limit is reached, and the queue is full or was not asked for.
    Full,
    /// It waited, and somebody more important took its place.
    Displaced,
    /// It has waited for as long as anybody may.
    WaitedTooLong,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Shed => "calls of its priority are shed under overload",
            Why::Full => "as many calls are in flight and waiting as may be",
            Why::Displaced => "a more important call took its place in the queue",
            Why::WaitedTooLong => "it has waited for as long as it may",
        };
        write!(f, "call of {:?} priority turned away: {why}; try later, or less often", self.priority)
    }
}

impl std::error::Error for Refused {}

/// What became of a call that came to a limiter.
#[derive(Debug)]
pub enum Entry {
    /// It may go on.
    Admitted(Permit),
    /// It may wait.
    Waiting(Waiting),
    /// It was turned away.
    Refused(Refused),
}

/// A call that waits: a future that needs no runtime. It is woken when the call is admitted or displaced, or when somebody notices
/// that it has waited for too long; who needs that on time has a timer of [`Waiting::patience`] and calls
/// [`give_up`](Waiting::give_up). Dropped, it leaves the queue.
#[must_use = "dropped, it leaves the queue"]
pub struct Waiting {
    shared: Arc<Shared>,
    priority: Priority,
    /// None once it is over.
    place: Option<Arc<Place>>,
    patience: Duration,
}

impl Waiting {
    pub(super) fn new(
        shared: Arc<Shared>,
        priority: Priority,
        place: Arc<Place>,
        patience: Duration,
    ) -> Waiting {
        Waiting { shared, priority, place: Some(place), patience }
    }

    /// For how long it may wait.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits no longer.
    ///
    /// # Errors
    /// [`Refused`], unless it was admitted in the meantime.
    pub fn give_up(mut self) -> Result<Permit, Refused> {
        let Some(place) = self.place.take() else { return Err(self.refused(Why::WaitedTooLong)) };
        if place.fate() == Fate::Waits {
            let now = self.shared.clock.now();
            // Whoever is admitted just now is given back: its time was over.
            self.shared.gate.quit(&place, now);
            return Err(self.refused(Why::WaitedTooLong));
        }
        self.settled(place.fate()).unwrap_or_else(|| Err(self.refused(Why::WaitedTooLong)))
    }

    fn settled(&self, fate: Fate) -> Option<Result<Permit, Refused>> {
        match fate {
            Fate::Waits => None,
            Fate::Admitted => Some(Ok(Permit::new(self.shared.clone(), self.priority))),
            Fate::Displaced => Some(Err(self.refused(Why::Displaced))),
            Fate::Expired | Fate::Left => Some(Err(self.refused(Why::WaitedTooLong))),
        }
    }

    fn refused(&self, why: Why) -> Refused {
        self.shared.refuse(self.priority, why)
    }
}

impl Future for Waiting {
    type Output = Result<Permit, Refused>;

    /// # Panics
    /// When polled after it is over.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let place = self.place.as_ref().expect("not polled after it is over");
        let fate = place.poll(context.waker());
        match self.settled(fate) {
            None => Poll::Pending,
            Some(settled) => {
                self.place = None;
                Poll::Ready(settled)
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.shared.gate.quit(&place, self.shared.clock.now());
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("priority", &self.priority).finish_non_exhaustive()
    }
}
