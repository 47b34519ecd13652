//! The profiler's ledger: a sum that is read while threads count and end misses nothing and counts nothing twice.

use std::sync::Arc;

use loom::thread;

use crate::ledger_of_sheets::{Ledger, Sheet, add};
use crate::sync::{AtomicU64, Ordering};

/// A thread's counts: two operations each add 1 to both.
struct Pair {
    count: AtomicU64,
    total: AtomicU64,
}

impl Sheet for Pair {
    type Sum = (u64, u64);

    fn add_to(&self, sum: &mut (u64, u64)) {
        sum.0 += self.count.load(Ordering::Relaxed);
        sum.1 += self.total.load(Ordering::Relaxed);
    }
}

/// What the thread that writes does: it counts `operations`, then ends.
fn count(ledger: &Ledger<Pair>, operations: u64) {
    let sheet = Arc::new(Pair { count: AtomicU64::new(0), total: AtomicU64::new(0) });
    ledger.open(sheet.clone());
    for _ in 0..operations {
        add(&sheet.count, 1);
        add(&sheet.total, 1);
    }
    ledger.close(&sheet);
}

/// `threads` threads count `operations` each, while another reads twice: one in every order, more with at most three preemptions.
pub fn sums_never_fall_and_end_exact(threads: u64, operations: u64) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = (threads > 1).then_some(3);
    model.check(move || {
        let ledger = Arc::new(Ledger::<Pair>::new());
        let counting: Vec<_> = (0..threads)
            .map(|_| {
                let ledger = ledger.clone();
                thread::spawn(move || count(&ledger, operations))
            })
            .collect();
        let all = threads * operations;
        let (first, second) = (ledger.sum(), ledger.sum());
        for (earlier, later) in [(first.0, second.0), (first.1, second.1)] {
            assert!(earlier <= later && later <= all, "{earlier} then {later} of {all}");
        }
        counting.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(ledger.sum(), (all, all));
    });
}
