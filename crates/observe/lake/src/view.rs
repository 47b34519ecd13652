//! What a query sees: one consistent pair of table versions and head generations.

use std::collections::HashMap;
use std::sync::Arc;

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

    pub(crate) fn with_table(&self, table: &'static str, state: TableState) -> Self {
        let mut next = self.clone();
        next.tables.insert(table, Arc::new(state));
        next
    }
}
