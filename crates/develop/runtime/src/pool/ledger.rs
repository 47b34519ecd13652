//! Who holds what: the pool's accounting, as a state machine that knows neither time nor threads.
//!
//! A *place* is the right to have one resource. It is taken by a resource that lies idle, by one that is out (borrowed, or being
//! created or checked for somebody), or by a [`Grant`] that a waiter was given and did not fetch yet. What holds after every step:
//!
//! - places taken = idle + out + granted, and no more than the size, but for resources that were out when the size shrank;
//! - somebody waits only while nothing is idle and every place is taken;
//! - waiters are served in the order in which they came.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

/// What somebody who asked for a resource got, with its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Grant<T> {
    /// This one.
    Resource(T),
    /// A free place: create one, and give the place back where that fails.
    Create,
}

/// Which idle resource is lent next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// The one that came back last. What the load does not need stays idle long enough to be closed, and what is lent is warm.
    #[default]
    Newest,
    /// The one that has been idle longest. Uses all evenly: where the far side closes what is quiet, or balances by connection.
    Oldest,
}

/// The accounting of one pool, for resources of type `T`.
#[derive(Debug)]
pub(crate) struct Ledger<T> {
    size: usize,
    taken: usize,
    /// Longest idle first.
    idle: VecDeque<T>,
    reuse: Reuse,
    closed: bool,
    next_ticket: u64,
    waiting: BTreeMap<u64, Waker>,
    granted: BTreeMap<u64, Grant<T>>,
    drained: Vec<Waker>,
}

/// What is to be done once the lock is released: wake these, drop those.
#[derive(Debug)]
#[must_use]
pub(crate) struct After<T> {
    /// To be woken.
    pub(crate) wake: Vec<Waker>,
    /// To be closed; they have no place any more.
    pub(crate) close: Vec<T>,
}

/// What became of a resource that came back.
#[derive(Debug)]
#[must_use]
pub(crate) enum Returned<T> {
    /// It lies idle.
    Idle,
    /// Somebody who waited has it.
    Handed(Waker),
    /// There is no place for it: close it.
    Surplus(T, Vec<Waker>),
}

impl<T> Ledger<T> {
    /// A ledger of `size` free places.
    pub(crate) fn new(size: usize, reuse: Reuse) -> Ledger<T> {
        Ledger {
            size,
            taken: 0,
            idle: VecDeque::new(),
            reuse,
            closed: false,
            next_ticket: 0,
            waiting: BTreeMap::new(),
            granted: BTreeMap::new(),
            drained: Vec::new(),
        }
    }

    /// How many places there are to be.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// How many places are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// How many resources lie idle.
    pub(crate) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// How many wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether it lends no more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A resource or a free place, if there is one now. Never passes somebody who waits: while anybody does, there is none.
    pub(crate) fn take(&mut self) -> Option<Grant<T>> {
        if self.closed {
            return None;
        }
        if let Some(resource) = self.pop_idle() {
            return Some(Grant::Resource(resource));
        }
        if self.taken < self.size {
            self.taken += 1;
            return Some(Grant::Create);
        }
        None
    }

    /// Queues up behind all who wait.
    pub(crate) fn wait(&mut self, waker: Waker) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.insert(ticket, waker);
        ticket
    }

    /// What ticket `ticket` was granted; none while it still waits, or after the pool was closed.
    pub(crate) fn fetch(&mut self, ticket: u64) -> Option<Grant<T>> {
        self.granted.remove(&ticket)
    }

    /// Has `waker` woken in the place of the one that ticket `ticket` left.
    pub(crate) fn wait_on(&mut self, ticket: u64, waker: &Waker) {
        if let Some(held) = self.waiting.get_mut(&ticket) {
            held.clone_from(waker);
        }
    }

    /// Leaves the queue. What was granted and not fetched is returned, to be given back.
    pub(crate) fn leave(&mut self, ticket: u64) -> Option<Grant<T>> {
        self.waiting.remove(&ticket);
        self.granted.remove(&ticket)
    }

    /// Takes back what was out and is sound.
    pub(crate) fn give_back(&mut self, resource: T) -> Returned<T> {
        if self.closed || self.taken > self.size {
            return Returned::Surplus(resource, self.free_place());
        }
        let Some((ticket, waker)) = self.waiting.pop_first() else {
            self.idle.push_back(resource);
            return Returned::Idle;
        };
        self.granted.insert(ticket, Grant::Resource(resource));
        Returned::Handed(waker)
    }

    /// As [`Ledger::give_back`], for a resource that was only looked at: it has not become warm by that, and lies where it lay, at
    /// the cold end.
    pub(crate) fn put_back(&mut self, resource: T) -> Returned<T> {
        let returned = self.give_back(resource);
        if matches!(returned, Returned::Idle) {
            self.idle.rotate_right(1);
        }
        returned
    }

    /// Frees the place of what was out and is no more: broken, kept by its borrower, or never created. Returns whom to wake.
    pub(crate) fn free_place(&mut self) -> Vec<Waker> {
        self.taken -= 1;
        let mut wake = self.grant_free_places();
        wake.append(&mut self.settle());
        wake
    }

    /// Swaps what was out and is broken for another idle one, or for its own place.
    pub(crate) fn exchange(&mut self) -> Grant<T> {
        match self.pop_idle() {
            Some(resource) => {
                self.taken -= 1;
                Grant::Resource(resource)
            }
            None => Grant::Create,
        }
    }

    /// A place for a resource that nobody asked for, while fewer than `min_idle` are idle and there is room.
    pub(crate) fn reserve(&mut self, min_idle: usize) -> bool {
        let wanted = !self.closed && self.idle.len() < min_idle && self.taken < self.size;
        self.taken += usize::from(wanted);
        wanted
    }

    /// Takes the resource that has been idle longest, of those that match, out; its place stays taken.
    pub(crate) fn take_idle(&mut self, matches: impl FnMut(&T) -> bool) -> Option<T> {
        let at = self.idle.iter().position(matches)?;
        self.idle.remove(at)
    }

    /// Sets how many places there are. More of them go to those who wait at once; fewer close what lies idle, longest first, and
    /// what is out when it comes back.
    pub(crate) fn resize(&mut self, size: usize) -> After<T> {
        self.size = size;
        let surplus = self.taken.saturating_sub(size).min(self.idle.len());
        let close: Vec<T> = self.idle.drain(..surplus).collect();
        self.taken -= close.len();
        After { wake: self.grant_free_places(), close }
    }

    /// Lends no more: those who wait are woken to be told so, what is idle is closed now, what is out when it comes back.
    pub(crate) fn close(&mut self) -> After<T> {
        self.closed = true;
        let close: Vec<T> = self.idle.drain(..).collect();
        self.taken -= close.len();
        let mut wake: Vec<Waker> = std::mem::take(&mut self.waiting).into_values().collect();
        wake.append(&mut self.settle());
        After { wake, close }
    }

    /// Whether it is closed and nothing is out any more. If not, `waker` is woken then.
    pub(crate) fn is_drained(&mut self, waker: &Waker) -> bool {
        let drained = self.closed && self.taken == 0;
        if !drained && !self.drained.iter().any(|held| held.will_wake(waker)) {
            self.drained.push(waker.clone());
        }
        drained
    }

    fn pop_idle(&mut self) -> Option<T> {
        match self.reuse {
            Reuse::Newest => self.idle.pop_back(),
            Reuse::Oldest => self.idle.pop_front(),
        }
    }

    fn grant_free_places(&mut self) -> Vec<Waker> {
        let mut wake = Vec::new();
        while !self.closed && self.taken < self.size {
            let Some((ticket, waker)) = self.waiting.pop_first() else { break };
            self.taken += 1;
            self.granted.insert(ticket, Grant::Create);
            wake.push(waker);
        }
        wake
    }

    fn settle(&mut self) -> Vec<Waker> {
        let drained = self.closed && self.taken == 0;
        if drained { std::mem::take(&mut self.drained) } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waker() -> Waker {
        Waker::noop().clone()
    }

    fn lent(ledger: &mut Ledger<u32>, resources: impl IntoIterator<Item = u32>) {
        for _ in resources {
            assert_eq!(ledger.take(), Some(Grant::Create));
        }
    }

    #[test]
    fn the_one_that_came_back_last_is_lent_next() {
        let mut ledger = Ledger::new(2, Reuse::Newest);
        lent(&mut ledger, 0..2);
        for resource in 0..2 {
            assert!(matches!(ledger.give_back(resource), Returned::Idle));
        }
        assert_eq!(ledger.take(), Some(Grant::Resource(1)));
    }

    #[test]
    fn the_one_idle_longest_is_lent_next_where_all_are_to_be_used() {
        let mut ledger = Ledger::new(2, Reuse::Oldest);
        lent(&mut ledger, 0..2);
        for resource in 0..2 {
            assert!(matches!(ledger.give_back(resource), Returned::Idle));
        }
        assert_eq!(ledger.take(), Some(Grant::Resource(0)));
    }

    #[test]
    fn what_comes_back_goes_to_whoever_waits_longest() {
        let mut ledger = Ledger::new(1, Reuse::Newest);
        lent(&mut ledger, 0..1);
        let (first, second) = (ledger.wait(waker()), ledger.wait(waker()));
        assert!(matches!(ledger.give_back(7), Returned::Handed(_)));
        assert_eq!((ledger.fetch(second), ledger.fetch(first)), (None, Some(Grant::Resource(7))));
    }

    #[test]
    fn a_waiter_who_leaves_returns_what_it_was_granted() {
        let mut ledger = Ledger::new(1, Reuse::Newest);
        lent(&mut ledger, 0..1);
        let (first, second) = (ledger.wait(waker()), ledger.wait(waker()));
        assert!(matches!(ledger.give_back(7), Returned::Handed(_)));
        assert_eq!(ledger.leave(first), Some(Grant::Resource(7)));
        assert!(matches!(ledger.give_back(7), Returned::Handed(_)));
        assert_eq!(ledger.fetch(second), Some(Grant::Resource(7)));
    }

    #[test]
    fn growth_wakes_as_many_as_there_are_new_places() {
        let mut ledger: Ledger<u32> = Ledger::new(1, Reuse::Newest);
        lent(&mut ledger, 0..1);
        let tickets: Vec<u64> = (0..3).map(|_| ledger.wait(waker())).collect();
        assert_eq!(ledger.resize(3).wake.len(), 2);
        let granted: Vec<bool> = tickets.iter().map(|ticket| ledger.fetch(*ticket).is_some()).collect();
        assert_eq!(granted, [true, true, false]);
    }

    #[test]
    fn a_shrink_closes_idle_ones_first_and_borrowed_ones_when_they_return() {
        let mut ledger = Ledger::new(3, Reuse::Newest);
        lent(&mut ledger, 0..3);
        assert!(matches!(ledger.give_back(0), Returned::Idle));
        assert_eq!(ledger.resize(1).close, [0]);
        assert!(matches!(ledger.give_back(1), Returned::Surplus(1, _)));
        assert!(matches!(ledger.give_back(2), Returned::Idle));
        assert_eq!((ledger.taken(), ledger.idle()), (1, 1));
    }

    #[test]
    fn a_creation_that_failed_leaves_its_place_to_the_next() {
        let mut ledger: Ledger<u32> = Ledger::new(1, Reuse::Newest);
        lent(&mut ledger, 0..1);
        let ticket = ledger.wait(waker());
        assert_eq!(ledger.free_place().len(), 1);
        assert_eq!(ledger.fetch(ticket), Some(Grant::Create));
    }

    #[test]
    fn closing_tells_all_who_wait_and_is_done_when_the_last_came_back() {
        let mut ledger = Ledger::new(2, Reuse::Newest);
        lent(&mut ledger, 0..2);
        assert!(matches!(ledger.give_back(0), Returned::Idle));
        let after = ledger.close();
        assert_eq!((after.close.as_slice(), ledger.take()), ([0].as_slice(), None));
        assert!(!ledger.is_drained(&waker()));
        assert!(matches!(ledger.give_back(1), Returned::Surplus(1, wake) if wake.len() == 1));
        assert!(ledger.is_drained(&waker()));
    }
}

#[cfg(test)]
mod properties;
