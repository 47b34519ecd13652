//! A pool of permits, first come, first served; its size is a knob.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use kandela_runtime::knob::LeasedKnob;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::knobs::KnobMaker;
use crate::telemetry;

/// At most so many users at a time.
pub(crate) struct Pool {
    name: &'static str,
    size: Arc<LeasedKnob<usize>>,
    permits: Arc<Semaphore>,
    granted: Arc<Mutex<Granted>>,
}

/// How many permits there are, and how many of those in use are not to come back.
struct Granted {
    size: usize,
    surplus: usize,
}

impl Pool {
    /// The pool `name` of a service, with the knob `NAME.pool.size`.
    pub(crate) fn new(knobs: &KnobMaker, name: &'static str) -> Result<Pool> {
        let size = knobs.size(&format!("{name}.pool.size"), 1..=64)?;
        let initial = size.read();
        Ok(Pool {
            name,
            size,
            permits: Arc::new(Semaphore::new(initial)),
            granted: Arc::new(Mutex::new(Granted { size: initial, surplus: 0 })),
        })
    }

    /// Waits for a permit.
    pub(crate) async fn get(&self) -> Permit {
        self.follow_knob();
        let since = Instant::now();
        let permit = self.permits.clone().acquire_owned().await.ok();
        telemetry::pool_wait(self.name, since.elapsed());
        Permit { permit, granted: self.granted.clone() }
    }

    /// How many users the pool lets in now.
    pub(crate) fn size(&self) -> usize {
        self.size.read()
    }

    fn follow_knob(&self) {
        let wanted = self.size.read();
        let mut granted = self.granted.lock();
        if wanted > granted.size {
            let more = wanted - granted.size;
            let forgiven = more.min(granted.surplus);
            granted.surplus -= forgiven;
            self.permits.add_permits(more - forgiven);
        } else if wanted < granted.size {
            let fewer = granted.size - wanted;
            granted.surplus += fewer - self.permits.forget_permits(fewer);
        }
        granted.size = wanted;
    }
}

/// A place in a pool, given back when it is dropped.
pub(crate) struct Permit {
    permit: Option<OwnedSemaphorePermit>,
    granted: Arc<Mutex<Granted>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut granted = self.granted.lock();
        if granted.surplus > 0 {
            granted.surplus -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kandela_model::{Epoch, Knob, KnobValue, Lease};
    use kandela_runtime::steward::Steward;

    use super::*;
    use crate::settings::Settings;

    fn pool() -> Pool {
        let settings = Settings::defaults().expect("built in");
        Pool::new(&KnobMaker::new("stock", Steward::default(), settings), "db").expect("has a default")
    }

    fn resize(pool: &Pool, size: i64) {
        pool.size.set(KnobValue::Int(size), Epoch(1), Lease::Confirmed).expect("within a step");
    }

    #[tokio::test]
    async fn a_pool_that_shrinks_lets_no_more_in_than_its_new_size() {
        let pool = pool();
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(pool.get().await);
        }
        resize(&pool, 3);
        pool.follow_knob();
        held.pop();
        held.pop();
        assert_eq!(pool.permits.available_permits(), 0);
        held.pop();
        assert_eq!(pool.permits.available_permits(), 1);
        held.clear();
        assert_eq!(pool.permits.available_permits(), 3);
    }

    #[tokio::test]
    async fn a_pool_that_grows_back_has_its_size_again() {
        let pool = pool();
        let held = [pool.get().await, pool.get().await, pool.get().await, pool.get().await];
        resize(&pool, 3);
        pool.follow_knob();
        resize(&pool, 6);
        pool.follow_knob();
        drop(held);
        assert_eq!(pool.permits.available_permits(), 6);
    }
}
