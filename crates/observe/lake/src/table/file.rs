//! Parquet files: how rows are encoded, and what Delta is told about them.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_schema::SchemaRef;
use kandela_model::tables::Table;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::checked::{Footer, SUMS_KEY, sums};
use crate::error::{LakeError, Result};

/// How hard to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Soon to be merged again.
    Fast,
    /// To be kept.
    Dense,
}

/// How the doubles of `value` are laid out before they are compressed. Which one is smallest depends on what was measured: few
/// distinct values want a dictionary, fractions their bytes apart, and what seldom changes neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Values {
    #[default]
    Dictionary,
    Plain,
    BytesApart,
}

impl Values {
    /// The layout that makes the values of `rows` smallest.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub(crate) fn smallest(rows: &[RecordBatch]) -> Result<Self> {
        let Some(at) = rows.first().and_then(|batch| batch.schema().index_of(VALUE).ok()) else {
            return Ok(Self::default());
        };
        let mut smallest = (usize::MAX, Self::default());
        for layout in [Self::Plain, Self::BytesApart, Self::Dictionary] {
            let properties = layout.of(compressed(Compression::Dense), VALUE).build();
            let mut writer: Option<ArrowWriter<Vec<u8>>> = None;
            for batch in rows {
                let values = batch.project(&[at]).map_err(|e| LakeError::defect("lay out values", e))?;
                if writer.is_none() {
                    let made = ArrowWriter::try_new(Vec::new(), values.schema(), Some(properties.clone()));
                    writer = Some(made.map_err(failed)?);
                }
                if let Some(writer) = &mut writer {
                    writer.write(&values).map_err(failed)?;
                }
            }
            let bytes = writer.map(ArrowWriter::into_inner).transpose().map_err(failed)?;
            let size = bytes.map_or(usize::MAX, |bytes| bytes.len());
            if size < smallest.0 {
                smallest = (size, layout);
            }
        }
        Ok(smallest.1)
    }

    fn of(self, properties: WriterPropertiesBuilder, column: &str) -> WriterPropertiesBuilder {
        let column = ColumnPath::from(column);
        match self {
            Self::Dictionary => properties,
            Self::Plain => properties.set_column_dictionary_enabled(column, false),
            Self::BytesApart => properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT),
        }
    }
}

/// The column that layouts are tried for.
const VALUE: &str = "value";

/// Rows in a row group: large enough to compress, small enough to hold several while merging.
pub(crate) const ROW_GROUP: usize = 1 << 20;

/// A whole file in memory.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) footer: Footer,
    /// Delta's statistics of it.
    pub(crate) stats: String,
}

/// Encodes sorted batches into one Parquet file in memory.
pub(crate) struct FileEncoder {
    table: &'static Table,
    writer: ArrowWriter<Vec<u8>>,
    stats: Stats,
}

impl FileEncoder {
    pub(crate) fn new(table: &'static Table, compression: Compression, values: Values) -> Result<Self> {
        let schema = crate::schema::arrow_schema(table);
        let properties = properties(table, &schema, compression, values);
        let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(failed)?;
        Ok(Self { table, writer, stats: Stats::default() })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.stats.see(self.table, batch);
        self.writer.write(batch).map_err(failed)
    }

    pub(crate) fn finish(mut self) -> Result<Encoded> {
        self.writer.flush().map_err(failed)?;
        self.writer.sync().map_err(|e| LakeError::io("encode a Parquet file", e))?;
        let data = self.writer.inner().len();
        let sums = sums(self.writer.inner());
        self.writer.append_key_value_metadata(KeyValue::new(SUMS_KEY.to_owned(), sums));
        let bytes = self.writer.into_inner().map_err(failed)?;
        Ok(Encoded { footer: Footer::of(&bytes, data), bytes, stats: self.stats.to_json() })
    }

    pub(crate) fn rows(&self) -> usize {
        self.stats.rows
    }
}

fn failed(error: parquet::errors::ParquetError) -> LakeError {
    LakeError::defect("encode a Parquet file", error)
}

fn compressed(compression: Compression) -> WriterPropertiesBuilder {
    let level = match compression {
        Compression::Fast => 1,
        Compression::Dense => 9,
    };
    let level = ZstdLevel::try_new(level).unwrap_or_default();
    WriterProperties::builder().set_compression(parquet::basic::Compression::ZSTD(level))
}

fn properties(
    table: &Table,
    schema: &SchemaRef,
    compression: Compression,
    values: Values,
) -> WriterProperties {
    let sorting = table.sorted_by.iter().filter_map(|name| schema.index_of(name).ok());
    let sorting = sorting.map(|column| SortingColumn {
        column_idx: column as i32,
        descending: false,
        nulls_first: true,
    });
    let mut properties = values
        .of(compressed(compression), VALUE)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(sorting.collect()));
    for name in table.sorted_by {
        properties =
            properties.set_column_statistics_enabled(ColumnPath::from(*name), EnabledStatistics::Page);
    }
    // Times within a series rise by nearly equal steps.
    for name in ["ts", "time_unix_nano", "start_unix_nano", "end_unix_nano"] {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}

/// What Delta's readers use to leave files out: rows, and the range of the sort key where it is numeric.
#[derive(Debug, Default)]
struct Stats {
    rows: usize,
    longs: Vec<(&'static str, i64, i64)>,
    times: Vec<(&'static str, i64, i64)>,
}

impl Stats {
    fn see(&mut self, table: &Table, batch: &RecordBatch) {
        self.rows += batch.num_rows();
        for name in ["series_id", "ts"] {
            if !table.sorted_by.contains(&name) {
                continue;
            }
            let Some(column) = batch.column_by_name(name) else { continue };
            if let Some(longs) = column.as_primitive_opt::<Int64Type>() {
                widen(&mut self.longs, name, longs.values());
            }
            if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
                widen(&mut self.times, name, times.values());
            }
        }
    }

    fn to_json(&self) -> String {
        let mut min = serde_json::Map::new();
        let mut max = serde_json::Map::new();
        for (name, low, high) in &self.longs {
            min.insert((*name).to_owned(), (*low).into());
            max.insert((*name).to_owned(), (*high).into());
        }
        for (name, low, high) in &self.times {
            // Delta keeps milliseconds here, so the range is widened to whole ones.
            min.insert((*name).to_owned(), iso_millis(low.div_euclid(1_000)).into());
            max.insert((*name).to_owned(), iso_millis(high.div_euclid(1_000) + 1).into());
        }
        serde_json::json!({"numRecords": self.rows, "minValues": min, "maxValues": max, "nullCount": {}})
            .to_string()
    }
}

/// What a listing tells of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStats {
    pub(crate) rows: u64,
    pub(crate) newest: i64,
}

impl Default for FileStats {
    fn default() -> Self {
        Self { rows: 0, newest: i64::MIN }
    }
}

impl FileStats {
    pub(crate) fn from_json(text: &str) -> Self {
        let Ok(stats) = serde_json::from_str::<serde_json::Value>(text) else { return Self::default() };
        let newest = stats["maxValues"]["ts"].as_str().and_then(|time| {
            arrow_cast::parse::string_to_datetime(&chrono::Utc, time).ok().map(|time| time.timestamp_micros())
        });
        Self { rows: stats["numRecords"].as_u64().unwrap_or(0), newest: newest.unwrap_or(i64::MIN) }
    }
}

fn widen(ranges: &mut Vec<(&'static str, i64, i64)>, name: &'static str, values: &[i64]) {
    let (Some(low), Some(high)) = (values.iter().min(), values.iter().max()) else { return };
    match ranges.iter_mut().find(|(of, ..)| *of == name) {
        Some((_, min, max)) => (*min, *max) = ((*min).min(*low), (*max).max(*high)),
        None => ranges.push((name, *low, *high)),
    }
}

fn iso_millis(millis: i64) -> String {
    let time = arrow_array::temporal_conversions::timestamp_ms_to_datetime(millis).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
