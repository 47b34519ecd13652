//! Columns from iterators of values.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int8Array, Int32Array, Int64Array, ListArray, MapArray,
    RecordBatch, StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Fields};
use kandela_model::Timestamp;
use kandela_model::tables::{Column, ColumnType, Table};

use crate::error::{LakeError, Result};
use crate::schema::{UTC, arrow_schema, list_element, map_entries, struct_fields};

/// A column of text. Arrow's offsets hold 2 GiB of it.
#[derive(Default)]
pub(super) struct Text(StringBuilder);

impl Text {
    pub(super) fn push(&mut self, value: &str) -> Result<()> {
        check_room(self.0.values_slice().len(), value.len())?;
        self.0.append_value(value);
        Ok(())
    }

    pub(super) fn push_null(&mut self) {
        self.0.append_null();
    }

    pub(super) fn finish(mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// Refuses what Arrow would panic at.
pub(super) fn check_room(used: usize, more: usize) -> Result<()> {
    let fits = used.checked_add(more).is_some_and(|total| i32::try_from(total).is_ok());
    let too_much =
        || LakeError::defect("lay out rows", "a column would exceed 2 GiB; lay out fewer rows at a time");
    fits.then_some(()).ok_or_else(too_much)
}

pub(super) fn text<T: AsRef<str>>(values: impl Iterator<Item = T>) -> Result<ArrayRef> {
    optional_text(values.map(Some))
}

pub(super) fn optional_text<T: AsRef<str>>(values: impl Iterator<Item = Option<T>>) -> Result<ArrayRef> {
    let mut column = Text::default();
    for value in values {
        match value {
            Some(value) => column.push(value.as_ref())?,
            None => column.push_null(),
        }
    }
    Ok(column.finish())
}

pub(super) fn longs(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

pub(super) fn ints(values: impl Iterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

pub(super) fn bytes(values: impl Iterator<Item = i8>) -> ArrayRef {
    Arc::new(Int8Array::from_iter_values(values))
}

pub(super) fn doubles(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

pub(super) fn optional_doubles(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.collect::<Float64Array>())
}

pub(super) fn bools(values: impl Iterator<Item = bool>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<BooleanArray>())
}

pub(super) fn micros(values: impl Iterator<Item = Timestamp>) -> ArrayRef {
    let values = TimestampMicrosecondArray::from_iter_values(values.map(Timestamp::micros));
    Arc::new(values.with_timezone(UTC))
}

pub(super) fn optional_micros(values: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    let values: TimestampMicrosecondArray = values.map(|value| value.map(Timestamp::micros)).collect();
    Arc::new(values.with_timezone(UTC))
}

/// A list column: row `i` takes the next `lengths[i]` of `values`.
pub(super) fn list(
    element: &ColumnType,
    lengths: impl Iterator<Item = usize>,
    values: ArrayRef,
) -> Result<ArrayRef> {
    let list = ListArray::try_new(list_element(element), offsets(lengths)?, values, None);
    Ok(Arc::new(list.map_err(mismatch)?))
}

/// A list column of structs whose fields are `columns`.
pub(super) fn list_of(
    columns: &'static [Column],
    lengths: impl Iterator<Item = usize>,
    values: Vec<ArrayRef>,
) -> Result<ArrayRef> {
    let structs = StructArray::try_new(struct_fields(columns), values, None).map_err(mismatch)?;
    list(&ColumnType::Struct(columns), lengths, Arc::new(structs))
}

/// A map column: row `i` takes the next `lengths[i]` of `keys` and `values`.
pub(super) fn map(
    value: &ColumnType,
    lengths: impl Iterator<Item = usize>,
    keys: ArrayRef,
    values: ArrayRef,
) -> Result<ArrayRef> {
    let entries = map_entries(value);
    let fields = match entries.data_type() {
        DataType::Struct(fields) => fields.clone(),
        _ => Fields::empty(),
    };
    let pairs = StructArray::try_new(fields, vec![keys, values], None).map_err(mismatch)?;
    let map = MapArray::try_new(entries, offsets(lengths)?, pairs, None, false);
    Ok(Arc::new(map.map_err(mismatch)?))
}

/// The fields of the structs that the list column `name` holds.
pub(super) fn fields_of(columns: &'static [Column], name: &str) -> Result<&'static [Column]> {
    match columns.iter().find(|column| column.name == name).map(|column| column.kind) {
        Some(ColumnType::List(ColumnType::Struct(fields))) => Ok(fields),
        _ => Err(LakeError::defect("lay out rows", format!("column {name} is no list of structs"))),
    }
}

/// The rows of a table, from its columns in order.
pub(super) fn batch(table: &Table, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(arrow_schema(table), columns).map_err(mismatch)
}

fn offsets(lengths: impl Iterator<Item = usize>) -> Result<OffsetBuffer<i32>> {
    let lengths: Vec<usize> = lengths.collect();
    check_room(0, lengths.iter().fold(0, |sum: usize, length| sum.saturating_add(*length)))?;
    Ok(OffsetBuffer::from_lengths(lengths))
}

fn mismatch(error: ArrowError) -> LakeError {
    LakeError::defect("lay out rows", error)
}
