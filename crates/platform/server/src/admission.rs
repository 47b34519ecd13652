//! How much incoming work is held at a time, in bytes and in threads.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// One permit stands for this many bytes.
const UNIT: usize = 1024;
/// When it may try again.
const RETRY: Duration = Duration::from_secs(5);

/// Admits request bodies by size and decoding by the number of cores, so that a crowd of senders costs bounded memory.
pub(crate) struct Admission {
    bytes: Arc<Semaphore>,
    units: u32,
    decoding: Arc<Semaphore>,
    /// How long a request waits for room before it is sent away.
    patience: Duration,
}

impl Admission {
    /// Room for bodies of `bytes` in all and for `decoders` at work.
    pub(crate) fn new(bytes: usize, decoders: usize, patience: Duration) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX >> 4).max(1);
        Self {
            bytes: Arc::new(Semaphore::new(units as usize)),
            units,
            decoding: Arc::new(Semaphore::new(decoders.max(1))),
            patience,
        }
    }

    /// Waits for room for a body of `bytes`. One that is larger than all room takes all of it.
    ///
    /// # Errors
    /// 503 with a delay where no room comes free.
    pub(crate) async fn body(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        let room = self.bytes.clone().acquire_many_owned(units);
        match tokio::time::timeout(self.patience, room).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                let message = "too many requests are being received at once; send again later, or raise the memory limit";
                Err(Refusal::retry(StatusCode::SERVICE_UNAVAILABLE, message, RETRY))
            }
        }
    }

    /// Runs blocking work of one request on a thread of its own, a bounded number at a time.
    ///
    /// # Errors
    /// What the work itself refuses; 500 where it broke.
    pub(crate) async fn decode<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let broke = |_| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be processed; see the log")
        };
        let permit = self.decoding.clone().acquire_owned().await.map_err(|error| broke(error.to_string()))?;
        let worked = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        worked.await.map_err(|error| broke(error.to_string()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_without_room_is_sent_away_with_a_delay() {
        let admission = Admission::new(10 * UNIT, 1, Duration::from_millis(20));
        let held = admission.body(8 * UNIT).await.unwrap();
        let refusal = admission.body(3 * UNIT).await.unwrap_err();
        assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refusal.retry_after.is_some());
        drop(held);
        assert!(admission.body(usize::MAX).await.is_ok());
    }

    #[tokio::test]
    async fn work_that_panics_is_an_answer_and_frees_its_place() {
        let admission = Admission::new(UNIT, 1, Duration::ZERO);
        let broken: Result<(), Refusal> = admission.decode(|| panic!("a decoder's bug")).await;
        assert_eq!(broken.unwrap_err().status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(admission.decode(|| Ok(7)).await.unwrap(), 7);
    }
}
