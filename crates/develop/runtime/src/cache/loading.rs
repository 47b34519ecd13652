//! One load for all who ask for a key at the same time.
//!
//! The first who asks loads, the others wait for it. If the load fails, all of them get its error. If the one who loads panics or
//! is cancelled, one of those who wait takes its place.

use std::any::Any;
use std::hash::{BuildHasher, Hash};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hashbrown::HashMap;

use crate::sync::{Condvar, Mutex};

/// What a load gave: a value, or an error of the type that the loader has.
pub(super) type Outcome<V> = Result<V, Arc<dyn Any + Send + Sync>>;

/// Loads that are under way, by key.
pub(super) struct Flights<K, V, S> {
    running: Mutex<HashMap<K, Arc<Flight<V>>, S>>,
}

/// One load.
pub(super) struct Flight<V> {
    state: Mutex<State<V>>,
    ended: Condvar,
}

enum State<V> {
    Running(Vec<Waker>),
    Ended(Outcome<V>),
    Abandoned,
}

/// What to do about a key.
pub(super) enum Role<'a, K: Eq + Hash + Clone, V: Clone, S: BuildHasher> {
    /// Load it.
    Lead(Lead<'a, K, V, S>),
    /// Wait for the one who does.
    Follow(Arc<Flight<V>>),
}

/// The duty to load. Dropped without an outcome, it goes to one of those who wait.
pub(super) struct Lead<'a, K: Eq + Hash + Clone, V: Clone, S: BuildHasher> {
    flights: &'a Flights<K, V, S>,
    key: K,
    flight: Arc<Flight<V>>,
}

impl<K: Eq + Hash + Clone, V: Clone, S: BuildHasher> Flights<K, V, S> {
    pub(super) fn new(hasher: S) -> Flights<K, V, S> {
        Flights { running: Mutex::new(HashMap::with_hasher(hasher)) }
    }

    /// Joins the load of `key`, or begins it.
    pub(super) fn join(&self, key: &K) -> Role<'_, K, V, S> {
        let mut running = self.running.lock();
        if let Some(flight) = running.get(key) {
            return Role::Follow(flight.clone());
        }
        let flight =
            Arc::new(Flight { state: Mutex::new(State::Running(Vec::new())), ended: Condvar::new() });
        running.insert(key.clone(), flight.clone());
        Role::Lead(Lead { flights: self, key: key.clone(), flight })
    }
}

impl<K: Eq + Hash + Clone, V: Clone, S: BuildHasher> Lead<'_, K, V, S> {
    /// The load has ended; all who wait get `outcome`.
    pub(super) fn end(self, outcome: Outcome<V>) {
        self.flight.end(State::Ended(outcome));
    }
}

impl<K: Eq + Hash + Clone, V: Clone, S: BuildHasher> Drop for Lead<'_, K, V, S> {
    fn drop(&mut self) {
        self.flights.running.lock().remove(&self.key);
        self.flight.end(State::Abandoned);
    }
}

impl<V: Clone> Flight<V> {
    /// The first end counts.
    fn end(&self, end: State<V>) {
        let mut state = self.state.lock();
        let State::Running(wakers) = &mut *state else { return };
        let wakers = std::mem::take(wakers);
        *state = end;
        drop(state);
        self.ended.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Blocks until the load ends; none if it was abandoned.
    pub(super) fn wait(&self) -> Option<Outcome<V>> {
        let mut state = self.state.lock();
        loop {
            match &*state {
                State::Running(_) => self.ended.wait(&mut state),
                State::Ended(outcome) => return Some(outcome.clone()),
                State::Abandoned => return None,
            }
        }
    }
}

/// Waits until a load ends; none if it was abandoned.
pub(super) struct Ended<V>(pub(super) Arc<Flight<V>>);

impl<V: Clone> Future for Ended<V> {
    type Output = Option<Outcome<V>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self.0.state.lock() {
            State::Running(wakers) => {
                if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
            State::Ended(outcome) => Poll::Ready(Some(outcome.clone())),
            State::Abandoned => Poll::Ready(None),
        }
    }
}
