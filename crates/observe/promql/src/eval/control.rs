//! What ends a query before its answer: nobody waits any more, its time is up, or it holds too much.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::EvalError;

/// What a query may hold at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Values of intermediate and final results, a float or a histogram each.
    pub samples: usize,
    /// Bytes of intermediate and final results.
    pub memory: usize,
}

impl Default for Limits {
    /// As many samples as Prometheus by default, and no bound on bytes.
    fn default() -> Self {
        Self { samples: 50_000_000, memory: usize::MAX }
    }
}

/// Memory that a query shares with others.
pub trait SharedMemory: Send + Sync + Debug {
    /// Takes so many bytes more; `false` where there are not so many.
    fn grow(&self, bytes: usize) -> bool;

    /// Gives so many bytes back.
    fn shrink(&self, bytes: usize);

    /// How many bytes one could take with no other there.
    fn limit(&self) -> usize;
}

/// The reins of one running query; several threads may hold them.
#[derive(Debug, Default)]
pub struct Control {
    cancelled: AtomicBool,
    deadline: Option<Instant>,
    limits: Limits,
    shared: Option<Box<dyn SharedMemory>>,
    /// What was taken of it.
    taken: AtomicUsize,
    samples: AtomicUsize,
    bytes: AtomicUsize,
    /// The most samples that were held at a time.
    peak: AtomicUsize,
}

impl Control {
    /// A query that may run until `deadline`.
    pub fn new(deadline: Option<Instant>, limits: Limits) -> Self {
        let mut control = Self::default();
        (control.deadline, control.limits) = (deadline, limits);
        control
    }

    /// A query that holds its bytes of what it shares with others.
    #[must_use]
    pub fn sharing(mut self, memory: impl SharedMemory + 'static) -> Self {
        self.shared = Some(Box::new(memory));
        self
    }

    /// Ends the query at its next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether its time is up, or nobody waits for it any more.
    pub fn is_over(&self) -> bool {
        self.check().is_err()
    }

    /// Gives back all that is held, before the query is asked again.
    pub fn start_over(&self) {
        // What is held less than before is never refused.
        let _ = self.settle(Held::default());
    }

    /// The most samples that were held at a time so far.
    pub fn peak_samples(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Whether the query may go on.
    pub(super) fn check(&self) -> Result<(), EvalError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(EvalError::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(EvalError::Timeout),
            _ => Ok(()),
        }
    }

    /// Notes that so much more is held. What a step of the evaluation held on its way is settled at its end.
    pub(super) fn hold(&self, samples: usize, bytes: usize) -> Result<(), EvalError> {
        let all_samples = self.samples.fetch_add(samples, Ordering::Relaxed).saturating_add(samples);
        let all_bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.peak.fetch_max(all_samples, Ordering::Relaxed);
        if all_samples > self.limits.samples {
            return Err(EvalError::TooManySamples);
        }
        if all_bytes > self.limits.memory {
            return Err(EvalError::TooMuchMemory { limit: self.limits.memory });
        }
        self.take(bytes)
    }

    fn take(&self, bytes: usize) -> Result<(), EvalError> {
        let Some(shared) = self.shared.as_ref().filter(|_| bytes > 0) else { return Ok(()) };
        if self.taken.load(Ordering::Relaxed).saturating_add(bytes) > shared.limit() {
            return Err(EvalError::TooMuchMemory { limit: shared.limit() });
        }
        if !shared.grow(bytes) {
            return Err(EvalError::MemoryTaken);
        }
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// How much is held.
    pub(super) fn held(&self) -> Held {
        Held { samples: self.samples.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Notes that this, and no more, is held now, while no other thread computes.
    pub(super) fn settle(&self, held: Held) -> Result<(), EvalError> {
        let before = self.bytes.load(Ordering::Relaxed);
        let more = Held { samples: held.samples, bytes: held.bytes.saturating_sub(before) };
        self.samples.store(0, Ordering::Relaxed);
        self.bytes.store(before.min(held.bytes), Ordering::Relaxed);
        if let Some(shared) = &self.shared {
            let freed = before.saturating_sub(held.bytes).min(self.taken.load(Ordering::Relaxed));
            shared.shrink(freed);
            self.taken.fetch_sub(freed, Ordering::Relaxed);
        }
        self.hold(more.samples, more.bytes)
    }

    /// Whether a column of so many steps may be at all.
    pub(super) fn room_for(&self, steps: usize) -> Result<(), EvalError> {
        if steps > self.limits.samples {
            return Err(EvalError::TooManySamples);
        }
        if steps.saturating_mul(size_of::<f64>()) > self.limits.memory {
            return Err(EvalError::TooMuchMemory { limit: self.limits.memory });
        }
        Ok(())
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.shrink(self.taken.load(Ordering::Relaxed));
        }
    }
}

/// What a query holds at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(super) samples: usize,
    pub(super) bytes: usize,
}

impl std::ops::Add for Held {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { samples: self.samples + other.samples, bytes: self.bytes + other.bytes }
    }
}
