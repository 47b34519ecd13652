//! What can go wrong in the lake, and what the caller should do about it.

use std::path::PathBuf;

use crate::table::DamagedFile;

/// What a caller should make of a [`LakeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The request is wrong and stays wrong: do not retry.
    BadRequest,
    /// A configured limit is reached: retry later, or ask for less.
    LimitExceeded,
    /// The lake cannot take it now: retry.
    Unavailable,
    /// The time limit ran out.
    Timeout,
    /// A defect or a broken disk: report it.
    Internal,
}

/// An error of the lake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The log could not take the write; nothing of it was kept. Retry when there is space.
    #[error(
        "the write-ahead log in {folder} refused the write: {source}; free disk space, then the client's retry succeeds"
    )]
    LogRefused {
        /// Where the log lies.
        folder: PathBuf,
        /// What the log said.
        source: crate::wal::WalError,
    },
    /// The log cannot be opened or read.
    #[error("the write-ahead log: {source}")]
    Log {
        /// What the log said.
        source: crate::wal::WalError,
    },
    /// The head is full until a flush catches up.
    #[error(
        "head memory of {used} bytes would pass its share of {limit} bytes (--memory-limit); retry after the running flush, or raise the limit"
    )]
    HeadFull {
        /// In use.
        used: usize,
        /// The head's share.
        limit: usize,
    },
    /// A query asked for more than a limit allows.
    #[error("the query passed its limit: {limit}; narrow it, or raise the limit")]
    QueryLimit {
        /// Which limit, with its value.
        limit: String,
    },
    /// A query ran out of time.
    #[error("the query took longer than {seconds} s (query timeout); narrow it, or raise the limit")]
    QueryTimeout {
        /// The limit in seconds.
        seconds: u64,
    },
    /// A query cannot be run as written.
    #[error("the query cannot be run: {message}")]
    BadQuery {
        /// What is wrong.
        message: String,
    },
    /// Another writer appended to the stream first.
    #[error("stream {stream:?} stands at sequence {actual}, not {expected}; read it again and retry")]
    Conflict {
        /// The stream.
        stream: String,
        /// What the caller expected to come next.
        expected: i64,
        /// What comes next.
        actual: i64,
    },
    /// A table could not be read or written.
    #[error("table {table}: {source}")]
    Table {
        /// Which.
        table: &'static str,
        /// What Delta said.
        source: Box<deltalake_core::DeltaTableError>,
    },
    /// Data are damaged or of an unknown version.
    #[error("{what} in {place}: {reason}")]
    Damaged {
        /// What is damaged.
        what: &'static str,
        /// Where.
        place: String,
        /// How.
        reason: String,
    },
    /// The disk or object store failed.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// What came back.
        source: std::io::Error,
    },
    /// The object store failed.
    #[error("{action}: {source}")]
    Store {
        /// What was tried.
        action: String,
        /// What came back.
        source: Box<object_store::Error>,
    },
    /// A conversion between forms failed; this is a defect.
    #[error("{action}: {message}; this is a defect, please report it")]
    Defect {
        /// What was tried.
        action: &'static str,
        /// What came back.
        message: String,
    },
    /// The lake is closed.
    #[error("the lake is closed")]
    Closed,
}

impl LakeError {
    /// What a caller should make of it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::BadQuery { .. } | Self::Conflict { .. } => ErrorClass::BadRequest,
            Self::HeadFull { .. } | Self::QueryLimit { .. } => ErrorClass::LimitExceeded,
            Self::QueryTimeout { .. } => ErrorClass::Timeout,
            Self::LogRefused { .. }
            | Self::Log { .. }
            | Self::Io { .. }
            | Self::Store { .. }
            | Self::Table { .. }
            | Self::Closed => ErrorClass::Unavailable,
            Self::Damaged { .. } | Self::Defect { .. } => ErrorClass::Internal,
        }
    }

    pub(crate) fn table(table: &'static str, source: deltalake_core::DeltaTableError) -> Self {
        Self::Table { table, source: Box::new(source) }
    }

    pub(crate) fn store(action: impl Into<String>, source: object_store::Error) -> Self {
        match DamagedFile::behind(&source) {
            Some(file) => file.into(),
            None => Self::Store { action: action.into(), source: Box::new(source) },
        }
    }

    pub(crate) fn io(action: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { action: action.into(), source }
    }

    /// What should not happen, while doing `action`.
    pub fn defect(action: &'static str, message: impl std::fmt::Display) -> Self {
        Self::Defect { action, message: message.to_string() }
    }
}

/// What the lake's operations return.
pub type Result<T, E = LakeError> = std::result::Result<T, E>;
