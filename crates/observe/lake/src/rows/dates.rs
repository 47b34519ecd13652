//! The UTC date under which each row is filed.

use std::collections::BTreeMap;

use arrow_array::{Array, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow_select::take::take_record_batch;
use kandela_model::tables::{DatedBy, Table};

use crate::error::{LakeError, Result};

const MICROS_A_DAY: i64 = 86_400_000_000;
const NANOS_A_DAY: i64 = MICROS_A_DAY * 1_000;

/// The date of each row, in days since the epoch.
///
/// # Errors
/// When `batch` lacks the column by which `table` is dated.
pub fn dates(table: &Table, batch: &RecordBatch) -> Result<Vec<i32>> {
    let (DatedBy::Micros(name) | DatedBy::Nanos(name)) = table.dated_by;
    let column = batch.column_by_name(name).map(|column| column.as_any());
    let days =
        |values: &[i64], length: i64| values.iter().map(|time| time.div_euclid(length) as i32).collect();
    let found = match table.dated_by {
        DatedBy::Micros(_) => column
            .and_then(|column| column.downcast_ref::<TimestampMicrosecondArray>())
            .map(|column| days(column.values(), MICROS_A_DAY)),
        DatedBy::Nanos(_) => column
            .and_then(|column| column.downcast_ref::<Int64Array>())
            .map(|column| days(column.values(), NANOS_A_DAY)),
    };
    found.ok_or_else(|| LakeError::defect("date rows", format!("table {} came without {name}", table.name)))
}

/// The rows of each date, by ascending date, each in the order they had.
///
/// # Errors
/// When `batch` lacks the column by which `table` is dated.
pub fn split_by_date(table: &Table, batch: &RecordBatch) -> Result<Vec<(i32, RecordBatch)>> {
    let dates = dates(table, batch)?;
    let Some(first) = dates.first().copied() else {
        return Ok(Vec::new());
    };
    if dates.iter().all(|date| *date == first) {
        return Ok(vec![(first, batch.clone())]);
    }
    let mut rows: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for (row, date) in (0..).zip(dates) {
        rows.entry(date).or_default().push(row);
    }
    rows.into_iter()
        .map(|(date, rows)| {
            let taken = take_record_batch(batch, &UInt32Array::from(rows));
            Ok((date, taken.map_err(|error| LakeError::defect("split rows by date", error))?))
        })
        .collect()
}
