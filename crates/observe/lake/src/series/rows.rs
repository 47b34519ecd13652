//! Reading the rows of a series file.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use bytes::Bytes;
use kandela_model::{Labels, METRIC_NAME};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;

use crate::index::IndexedSeries;

const SERIES_ID: &str = "series_id";

/// Calls `each` with every series of the file whose identity is `wanted`. The labels of others are not decoded.
pub(super) fn for_each_series(
    file: &Bytes,
    mut wanted: impl FnMut(i64) -> bool,
    mut each: impl FnMut(IndexedSeries),
) -> Result<(), ParquetError> {
    let metadata = ArrowReaderMetadata::load(file, Default::default())?;
    let reader = || ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone());
    let only_ids = ProjectionMask::columns(metadata.parquet_schema(), [SERIES_ID]);
    let mut rows = Vec::new();
    for batch in reader().with_projection(only_ids).build()? {
        let batch = batch?;
        let ids = batch.column_by_name(SERIES_ID).and_then(|ids| ids.as_primitive_opt::<Int64Type>());
        let ids = ids.map(|ids| ids.values().as_ref()).unwrap_or_default();
        rows.extend(ids.iter().map(|id| match wanted(*id) {
            true => RowSelector::select(1),
            false => RowSelector::skip(1),
        }));
    }
    if rows.iter().all(|row| row.skip) {
        return Ok(());
    }
    for batch in reader().with_row_selection(RowSelection::from(rows)).build()? {
        each_of(&batch?, &mut each);
    }
    Ok(())
}

/// Calls `each` with the series that rows of the series table describe; none where a column is missing.
fn each_of(batch: &RecordBatch, each: impl FnMut(IndexedSeries)) -> Option<()> {
    let ids = batch.column_by_name(SERIES_ID)?.as_primitive_opt::<Int64Type>()?;
    let metrics = batch.column_by_name("metric")?.as_string_opt::<i32>()?;
    let labels = batch.column_by_name("labels")?.as_map_opt()?;
    let salts = batch.column_by_name("salt")?.as_primitive_opt::<Int32Type>()?;
    let names = labels.keys().as_string_opt::<i32>()?;
    let values = labels.values().as_string_opt::<i32>()?;
    let ends = labels.value_offsets().iter().skip(1);
    let ranges = labels.value_offsets().iter().zip(ends).map(|(start, end)| *start as usize..*end as usize);
    let series = ranges.enumerate().map(|(row, range)| {
        let others = range.map(|at| (names.value(at), values.value(at)));
        // The name sorts before nearly all labels, and pairs in order are not sorted again.
        let labels = Labels::new([(METRIC_NAME, metrics.value(row))].into_iter().chain(others));
        IndexedSeries {
            id: ids.value(row),
            salt: salts.value(row).unsigned_abs(),
            labels: labels.unwrap_or_default(),
        }
    });
    series.for_each(each);
    Some(())
}
