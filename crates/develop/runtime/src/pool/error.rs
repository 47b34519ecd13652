//! Why a pool lent nothing.

use std::fmt;
use std::time::Duration;

/// Why a pool lent nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolError<E> {
    /// No resource could be had in time.
    Timeout {
        /// The pool.
        pool: String,
        /// How long it was tried.
        after: Duration,
        /// The pool's size.
        size: usize,
        /// How many still waited, others that is.
        waiting: usize,
    },
    /// The pool lends no more.
    Closed {
        /// The pool.
        pool: String,
    },
    /// No resource lay idle, and a new one could not be created.
    Create {
        /// The pool.
        pool: String,
        /// What [`Manage::create`](super::Manage::create) said.
        source: E,
    },
    /// No resource lay idle, and creating one took too long.
    CreateTimeout {
        /// The pool.
        pool: String,
        /// How long creating may take.
        after: Duration,
    },
}

impl<E: fmt::Display> fmt::Display for PoolError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { pool, after, size, waiting } => write!(
                f,
                "pool {pool}: nothing of {size} came free within {after:?}, and {waiting} more wait; \
                 shed load, shorten what is done with a resource, or ask the sizer what a larger pool would do"
            ),
            Self::Closed { pool } => write!(f, "pool {pool} is closed; it lends no more"),
            Self::Create { pool, source } => write!(f, "pool {pool}: creating a resource failed: {source}"),
            Self::CreateTimeout { pool, after } => write!(
                f,
                "pool {pool}: creating a resource took longer than {after:?}; look at the far side, or raise create_timeout"
            ),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for PoolError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Create { source, .. } => Some(source),
            _ => None,
        }
    }
}
