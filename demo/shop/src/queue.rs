//! Orders that wait to be paid: a bounded queue and its workers. Bound, workers and batch are knobs.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use kandela_runtime::knob::LeasedKnob;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::knobs::KnobMaker;

const MOST_WORKERS: i64 = 32;
/// How often a worker looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(200);

/// A bounded queue, first in, first out.
pub(crate) struct Queue<T> {
    waiting: Mutex<VecDeque<T>>,
    came: Notify,
    capacity: Arc<LeasedKnob<usize>>,
    workers: Arc<LeasedKnob<usize>>,
    batch: Arc<LeasedKnob<usize>>,
}

impl<T: Send + 'static> Queue<T> {
    /// A service's queue, with the knobs `queue.capacity`, `queue.workers` and `queue.batch`.
    pub(crate) fn new(knobs: &KnobMaker) -> Result<Arc<Queue<T>>> {
        Ok(Arc::new(Queue {
            waiting: Mutex::default(),
            came: Notify::new(),
            capacity: knobs.wide_size("queue.capacity", 1..=4096)?,
            workers: knobs.size("queue.workers", 1..=MOST_WORKERS)?,
            batch: knobs.size("queue.batch", 1..=64)?,
        }))
    }

    /// Whether one more would find room now.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.lock().len() < self.capacity.read()
    }

    /// Puts `item` at the end; gives it back if there is no room.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= self.capacity.read() {
            return Err(item);
        }
        waiting.push_back(item);
        drop(waiting);
        self.came.notify_one();
        Ok(())
    }

    /// Has batches worked off by as many workers as the knob says, until the process ends.
    pub(crate) fn work<W, F>(self: &Arc<Self>, work: W)
    where
        W: Fn(Vec<T>) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        for worker in 0..MOST_WORKERS as usize {
            let (queue, work) = (self.clone(), work.clone());
            tokio::spawn(async move {
                loop {
                    let batch = queue.take(worker).await;
                    if !batch.is_empty() {
                        work(batch).await;
                    }
                }
            });
        }
    }

    /// What worker `worker` is to do next: nothing if it is not wanted, or nothing waits, for a while.
    async fn take(&self, worker: usize) -> Vec<T> {
        if worker >= self.workers.read() {
            tokio::time::sleep(LOOK).await;
            return Vec::new();
        }
        let batch = self.take_now();
        if batch.is_empty() {
            // Whoever comes first is served by who waits; the time limit is for the knobs.
            let _ = tokio::time::timeout(LOOK, self.came.notified()).await;
            return self.take_now();
        }
        batch
    }

    fn take_now(&self) -> Vec<T> {
        let mut waiting = self.waiting.lock();
        let count = waiting.len().min(self.batch.read());
        waiting.drain(..count).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kandela_runtime::steward::Steward;

    use super::*;
    use crate::settings::Settings;

    fn queue() -> Arc<Queue<usize>> {
        let settings = Settings::defaults().expect("built in");
        Queue::new(&KnobMaker::new("checkout", Steward::default(), settings)).expect("has defaults")
    }

    #[test]
    fn a_full_queue_gives_the_item_back() {
        let queue = queue();
        for item in 0..20 {
            queue.push(item).expect("has room");
        }
        assert!(!queue.has_room());
        assert_eq!(queue.push(20), Err(20));
    }

    #[tokio::test]
    async fn one_worker_works_one_order_after_the_other() {
        let queue = queue();
        let (done, mut told) = tokio::sync::mpsc::unbounded_channel();
        let at_work = Arc::new(AtomicUsize::new(0));
        queue.work(move |batch| {
            let (done, at_work) = (done.clone(), at_work.clone());
            async move {
                let alone = at_work.fetch_add(1, Ordering::SeqCst) == 0;
                tokio::time::sleep(Duration::from_millis(2)).await;
                at_work.fetch_sub(1, Ordering::SeqCst);
                done.send((batch, alone)).expect("somebody listens");
            }
        });
        for item in 0..5 {
            queue.push(item).expect("has room");
        }
        for item in 0..5 {
            assert_eq!(told.recv().await, Some((vec![item], true)));
        }
    }
}
