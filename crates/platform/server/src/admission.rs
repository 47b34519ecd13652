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

    /// Room that grows with a body and is given back when dropped.
    pub(crate) fn room(&self) -> Room {
        Room { bytes: self.bytes.clone(), most: self.units, patience: self.patience, held: None, used: 0 }
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

/// The room that one body takes up. It grows as bytes arrive, so that a sender holds no more than it has really sent.
pub(crate) struct Room {
    bytes: Arc<Semaphore>,
    most: u32,
    patience: Duration,
    held: Option<OwnedSemaphorePermit>,
    used: usize,
}

impl Room {
    /// Waits for room for `more` bytes. A body that is larger than all room takes all of it.
    ///
    /// # Errors
    /// 503 with a delay where no room comes free.
    pub(crate) async fn grow(&mut self, more: usize) -> Result<(), Refusal> {
        self.used = self.used.saturating_add(more);
        let wanted = u32::try_from(self.used.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.most);
        let held = self.held.as_ref().map_or(0, |permit| permit.num_permits() as u32);
        let missing = wanted.saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let room = self.bytes.clone().acquire_many_owned(missing);
        let Ok(Ok(permit)) = tokio::time::timeout(self.patience, room).await else {
            let message =
                "too many requests are being received at once; send again later, or raise the memory limit";
            return Err(Refusal::retry(StatusCode::SERVICE_UNAVAILABLE, message, RETRY));
        };
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_without_room_is_sent_away_with_a_delay() {
        let admission = Admission::new(10 * UNIT, 1, Duration::from_millis(20));
        let mut first = admission.room();
        first.grow(5 * UNIT).await.unwrap();
        first.grow(3 * UNIT).await.unwrap();
        let mut second = admission.room();
        second.grow(2 * UNIT).await.unwrap();
        let refusal = second.grow(1).await.unwrap_err();
        assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refusal.retry_after.is_some());
        drop((first, second));
        assert!(admission.room().grow(usize::MAX).await.is_ok());
    }

    #[tokio::test]
    async fn work_that_panics_is_an_answer_and_frees_its_place() {
        let admission = Admission::new(UNIT, 1, Duration::ZERO);
        let broken: Result<(), Refusal> = admission.decode(|| panic!("a decoder's bug")).await;
        assert_eq!(broken.unwrap_err().status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(admission.decode(|| Ok(7)).await.unwrap(), 7);
    }
}
