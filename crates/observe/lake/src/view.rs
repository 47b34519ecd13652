//! What a query sees: one consistent pair of table versions and head generations.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use kandela_model::Timestamp;

use crate::head::Memtable;
use crate::table::TableState;

/// A pinned view. Swapped as a whole, so that acknowledged rows are in it exactly once, whether still in memory or already
/// in a file.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) tables: HashMap<&'static str, Arc<TableState>>,
    /// Takes what comes in now.
    pub(crate) active: Arc<Memtable>,
    /// Wait for their flush, oldest first.
    pub(crate) frozen: Vec<Arc<Memtable>>,
}

impl View {
    /// All generations in memory, oldest first.
    pub(crate) fn generations(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        self.frozen.iter().chain([&self.active])
    }

    /// The days between the oldest and the newest sample in memory; `None` where there is none.
    pub(crate) fn days_in_memory(&self) -> Option<RangeInclusive<i32>> {
        let oldest = self.generations().map(|generation| generation.min_ts()).min()?;
        let newest = self.generations().map(|generation| generation.max_ts()).max()?;
        let day = |micros| Timestamp::from_micros(micros).day();
        (oldest <= newest).then(|| day(oldest)..=day(newest))
    }

    pub(crate) fn with_table(&self, table: &'static str, state: TableState) -> Self {
        let mut next = self.clone();
        next.tables.insert(table, Arc::new(state));
        next
    }
}
