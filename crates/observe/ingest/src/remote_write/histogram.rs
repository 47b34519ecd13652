//! The `Histogram` message, which both versions of remote write and remote read share.

use kandela_model::{BucketSpan, CUSTOM_BOUNDS_SCHEMA, Histogram, HistogramError, ResetHint, Timestamp};

use super::reject::Reason;
use crate::protobuf::{
    Malformed, Reader, Tag, put_double, put_int, put_message, put_sint, put_uint, put_varint, unzigzag,
    unzigzag32, zigzag,
};

/// The finest resolution that is kept. Finer ones are valid on the wire and are reduced to it, as Prometheus does.
const FINEST_SCHEMA: i8 = 8;
const FINEST_WIRE_SCHEMA: i32 = 52;

/// The message's fields as they came.
#[derive(Default)]
struct Fields {
    count_float: bool,
    count: f64,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero_count_int: u64,
    zero_count_float: f64,
    negative: Side,
    positive: Side,
    reset_hint: i32,
    timestamp: i64,
    custom_values: Vec<f64>,
    start_timestamp: i64,
}

#[derive(Default)]
struct Side {
    spans: Vec<BucketSpan>,
    /// Whole counts, added up from the differences on the wire.
    whole: Vec<f64>,
    running: i64,
    /// Float counts.
    float: Vec<f64>,
}

impl Side {
    fn span(&mut self, mut reader: Reader<'_>) -> Result<(), Malformed> {
        let mut span = BucketSpan { offset: 0, length: 0 };
        while let Some(tag) = reader.tag()? {
            match tag.field {
                1 => span.offset = unzigzag32(reader.expect_varint(tag)?),
                2 => span.length = reader.expect_varint(tag)? as u32,
                _ => reader.skip(tag)?,
            }
        }
        self.spans.push(span);
        Ok(())
    }

    fn deltas(&mut self, reader: &mut Reader<'_>, tag: Tag) -> Result<(), Malformed> {
        reader.varints(tag, |delta| {
            // A sum past 64 bits wraps to a negative count somewhere, or is as wrong as any other count.
            self.running = self.running.wrapping_add(unzigzag(delta));
            self.whole.push(self.running as f64);
        })
    }
}

/// Reads the message: when, and what, or which rule of native histograms it breaks.
pub(super) fn read(mut reader: Reader<'_>) -> Result<(Timestamp, Result<Histogram, Reason>), Malformed> {
    let mut fields = Fields::default();
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => {
                fields.count_float = false;
                fields.count = reader.expect_varint(tag)? as f64;
            }
            2 => {
                fields.count_float = true;
                fields.count = reader.expect_double(tag)?;
            }
            3 => fields.sum = reader.expect_double(tag)?,
            4 => fields.schema = unzigzag32(reader.expect_varint(tag)?),
            5 => fields.zero_threshold = reader.expect_double(tag)?,
            6 => {
                fields.zero_count_int = reader.expect_varint(tag)?;
                fields.zero_count_float = 0.0;
            }
            7 => {
                fields.zero_count_float = reader.expect_double(tag)?;
                fields.zero_count_int = 0;
            }
            8 => fields.negative.span(reader.expect_message(tag)?)?,
            9 => fields.negative.deltas(&mut reader, tag)?,
            10 => reader.doubles(tag, &mut fields.negative.float)?,
            11 => fields.positive.span(reader.expect_message(tag)?)?,
            12 => fields.positive.deltas(&mut reader, tag)?,
            13 => reader.doubles(tag, &mut fields.positive.float)?,
            14 => fields.reset_hint = reader.expect_varint(tag)? as i32,
            15 => fields.timestamp = reader.expect_varint(tag)? as i64,
            16 => reader.doubles(tag, &mut fields.custom_values)?,
            17 => fields.start_timestamp = reader.expect_varint(tag)? as i64,
            _ => reader.skip(tag)?,
        }
    }
    let ts = Timestamp::from_millis(fields.timestamp);
    Ok((ts, fields.into_histogram().map_err(Reason::Histogram)))
}

impl Fields {
    fn into_histogram(self) -> Result<Histogram, HistogramError> {
        let is_float = self.count_float;
        let counts = |side: Side| (side.spans, if is_float { side.float } else { side.whole });
        let (positive_spans, positive_buckets) = counts(self.positive);
        let (negative_spans, negative_buckets) = counts(self.negative);
        let finer = (i32::from(FINEST_SCHEMA) + 1..=FINEST_WIRE_SCHEMA).contains(&self.schema);
        let schema = i8::try_from(self.schema).map_err(|_| HistogramError::Schema(self.schema))?;
        let mut histogram = Histogram {
            // Every other rule holds at any resolution, so a finer one is checked as if it were ours.
            schema: if finer { FINEST_SCHEMA } else { schema },
            count: self.count,
            sum: self.sum,
            zero_threshold: self.zero_threshold,
            zero_count: if is_float { self.zero_count_float } else { self.zero_count_int as f64 },
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_bounds: self.custom_values,
            is_float,
            reset_hint: ResetHint::from_number(i8::try_from(self.reset_hint).unwrap_or_default()),
            start: (self.start_timestamp != 0).then(|| Timestamp::from_millis(self.start_timestamp)),
        };
        histogram.validate()?;
        if finer {
            histogram.schema = schema;
            histogram.add(&Histogram { schema: FINEST_SCHEMA, ..Histogram::default() })?;
        }
        Ok(histogram)
    }
}

/// Writes the message. `start` tells whether the protocol's version knows the field of the start time.
pub(super) fn write(out: &mut Vec<u8>, ts: Timestamp, histogram: &Histogram, start: bool) {
    if histogram.is_float {
        put_member(out, 2, histogram.count);
    } else {
        put_varint(out, 1 << 3);
        put_varint(out, histogram.count as u64);
    }
    put_double(out, 3, histogram.sum);
    put_sint(out, 4, i64::from(histogram.schema));
    put_double(out, 5, histogram.zero_threshold);
    if histogram.is_float {
        put_member(out, 7, histogram.zero_count);
    } else {
        put_varint(out, 6 << 3);
        put_varint(out, histogram.zero_count as u64);
    }
    let sides = [
        (8, &histogram.negative_spans, &histogram.negative_buckets),
        (11, &histogram.positive_spans, &histogram.positive_buckets),
    ];
    for (first_field, spans, buckets) in sides {
        for span in spans {
            put_message(out, first_field, |out| {
                put_sint(out, 1, i64::from(span.offset));
                put_uint(out, 2, u64::from(span.length));
            });
        }
        if !buckets.is_empty() && histogram.is_float {
            put_message(out, first_field + 2, |out| put_packed_doubles(out, buckets));
        } else if !buckets.is_empty() {
            put_message(out, first_field + 1, |out| put_deltas(out, buckets));
        }
    }
    put_uint(out, 14, histogram.reset_hint.number() as u64);
    put_int(out, 15, ts.millis());
    if histogram.schema == CUSTOM_BOUNDS_SCHEMA && !histogram.custom_bounds.is_empty() {
        put_message(out, 16, |out| put_packed_doubles(out, &histogram.custom_bounds));
    }
    if start {
        put_int(out, 17, histogram.start.map_or(0, Timestamp::millis));
    }
}

/// A double of a `oneof`, which is written also where it is zero: its presence says which member is set.
fn put_member(out: &mut Vec<u8>, field: u32, value: f64) {
    put_varint(out, u64::from(field << 3 | 1));
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn put_packed_doubles(out: &mut Vec<u8>, values: &[f64]) {
    for value in values {
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

fn put_deltas(out: &mut Vec<u8>, buckets: &[f64]) {
    let mut before = 0i64;
    for bucket in buckets {
        let count = *bucket as i64;
        put_varint(out, zigzag(count.wrapping_sub(before)));
        before = count;
    }
}
