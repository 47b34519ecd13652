//! Parquet files: how rows are encoded, and what Delta is told about them.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_schema::SchemaRef;
use kandela_model::tables::{HISTOGRAMS, SAMPLES, SPANS, Table};
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

/// How a column's numbers are laid out before they are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One after the other: best where series repeat each other, as times of one scrape do.
    Plain,
    /// The bytes of all numbers by their place: best for noise.
    BytesApart,
    /// Numbers of the distinct values: best where there are few.
    Dictionary,
    /// Differences of neighbours, for whole numbers: best for times that nobody shares.
    Differences,
}

/// How the two columns that make up almost all of the points' tables are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layouts {
    ts: Layout,
    value: Layout,
}

impl Default for Layouts {
    fn default() -> Self {
        Self { ts: Layout::Plain, value: Layout::Plain }
    }
}

impl Layouts {
    /// The layouts that make `rows` smallest: which ones depends on what was measured, and when.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub(crate) fn smallest(rows: &[RecordBatch]) -> Result<Self> {
        Ok(Self {
            ts: smallest(rows, TS, &[Layout::Plain, Layout::Differences])?,
            value: smallest(rows, VALUE, &[Layout::Plain, Layout::BytesApart, Layout::Dictionary])?,
        })
    }
}

/// The first of `layouts` that makes `column` smallest.
fn smallest(rows: &[RecordBatch], column: &str, layouts: &[Layout]) -> Result<Layout> {
    let mut smallest = (usize::MAX, Layout::Plain);
    for layout in layouts {
        let size = size_of(rows, column, *layout)?;
        if size < smallest.0 {
            smallest = (size, *layout);
        }
    }
    Ok(smallest.1)
}

fn size_of(rows: &[RecordBatch], column: &str, layout: Layout) -> Result<usize> {
    let Some(at) = rows.first().and_then(|batch| batch.schema().index_of(column).ok()) else { return Ok(0) };
    let only = |batch: &RecordBatch| batch.project(&[at]).map_err(|e| LakeError::defect("lay out rows", e));
    let Some(first) = rows.first().map(only).transpose()? else { return Ok(0) };
    let properties = layout.set(compressed(Compression::Dense), column).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), first.schema(), Some(properties)).map_err(failed)?;
    for batch in rows {
        writer.write(&only(batch)?).map_err(failed)?;
    }
    Ok(writer.into_inner().map_err(failed)?.len())
}

impl Layout {
    fn set(self, properties: WriterPropertiesBuilder, column: &str) -> WriterPropertiesBuilder {
        let column = ColumnPath::from(column);
        let properties = properties.set_column_dictionary_enabled(column.clone(), self == Self::Dictionary);
        match self {
            Self::Dictionary => properties,
            Self::Plain => properties.set_column_encoding(column, Encoding::PLAIN),
            Self::BytesApart => properties.set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT),
            Self::Differences => properties.set_column_encoding(column, Encoding::DELTA_BINARY_PACKED),
        }
    }
}

/// The columns that layouts are tried for.
const TS: &str = "ts";
const VALUE: &str = "value";

/// Rows in a page of a file that is kept: a mebibyte of numbers. Pages are compressed each by itself, and series of one
/// metric, which lie side by side, repeat each other's times.
const PAGE: usize = 1 << 17;

/// Zstandard's level where speed counts, or where a higher one saves nothing.
const FAST: i32 = 1;

/// Bytes in a page of a table with many columns: each has a compressor of its own, whose tables grow with its pages up to a mebibyte
/// and beyond. What is kept is as small.
const WIDE_PAGE: usize = 256 << 10;

/// What is drawn at random or packed already: no dictionary has it twice, and level 1 takes the half that hex digits waste.
const DENSE_ALREADY: [&str; 5] =
    ["trace_id", "span_id", "parent_span_id", "start_unix_nano", "end_unix_nano"];

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
    pub(crate) fn new(table: &'static Table, compression: Compression, layouts: Layouts) -> Result<Self> {
        let schema = crate::schema::arrow_schema(table);
        let properties = properties(table, &schema, compression, layouts);
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

fn zstd(level: i32) -> parquet::basic::Compression {
    parquet::basic::Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default())
}

fn compressed(compression: Compression) -> WriterPropertiesBuilder {
    let level = match compression {
        Compression::Fast => FAST,
        Compression::Dense => 9,
    };
    let properties = WriterProperties::builder().set_compression(zstd(level));
    match compression {
        Compression::Fast => properties,
        Compression::Dense => properties.set_data_page_row_count_limit(PAGE),
    }
}

fn properties(
    table: &Table,
    schema: &SchemaRef,
    compression: Compression,
    layouts: Layouts,
) -> WriterProperties {
    let sorting = table.sorted_by.iter().filter_map(|name| schema.index_of(name).ok());
    let sorting = sorting.map(|column| SortingColumn {
        column_idx: column as i32,
        descending: false,
        nulls_first: true,
    });
    let mut properties = layouts
        .value
        .set(layouts.ts.set(compressed(compression), TS), VALUE)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(sorting.collect()));
    for name in table.sorted_by {
        properties =
            properties.set_column_statistics_enabled(ColumnPath::from(*name), EnabledStatistics::Page);
    }
    // Times within a series rise by nearly equal steps.
    for name in ["time_unix_nano", "start_unix_nano", "end_unix_nano"] {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    if ![SAMPLES.name, HISTOGRAMS.name].contains(&table.name) {
        properties = properties.set_data_page_size_limit(WIDE_PAGE);
    }
    if table.name == SPANS.name {
        for name in DENSE_ALREADY {
            properties = properties
                .set_column_dictionary_enabled(ColumnPath::from(name), false)
                .set_column_compression(ColumnPath::from(name), zstd(FAST));
        }
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
    pub(crate) oldest: i64,
    pub(crate) newest: i64,
}

impl Default for FileStats {
    fn default() -> Self {
        Self { rows: 0, oldest: i64::MIN, newest: i64::MIN }
    }
}

impl FileStats {
    pub(crate) fn from_json(text: &str) -> Self {
        let Ok(stats) = serde_json::from_str::<serde_json::Value>(text) else { return Self::default() };
        let time = |bounds: &str| {
            let time = stats[bounds]["ts"].as_str()?;
            let time = arrow_cast::parse::string_to_datetime(&chrono::Utc, time).ok()?;
            Some(time.timestamp_micros())
        };
        Self {
            rows: stats["numRecords"].as_u64().unwrap_or(0),
            oldest: time("minValues").unwrap_or(i64::MIN),
            newest: time("maxValues").unwrap_or(i64::MIN),
        }
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
