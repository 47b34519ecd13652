use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the log could not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WalError {
    /// There is no room. Nothing was kept of the record; the same append succeeds once there is room again.
    #[error("no room to write {path}: {source}; free disk space or raise the quota, then send again")]
    Full {
        /// The file that could not grow.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system failed otherwise.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The payload is larger than the log takes. Split it.
    #[error("a record of {length} bytes exceeds the log's limit of {limit}; split it")]
    TooLarge {
        /// The payload's size in bytes.
        length: usize,
        /// The largest that is taken.
        limit: u32,
    },
    /// The payload was made for a segment that is written to no more. Make it anew for the present one.
    #[error("the record was made for log segment {segment}, and {now} is written to by now; make it anew")]
    Rotated {
        /// The segment that it was made for.
        segment: u64,
        /// The one that is written to.
        now: u64,
    },
    /// The record is in the log, but the disk did not confirm it. It may or may not survive the loss of power.
    #[error("record {seq} was written but not made durable: {reason}; send it again")]
    NotDurable {
        /// The record's sequence.
        seq: u64,
        /// What the system said.
        reason: String,
    },
    /// A segment was written by a later Kandela.
    #[error(
        "{path} has log format {version}, this version reads up to {known}; start the version that wrote it"
    )]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its format.
        version: u32,
        /// The latest format that is known here.
        known: u32,
    },
    /// Another process writes to this log.
    #[error("{path} is held by another process; stop it, or choose another data folder")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The log was closed while a reader waited for more.
    #[error("the log was closed")]
    Closed,
}

impl WalError {
    /// Sorts out what a failed call on `path` means.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full { path, source },
            _ => Self::Io { action, path, source },
        }
    }
}
