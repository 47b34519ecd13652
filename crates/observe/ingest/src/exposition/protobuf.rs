//! Delimited `io.prometheus.client.MetricFamily` messages, as Prometheus reads them.
//!
//! The only exposition format that carries native histograms. A histogram that has both forms becomes its native one, unless
//! the options want the classic one too.

use kandela_model::{
    BucketSpan, Histogram, Metadata, MetricBatch, MetricKind, ResetHint, SeriesExemplar, SeriesHistogram,
    SeriesIndex, Timestamp,
};
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::client_model as proto;
use super::error::ExpositionError;
use super::nhcb::{Classic, Part};
use super::number::{NORMAL_NAN, write_canonical};
use super::sink::{MAX_EXEMPLAR_CHARS, build_exemplar};
use super::{Format, Notes, ParseOptions};

pub(super) fn parse(
    body: &[u8],
    options: &ParseOptions,
    batch: &mut MetricBatch,
) -> Result<Notes, ExpositionError> {
    let mut rest = body;
    let notes = Notes { format: Format::Protobuf, ..Notes::default() };
    let mut writer = Writer { batch, options, notes, label_bytes: 0 };
    while !rest.is_empty() {
        let offset = body.len() - rest.len();
        let mut family = Family::default();
        let read = split_message(&mut rest)
            .and_then(|message| family.read_header(message).map(|()| message))
            .and_then(|message| writer.family(&family, message));
        read.map_err(|fault| fault.locate(offset, family.name))?;
    }
    Ok(writer.notes)
}

/// What is wrong with a family.
enum Fault {
    Message { what: String, advice: &'static str },
    TooLarge { limit: u32 },
}

impl Fault {
    fn new(what: impl Into<String>, advice: &'static str) -> Self {
        Self::Message { what: what.into(), advice }
    }

    fn locate(self, offset: usize, family: &str) -> ExpositionError {
        match self {
            Self::Message { what, advice } => {
                ExpositionError::Protobuf { offset, family: family.to_owned(), what, advice }
            }
            Self::TooLarge { limit } => ExpositionError::TooLarge { limit },
        }
    }
}

fn malformed(error: impl std::fmt::Display) -> Fault {
    Fault::new(
        format!("no MetricFamily message: {error}"),
        "send each family as its length in a varint and then the message",
    )
}

/// Takes the length-prefixed message at the front of `rest`.
fn split_message<'p>(rest: &mut &'p [u8]) -> Result<&'p [u8], Fault> {
    let length = decode_varint(rest).map_err(malformed)?;
    let whole = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (message, after) = whole.ok_or_else(|| malformed("it is cut short"))?;
    *rest = after;
    Ok(message)
}

/// A family without its metrics.
#[derive(Default)]
struct Family<'p> {
    name: &'p str,
    help: &'p str,
    unit: &'p str,
    kind: u64,
}

impl<'p> Family<'p> {
    fn read_header(&mut self, message: &'p [u8]) -> Result<(), Fault> {
        for_each_field(message, |tag, field| {
            match (tag, field) {
                (1, Field::Bytes(bytes)) => self.name = utf8(bytes)?,
                (2, Field::Bytes(bytes)) => self.help = utf8(bytes)?,
                (3, Field::Varint(kind)) => self.kind = kind,
                (5, Field::Bytes(bytes)) => self.unit = utf8(bytes)?,
                _ => {}
            }
            Ok(())
        })
    }

    fn metric_type(&self) -> Result<proto::MetricType, Fault> {
        let known = i32::try_from(self.kind).ok().and_then(|kind| proto::MetricType::try_from(kind).ok());
        known.ok_or_else(|| {
            Fault::new(format!("{} is no metric type", self.kind), "types are numbered 0 to 5 in MetricType")
        })
    }
}

enum Field<'p> {
    Bytes(&'p [u8]),
    Varint(u64),
}

/// Calls `visit` with the tag and content of each field of `message` that is a number or bytes.
fn for_each_field<'p>(
    message: &'p [u8],
    mut visit: impl FnMut(u32, Field<'p>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut rest = message;
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest).map_err(malformed)?;
        match wire_type {
            WireType::LengthDelimited => visit(tag, Field::Bytes(split_message(&mut rest)?))?,
            WireType::Varint => visit(tag, Field::Varint(decode_varint(&mut rest).map_err(malformed)?))?,
            other => skip_field(other, tag, &mut rest, DecodeContext::default()).map_err(malformed)?,
        }
    }
    Ok(())
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::new("bytes that are no UTF-8", "encode text as UTF-8"))
}

struct Writer<'b> {
    batch: &'b mut MetricBatch,
    options: &'b ParseOptions,
    notes: Notes,
    label_bytes: usize,
}

/// What all samples of a metric share.
struct Context<'a> {
    family: &'a str,
    metadata: u32,
    kind: MetricKind,
    labels: &'a [proto::LabelPair],
    ts: Timestamp,
}

impl Writer<'_> {
    /// Reads the metrics of `message`. A family without any is passed over, whatever else it says, as Prometheus does.
    fn family(&mut self, family: &Family<'_>, message: &[u8]) -> Result<(), Fault> {
        let mut described = None;
        let mut metric = proto::Metric::default();
        for_each_field(message, |tag, field| {
            let (4, Field::Bytes(bytes)) = (tag, field) else { return Ok(()) };
            let (metric_type, kind, metadata) = match described {
                Some(known) => known,
                None => *described.insert(self.describe(family)?),
            };
            metric.clear();
            metric.merge(bytes).map_err(malformed)?;
            // Zero is how messages say that there is no timestamp.
            let stated = Some(metric.timestamp_ms).filter(|ms| *ms != 0 && self.options.honor_timestamps);
            let ts = stated.map_or(self.options.scraped_at, Timestamp::from_millis);
            let context = Context { family: family.name, metadata, kind, labels: &metric.label, ts };
            match metric_type {
                proto::MetricType::Counter => self.counter(&context, metric.counter.as_ref()),
                proto::MetricType::Gauge => self.number(&context, metric.gauge.as_ref()),
                proto::MetricType::Untyped => self.number(&context, metric.untyped.as_ref()),
                proto::MetricType::Summary => self.summary(&context, metric.summary.as_deref()),
                proto::MetricType::Histogram | proto::MetricType::GaugeHistogram => {
                    self.histogram(&context, metric.histogram.as_deref())
                }
            }
        })
    }

    /// Puts what a family says of itself into the batch.
    fn describe(&mut self, family: &Family<'_>) -> Result<(proto::MetricType, MetricKind, u32), Fault> {
        if family.name.is_empty() {
            return Err(Fault::new("the family has no name", "name every family"));
        }
        let metric_type = family.metric_type()?;
        let kind = match metric_type {
            proto::MetricType::Counter => MetricKind::Counter,
            proto::MetricType::Gauge => MetricKind::Gauge,
            proto::MetricType::Summary => MetricKind::Summary,
            proto::MetricType::Untyped => MetricKind::Unknown,
            proto::MetricType::Histogram => MetricKind::Histogram,
            proto::MetricType::GaugeHistogram => MetricKind::GaugeHistogram,
        };
        let metadata = self.batch.metadata.len() as u32;
        self.batch.metadata.push(Metadata {
            family: family.name.to_owned(),
            kind,
            unit: family.unit.to_owned(),
            help: family.help.to_owned(),
        });
        Ok((metric_type, kind, metadata))
    }

    fn number(&mut self, context: &Context<'_>, number: Option<&proto::Number>) -> Result<(), Fault> {
        self.sample(context, "", None, number.map_or(0.0, |number| number.value)).map(|_| ())
    }

    fn counter(&mut self, context: &Context<'_>, counter: Option<&proto::Counter>) -> Result<(), Fault> {
        let series = self.sample(context, "", None, counter.map_or(0.0, |counter| counter.value))?;
        match counter.and_then(|counter| counter.exemplar.as_deref()) {
            Some(exemplar) => self.exemplar(context, series, exemplar),
            None => Ok(()),
        }
    }

    fn summary(&mut self, context: &Context<'_>, summary: Option<&proto::Summary>) -> Result<(), Fault> {
        let empty = proto::Summary::default();
        let summary = summary.unwrap_or(&empty);
        self.sample(context, "_count", None, summary.sample_count as f64)?;
        self.sample(context, "_sum", None, summary.sample_sum)?;
        for quantile in &summary.quantile {
            self.sample(context, "", Some(("quantile", quantile.quantile)), quantile.value)?;
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        context: &Context<'_>,
        histogram: Option<&proto::Histogram>,
    ) -> Result<(), Fault> {
        let empty = proto::Histogram::default();
        let histogram = histogram.unwrap_or(&empty);
        if self.options.native_histograms && is_native(histogram) {
            self.native(context, histogram)?;
            if self.options.classic_histograms && !histogram.bucket.is_empty() {
                self.classic(context, histogram)?;
            }
            return Ok(());
        }
        if self.options.convert_to_nhcb {
            self.converted(context, histogram)?;
            if !self.options.classic_histograms {
                return Ok(());
            }
        }
        self.classic(context, histogram)
    }

    fn native(&mut self, context: &Context<'_>, histogram: &proto::Histogram) -> Result<(), Fault> {
        let series = self.series(context, "", None)?;
        let native = native_histogram(histogram, context.kind)?;
        self.batch.histograms.push(SeriesHistogram {
            series,
            ts: context.ts,
            histogram: native,
            delta: false,
        });
        self.histogram_exemplars(context, series, histogram)
    }

    fn converted(&mut self, context: &Context<'_>, histogram: &proto::Histogram) -> Result<(), Fault> {
        let mut classic = Classic::default();
        classic.add(Part::Count, count(histogram));
        classic.add(Part::Sum, histogram.sample_sum);
        for bucket in histogram.bucket.iter().filter(|bucket| !bucket.upper_bound.is_nan()) {
            classic.add(Part::Bucket(bucket.upper_bound), cumulative_count(bucket));
        }
        let Some(mut converted) = classic.convert() else {
            self.notes.dropped_histograms += 1;
            return Ok(());
        };
        converted.reset_hint = reset_hint(context.kind);
        converted.start = histogram.start_timestamp.as_ref().map(time);
        let series = self.series(context, "", None)?;
        self.batch.histograms.push(SeriesHistogram {
            series,
            ts: context.ts,
            histogram: converted,
            delta: false,
        });
        self.histogram_exemplars(context, series, histogram)
    }

    /// The exemplars of a native histogram, or where it has none those of its buckets. Only those with a timestamp count:
    /// nothing else would tell an old one from a new one.
    fn histogram_exemplars(
        &mut self,
        context: &Context<'_>,
        series: SeriesIndex,
        histogram: &proto::Histogram,
    ) -> Result<(), Fault> {
        let of_buckets = histogram.bucket.iter().filter_map(|bucket| bucket.exemplar.as_deref());
        let chosen: Vec<&proto::Exemplar> = match histogram.exemplars.as_slice() {
            [] => of_buckets.collect(),
            own => own.iter().collect(),
        };
        for exemplar in chosen {
            if exemplar.timestamp.is_some() {
                self.exemplar(context, series, exemplar)?;
            } else {
                self.notes.dropped_exemplars += 1;
            }
        }
        Ok(())
    }

    fn classic(&mut self, context: &Context<'_>, histogram: &proto::Histogram) -> Result<(), Fault> {
        self.sample(context, "_count", None, count(histogram))?;
        self.sample(context, "_sum", None, histogram.sample_sum)?;
        for bucket in &histogram.bucket {
            let bound = Some(("le", bucket.upper_bound));
            let series = self.sample(context, "_bucket", bound, cumulative_count(bucket))?;
            if let Some(exemplar) = &bucket.exemplar {
                self.exemplar(context, series, exemplar)?;
            }
            if bucket.upper_bound == f64::INFINITY {
                return Ok(());
            }
        }
        self.sample(context, "_bucket", Some(("le", f64::INFINITY)), count(histogram)).map(|_| ())
    }

    fn sample(
        &mut self,
        context: &Context<'_>,
        suffix: &str,
        point_label: Option<(&str, f64)>,
        value: f64,
    ) -> Result<SeriesIndex, Fault> {
        let series = self.series(context, suffix, point_label)?;
        let value = if value.is_nan() { NORMAL_NAN } else { value };
        self.batch.add_sample(series, context.ts, value);
        Ok(series)
    }

    fn series(
        &mut self,
        context: &Context<'_>,
        suffix: &str,
        point_label: Option<(&str, f64)>,
    ) -> Result<SeriesIndex, Fault> {
        let name = format!("{}{suffix}", context.family);
        let mut number = String::new();
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(context.labels.len() + 2);
        pairs.push(("__name__", &name));
        pairs.extend(context.labels.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())));
        if let Some((label, value)) = point_label {
            write_canonical(&mut number, value);
            pairs.push((label, &number));
        }
        pairs.sort_unstable();
        self.label_bytes += pairs.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
        let limit = self.options.max_label_bytes;
        if self.label_bytes > limit as usize {
            return Err(Fault::TooLarge { limit });
        }
        let series = self.batch.add_series(pairs).map_err(|error| {
            Fault::new(
                error.to_string(),
                "give every label of a metric its own name, and none the name le or quantile",
            )
        })?;
        self.batch.describe(series, context.metadata);
        Ok(series)
    }

    fn exemplar(
        &mut self,
        context: &Context<'_>,
        series: SeriesIndex,
        exemplar: &proto::Exemplar,
    ) -> Result<(), Fault> {
        let chars = exemplar.label.iter().map(|pair| pair.name.chars().count() + pair.value.chars().count());
        if chars.sum::<usize>() > MAX_EXEMPLAR_CHARS {
            self.notes.dropped_exemplars += 1;
            return Ok(());
        }
        let mut pairs: Vec<(&str, &str)> =
            exemplar.label.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())).collect();
        pairs.sort_unstable();
        if pairs.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0)) {
            let advice = "give every label of an exemplar its own name";
            return Err(Fault::new("a label of an exemplar stands twice", advice));
        }
        let ts = exemplar.timestamp.as_ref().map_or(context.ts, time);
        let exemplar = build_exemplar(pairs.into_iter(), exemplar.value, ts);
        self.batch.exemplars.push(SeriesExemplar { series, exemplar });
        Ok(())
    }
}

/// Whether a histogram has a native form: spans, or a zero bucket. A span of no buckets marks one that has seen nothing yet.
fn is_native(histogram: &proto::Histogram) -> bool {
    !histogram.positive_span.is_empty()
        || !histogram.negative_span.is_empty()
        || histogram.zero_threshold > 0.0
        || histogram.zero_count > 0
}

fn count(histogram: &proto::Histogram) -> f64 {
    if histogram.sample_count_float > 0.0 {
        histogram.sample_count_float
    } else {
        histogram.sample_count as f64
    }
}

fn cumulative_count(bucket: &proto::Bucket) -> f64 {
    if bucket.cumulative_count_float > 0.0 {
        bucket.cumulative_count_float
    } else {
        bucket.cumulative_count as f64
    }
}

fn reset_hint(kind: MetricKind) -> ResetHint {
    if kind == MetricKind::GaugeHistogram { ResetHint::Gauge } else { ResetHint::Unknown }
}

fn time(time: &prost_types::Timestamp) -> Timestamp {
    let seconds = Timestamp::from_millis(time.seconds.saturating_mul(1_000));
    seconds.plus_micros(i64::from(time.nanos).div_euclid(1_000))
}

fn native_histogram(histogram: &proto::Histogram, kind: MetricKind) -> Result<Histogram, Fault> {
    let advice = "correct the exporter; Prometheus refuses this histogram too";
    let is_float = histogram.sample_count_float > 0.0 || histogram.zero_count_float > 0.0;
    let (count, zero_count, positive_buckets, negative_buckets) = if is_float {
        (
            histogram.sample_count_float,
            histogram.zero_count_float,
            histogram.positive_count.clone(),
            histogram.negative_count.clone(),
        )
    } else {
        let absolute = |deltas: &[i64]| {
            absolute_counts(deltas).ok_or_else(|| Fault::new("bucket counts overflow", advice))
        };
        (
            histogram.sample_count as f64,
            histogram.zero_count as f64,
            absolute(&histogram.positive_delta)?,
            absolute(&histogram.negative_delta)?,
        )
    };
    let spans = |spans: &[proto::BucketSpan]| {
        join_spans(spans).ok_or_else(|| Fault::new("span offsets overflow", advice))
    };
    let native = Histogram {
        schema: i8::try_from(histogram.schema)
            .map_err(|_| Fault::new(format!("{} is no histogram schema", histogram.schema), advice))?,
        count,
        sum: histogram.sample_sum,
        zero_threshold: histogram.zero_threshold,
        zero_count,
        positive_spans: spans(&histogram.positive_span)?,
        positive_buckets,
        negative_spans: spans(&histogram.negative_span)?,
        negative_buckets,
        custom_bounds: Vec::new(),
        is_float,
        reset_hint: reset_hint(kind),
        start: histogram.start_timestamp.as_ref().map(time),
    };
    native.validate().map_err(|error| Fault::new(error.to_string(), advice))?;
    Ok(native)
}

/// Each count is written as its difference from the one before.
fn absolute_counts(deltas: &[i64]) -> Option<Vec<f64>> {
    let mut count = 0i64;
    deltas
        .iter()
        .map(|delta| {
            count = count.checked_add(*delta)?;
            Some(count as f64)
        })
        .collect()
}

/// Spans without those of no buckets, whose offset passes on to the next.
fn join_spans(spans: &[proto::BucketSpan]) -> Option<Vec<BucketSpan>> {
    let mut joined: Vec<BucketSpan> = Vec::with_capacity(spans.len());
    let mut skipped = 0i32;
    for span in spans {
        let offset = span.offset.checked_add(skipped)?;
        if span.length == 0 {
            skipped = offset;
            continue;
        }
        joined.push(BucketSpan { offset, length: span.length });
        skipped = 0;
    }
    Some(joined)
}
