//! Group commit: whoever is told that a record is durable can rely on it, and nobody waits for ever.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::commit::{GroupCommit, Outcome};

/// A log whose records are numbers, and what of them reached the disk.
#[derive(Default)]
pub struct Log {
    commit: GroupCommit,
    written: AtomicU64,
    durable: AtomicU64,
    syncs: AtomicU64,
}

impl Log {
    fn write(&self) -> u64 {
        self.written.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Syncs; the first `failing` times in vain.
    fn sync(&self, failing: u64) -> Outcome {
        let through = self.written.load(Ordering::SeqCst);
        if self.syncs.fetch_add(1, Ordering::SeqCst) < failing {
            return Outcome { through, failure: Some("the disk failed".to_owned()) };
        }
        self.durable.fetch_max(through, Ordering::SeqCst);
        Outcome { through, failure: None }
    }
}

/// Runs each of `work` on a thread of its own, in every order that there is; of three threads, in every order with at most
/// three preemptions.
pub fn in_every_order(work: &[fn(&Log)]) {
    let work = work.to_vec();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = (work.len() > 2).then_some(3);
    model.check(move || {
        let log = Arc::new(Log::default());
        let running: Vec<_> = work
            .iter()
            .copied()
            .map(|work| {
                let log = log.clone();
                thread::spawn(move || work(&log))
            })
            .collect();
        running.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Writes a record and waits until it is durable.
pub fn append(log: &Log) {
    let seq = log.write();
    log.commit.through(seq, || log.sync(0)).unwrap();
    assert!(log.durable.load(Ordering::SeqCst) >= seq, "record {seq} was promised");
}

/// The same, where the first sync fails.
pub fn append_to_a_disk_that_fails_once(log: &Log) {
    let seq = log.write();
    match log.commit.through(seq, || log.sync(1)) {
        Ok(()) => assert!(log.durable.load(Ordering::SeqCst) >= seq, "record {seq} was promised"),
        // What failed stays failed, whatever a later sync says.
        Err(_) => assert!(log.commit.through(seq, || log.sync(1)).is_err()),
    }
}

/// Begins a new segment.
pub fn rotate(log: &Log) {
    log.commit.exclusively(|settled| {
        let outcome = log.sync(0);
        assert!(outcome.through >= settled);
        (Some(outcome), ())
    });
}
