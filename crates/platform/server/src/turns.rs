//! Places for queries that run at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kandela_lake::LakeError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hands out places in the order in which they were asked for.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    places: Arc<Semaphore>,
    timeout: Duration,
}

/// A place, given back when dropped.
pub(crate) type Turn = OwnedSemaphorePermit;

impl Turns {
    /// So many places, for each of which a query waits up to `timeout`.
    pub(crate) fn new(places: usize, timeout: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), timeout }
    }

    /// # Errors
    /// [`LakeError::QueryTimeout`] where no place comes free in time.
    pub(crate) async fn take(&self) -> Result<Turn, LakeError> {
        if let Ok(turn) = self.places.clone().try_acquire_owned() {
            return Ok(turn);
        }
        let _waits = Waits::new();
        let turn = tokio::time::timeout(self.timeout, self.places.clone().acquire_owned()).await;
        let timed_out = |_| LakeError::QueryTimeout { seconds: self.timeout.as_secs() };
        turn.map_err(timed_out)?.map_err(|_| LakeError::Closed)
    }
}

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Says, until it is dropped, that somebody waits for a place or for memory.
pub(crate) struct Waits(());

impl Waits {
    pub(crate) fn new() -> Self {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether somebody waits, so that who is served should not dawdle.
pub(crate) fn somebody_waits() -> bool {
    WAITING.load(Ordering::Relaxed) > 0
}
