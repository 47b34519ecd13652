//! What one query may cost.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use tokio::time::Sleep;

use crate::error::LakeError;

/// What one query may cost.
#[derive(Clone, Copy, Debug)]
pub struct QueryLimits {
    /// How long it may take, from planning to its last row.
    pub timeout: Duration,
    /// Bytes that it may hold; `None` for all that queries share.
    pub memory: Option<usize>,
    /// How many rows it may give; `None` for any number.
    pub max_rows: Option<usize>,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120), memory: None, max_rows: None }
    }
}

/// The limit that a running query hit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LimitHit {
    Time(Duration),
    Rows(usize),
}

impl LimitHit {
    pub(crate) fn explain(self) -> LakeError {
        match self {
            Self::Time(timeout) => LakeError::QueryTimeout { seconds: timeout.as_secs() },
            Self::Rows(rows) => LakeError::QueryLimit { limit: format!("{rows} rows in an answer") },
        }
    }
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.explain().fmt(f)
    }
}

impl std::error::Error for LimitHit {}

/// Memory that a query holds outside the SQL engine, of the share that all queries have. Dropping it gives it back.
#[derive(Debug)]
pub struct QueryMemory {
    reservation: Mutex<MemoryReservation>,
    limit: usize,
}

impl QueryMemory {
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>, what: &'static str) -> Self {
        let limit = match pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes,
            MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
        };
        Self { reservation: Mutex::new(MemoryConsumer::new(what).register(pool)), limit }
    }

    /// How many bytes the share has in all.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes so many bytes more; `false` where the share has not so many.
    pub fn try_grow(&self, bytes: usize) -> bool {
        self.grow(bytes).is_ok()
    }

    /// Gives so many bytes back, of those that were taken.
    pub fn shrink(&self, bytes: usize) {
        let reservation = self.reservation.lock();
        let held = reservation.size();
        reservation.shrink(bytes.min(held));
    }

    /// Takes `bytes` more, or fails with the pool's limit.
    pub(crate) fn grow(&self, bytes: usize) -> Result<()> {
        self.reservation.lock().try_grow(bytes)
    }
}

/// The stream, ended by an error when a limit is hit. What was reserved is given back with it.
pub(crate) fn limited(
    stream: SendableRecordBatchStream,
    limits: &QueryLimits,
    reserved: Arc<QueryMemory>,
) -> SendableRecordBatchStream {
    Box::pin(Limited {
        stream,
        _reserved: reserved,
        deadline: Box::pin(tokio::time::sleep(limits.timeout)),
        limits: *limits,
        rows: 0,
        ended: false,
    })
}

struct Limited {
    stream: SendableRecordBatchStream,
    _reserved: Arc<QueryMemory>,
    deadline: Pin<Box<Sleep>>,
    limits: QueryLimits,
    rows: usize,
    ended: bool,
}

impl Limited {
    fn end(&mut self, hit: LimitHit) -> Poll<Option<Result<RecordBatch>>> {
        self.ended = true;
        Poll::Ready(Some(Err(DataFusionError::External(Box::new(hit)))))
    }
}

impl Stream for Limited {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            let timeout = self.limits.timeout;
            return self.end(LimitHit::Time(timeout));
        }
        let next = std::task::ready!(self.stream.poll_next_unpin(cx));
        if let Some(Ok(batch)) = &next {
            self.rows += batch.num_rows();
            if let Some(max) = self.limits.max_rows.filter(|max| self.rows > *max) {
                return self.end(LimitHit::Rows(max));
            }
        }
        Poll::Ready(next)
    }
}

impl RecordBatchStream for Limited {
    fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}
