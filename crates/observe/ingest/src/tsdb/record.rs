//! What a record of the write-ahead log says.

use kandela_model::{
    BucketSpan, CUSTOM_BOUNDS_SCHEMA, Histogram, HistogramError, MetricKind, ResetHint, Timestamp,
};

use super::chunk::check;
use super::cursor::{Cursor, Unreadable};

/// What records are read for. The log is read twice: series and deletions have to be known before the first point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Definitions,
    Points,
}

/// One thing that a record says. Times are in milliseconds.
#[derive(Debug)]
pub(super) enum Item<'a> {
    Series { series: u64, labels: &'a [(&'a str, &'a str)] },
    Metadata { series: u64, kind: MetricKind, unit: &'a str, help: &'a str },
    Deletion { series: u64, from: i64, through: i64 },
    Sample { series: u64, ts: i64, value: f64 },
    Histogram { series: u64, ts: i64, histogram: Result<Histogram, HistogramError> },
    Exemplar { series: u64, ts: i64, value: f64, labels: &'a [(&'a str, &'a str)] },
}

/// Why a record is not read to its end: its bytes, or what the visitor says.
#[derive(Debug)]
pub(super) enum Broken<E> {
    Bytes(Unreadable),
    Visitor(E),
}

impl<E> From<Unreadable> for Broken<E> {
    fn from(unreadable: Unreadable) -> Self {
        Self::Bytes(unreadable)
    }
}

/// Calls `visit` with what `record` says, as far as it is of `pass`. Kinds of records that are not known say nothing: new ones
/// may come at any time, says the format.
pub(super) fn read<E>(
    record: &[u8],
    pass: Pass,
    visit: &mut dyn FnMut(Item<'_>) -> Result<(), E>,
) -> Result<(), Broken<E>> {
    let Some((kind, rest)) = record.split_first() else { return Ok(()) };
    let cursor = Cursor(rest);
    match (pass, kind) {
        (Pass::Definitions, 1) => read_series(cursor, visit),
        (Pass::Definitions, 3) => read_deletions(cursor, visit),
        (Pass::Definitions, 6) => read_metadata(cursor, visit),
        (Pass::Points, 2) => read_samples(cursor, visit),
        (Pass::Points, 4) => read_exemplars(cursor, visit),
        (Pass::Points, 7 | 9) => read_histograms(cursor, References::V1, Kind::Whole, visit),
        (Pass::Points, 8 | 10) => read_histograms(cursor, References::V1, Kind::Float, visit),
        (Pass::Points, 11) => read_samples_v2(cursor, visit),
        (Pass::Points, 12) => read_histograms(cursor, References::V2, Kind::Whole, visit),
        (Pass::Points, 13) => read_histograms(cursor, References::V2, Kind::Float, visit),
        _ => Ok(()),
    }
}

type Visitor<'v, E> = &'v mut dyn FnMut(Item<'_>) -> Result<(), E>;

fn read_series<E>(mut cursor: Cursor<'_>, visit: Visitor<'_, E>) -> Result<(), Broken<E>> {
    let mut labels = Vec::new();
    while !cursor.is_empty() {
        let series = cursor.be64()?;
        read_labels(&mut cursor, &mut labels)?;
        visit(Item::Series { series, labels: &labels }).map_err(Broken::Visitor)?;
    }
    Ok(())
}

fn read_labels<'a>(cursor: &mut Cursor<'a>, labels: &mut Vec<(&'a str, &'a str)>) -> Result<(), Unreadable> {
    labels.clear();
    for _ in 0..cursor.count(2)? {
        labels.push((cursor.text()?, cursor.text()?));
    }
    Ok(())
}

fn read_deletions<E>(mut cursor: Cursor<'_>, visit: Visitor<'_, E>) -> Result<(), Broken<E>> {
    while !cursor.is_empty() {
        let (series, from, through) = (cursor.be64()?, cursor.varint()?, cursor.varint()?);
        visit(Item::Deletion { series, from, through }).map_err(Broken::Visitor)?;
    }
    Ok(())
}

fn read_metadata<E>(mut cursor: Cursor<'_>, visit: Visitor<'_, E>) -> Result<(), Broken<E>> {
    while !cursor.is_empty() {
        let series = cursor.uvarint()?;
        let kind = kind_of(cursor.byte()?);
        let (mut unit, mut help) = ("", "");
        for _ in 0..cursor.count(2)? {
            match (cursor.text()?, cursor.text()?) {
                ("UNIT", text) => unit = text,
                ("HELP", text) => help = text,
                _ => {}
            }
        }
        visit(Item::Metadata { series, kind, unit, help }).map_err(Broken::Visitor)?;
    }
    Ok(())
}

fn kind_of(number: u8) -> MetricKind {
    match number {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}

fn read_samples<E>(mut cursor: Cursor<'_>, visit: Visitor<'_, E>) -> Result<(), Broken<E>> {
    let mut point = Point::begin(&mut cursor, References::V1)?;
    while point.next(&mut cursor)? {
        let value = cursor.float()?;
        visit(Item::Sample { series: point.series, ts: point.ts, value }).map_err(Broken::Visitor)?;
    }
    Ok(())
}

fn read_samples_v2<E>(mut cursor: Cursor<'_>, visit: Visitor<'_, E>) -> Result<(), Broken<E>> {
    let mut point = Point::begin(&mut cursor, References::V2)?;
    while point.next(&mut cursor)? {
        let value = cursor.float()?;
        visit(Item::Sample { series: point.series, ts: point.ts, value }).map_err(Broken::Visitor)?;
    }
    Ok(())
}

fn read_exemplars<E>(mut cursor: Cursor<'_>, visit: Visitor<'_, E>) -> Result<(), Broken<E>> {
    let mut labels = Vec::new();
    let mut point = Point::begin(&mut cursor, References::V1)?;
    while point.next(&mut cursor)? {
        let value = cursor.float()?;
        read_labels(&mut cursor, &mut labels)?;
        visit(Item::Exemplar { series: point.series, ts: point.ts, value, labels: &labels })
            .map_err(Broken::Visitor)?;
    }
    Ok(())
}

fn read_histograms<E>(
    mut cursor: Cursor<'_>,
    references: References,
    kind: Kind,
    visit: Visitor<'_, E>,
) -> Result<(), Broken<E>> {
    let mut point = Point::begin(&mut cursor, references)?;
    while point.next(&mut cursor)? {
        let histogram = read_histogram(&mut cursor, kind, point.start())?;
        visit(Item::Histogram { series: point.series, ts: point.ts, histogram }).map_err(Broken::Visitor)?;
    }
    Ok(())
}

/// How a record says of which series and when a point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum References {
    /// As differences to what stands in front of all points.
    V1,
    /// Series as difference to the point before, times to the first point, which stands in full; with start times.
    V2,
}

/// Series, time and start of the points of a record.
#[derive(Debug)]
struct Point {
    references: References,
    first: bool,
    base_series: u64,
    base_ts: i64,
    base_start: i64,
    series: u64,
    ts: i64,
    start: i64,
}

impl Point {
    fn begin(cursor: &mut Cursor<'_>, references: References) -> Result<Self, Unreadable> {
        let (base_series, base_ts, base_start) = match references {
            _ if cursor.is_empty() => (0, 0, 0),
            References::V1 => (cursor.be64()?, cursor.be64()? as i64, 0),
            References::V2 => (cursor.varint()? as u64, cursor.varint()?, cursor.varint()?),
        };
        Ok(Self {
            references,
            first: true,
            base_series,
            base_ts,
            base_start,
            series: base_series,
            ts: base_ts,
            start: base_start,
        })
    }

    /// Moves on to the next point; `false` where there is none.
    fn next(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Unreadable> {
        if cursor.is_empty() {
            return Ok(false);
        }
        match self.references {
            References::V1 => {
                self.series = self.base_series.wrapping_add(cursor.varint()? as u64);
                self.ts = self.base_ts.wrapping_add(cursor.varint()?);
            }
            References::V2 if self.first => {}
            References::V2 => {
                self.series = self.series.wrapping_add(cursor.varint()? as u64);
                self.ts = self.base_ts.wrapping_add(cursor.varint()?);
                match cursor.byte()? {
                    0 => self.start = 0,
                    1 => {}
                    _ => self.start = self.base_start.wrapping_add(cursor.varint()?),
                }
            }
        }
        self.first = false;
        Ok(true)
    }

    fn start(&self) -> Option<Timestamp> {
        (self.start != 0).then(|| Timestamp::from_millis(self.start))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whole,
    Float,
}

fn read_histogram(
    cursor: &mut Cursor<'_>,
    kind: Kind,
    start: Option<Timestamp>,
) -> Result<Result<Histogram, HistogramError>, Unreadable> {
    let reset_hint = ResetHint::from_number(i8::try_from(cursor.byte()?).unwrap_or_default());
    let schema = cursor.varint()?;
    let zero_threshold = cursor.float()?;
    let (zero_count, count) = match kind {
        Kind::Whole => (cursor.uvarint()? as f64, cursor.uvarint()? as f64),
        Kind::Float => (cursor.float()?, cursor.float()?),
    };
    let sum = cursor.float()?;
    let positive_spans = read_spans(cursor)?;
    let negative_spans = read_spans(cursor)?;
    let positive_buckets = read_buckets(cursor, kind)?;
    let negative_buckets = read_buckets(cursor, kind)?;
    let custom = schema == i64::from(CUSTOM_BOUNDS_SCHEMA);
    let custom_bounds = if custom { read_floats(cursor)? } else { Vec::new() };
    let histogram = Histogram {
        schema: 0,
        count,
        sum,
        zero_threshold,
        zero_count,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        custom_bounds,
        is_float: kind == Kind::Float,
        reset_hint,
        start,
    };
    let schema = i32::try_from(schema).map_err(|_| Unreadable("a histogram schema is out of range"))?;
    Ok(check(schema, histogram))
}

fn read_spans(cursor: &mut Cursor<'_>) -> Result<Vec<BucketSpan>, Unreadable> {
    let count = cursor.count(2)?;
    let span = |cursor: &mut Cursor<'_>| {
        let offset = i32::try_from(cursor.varint()?);
        let length = u32::try_from(cursor.uvarint()?);
        match (offset, length) {
            (Ok(offset), Ok(length)) => Ok(BucketSpan { offset, length }),
            _ => Err(Unreadable("a bucket span is out of range")),
        }
    };
    (0..count).map(|_| span(cursor)).collect()
}

fn read_buckets(cursor: &mut Cursor<'_>, kind: Kind) -> Result<Vec<f64>, Unreadable> {
    if kind == Kind::Float {
        return read_floats(cursor);
    }
    let count = cursor.count(1)?;
    let mut running = 0i64;
    let mut buckets = Vec::with_capacity(count);
    for _ in 0..count {
        running = running.wrapping_add(cursor.varint()?);
        buckets.push(running as f64);
    }
    Ok(buckets)
}

fn read_floats(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, Unreadable> {
    let count = cursor.count(8)?;
    (0..count).map(|_| cursor.float()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::write::{put_text, put_uvarint, put_varint};
    use super::*;
    use proptest::prelude::*;

    fn items(record: &[u8], pass: Pass) -> Result<Vec<String>, Unreadable> {
        let mut items = Vec::new();
        let read = read(record, pass, &mut |item| {
            items.push(format!("{item:?}"));
            Ok::<(), ()>(())
        });
        match read {
            Ok(()) => Ok(items),
            Err(Broken::Bytes(unreadable)) => Err(unreadable),
            Err(Broken::Visitor(())) => unreachable!("it refuses nothing"),
        }
    }

    fn point(series: u64, ts: i64, value: f64) -> String {
        format!("{:?}", Item::Sample { series, ts, value })
    }

    #[test]
    fn samples_with_start_times_are_read() {
        let mut record = vec![11];
        [5i64, 1_000, 400].iter().for_each(|number| put_varint(&mut record, *number));
        record.extend(1.5f64.to_bits().to_be_bytes());
        // The series before, five seconds later, with the same start; then one with none, then one of its own.
        for (series, ts, marker) in [(0i64, 5_000i64, 1u8), (2, 5_000, 0), (-1, 6_000, 2)] {
            put_varint(&mut record, series);
            put_varint(&mut record, ts);
            record.push(marker);
            if marker == 2 {
                put_varint(&mut record, 7);
            }
            record.extend(2.5f64.to_bits().to_be_bytes());
        }
        let wanted = [point(5, 1_000, 1.5), point(5, 6_000, 2.5), point(7, 6_000, 2.5), point(6, 7_000, 2.5)];
        assert_eq!(items(&record, Pass::Points), Ok(wanted.to_vec()));
    }

    #[test]
    fn histograms_keep_their_start_times() {
        for (kind, starts) in [(12u8, true), (7, false)] {
            let mut record = vec![kind];
            if starts {
                [5i64, 1_000, 400].iter().for_each(|number| put_varint(&mut record, *number));
            } else {
                record.extend(5u64.to_be_bytes());
                record.extend(1_000i64.to_be_bytes());
                record.extend([0, 0]);
            }
            // Hint, schema 2, threshold, no zeros, count 3, sum; one span of two buckets of 1 and 2.
            record.extend([3, 4]);
            record.extend(0.5f64.to_bits().to_be_bytes());
            record.extend([0, 3]);
            record.extend(9.0f64.to_bits().to_be_bytes());
            record.extend([1, 1, 2, 0, 2, 2, 2, 0]);
            let histogram = Histogram {
                schema: 2,
                count: 3.0,
                sum: 9.0,
                zero_threshold: 0.5,
                positive_spans: vec![BucketSpan { offset: -1, length: 2 }],
                positive_buckets: vec![1.0, 2.0],
                reset_hint: ResetHint::Gauge,
                start: starts.then(|| Timestamp::from_millis(400)),
                ..Histogram::default()
            };
            let wanted = Item::Histogram { series: 5, ts: 1_000, histogram: Ok(histogram) };
            assert_eq!(items(&record, Pass::Points), Ok(vec![format!("{wanted:?}")]));
        }
    }

    #[test]
    fn metadata_keep_what_is_known_of_them() {
        let mut record = vec![6];
        put_uvarint(&mut record, 9);
        record.extend([1, 3]);
        for text in ["UNIT", "seconds", "HELP", "How long.", "NEW", "unheard of"] {
            put_text(&mut record, text);
        }
        let wanted =
            Item::Metadata { series: 9, kind: MetricKind::Counter, unit: "seconds", help: "How long." };
        assert_eq!(items(&record, Pass::Definitions), Ok(vec![format!("{wanted:?}")]));
        assert_eq!(items(&record, Pass::Points), Ok(vec![]));
    }

    #[test]
    fn kinds_of_records_that_are_not_known_say_nothing() {
        assert_eq!(items(&[99, 1, 2, 3], Pass::Points), Ok(vec![]));
        assert_eq!(items(&[], Pass::Points), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn arbitrary_records_never_panic(kind in 0u8..15, rest in proptest::collection::vec(any::<u8>(), 0..300)) {
            let record = [&[kind], &rest[..]].concat();
            let _ = items(&record, Pass::Points);
            let _ = items(&record, Pass::Definitions);
        }
    }
}
