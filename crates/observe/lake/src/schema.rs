//! The tables' columns, as Arrow and as Delta see them.
//!
//! Names within lists and maps (`element`, `key_value`, `key`, `value`) are those that the Delta library gives them, so that
//! files, log and queries agree without a cast. What a list or map holds is never NULL.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::{ArrayType, DataType as DeltaType, MapType, StructField, StructType};
use kandela_model::tables::{ALL, Column, ColumnType, DATE, Table};

/// The one time zone of all tables.
pub const UTC: &str = "UTC";

/// The schemas of [`ALL`], in its order: of the files, and with the partition column.
static SCHEMAS: LazyLock<Vec<(SchemaRef, SchemaRef)>> = LazyLock::new(|| ALL.map(build).to_vec());

/// The schema of a table's files and batches: its columns without `date`.
pub fn arrow_schema(table: &Table) -> SchemaRef {
    both(table).0
}

/// The schema that queries see: [`arrow_schema`] followed by `date`.
pub fn arrow_schema_with_date(table: &Table) -> SchemaRef {
    both(table).1
}

/// The columns of a table as Delta's metadata lists them, `date` last.
///
/// # Errors
/// When two fields of a struct bear one name; no table of [`ALL`] has such.
pub fn delta_fields(table: &Table) -> Result<Vec<StructField>, DeltaTableError> {
    let date = StructField::not_null(DATE, DeltaType::DATE);
    table.columns.iter().map(delta_field).chain([Ok(date)]).collect()
}

/// A column as an Arrow field.
pub fn arrow_field(column: &Column) -> Field {
    Field::new(column.name, arrow_type(&column.kind), column.nullable)
}

/// A column's type in Arrow.
pub fn arrow_type(kind: &ColumnType) -> DataType {
    match kind {
        ColumnType::Long => DataType::Int64,
        ColumnType::Int => DataType::Int32,
        ColumnType::Byte => DataType::Int8,
        ColumnType::Double => DataType::Float64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Text => DataType::Utf8,
        ColumnType::Binary => DataType::Binary,
        ColumnType::TimestampMicros => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        ColumnType::Map(value) => DataType::Map(map_entries(value), false),
        ColumnType::List(element) => DataType::List(list_element(element)),
        ColumnType::Struct(columns) => DataType::Struct(struct_fields(columns)),
    }
}

/// The field of a list's elements.
pub(crate) fn list_element(element: &ColumnType) -> FieldRef {
    Arc::new(Field::new("element", arrow_type(element), false))
}

/// The field of a map's entries.
pub(crate) fn map_entries(value: &ColumnType) -> FieldRef {
    let key = Field::new("key", DataType::Utf8, false);
    let value = Field::new("value", arrow_type(value), false);
    Arc::new(Field::new("key_value", DataType::Struct(vec![key, value].into()), false))
}

/// The fields of a struct.
pub(crate) fn struct_fields(columns: &[Column]) -> Fields {
    columns.iter().map(arrow_field).collect()
}

fn both(table: &Table) -> (SchemaRef, SchemaRef) {
    let known = ALL.iter().position(|known| known.name == table.name);
    known.and_then(|index| SCHEMAS.get(index).cloned()).unwrap_or_else(|| build(table))
}

fn build(table: &Table) -> (SchemaRef, SchemaRef) {
    let date = Field::new(DATE, DataType::Date32, false);
    let columns = struct_fields(table.columns);
    let with_date: Fields = columns.iter().cloned().chain([Arc::new(date)]).collect();
    (Arc::new(Schema::new(columns)), Arc::new(Schema::new(with_date)))
}

fn delta_field(column: &Column) -> Result<StructField, DeltaTableError> {
    Ok(StructField::new(column.name, delta_type(&column.kind)?, column.nullable))
}

fn delta_type(kind: &ColumnType) -> Result<DeltaType, DeltaTableError> {
    Ok(match kind {
        ColumnType::Long => DeltaType::LONG,
        ColumnType::Int => DeltaType::INTEGER,
        ColumnType::Byte => DeltaType::BYTE,
        ColumnType::Double => DeltaType::DOUBLE,
        ColumnType::Bool => DeltaType::BOOLEAN,
        ColumnType::Text => DeltaType::STRING,
        ColumnType::Binary => DeltaType::BINARY,
        ColumnType::TimestampMicros => DeltaType::TIMESTAMP,
        ColumnType::Map(value) => MapType::new(DeltaType::STRING, delta_type(value)?, false).into(),
        ColumnType::List(element) => ArrayType::new(delta_type(element)?, false).into(),
        ColumnType::Struct(columns) => {
            let fields: Vec<_> = columns.iter().map(delta_field).collect::<Result<_, _>>()?;
            StructType::try_new(fields)?.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use deltalake_core::kernel::engine::arrow_conversion::{TryIntoArrow as _, TryIntoKernel as _};

    use super::*;

    #[test]
    fn deltas_own_conversion_gives_the_same_arrow_schema() {
        for table in ALL {
            let delta = StructType::try_new(delta_fields(table).unwrap()).unwrap();
            let converted: Schema = (&delta).try_into_arrow().unwrap();
            assert_eq!(&converted, arrow_schema_with_date(table).as_ref(), "table {}", table.name);
        }
    }

    #[test]
    fn deltas_own_conversion_gives_the_same_delta_schema() {
        for table in ALL {
            let delta = StructType::try_new(delta_fields(table).unwrap()).unwrap();
            let converted: StructType = arrow_schema_with_date(table).as_ref().try_into_kernel().unwrap();
            assert_eq!(converted, delta, "table {}", table.name);
        }
    }

    #[test]
    fn files_lack_the_partition_column_only() {
        for table in ALL {
            let (files, queries) = (arrow_schema(table), arrow_schema_with_date(table));
            assert_eq!(
                queries.fields().split_last().map(|(date, rest)| (date.name().as_str(), rest.len())),
                Some((DATE, files.fields().len()))
            );
            assert!(files.fields().iter().zip(queries.fields()).all(|(file, query)| file == query));
        }
    }
}
