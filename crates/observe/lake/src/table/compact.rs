//! Compaction: many small files of one day become few large ones, sorted and without duplicates.
//!
//! The library's own compaction does not keep the sort, and readers need sorted runs; so the merge is ours and only the
//! commit is Delta's. Files are taken in the order of their sequences without a gap, so that of two rows with one key the
//! first acknowledged stays, whatever is merged first.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionConfig;
use futures::TryStreamExt;
use kandela_model::tables::SAMPLES;

use super::file::{Compression, FileEncoder, Layouts, ROW_GROUP};
use super::{DataFile, LakeTable, TableState};
use crate::error::{LakeError, Result};
use crate::schema;
use crate::sql::scan::{Sources, plan};

/// Bytes up to which files are merged; less where memory is short, since a file is encoded in memory.
const LARGEST: u64 = 512 << 20;

/// The most bytes that files to be merged have together, with this share of memory for compaction.
pub(crate) fn largest(share: usize) -> u64 {
    LARGEST.min(share as u64 / 2)
}

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

/// How much larger than all that is merged into it a merged file may be.
const GROWTH: u64 = 2;

/// Neighbouring files of one day to be merged into one.
#[derive(Clone, Debug)]
pub(crate) struct CompactJob {
    pub(crate) day: i32,
    pub(crate) files: Vec<Arc<DataFile>>,
    /// Whether their rows may stand in older files of the day too.
    pub(crate) late: bool,
}

/// What is worth merging. A day that is not over is merged once it has gathered `at_files` files since the last time, and
/// what was merged before is written again only when it is not much larger, so that a row is written a number of times that
/// grows with the logarithm of the day's size. Days before `sealed_before` are merged down to one file. No merge is of more
/// than `largest` bytes.
pub(crate) fn jobs(state: &TableState, at_files: usize, sealed_before: i32, largest: u64) -> Vec<CompactJob> {
    let mut by_day: BTreeMap<i32, Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in &state.files {
        by_day.entry(file.day).or_default().push(file.clone());
    }
    let worth = by_day.into_iter().filter_map(|(day, files)| {
        let fresh = files.iter().filter(|file| !file.compacted).count();
        let first = match day < sealed_before {
            true => 0,
            false if fresh >= at_files.max(2) => young(&files),
            false => return None,
        };
        (first..files.len()).find_map(|first| {
            let merged = that_fit(files.get(first..)?, largest);
            let late = first > 0 && merged.iter().any(|file| file.late);
            (merged.len() >= 2).then(|| CompactJob { day, files: merged.to_vec(), late })
        })
    });
    worth.collect()
}

/// As many of the first `files` as may be merged together.
fn that_fit(files: &[Arc<DataFile>], largest: u64) -> &[Arc<DataFile>] {
    let sums = files.iter().take(MAX_MERGED).scan(0, |bytes, file| {
        *bytes += file.size;
        Some(*bytes)
    });
    let count = sums.take_while(|bytes| *bytes <= largest).count();
    files.get(..count).unwrap_or_default()
}

/// Where the files begin that are merged while their day goes on.
fn young(files: &[Arc<DataFile>]) -> usize {
    let fresh = files.iter().position(|file| !file.compacted).unwrap_or(files.len());
    let (older, fresh) = files.split_at(fresh);
    let mut bytes: u64 = fresh.iter().map(|file| file.size).sum();
    let alike = older.iter().rev().take_while(|file| {
        let joins = file.size <= GROWTH * bytes;
        bytes += file.size;
        joins
    });
    older.len() - alike.count()
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
    // Each of the merged files has a batch in memory, and rows of other tables than samples may be long.
    let is_samples = table.spec.name == SAMPLES.name;
    let batch_rows = if is_samples { 8_192 } else { 1_024 };
    let session = SessionConfig::new().with_batch_size(batch_rows);
    let context = TaskContext::default().with_session_config(session).with_runtime(runtime.clone());
    let mut rows = merged.execute(0, Arc::new(context)).map_err(engine)?;
    let mut first = Vec::new();
    let mut gathered = 0;
    while is_samples
        && gathered < ROW_GROUP
        && let Some(batch) = rows.try_next().await.map_err(engine)?
    {
        gathered += batch.num_rows();
        first.push(batch);
    }
    let spec = table.spec;
    let mut encoder = aside(move || {
        let mut encoder = FileEncoder::new(spec, Compression::Dense, Layouts::smallest(&first)?)?;
        first.iter().try_for_each(|batch| encoder.write(batch))?;
        Ok(encoder)
    })
    .await?;
    while let Some(batch) = rows.try_next().await.map_err(engine)? {
        encoder = aside(move || encoder.write(&batch).map(|()| encoder)).await?;
    }
    let seq = job.files.iter().map(|file| file.seq).min().unwrap_or(0);
    let merged = table.put_encoded(encoder.finish()?, job.day, seq, job.late, true).await?;
    let bytes_after = merged.size;
    let state = table.commit_rewrite(&[merged], &job.files).await?;
    let report = CompactReport {
        files_before: job.files.len(),
        files_after: 1,
        bytes_before: job.files.iter().map(|file| file.size).sum(),
        bytes_after,
    };
    Ok((state, report))
}

/// Computes where nobody waits for anything else.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| LakeError::defect("encode a merged file", e))?
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
            oldest: i64::MIN,
            newest: 0,
        })
    }

    fn jobs(state: &TableState, at_files: usize, sealed_before: i32) -> Vec<CompactJob> {
        super::jobs(state, at_files, sealed_before, LARGEST)
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
    fn what_is_much_larger_is_not_written_again_while_its_day_goes_on() {
        let mut files = vec![file(10, 0, 1_000, true), file(10, 1, 20, true), file(10, 2, 15, true)];
        files.extend((3..11).map(|seq| file(10, seq, 2, false)));
        let merged = jobs(&state(files), 8, 10);
        assert_eq!(
            merged.first().map(|job| job.files.iter().map(|file| file.seq).collect::<Vec<_>>()),
            Some((1..11).collect())
        );
    }

    #[test]
    fn late_rows_stay_late_until_they_are_merged_with_all_that_is_older() {
        let late = Arc::new(DataFile { late: true, ..DataFile::clone(&file(10, 20, 2, false)) });
        let with = |first: u64| {
            let mut files = vec![file(10, 0, first, true)];
            files.extend((1..9).map(|seq| file(10, seq, 2, false)));
            files.push(late.clone());
            state(files)
        };
        assert_eq!(jobs(&with(1_000), 8, 10).first().map(|job| (job.files.len(), job.late)), Some((9, true)));
        assert_eq!(jobs(&with(10), 8, 10).first().map(|job| (job.files.len(), job.late)), Some((10, false)));
    }

    #[test]
    fn a_merge_is_not_larger_than_memory_allows() {
        let files = vec![
            file(9, 0, 900, true),
            file(9, 1, 200, true),
            file(9, 2, 300, false),
            file(9, 3, 900, false),
        ];
        let merged = super::jobs(&state(files), 8, 10, 1_000);
        assert_eq!(
            merged.first().map(|job| job.files.iter().map(|file| file.seq).collect::<Vec<_>>()),
            Some(vec![1, 2])
        );
    }
}
