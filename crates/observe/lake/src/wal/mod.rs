//! The write-ahead log, as bytes.
//!
//! It keeps numbered records in a folder of segment files and gives them back after a crash. It knows no samples: what a
//! `kind` and a payload mean is its caller's business.
//!
//! ```text
//! wal/00000000000000000007.log    segment header, record, record, …
//! wal/lock                        held while a process writes here
//! wal/quarantine/7-4096.bin       bytes of segment 7, from offset 4096, that no record claims
//! ```
//!
//! **Sequences.** Records are numbered from 1 without a gap, across segments and restarts. A segment's header says which
//! number comes first in it, so the numbering survives the removal of every older segment, and whatever damage costs is
//! known by number.
//!
//! **What is promised.** When [`Wal::append`] returns, the record survives the death of the process. When
//! [`Wal::sync_through`] returns under [`Durability::Fsync`], it survives the loss of power. An append that fails leaves
//! nothing behind that a replay would serve, and the log stays usable.
//!
//! **What is not.** A record whose append or sync failed may still turn up after a restart: the caller was told nothing.
//!
//! One process writes to a folder at a time. Segments are never written to again after a restart.

mod commit;
mod disk;
mod error;
mod folder;
mod format;
mod replay;
mod scan;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

pub use error::WalError;
pub use replay::{Damage, ReplayReport, Stretch, replay, scan_segment};
pub use tail::{TailItem, WalReader};
pub use writer::{Rotated, Wal};

/// What an acknowledged record survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process.
    #[default]
    Process,
    /// The loss of power, once [`Wal::sync_through`] has returned.
    Fsync,
}

/// How a log is opened.
#[derive(Clone, Copy, Debug)]
pub struct WalOptions {
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// The most bytes that one payload may have, on the way in and on the way out: a record that claims more is damage.
    pub max_record: u32,
    /// The greatest sequence that anybody outside the log remembers, such as a table's last committed one. The next record
    /// is numbered above it even when the folder was lost.
    pub sequence_floor: u64,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self { durability: Durability::default(), max_record: 64 << 20, sequence_floor: 0 }
    }
}

/// One record, borrowed from the reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number.
    pub seq: u64,
    /// The segment that it lies in.
    pub segment: u64,
    /// What its payload is, by the caller's own numbering.
    pub kind: u8,
    /// What was appended.
    pub payload: &'a [u8],
}

/// One segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number, which is its name.
    pub number: u64,
    /// Its size in bytes, header included.
    pub bytes: u64,
    /// The sequence that its first record has, or would have.
    pub first_seq: u64,
    /// The sequence of its last record; one less than `first_seq` where it holds none.
    pub last_seq: u64,
}
