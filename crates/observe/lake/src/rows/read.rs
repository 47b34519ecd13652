//! Typed access to the columns of a batch.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray, StructArray};
use arrow_cast::cast;
use arrow_schema::Fields;
use kandela_model::tables::Table;

use super::hex::unhex;
use crate::error::{LakeError, Result};
use crate::schema::arrow_schema;

/// `batch` with the columns of `table`, in its order and types.
pub(super) fn conform(table: &'static Table, batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = arrow_schema(table);
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = batch
            .column_by_name(field.name())
            .ok_or_else(|| damaged(table.name, format!("column {} is missing", field.name())))?;
        let fits = column.data_type() == field.data_type();
        let cast = if fits { Ok(column.clone()) } else { cast(column, field.data_type()) };
        columns.push(cast.map_err(|error| damaged(table.name, format!("column {}: {error}", field.name())))?);
    }
    RecordBatch::try_new(schema, columns).map_err(|error| damaged(table.name, error.to_string()))
}

/// Says that rows are not what the table holds.
pub(super) fn damaged(table: &'static str, reason: String) -> LakeError {
    LakeError::Damaged { what: "a row", place: format!("table {table}"), reason }
}

/// Columns by name: of a batch, or of a struct within one.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) table: &'static str,
    fields: &'a Fields,
    arrays: &'a [ArrayRef],
}

impl<'a> Columns<'a> {
    pub(super) fn new(table: &'static Table, batch: &'a RecordBatch) -> Self {
        Self { table: table.name, fields: batch.schema_ref().fields(), arrays: batch.columns() }
    }

    pub(super) fn within(&self, structs: &'a StructArray) -> Self {
        Self { table: self.table, fields: structs.fields(), arrays: structs.columns() }
    }

    /// The column named `name`, which must be a `T`.
    pub(super) fn get<T: Array + 'static>(&self, name: &str) -> Result<&'a T> {
        let found = self.fields.find(name).and_then(|(index, _)| self.arrays.get(index));
        found
            .and_then(|column| column.as_any().downcast_ref())
            .ok_or_else(|| damaged(self.table, format!("column {name} is missing or of another type")))
    }

    /// The column named `name`, a list of structs: where each row's elements lie, and the elements' columns.
    pub(super) fn list(&self, name: &str) -> Result<(&'a [i32], Self)> {
        let list: &ListArray = self.get(name)?;
        let structs = list.values().as_any().downcast_ref();
        let structs =
            structs.ok_or_else(|| damaged(self.table, format!("column {name} holds no structs")))?;
        Ok((list.value_offsets(), self.within(structs)))
    }

    /// The id in row `row` of `column`; `None` where it is NULL.
    pub(super) fn id<const N: usize>(&self, column: &StringArray, row: usize) -> Result<Option<[u8; N]>> {
        if column.is_null(row) {
            return Ok(None);
        }
        let text = column.value(row);
        let wrong = || damaged(self.table, format!("id {text:?} is not {} hex digits", 2 * N));
        unhex(text).map(Some).ok_or_else(wrong)
    }

    /// The id in row `row` of a column that has one in every row.
    pub(super) fn required_id<const N: usize>(&self, column: &StringArray, row: usize) -> Result<[u8; N]> {
        self.id(column, row)?.ok_or_else(|| damaged(self.table, "an id is NULL".to_owned()))
    }
}

/// Where the elements of row `row` lie.
pub(super) fn range(offsets: &[i32], row: usize) -> Range<usize> {
    let at = |index: usize| offsets.get(index).map_or(0, |offset| offset.unsigned_abs() as usize);
    at(row)..at(row + 1)
}

/// Shares neighbouring values that are equal, as those of one resource are.
pub(super) struct Sharing<T: ?Sized>(Option<Arc<T>>);

impl<T: ?Sized + PartialEq> Sharing<T> {
    pub(super) fn new() -> Self {
        Self(None)
    }

    pub(super) fn share<V: Into<Arc<T>> + AsRef<T>>(&mut self, value: V) -> Arc<T> {
        match &self.0 {
            Some(last) if **last == *value.as_ref() => last.clone(),
            _ => self.0.insert(value.into()).clone(),
        }
    }
}
