//! What threads share is built of these; the model checker puts its own in their place.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(feature = "cache")]
pub(crate) use parking_lot::Condvar;
pub(crate) use parking_lot::Mutex;
