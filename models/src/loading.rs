//! The cache's loads: whoever asks for a key gets a value, whatever becomes of those who load it, and no load is left behind.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use crate::loads::{Ended, Flights, Role};

type Flight = Flights<u8, u32, BuildHasherDefault<DefaultHasher>>;

/// Loads of one key, of which the first few are given up.
pub struct Loads {
    flights: Flight,
    begun: AtomicU32,
    given_up: u32,
}

impl Loads {
    /// Loads; none where the load was given up.
    fn load(&self) -> Option<u32> {
        let load = self.begun.fetch_add(1, Ordering::SeqCst);
        (load >= self.given_up).then_some(7)
    }
}

/// Each of `work` on a thread of its own, in every order; of three threads, in every order with at most two preemptions. The
/// first `given_up` loads end without an outcome, as if their loader had panicked.
pub fn in_every_order(given_up: u32, work: &[fn(&Loads)]) {
    let work = work.to_vec();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = (work.len() > 2).then_some(2);
    model.check(move || {
        let flights = Flight::new(BuildHasherDefault::default());
        let loads = Arc::new(Loads { flights, begun: AtomicU32::new(0), given_up });
        let running: Vec<_> = work
            .iter()
            .copied()
            .map(|work| {
                let loads = loads.clone();
                thread::spawn(move || work(&loads))
            })
            .collect();
        running.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(matches!(loads.flights.join(&1), Role::Lead(_)), "a load was left behind");
    });
}

/// Asks until there is a value; blocks while another loads.
pub fn ask(loads: &Loads) {
    loop {
        match loads.flights.join(&1) {
            Role::Lead(lead) => match loads.load() {
                Some(value) => return lead.end(Ok(value)),
                // A loader that panicked is not asked again: in a thread it would be gone. Here it goes on as another.
                None => drop(lead),
            },
            Role::Follow(flight) => {
                if let Some(outcome) = flight.wait() {
                    assert_eq!(outcome.ok(), Some(7));
                    return;
                }
            }
        }
    }
}

/// As [`ask`], waiting as a task.
pub fn ask_as_a_task(loads: &Loads) {
    loop {
        match loads.flights.join(&1) {
            Role::Lead(lead) => match loads.load() {
                Some(value) => return lead.end(Ok(value)),
                None => drop(lead),
            },
            Role::Follow(flight) => {
                if let Some(outcome) = loom::future::block_on(Ended(flight)) {
                    assert_eq!(outcome.ok(), Some(7));
                    return;
                }
            }
        }
    }
}
