//! Histograms and exemplars as rows.

use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int8Array, Int32Array, Int64Array, ListArray, MapArray,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use kandela_model::tables::{ColumnType, EXEMPLARS, HISTOGRAMS};
use kandela_model::{BucketSpan, Exemplar, Histogram, Labels, ResetHint, STALE_NAN, Timestamp};

use super::columns::{
    batch, bools, bytes, doubles, fields_of, ints, list, list_of, longs, micros, optional_doubles,
    optional_micros, optional_text,
};
use super::read::{Columns, conform, damaged, range};
use super::values::labels;
use crate::error::Result;

type Row<'a> = (i64, Timestamp, &'a Histogram);

/// Histograms, each with its series and time, as rows of [`HISTOGRAMS`]. The staleness marker is a NULL sum.
///
/// # Errors
/// When the rows have more than 2^31 buckets.
pub fn histograms(rows: &[Row<'_>]) -> Result<RecordBatch> {
    let each = || rows.iter().map(|(_, _, histogram)| *histogram);
    let columns = vec![
        longs(rows.iter().map(|(series_id, _, _)| *series_id)),
        micros(rows.iter().map(|(_, ts, _)| *ts)),
        bytes(each().map(|histogram| histogram.schema)),
        doubles(each().map(|histogram| histogram.count)),
        optional_doubles(each().map(|histogram| (!histogram.is_stale()).then_some(histogram.sum))),
        doubles(each().map(|histogram| histogram.zero_threshold)),
        doubles(each().map(|histogram| histogram.zero_count)),
        bucket_spans("positive_spans", each().map(|histogram| &histogram.positive_spans))?,
        counts(each().map(|histogram| &histogram.positive_buckets))?,
        bucket_spans("negative_spans", each().map(|histogram| &histogram.negative_spans))?,
        counts(each().map(|histogram| &histogram.negative_buckets))?,
        counts(each().map(|histogram| &histogram.custom_bounds))?,
        bools(each().map(|histogram| histogram.is_float)),
        bytes(each().map(|histogram| histogram.reset_hint.number())),
        optional_micros(each().map(|histogram| histogram.start)),
    ];
    batch(&HISTOGRAMS, columns)
}

/// Lengths beyond 2^31 stand as negative numbers, so that every value comes back.
fn bucket_spans<'a>(name: &str, rows: impl Iterator<Item = &'a Vec<BucketSpan>> + Clone) -> Result<ArrayRef> {
    list_of(
        fields_of(HISTOGRAMS.columns, name)?,
        rows.clone().map(Vec::len),
        vec![
            ints(rows.clone().flatten().map(|span| span.offset)),
            ints(rows.flatten().map(|span| span.length.cast_signed())),
        ],
    )
}

fn counts<'a>(rows: impl Iterator<Item = &'a Vec<f64>> + Clone) -> Result<ArrayRef> {
    list(&ColumnType::Double, rows.clone().map(Vec::len), doubles(rows.flatten().copied()))
}

/// The histograms in rows of [`HISTOGRAMS`], each with its series and time.
///
/// # Errors
/// When a column is missing.
pub fn histograms_from(
    batch: &RecordBatch,
) -> Result<impl ExactSizeIterator<Item = (i64, Timestamp, Histogram)> + use<>> {
    let batch = conform(&HISTOGRAMS, batch)?;
    let columns = HistogramColumns::new(Columns::new(&HISTOGRAMS, &batch))?;
    Ok((0..batch.num_rows()).map(move |row| columns.row(row)))
}

/// Exemplars, each with its series, as rows of [`EXEMPLARS`].
///
/// # Errors
/// When one column would exceed 2 GiB.
pub fn exemplars(rows: &[(i64, &Exemplar)]) -> Result<RecordBatch> {
    let each = || rows.iter().map(|(_, exemplar)| *exemplar);
    let columns = vec![
        longs(rows.iter().map(|(series_id, _)| *series_id)),
        micros(each().map(|exemplar| exemplar.ts)),
        doubles(each().map(|exemplar| exemplar.value)),
        optional_text(each().map(|exemplar| exemplar.trace_id.as_ref()))?,
        optional_text(each().map(|exemplar| exemplar.span_id.as_ref()))?,
        labels(each().map(|exemplar| &exemplar.labels))?,
    ];
    batch(&EXEMPLARS, columns)
}

/// The exemplars in rows of [`EXEMPLARS`], each with its series.
///
/// # Errors
/// When a column is missing, or labels are no label set.
pub fn exemplars_from(batch: &RecordBatch) -> Result<Vec<(i64, Exemplar)>> {
    let batch = conform(&EXEMPLARS, batch)?;
    let columns = Columns::new(&EXEMPLARS, &batch);
    let series_id: &Int64Array = columns.get("series_id")?;
    let ts: &TimestampMicrosecondArray = columns.get("ts")?;
    let value: &Float64Array = columns.get("value")?;
    let trace_id: &StringArray = columns.get("trace_id")?;
    let span_id: &StringArray = columns.get("span_id")?;
    let labels: &MapArray = columns.get("labels")?;
    let entries = columns.within(labels.entries());
    let names: &StringArray = entries.get("key")?;
    let values: &StringArray = entries.get("value")?;
    let text = |column: &StringArray, row: usize| column.is_valid(row).then(|| column.value(row).to_owned());
    (0..batch.num_rows())
        .map(|row| {
            let pairs = range(labels.value_offsets(), row).map(|at| (names.value(at), values.value(at)));
            let exemplar = Exemplar {
                ts: Timestamp::from_micros(ts.value(row)),
                value: value.value(row),
                trace_id: text(trace_id, row),
                span_id: text(span_id, row),
                labels: Labels::new(pairs).map_err(|error| damaged(EXEMPLARS.name, error.to_string()))?,
            };
            Ok((series_id.value(row), exemplar))
        })
        .collect()
}

/// Owns its columns, which costs a reference count each, so that an iterator can.
struct HistogramColumns {
    series_id: Int64Array,
    ts: TimestampMicrosecondArray,
    schema: Int8Array,
    count: Float64Array,
    sum: Float64Array,
    zero_threshold: Float64Array,
    zero_count: Float64Array,
    positive_spans: SpanLists,
    positive_buckets: CountLists,
    negative_spans: SpanLists,
    negative_buckets: CountLists,
    custom_bounds: CountLists,
    is_float: BooleanArray,
    reset_hint: Int8Array,
    start: TimestampMicrosecondArray,
}

impl HistogramColumns {
    fn new(columns: Columns<'_>) -> Result<Self> {
        Ok(Self {
            series_id: columns.get::<Int64Array>("series_id")?.clone(),
            ts: columns.get::<TimestampMicrosecondArray>("ts")?.clone(),
            schema: columns.get::<Int8Array>("schema")?.clone(),
            count: columns.get::<Float64Array>("count")?.clone(),
            sum: columns.get::<Float64Array>("sum")?.clone(),
            zero_threshold: columns.get::<Float64Array>("zero_threshold")?.clone(),
            zero_count: columns.get::<Float64Array>("zero_count")?.clone(),
            positive_spans: SpanLists::new(columns, "positive_spans")?,
            positive_buckets: CountLists::new(columns, "positive_buckets")?,
            negative_spans: SpanLists::new(columns, "negative_spans")?,
            negative_buckets: CountLists::new(columns, "negative_buckets")?,
            custom_bounds: CountLists::new(columns, "custom_bounds")?,
            is_float: columns.get::<BooleanArray>("is_float")?.clone(),
            reset_hint: columns.get::<Int8Array>("reset_hint")?.clone(),
            start: columns.get::<TimestampMicrosecondArray>("start")?.clone(),
        })
    }

    fn row(&self, row: usize) -> (i64, Timestamp, Histogram) {
        let histogram = Histogram {
            schema: self.schema.value(row),
            count: self.count.value(row),
            sum: if self.sum.is_valid(row) { self.sum.value(row) } else { STALE_NAN },
            zero_threshold: self.zero_threshold.value(row),
            zero_count: self.zero_count.value(row),
            positive_spans: self.positive_spans.row(row),
            positive_buckets: self.positive_buckets.row(row),
            negative_spans: self.negative_spans.row(row),
            negative_buckets: self.negative_buckets.row(row),
            custom_bounds: self.custom_bounds.row(row),
            is_float: self.is_float.value(row),
            reset_hint: ResetHint::from_number(self.reset_hint.value(row)),
            start: self.start.is_valid(row).then(|| Timestamp::from_micros(self.start.value(row))),
        };
        (self.series_id.value(row), Timestamp::from_micros(self.ts.value(row)), histogram)
    }
}

struct SpanLists {
    lists: ListArray,
    offset: Int32Array,
    length: Int32Array,
}

impl SpanLists {
    fn new(columns: Columns<'_>, name: &str) -> Result<Self> {
        let (_, spans) = columns.list(name)?;
        Ok(Self {
            lists: columns.get::<ListArray>(name)?.clone(),
            offset: spans.get::<Int32Array>("offset")?.clone(),
            length: spans.get::<Int32Array>("length")?.clone(),
        })
    }

    fn row(&self, row: usize) -> Vec<BucketSpan> {
        range(self.lists.value_offsets(), row)
            .map(|at| BucketSpan {
                offset: self.offset.value(at),
                length: self.length.value(at).cast_unsigned(),
            })
            .collect()
    }
}

struct CountLists {
    lists: ListArray,
    counts: Float64Array,
}

impl CountLists {
    fn new(columns: Columns<'_>, name: &str) -> Result<Self> {
        let lists: &ListArray = columns.get(name)?;
        let counts = lists.values().as_any().downcast_ref::<Float64Array>();
        let counts =
            counts.ok_or_else(|| damaged(columns.table, format!("column {name} holds no numbers")))?;
        Ok(Self { lists: lists.clone(), counts: counts.clone() })
    }

    fn row(&self, row: usize) -> Vec<f64> {
        self.counts.values().get(range(self.lists.value_offsets(), row)).unwrap_or_default().to_vec()
    }
}
