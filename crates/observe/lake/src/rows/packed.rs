//! Batches as bytes, for the log. The table gives the schema, so only values are written, and only those that are there:
//! an attribute costs its key, its value and a few bits, where Arrow's own format spends over thirty bytes on the columns
//! that it leaves empty. Numbers are little-endian, lengths are LEB128.
//!
//! ```text
//! batch    1 (the format) · rows · every column
//! column   nulls · by type: numbers of the rows that have one
//!                         | bits of all rows
//!                         | lengths of the texts, then the texts
//!                         | lengths of all lists or maps, then a column of their elements
//!                         | every field's column
//! nulls    0: there is none | 1: all are, and nothing follows | 2, then a bit a row, set where there is a value
//! ```
//!
//! A row takes a byte at least, and so does an element of a list or map, since each has a column that must be there. That
//! bounds what a damaged length can make the reader allocate.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, BinaryType, ByteArrayType, Float64Type, Int8Type, Int32Type, Int64Type,
    TimestampMicrosecondType, Utf8Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, GenericByteArray, ListArray, MapArray, PrimitiveArray, RecordBatch,
    StructArray, new_null_array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer, ToByteSlice};
use arrow_schema::{DataType, Fields, TimeUnit};
use kandela_model::tables::Table;

use crate::error::{LakeError, Result};
use crate::schema::arrow_schema;

const FORMAT: u8 = 1;

const NO_NULLS: u8 = 0;
const ALL_NULL: u8 = 1;
const SOME_NULLS: u8 = 2;

/// `batch` as bytes.
///
/// # Errors
/// When a column is of a type that no table has.
pub fn encode(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut out = vec![FORMAT];
    put_length(&mut out, batch.num_rows());
    for column in batch.columns() {
        put_column(&mut out, column)?;
    }
    Ok(out)
}

/// The rows of `table` that [`encode`] made `bytes` of.
///
/// # Errors
/// When `bytes` are not such rows. No bytes panic, and the memory taken is at most some hundred times their number.
pub fn decode(table: &Table, bytes: &[u8]) -> Result<RecordBatch> {
    let schema = arrow_schema(table);
    let mut input = Input(bytes);
    let decoded = input.batch(schema.fields()).and_then(|columns| {
        let whole = RecordBatch::try_new(schema, columns).map_err(|error| error.to_string())?;
        if input.0.is_empty() { Ok(whole) } else { Err(format!("{} bytes are left over", input.0.len())) }
    });
    decoded.map_err(|reason| LakeError::Damaged {
        what: "encoded rows",
        place: format!("a record for table {}", table.name),
        reason,
    })
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn put_column(out: &mut Vec<u8>, column: &ArrayRef) -> Result<()> {
    match column.logical_null_count() {
        0 => out.push(NO_NULLS),
        nulls if nulls == column.len() => {
            out.push(ALL_NULL);
            return Ok(());
        }
        _ => {
            out.push(SOME_NULLS);
            put_bits(out, column.nulls().map(NullBuffer::inner));
        }
    }
    match column.data_type() {
        DataType::Int64 => put_numbers::<Int64Type>(out, column),
        DataType::Int32 => put_numbers::<Int32Type>(out, column),
        DataType::Int8 => put_numbers::<Int8Type>(out, column),
        DataType::Float64 => put_numbers::<Float64Type>(out, column),
        DataType::Timestamp(TimeUnit::Microsecond, _) => put_numbers::<TimestampMicrosecondType>(out, column),
        DataType::Boolean => put_bits(out, Some(column.as_boolean().values())),
        DataType::Utf8 => put_texts::<Utf8Type>(out, column),
        DataType::Binary => put_texts::<BinaryType>(out, column),
        DataType::List(_) => {
            let list: &ListArray = column.as_list();
            return put_elements(out, list.offsets(), list.values());
        }
        DataType::Map(..) => {
            let map = column.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            return put_elements(out, map.offsets(), &entries);
        }
        DataType::Struct(_) => {
            return column.as_struct().columns().iter().try_for_each(|field| put_column(out, field));
        }
        other => return Err(LakeError::defect("encode rows", format!("no table has columns of {other}"))),
    }
    Ok(())
}

fn put_bits(out: &mut Vec<u8>, bits: Option<&BooleanBuffer>) {
    if let Some(bits) = bits {
        out.extend(bits.sliced().as_slice().iter().take(bits.len().div_ceil(8)));
    }
}

fn put_numbers<T: ArrowPrimitiveType>(out: &mut Vec<u8>, column: &ArrayRef) {
    let column = column.as_primitive::<T>();
    match column.nulls() {
        None => out.extend_from_slice(column.values().to_byte_slice()),
        Some(_) => column.iter().flatten().for_each(|number| out.extend_from_slice(number.to_byte_slice())),
    }
}

fn put_texts<T: ByteArrayType<Offset = i32>>(out: &mut Vec<u8>, column: &ArrayRef) {
    let column = column.as_bytes::<T>();
    let texts = || column.iter().flatten().map(AsRef::<[u8]>::as_ref);
    texts().for_each(|text| put_length(out, text.len()));
    texts().for_each(|text| out.extend_from_slice(text));
}

fn put_elements(out: &mut Vec<u8>, offsets: &OffsetBuffer<i32>, elements: &ArrayRef) -> Result<()> {
    offsets.lengths().for_each(|length| put_length(out, length));
    let first = offsets.first().map_or(0, |first| first.unsigned_abs() as usize);
    let last = offsets.last().map_or(0, |last| last.unsigned_abs() as usize);
    put_column(out, &elements.slice(first, last - first))
}

/// What is still to be read.
struct Input<'a>(&'a [u8]);

/// Why bytes are not what they should be.
type Reason = String;

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Reason> {
        let (front, rest) = self.0.split_at_checked(count).ok_or("they end too early")?;
        self.0 = rest;
        Ok(front)
    }

    fn byte(&mut self) -> Result<u8, Reason> {
        let (byte, rest) = self.0.split_first().ok_or("they end too early")?;
        self.0 = rest;
        Ok(*byte)
    }

    fn length(&mut self) -> Result<usize, Reason> {
        let mut length = 0usize;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(length);
            }
        }
        Err("a length is longer than five bytes".to_owned())
    }

    /// Reads `count` lengths; their sum, which is that of things of at least a byte each, is no more than is left.
    fn lengths(&mut self, count: usize) -> Result<OffsetBuffer<i32>, Reason> {
        let mut offsets = Vec::with_capacity(count + 1);
        let mut end = 0usize;
        offsets.push(0);
        for _ in 0..count {
            end += self.length()?;
            offsets.push(i32::try_from(end).map_err(|_| "lengths add up to more than 2 GiB")?);
        }
        if end > self.0.len() {
            return Err(format!("lengths add up to {end}, and {} bytes are left", self.0.len()));
        }
        Ok(OffsetBuffer::new(offsets.into()))
    }

    fn bits(&mut self, count: usize) -> Result<BooleanBuffer, Reason> {
        let bytes = self.take(count.div_ceil(8))?;
        Ok(BooleanBuffer::new(Buffer::from(bytes), 0, count))
    }

    fn batch(&mut self, fields: &Fields) -> Result<Vec<ArrayRef>, Reason> {
        let format = self.byte()?;
        if format != FORMAT {
            return Err(format!("their format {format} is not known"));
        }
        let rows = self.length()?;
        if rows > self.0.len() {
            return Err(format!("they speak of {rows} rows, and {} bytes are left", self.0.len()));
        }
        self.columns(fields, rows)
    }

    fn columns(&mut self, fields: &Fields, rows: usize) -> Result<Vec<ArrayRef>, Reason> {
        fields.iter().map(|field| self.column(field.data_type(), rows)).collect()
    }

    fn column(&mut self, kind: &DataType, rows: usize) -> Result<ArrayRef, Reason> {
        let nulls = match self.byte()? {
            NO_NULLS => None,
            ALL_NULL => return Ok(new_null_array(kind, rows)),
            SOME_NULLS => Some(NullBuffer::new(self.bits(rows)?)),
            other => return Err(format!("{other} says nothing of nulls")),
        };
        match kind {
            DataType::Int64 => self.numbers::<Int64Type>(kind, rows, nulls),
            DataType::Int32 => self.numbers::<Int32Type>(kind, rows, nulls),
            DataType::Int8 => self.numbers::<Int8Type>(kind, rows, nulls),
            DataType::Float64 => self.numbers::<Float64Type>(kind, rows, nulls),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                self.numbers::<TimestampMicrosecondType>(kind, rows, nulls)
            }
            DataType::Boolean => Ok(Arc::new(BooleanArray::new(self.bits(rows)?, nulls))),
            DataType::Utf8 => self.texts::<Utf8Type>(rows, nulls),
            DataType::Binary => self.texts::<BinaryType>(rows, nulls),
            DataType::List(element) => {
                let offsets = self.lengths(rows)?;
                let elements = self.column(element.data_type(), total(&offsets))?;
                let list = ListArray::try_new(element.clone(), offsets, elements, nulls);
                Ok(Arc::new(list.map_err(|error| error.to_string())?))
            }
            DataType::Map(entries, sorted) => {
                let offsets = self.lengths(rows)?;
                let pairs = self.column(entries.data_type(), total(&offsets))?;
                let pairs = pairs.as_struct_opt().ok_or("a map's entries are no structs")?.clone();
                let map = MapArray::try_new(entries.clone(), offsets, pairs, nulls, *sorted);
                Ok(Arc::new(map.map_err(|error| error.to_string())?))
            }
            DataType::Struct(fields) => {
                let columns = self.columns(fields, rows)?;
                let structs = StructArray::try_new_with_length(fields.clone(), columns, nulls, rows);
                Ok(Arc::new(structs.map_err(|error| error.to_string())?))
            }
            other => Err(format!("no table has columns of {other}")),
        }
    }

    fn numbers<T: ArrowPrimitiveType>(
        &mut self,
        kind: &DataType,
        rows: usize,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, Reason> {
        let count = nulls.as_ref().map_or(rows, |nulls| rows - nulls.null_count());
        let bytes = self.take(count * size_of::<T::Native>())?;
        let present: ScalarBuffer<T::Native> = ScalarBuffer::new(Buffer::from(bytes), 0, count);
        let values = match &nulls {
            None => present,
            Some(nulls) => {
                let mut present = present.iter();
                let spread = |valid| if valid { present.next().copied() } else { None };
                nulls.iter().map(spread).map(Option::unwrap_or_default).collect()
            }
        };
        let numbers = PrimitiveArray::<T>::try_new(values, nulls).map_err(|error| error.to_string())?;
        Ok(Arc::new(numbers.with_data_type(kind.clone())))
    }

    fn texts<T: ByteArrayType<Offset = i32>>(
        &mut self,
        rows: usize,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, Reason> {
        let count = nulls.as_ref().map_or(rows, |nulls| rows - nulls.null_count());
        let present = self.lengths(count)?;
        let bytes = Buffer::from(self.take(total(&present))?);
        let offsets = match &nulls {
            None => present,
            Some(nulls) => {
                let mut lengths = present.lengths();
                OffsetBuffer::from_lengths(
                    nulls.iter().map(|valid| if valid { lengths.next().unwrap_or_default() } else { 0 }),
                )
            }
        };
        let texts =
            GenericByteArray::<T>::try_new(offsets, bytes, nulls).map_err(|error| error.to_string())?;
        Ok(Arc::new(texts))
    }
}

fn total(offsets: &OffsetBuffer<i32>) -> usize {
    offsets.last().map_or(0, |last| last.unsigned_abs() as usize)
}
