//! Where spans go when they have ended.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use kandela_model::Span;

use crate::range::{OutOfRange, within};
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Takes ended spans. It is called by whoever ends one, so it must not wait.
pub trait SpanSink: Send + Sync {
    /// Takes one.
    fn end(&self, span: Span);
}

/// Keeps ended spans until an exporter takes them, up to a limit; beyond, spans are dropped and counted.
pub struct SpanBuffer {
    /// A bounded channel of the standard library: to offer a span takes no lock.
    offered: SyncSender<Span>,
    kept: Mutex<Receiver<Span>>,
    dropped: AtomicU64,
}

impl SpanBuffer {
    /// Keeps up to `capacity` spans: 1 to 1,048,576. Room for them, some 400 bytes each, is taken at once.
    ///
    /// # Errors
    /// [`OutOfRange`] where the capacity is.
    pub fn new(capacity: usize) -> Result<SpanBuffer, OutOfRange> {
        let capacity = within("spans.capacity", capacity, 1..=1 << 20)?;
        let (offered, kept) = sync_channel(capacity);
        Ok(SpanBuffer { offered, kept: Mutex::new(kept), dropped: AtomicU64::new(0) })
    }

    /// Takes out up to `most` spans, in the order in which they ended.
    pub fn take(&self, most: usize) -> Vec<Span> {
        self.kept.lock().try_iter().take(most).collect()
    }

    /// How many spans there was no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl SpanSink for SpanBuffer {
    fn end(&self, span: Span) {
        if self.offered.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for SpanBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanBuffer").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}
