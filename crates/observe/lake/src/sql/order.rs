//! Rows of many batches in the order of their table, without laying all of them out anew.

use arrow_array::{Array, RecordBatch};
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::interleave::interleave_record_batch;
use kandela_model::tables::Table;

use crate::error::{LakeError, Result};

/// Gives the rows of `batches` in the order of `table`, at most `rows` at a time. Beside a slice it holds a copy of the columns
/// that the table is sorted by, and four bytes a row.
pub(crate) fn in_order(
    table: &Table,
    batches: &[RecordBatch],
    rows: usize,
    mut slice: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let failed = |e: ArrowError| LakeError::defect("sort rows", e);
    let mut keys = Vec::with_capacity(table.sorted_by.len());
    for name in table.sorted_by {
        let parts: Vec<&dyn Array> =
            batches.iter().filter_map(|batch| batch.column_by_name(name)).map(|column| &**column).collect();
        if !parts.is_empty() {
            keys.push(SortColumn { values: concat(&parts).map_err(failed)?, options: None });
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    let order = lexsort_to_indices(&keys, None).map_err(failed)?;
    drop(keys);
    let mut ends = Vec::with_capacity(batches.len());
    batches.iter().fold(0, |end, batch| {
        ends.push(end + batch.num_rows());
        end + batch.num_rows()
    });
    let place = |row: &u32| {
        let row = *row as usize;
        let batch = ends.partition_point(|end| *end <= row);
        let begins = batch.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
        (batch, row - begins)
    };
    let refs: Vec<&RecordBatch> = batches.iter().collect();
    for chunk in order.values().chunks(rows) {
        let places: Vec<(usize, usize)> = chunk.iter().map(place).collect();
        slice(interleave_record_batch(&refs, &places).map_err(failed)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use kandela_model::tables::SPANS;

    use super::*;

    #[test]
    fn rows_of_many_batches_come_sorted_and_in_slices() {
        let key = *SPANS.sorted_by.first().unwrap();
        let batch = |values: Vec<i64>| {
            RecordBatch::try_from_iter([(key, Arc::new(Int64Array::from(values)) as Arc<dyn Array>)]).unwrap()
        };
        let batches = [batch(vec![5, 1]), batch(vec![]), batch(vec![4, 2, 3])];
        let mut slices = Vec::new();
        in_order(&SPANS, &batches, 2, |slice| {
            slices.push(slice.column(0).as_primitive::<Int64Type>().values().to_vec());
            Ok(())
        })
        .unwrap();
        assert_eq!(slices, [vec![1, 2], vec![3, 4], vec![5]]);
    }
}
