//! What an answer holds until it is written, of the memory that all queries share.

use kandela_lake::{Lake, QueryMemory};

use super::error::ApiError;

/// Memory of one answer, given back when dropped.
pub(super) struct Held(QueryMemory);

impl Held {
    pub(super) fn of(lake: &Lake) -> Self {
        Self(lake.query_memory())
    }

    /// Takes so many bytes more.
    ///
    /// # Errors
    /// When queries have not so many left.
    pub(super) fn take(&self, bytes: usize) -> Result<(), ApiError> {
        if self.0.try_grow(bytes) {
            return Ok(());
        }
        let message = "the answer would hold more memory than queries have left (--memory-limit): ask for fewer series, \
                       set a limit, or ask again later";
        Err(ApiError::unavailable(message))
    }
}
