//! From memory to files: one frozen generation becomes sorted files and one commit a table.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow_array::RecordBatch;
use kandela_model::tables::{self, Table};

use crate::error::{LakeError, Result};
use crate::head::{Memtable, Registry, Window};
use crate::rows;
use crate::sql::order::in_order;
use crate::sql::runs::{self, Ask};
use crate::table::{Compression, Encoded, FileEncoder, LakeTable, Layouts, TableState};

/// Rows that are laid out at once: some megabytes of spans.
const SLICE_ROWS: usize = 8_192;

/// What a flush wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Rows, over all tables.
    pub rows: u64,
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// A file's worth of sorted rows.
struct Part {
    day: i32,
    late: bool,
    encoded: Encoded,
    rows: usize,
}

/// Writes and commits what `table` has in `memtable`; `None` when it has nothing.
pub(crate) async fn flush_table(
    table: &LakeTable,
    memtable: &Arc<Memtable>,
    registry: &Arc<Registry>,
    report: &mut FlushReport,
) -> Result<Option<TableState>> {
    let (spec, generation, names) = (table.spec, memtable.clone(), registry.clone());
    let parts = tokio::task::spawn_blocking(move || encode(spec, &generation, &names))
        .await
        .map_err(|e| LakeError::defect("encode a flush", e))??;
    if parts.is_empty() {
        return Ok(None);
    }
    let mut files = Vec::with_capacity(parts.len());
    for part in parts {
        report.rows += part.rows as u64;
        report.files += 1;
        let file = table.put_encoded(part.encoded, part.day, memtable.last_seq(), part.late, false).await?;
        report.bytes += file.size;
        files.push(file);
    }
    table.commit_flush(&files, memtable.last_seq()).await.map(Some)
}

fn encode(table: &'static Table, memtable: &Memtable, registry: &Registry) -> Result<Vec<Part>> {
    if table.name == tables::SAMPLES.name {
        return encode_samples(memtable);
    }
    if !matches!(table.name, "series" | "histograms") {
        return encode_rows(table, memtable);
    }
    let mut parts = Vec::new();
    for run in runs::of(table, memtable, registry, &Ask::default())? {
        for (day, rows) in rows::split_by_date(table, &run.batch)? {
            parts.extend(part(table, day, run.late, &rows)?);
        }
    }
    Ok(parts)
}

/// Rows that lie in memory as they came go to the encoders of their days in slices too.
fn encode_rows(table: &'static Table, memtable: &Memtable) -> Result<Vec<Part>> {
    let mut encoders: BTreeMap<i32, FileEncoder> = BTreeMap::new();
    in_order(table, &memtable.rows(table), SLICE_ROWS, |slice| {
        for (day, rows) in rows::split_by_date(table, &slice)? {
            let encoder = match encoders.entry(day) {
                Entry::Occupied(begun) => begun.into_mut(),
                Entry::Vacant(new) => {
                    new.insert(FileEncoder::new(table, Compression::Fast, Layouts::default())?)
                }
            };
            encoder.write(&rows)?;
        }
        Ok(())
    })?;
    let parts = encoders.into_iter().map(|(day, encoder)| finish(encoder, day, false));
    parts.filter_map(Result::transpose).collect()
}

/// Samples are by far the most rows, so they go to the encoder in slices and are never all laid out at once.
fn encode_samples(memtable: &Memtable) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for day in memtable.days() {
        let mut encoder = FileEncoder::new(&tables::SAMPLES, Compression::Fast, Layouts::default())?;
        memtable.sorted_samples_of(day, |rows| encoder.write(&runs::sample_batch(&rows)?))?;
        parts.extend(finish(encoder, day, false)?);
    }
    let late = memtable.late_samples_in(Window::EVERYTHING);
    for (day, rows) in rows::split_by_date(&tables::SAMPLES, &runs::sample_batch(&late)?)? {
        parts.extend(part(&tables::SAMPLES, day, true, &rows)?);
    }
    Ok(parts)
}

fn part(table: &'static Table, day: i32, late: bool, rows: &RecordBatch) -> Result<Option<Part>> {
    let mut encoder = FileEncoder::new(table, Compression::Fast, Layouts::default())?;
    encoder.write(rows)?;
    finish(encoder, day, late)
}

fn finish(encoder: FileEncoder, day: i32, late: bool) -> Result<Option<Part>> {
    let rows = encoder.rows();
    if rows == 0 {
        return Ok(None);
    }
    Ok(Some(Part { day, late, encoded: encoder.finish()?, rows }))
}
