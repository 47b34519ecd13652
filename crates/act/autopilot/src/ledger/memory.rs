//! A ledger that lasts as long as its process.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Entry, Ledger, LedgerError};

/// Rows in memory: for trying things out, and for tests.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    rows: Mutex<Vec<Entry>>,
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn read(&self, seq: u64) -> Result<Vec<Entry>, LedgerError> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(seq).map_or(rows.len(), |seq| seq.min(rows.len()));
        Ok(rows[from..].to_vec())
    }

    async fn append(&self, rows: &[Entry]) -> Result<(), LedgerError> {
        let mut kept = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        super::in_order(rows, kept.len() as u64)?;
        kept.extend_from_slice(rows);
        Ok(())
    }
}
