//! What was decided, in order.
//!
//! The server keeps it in the lake; [`FileLedger`] keeps it in a file of JSON lines, without a server, and [`MemoryLedger`] nowhere.

mod file;
mod memory;

use async_trait::async_trait;
use kandela_model::{Epoch, Timestamp};

pub use file::FileLedger;
pub use memory::MemoryLedger;

/// One row: what was decided or observed, as JSON that [`crate`] alone reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place: rows of a ledger count from 0 without a gap.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Whose term of office it was written in.
    pub epoch: Epoch,
    /// What it is about: a target, a knob.
    pub subject: String,
    /// `holds`, `violated` or `unknown`, where it is a judgement.
    pub verdict: Option<&'static str>,
    /// What happened.
    pub payload: String,
}

/// An append-only list that several processes may write, of which one is in office at a time.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// All rows from `seq` on.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn read(&self, seq: u64) -> Result<Vec<Entry>, LedgerError>;

    /// Appends rows, numbered without a gap, if the first of them is the one that comes next; all of them or none. When it returns, they survive a crash.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`], where another writer was first: read on before deciding anew.
    async fn append(&self, rows: &[Entry]) -> Result<(), LedgerError>;
}

/// The words that [`Entry::verdict`] takes.
pub const VERDICTS: [&str; 3] = ["holds", "violated", "unknown"];

/// Why the ledger was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another writer was first.
    #[error("the ledger goes on at {next}, not at {expected}: another manager writes it")]
    Conflict {
        /// What the writer thought comes next.
        expected: u64,
        /// What does.
        next: u64,
    },
    /// It can't be read or written.
    #[error("the ledger can't be used: {0}")]
    Unavailable(String),
}

/// Whether `rows` may follow `next` rows.
fn in_order(rows: &[Entry], next: u64) -> Result<(), LedgerError> {
    let Some(first) = rows.first() else { return Ok(()) };
    if first.seq != next {
        return Err(LedgerError::Conflict { expected: first.seq, next });
    }
    let gap = rows.iter().zip(next..).find(|(row, seq)| row.seq != *seq);
    gap.map_or(Ok(()), |(row, seq)| {
        let what =
            format!("row {} was to be written where row {seq} comes: number rows without a gap", row.seq);
        Err(LedgerError::Unavailable(what))
    })
}
