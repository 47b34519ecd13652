//! What can go wrong with a folder.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a folder cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TsdbError {
    /// It holds neither blocks nor a write-ahead log.
    #[error(
        "{0} holds no Prometheus TSDB: neither blocks nor a folder wal; name the folder of --storage.tsdb.path"
    )]
    NotATsdb(PathBuf),
    /// Prometheus is running on it.
    #[error(
        "a Prometheus is running on {0}; stop it, or import a snapshot: POST /api/v1/admin/tsdb/snapshot, with --web.enable-admin-api"
    )]
    InUse(PathBuf),
    /// The disk failed.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What came back.
        source: std::io::Error,
    },
    /// Something is damaged, and nothing was to be skipped.
    #[error("{0}; without --strict it is skipped and the rest is read")]
    Damaged(Damage),
}

impl TsdbError {
    pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// Something that cannot be read and was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where.
    pub file: PathBuf,
    /// From which byte of it on.
    pub offset: u64,
    /// What is wrong, and what was skipped for it.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.file.display(), self.offset, self.what)
    }
}

/// Why a part of a folder cannot be read.
#[derive(Debug)]
pub(super) enum Fault {
    Error(TsdbError),
    Damage(Damage),
}

impl From<TsdbError> for Fault {
    fn from(error: TsdbError) -> Self {
        Self::Error(error)
    }
}
