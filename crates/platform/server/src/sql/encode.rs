//! Rows of a query as JSON, CSV or an Arrow stream, batch by batch.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use arrow_json::ArrayWriter;
use arrow_json::writer::{JsonArray, WriterBuilder};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parking_lot::Mutex;
use serde_json::json;

/// The formats that rows can be written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowFormat {
    /// `{"columns":[{"name","type"}…],"rows":[{…}…]}`, and `"warnings":["…"…]` where the answer lacks rows. NaN and infinities, which JSON does not have, are null.
    #[default]
    Json,
    /// RFC 4180 with a header; nested values as JSON in a field.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

impl RowFormat {
    /// By the word of `?format=`.
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "arrow" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// The first format of an `Accept` header that is known; JSON where none is.
    pub(crate) fn accepted(accept: Option<&str>) -> Self {
        let types = accept.unwrap_or_default().split(',');
        types
            .filter_map(|wanted| match wanted.split(';').next().unwrap_or_default().trim() {
                "application/json" => Some(Self::Json),
                "text/csv" => Some(Self::Csv),
                "application/vnd.apache.arrow.stream" => Some(Self::Arrow),
                _ => None,
            })
            .next()
            .unwrap_or_default()
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

/// Writes batches of one schema in one format. What is written so far is taken with each call.
pub struct RowEncoder {
    out: Shared,
    rows: Rows,
}

enum Rows {
    Json(Box<ArrayWriter<Shared>>),
    Csv(Box<arrow_csv::Writer<Shared>>, SchemaRef),
    Arrow(Box<StreamWriter<Shared>>),
}

impl RowEncoder {
    /// An encoder for batches of `schema`; JSON says `warnings` with them.
    ///
    /// # Errors
    /// When a column's type cannot be written in the format.
    pub fn new(format: RowFormat, schema: &SchemaRef, warnings: &[String]) -> Result<Self, ArrowError> {
        let mut out = Shared::default();
        let rows = match format {
            RowFormat::Json => {
                write!(out, "{{\"columns\":{},", columns(schema))?;
                if !warnings.is_empty() {
                    write!(out, "\"warnings\":{},", json!(warnings))?;
                }
                write!(out, "\"rows\":")?;
                let writer =
                    WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(out.clone());
                Rows::Json(Box::new(writer))
            }
            RowFormat::Csv => {
                let flat = flat_schema(schema);
                let mut writer = arrow_csv::WriterBuilder::new().with_header(true).build(out.clone());
                writer.write(&RecordBatch::new_empty(flat.clone()))?;
                Rows::Csv(Box::new(writer), flat)
            }
            RowFormat::Arrow => Rows::Arrow(Box::new(StreamWriter::try_new(out.clone(), schema)?)),
        };
        Ok(Self { out, rows })
    }

    /// Writes a batch and gives the bytes that are ready.
    ///
    /// # Errors
    /// When a value cannot be written in the format.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        match &mut self.rows {
            Rows::Json(writer) => writer.write(batch)?,
            Rows::Csv(writer, flat) => writer.write(&flatten(batch, flat)?)?,
            Rows::Arrow(writer) => writer.write(batch)?,
        }
        Ok(self.out.take())
    }

    /// Ends the answer and gives its last bytes.
    ///
    /// # Errors
    /// When the format's end cannot be written.
    pub fn finish(mut self) -> Result<Vec<u8>, ArrowError> {
        match &mut self.rows {
            Rows::Json(writer) => {
                writer.finish()?;
                self.out.write_all(b"}\n")?;
            }
            Rows::Csv(..) => {}
            Rows::Arrow(writer) => writer.finish()?,
        }
        Ok(self.out.take())
    }
}

fn columns(schema: &Schema) -> serde_json::Value {
    let described = schema
        .fields()
        .iter()
        .map(|field| json!({ "name": field.name(), "type": field.data_type().to_string() }));
    described.collect()
}

/// The schema with nested columns as text.
fn flat_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        if field.data_type().is_nested() {
            Arc::new(Field::new(field.name(), DataType::Utf8, true))
        } else {
            field.clone()
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn flatten(batch: &RecordBatch, flat: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let as_text = |column: &ArrayRef| {
        if column.data_type().is_nested() { nested_as_json(column) } else { Ok(column.clone()) }
    };
    let columns = batch.columns().iter().map(as_text).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(flat.clone(), columns)
}

/// Each value of a nested column as JSON text, NULL where it is NULL.
fn nested_as_json(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    const BEFORE: &str = "{\"v\":";
    let alone = RecordBatch::try_from_iter_with_nullable([("v", column.clone(), true)])?;
    let mut lines = Vec::new();
    let mut writer = arrow_json::LineDelimitedWriter::new(&mut lines);
    writer.write(&alone)?;
    writer.finish()?;
    drop(writer);
    let text = String::from_utf8(lines).map_err(|error| ArrowError::JsonError(error.to_string()))?;
    let values = text.lines().map(|line| line.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix('}')));
    Ok(Arc::new(values.collect::<StringArray>()))
}

/// A buffer that a format's writer fills and the encoder empties.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{MapBuilder, StringBuilder};
    use arrow_array::{Float64Array, Int64Array};

    use super::*;

    fn batch() -> RecordBatch {
        let mut labels = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        labels.keys().append_value("job");
        labels.values().append_value("a,\"b\"");
        labels.append(true).unwrap();
        labels.append(false).unwrap();
        RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(Int64Array::from(vec![Some(i64::MAX), None])) as ArrayRef, true),
            ("value", Arc::new(Float64Array::from(vec![0.1, f64::NAN])) as ArrayRef, true),
            ("labels", Arc::new(labels.finish()) as ArrayRef, true),
        ])
        .unwrap()
    }

    fn encoded(format: RowFormat, batches: &[RecordBatch]) -> Vec<u8> {
        let mut encoder = RowEncoder::new(format, &batch().schema(), &[]).unwrap();
        let mut out = Vec::new();
        for batch in batches {
            out.extend(encoder.push(batch).unwrap());
        }
        out.extend(encoder.finish().unwrap());
        out
    }

    #[test]
    fn json_is_one_document_over_all_batches() {
        let document: serde_json::Value =
            serde_json::from_slice(&encoded(RowFormat::Json, &[batch(), batch()])).unwrap();
        assert_eq!(document["columns"][0], json!({ "name": "id", "type": "Int64" }));
        let rows = document["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[0], json!({ "id": i64::MAX, "value": 0.1, "labels": { "job": "a,\"b\"" } }));
        assert_eq!(rows[3], json!({ "id": null, "value": null, "labels": null }));
    }

    #[test]
    fn json_says_what_an_answer_lacks() {
        let warnings = ["one file of \"samples\" is missing".to_owned()];
        let mut encoder = RowEncoder::new(RowFormat::Json, &batch().schema(), &warnings).unwrap();
        let mut out = encoder.push(&batch()).unwrap();
        out.extend(encoder.finish().unwrap());
        let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(document["warnings"], json!(warnings));
        assert_eq!(document["rows"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn an_answer_without_rows_is_still_whole() {
        let document: serde_json::Value = serde_json::from_slice(&encoded(RowFormat::Json, &[])).unwrap();
        assert_eq!(document["rows"], json!([]));
        assert_eq!(encoded(RowFormat::Csv, &[]), b"id,value,labels\n");
    }

    #[test]
    fn csv_quotes_nested_values_and_has_one_header() {
        let text = String::from_utf8(encoded(RowFormat::Csv, &[batch(), batch()])).unwrap();
        let row = "9223372036854775807,0.1,\"{\"\"job\"\":\"\"a,\\\"\"b\\\"\"\"\"}\"\n,NaN,\n";
        assert_eq!(text, format!("id,value,labels\n{row}{row}"));
    }

    #[test]
    fn an_arrow_stream_reads_back_bit_for_bit() {
        let bytes = encoded(RowFormat::Arrow, &[batch()]);
        let mut reader = arrow_ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
        let read = reader.next().unwrap().unwrap();
        assert_eq!(read.num_rows(), 2);
        assert_eq!(read.schema(), batch().schema());
    }
}
