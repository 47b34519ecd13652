//! The [`Ledger`] behind its lock, and the future of those who wait. Wakers are called and resources dropped outside the lock, so
//! that neither can hold it up, or leave it half done by a panic.
//!
//! `N` is what is noted under the same lock: the [meter](super::meter) in the product, nothing in the model that is checked.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use super::ledger::{Grant, Ledger, Returned, Reuse};
use crate::sync::Mutex;

/// The line to a pool's resources.
pub(crate) struct Line<T, N> {
    state: Mutex<(Ledger<T>, N)>,
}

/// The pool lends no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// Somebody in the line. Dropped before it was served, it leaves; what it had been granted meanwhile goes to the next.
pub(crate) struct Waiting<'a, T, N> {
    line: &'a Line<T, N>,
    ticket: Option<u64>,
}

impl<T, N> Line<T, N> {
    /// A line to `size` free places.
    pub(crate) fn new(size: usize, reuse: Reuse, notes: N) -> Line<T, N> {
        Line { state: Mutex::new((Ledger::new(size, reuse), notes)) }
    }

    /// Looks at the ledger, and notes something.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut Ledger<T>, &mut N) -> R) -> R {
        let mut state = self.state.lock();
        let (ledger, notes) = &mut *state;
        look(ledger, notes)
    }

    /// What can be had now, without waiting.
    ///
    /// # Errors
    /// [`Closed`].
    pub(crate) fn take_now(
        &self,
        note: impl FnOnce(&mut N, Option<&Grant<T>>),
    ) -> Result<Option<Grant<T>>, Closed> {
        self.look(|ledger, notes| {
            if ledger.is_closed() {
                return Err(Closed);
            }
            let grant = ledger.take();
            note(notes, grant.as_ref());
            Ok(grant)
        })
    }

    /// Stands in line.
    pub(crate) fn stand(&self) -> Waiting<'_, T, N> {
        Waiting { line: self, ticket: None }
    }

    /// Takes back what was out and is sound. What there is no place for any more is returned, to be dropped by the caller.
    pub(crate) fn give_back(&self, resource: T, note: impl FnOnce(&mut N)) -> Option<T> {
        let returned = self.look(|ledger, notes| {
            note(notes);
            ledger.give_back(resource)
        });
        finish(returned)
    }

    /// As [`Line::give_back`], for what was only looked at.
    pub(crate) fn put_back(&self, resource: T) -> Option<T> {
        finish(self.look(|ledger, _| ledger.put_back(resource)))
    }

    /// Frees the place of what was out and is no more.
    pub(crate) fn free_place(&self, note: impl FnOnce(&mut N)) {
        let wake = self.look(|ledger, notes| {
            note(notes);
            ledger.free_place()
        });
        wake.into_iter().for_each(Waker::wake);
    }

    /// Sets how many places there are. Returns what is to be dropped.
    pub(crate) fn resize(&self, size: usize, note: impl FnOnce(&mut N, usize)) -> Vec<T> {
        let after = self.look(|ledger, notes| {
            let after = ledger.resize(size);
            note(notes, after.close.len());
            after
        });
        after.wake.into_iter().for_each(Waker::wake);
        after.close
    }

    /// Lends no more. Returns what is to be dropped.
    pub(crate) fn close(&self, note: impl FnOnce(&mut N, usize)) -> Vec<T> {
        let after = self.look(|ledger, notes| {
            let after = ledger.close();
            note(notes, after.close.len());
            after
        });
        after.wake.into_iter().for_each(Waker::wake);
        after.close
    }

    /// Waits until it is closed and nothing is out any more.
    pub(crate) async fn drained(&self) {
        poll_fn(|context| {
            let drained = self.look(|ledger, _| ledger.is_drained(context.waker()));
            if drained { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

fn finish<T>(returned: Returned<T>) -> Option<T> {
    match returned {
        Returned::Idle => None,
        Returned::Handed(waker) => {
            waker.wake();
            None
        }
        Returned::Surplus(resource, wake) => {
            wake.into_iter().for_each(Waker::wake);
            Some(resource)
        }
    }
}

impl<T, N> Waiting<'_, T, N> {
    /// Waits for its turn.
    ///
    /// # Errors
    /// [`Closed`].
    pub(crate) async fn turn(&mut self) -> Result<Grant<T>, Closed> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<Result<Grant<T>, Closed>> {
        let ticket = &mut self.ticket;
        self.line.look(|ledger, _| {
            let granted = match *ticket {
                Some(held) => ledger.fetch(held),
                None => ledger.take(),
            };
            if let Some(grant) = granted {
                *ticket = None;
                return Poll::Ready(Ok(grant));
            }
            if ledger.is_closed() {
                *ticket = None;
                return Poll::Ready(Err(Closed));
            }
            match *ticket {
                Some(held) => ledger.wait_on(held, context.waker()),
                None => *ticket = Some(ledger.wait(context.waker().clone())),
            }
            Poll::Pending
        })
    }
}

impl<T, N> Drop for Waiting<'_, T, N> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let left = self.line.look(|ledger, _| ledger.leave(ticket));
        match left {
            None => {}
            Some(Grant::Create) => self.line.free_place(|_| {}),
            Some(Grant::Resource(resource)) => drop(self.line.give_back(resource, |_| {})),
        }
    }
}
