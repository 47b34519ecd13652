//! What each thread has counted, and what threads that ended have left: nothing is lost and nothing is counted twice.
//!
//! A thread counts on a sheet of its own, which it alone writes; whoever wants the sum reads all sheets. A thread that ends has
//! its sheet folded into one sum under the lock that readers take, so a reader finds it in one place or in the other.

use std::sync::Arc;

use crate::sync::{AtomicU64, Mutex, Ordering};

/// What one thread counts.
pub(crate) trait Sheet {
    /// What sheets add up to.
    type Sum: Clone + Default;

    /// Adds what was counted so far.
    fn add_to(&self, sum: &mut Self::Sum);
}

/// The sheets of all threads.
pub(crate) struct Ledger<S: Sheet> {
    sheets: Mutex<Sheets<S>>,
}

struct Sheets<S: Sheet> {
    open: Vec<Arc<S>>,
    closed: S::Sum,
}

impl<S: Sheet> Ledger<S> {
    pub(crate) fn new() -> Ledger<S> {
        Ledger { sheets: Mutex::new(Sheets { open: Vec::new(), closed: S::Sum::default() }) }
    }

    /// A thread begins to count on `sheet`.
    pub(crate) fn open(&self, sheet: Arc<S>) {
        self.sheets.lock().open.push(sheet);
    }

    /// The thread that counted on `sheet` does so no longer.
    pub(crate) fn close(&self, sheet: &Arc<S>) {
        let mut sheets = self.sheets.lock();
        let Some(position) = sheets.open.iter().position(|open| Arc::ptr_eq(open, sheet)) else { return };
        sheets.open.swap_remove(position).add_to(&mut sheets.closed);
    }

    /// The sum of all that was counted, by threads that ended too.
    pub(crate) fn sum(&self) -> S::Sum {
        let sheets = self.sheets.lock();
        let mut sum = sheets.closed.clone();
        sheets.open.iter().for_each(|sheet| sheet.add_to(&mut sum));
        sum
    }

    /// How many threads count.
    #[cfg(test)]
    pub(crate) fn open_sheets(&self) -> usize {
        self.sheets.lock().open.len()
    }
}

/// Adds to a cell that no other thread writes: a plain load and store, where `fetch_add` would lock the bus.
#[inline]
pub(crate) fn add(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}
