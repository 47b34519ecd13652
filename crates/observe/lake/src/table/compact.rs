//! Compaction: many small files of one day become few large ones, sorted and without duplicates.
//!
//! The library's own compaction does not keep the sort, and readers need sorted runs; so the merge is ours and only the
//! commit is Delta's. Files are taken in the order of their sequences without a gap, so that of two rows with one key the
//! first acknowledged stays, whatever is merged first.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::TryStreamExt;

use super::file::{Compression, FileEncoder};
use super::{DataFile, LakeTable, NewFile, TableState};
use crate::error::{LakeError, Result};
use crate::schema;
use crate::sql::scan::{Sources, plan};

/// Bytes after which a compacted file is left alone.
const FULL: u64 = 512 << 20;

/// The most files that one merge opens.
const MAX_MERGED: usize = 64;

/// What a compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Files read and removed.
    pub files_before: usize,
    /// Files written.
    pub files_after: usize,
    /// Bytes before.
    pub bytes_before: u64,
    /// Bytes after.
    pub bytes_after: u64,
}

impl CompactReport {
    pub(crate) fn add(&mut self, other: &Self) {
        self.files_before += other.files_before;
        self.files_after += other.files_after;
        self.bytes_before += other.bytes_before;
        self.bytes_after += other.bytes_after;
    }
}

/// Files of one day to be merged into one.
#[derive(Clone, Debug)]
pub(crate) struct CompactJob {
    pub(crate) day: i32,
    pub(crate) files: Vec<Arc<DataFile>>,
}

/// What is worth merging: days with at least `at_files` files that are not full yet; today's `sealed_before` days and older
/// are merged down to one as soon as they have two.
pub(crate) fn jobs(state: &TableState, at_files: usize, sealed_before: i32) -> Vec<CompactJob> {
    let mut by_day: BTreeMap<i32, Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in &state.files {
        by_day.entry(file.day).or_default().push(file.clone());
    }
    let worth = by_day.into_iter().filter_map(|(day, files)| {
        // Full files come first, since compaction starts from the oldest; what follows them is still open.
        let open: Vec<_> = files.into_iter().skip_while(|file| file.compacted && file.size >= FULL).collect();
        let enough = if day < sealed_before { 2 } else { at_files.max(2) };
        let small = open.iter().filter(|file| !file.compacted || file.late).count();
        let due = open.len() >= 2 && (small + 1 >= enough || day < sealed_before);
        due.then(|| CompactJob { day, files: open.into_iter().take(MAX_MERGED).collect() })
    });
    worth.collect()
}

/// Merges the files of one job and commits the result.
pub(crate) async fn compact_once(
    table: &LakeTable,
    job: &CompactJob,
    runtime: &Arc<RuntimeEnv>,
) -> Result<(TableState, CompactReport)> {
    let schema = schema::arrow_schema(table.spec);
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let sources = Sources { table: table.spec, files: job.files.clone(), runs: Vec::new(), may_repeat: true };
    let engine = |e: datafusion::error::DataFusionError| LakeError::defect("merge files", e);
    let merged = plan(&sources, &all, None, true).map_err(engine)?;
    let context = TaskContext::default().with_runtime(runtime.clone());
    let mut rows = merged.execute(0, Arc::new(context)).map_err(engine)?;
    let mut encoder = FileEncoder::new(table.spec, Compression::Dense)?;
    while let Some(batch) = rows.try_next().await.map_err(engine)? {
        encoder = tokio::task::spawn_blocking(move || encoder.write(&batch).map(|()| encoder))
            .await
            .map_err(|e| LakeError::defect("encode a merged file", e))??;
    }
    let (bytes, stats) = encoder.finish()?;
    let seq = job.files.iter().map(|file| file.seq).min().unwrap_or(0);
    let path = DataFile::path_for(job.day, seq, false, true);
    let size = bytes.len() as u64;
    table.put(&path, bytes).await?;
    let state = table.commit_rewrite(&[NewFile { path, day: job.day, size, stats }], &job.files).await?;
    let report = CompactReport {
        files_before: job.files.len(),
        files_after: 1,
        bytes_before: job.files.iter().map(|file| file.size).sum(),
        bytes_after: size,
    };
    Ok((state, report))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(day: i32, seq: u64, size: u64, compacted: bool) -> Arc<DataFile> {
        Arc::new(DataFile {
            path: format!("{day}-{seq}"),
            size,
            rows: 1,
            day,
            seq,
            late: false,
            compacted,
            newest: 0,
        })
    }

    fn state(files: Vec<Arc<DataFile>>) -> TableState {
        TableState { version: 0, files }
    }

    #[test]
    fn a_day_is_merged_once_it_has_gathered_enough_files() {
        let few = state((0..3).map(|seq| file(10, seq, 1, false)).collect());
        assert!(jobs(&few, 8, 10).is_empty());
        let many = state((0..8).map(|seq| file(10, seq, 1, false)).collect());
        assert_eq!(jobs(&many, 8, 10).first().map(|job| job.files.len()), Some(8));
    }

    #[test]
    fn a_day_that_is_over_is_merged_down_to_one_file() {
        let over = state(vec![file(9, 0, 1, true), file(9, 5, 1, false)]);
        assert_eq!(jobs(&over, 8, 10).len(), 1);
        let done = state(vec![file(9, 0, 1, true)]);
        assert!(jobs(&done, 8, 10).is_empty());
    }

    #[test]
    fn a_full_file_is_left_alone() {
        let mut files = vec![file(10, 0, FULL, true)];
        files.extend((1..9).map(|seq| file(10, seq, 1, false)));
        assert_eq!(jobs(&state(files), 8, 10).first().map(|job| job.files.len()), Some(8));
    }
}
