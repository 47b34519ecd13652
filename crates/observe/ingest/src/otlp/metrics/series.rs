//! Where data points go, and the labels that they get from their resource, their scope and their own attributes.

use std::borrow::Cow;

use kandela_model::{
    BatchSample, BatchSeries, DeltaSample, Exemplar, Histogram, Labels, Metadata, MetricBatch, MetricKind,
    STALE_NAN, SeriesExemplar, SeriesHistogram, SeriesIndex, Timestamp,
};
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{self as proto, exemplar};

use super::super::labels::LabelBuilder;
use super::super::names::{LabelRules, label_name};
use super::super::value::{check_count, text};
use super::{Fault, KindSuffix, NO_RECORDED_VALUE, Options, Tally, Temporality, metric_name, unit_name};

const NAME: &str = "__name__";
const IDENTIFYING: [&str; 3] = ["service.namespace", "service.name", "service.instance.id"];
/// Labels that most series have beside their attributes: `__name__`, `job`, `instance` and one of a bucket.
const USUAL_EXTRA_LABELS: usize = 4;
/// The longest that an exemplar's labels may be, in characters (OpenMetrics 1.0).
const EXEMPLAR_CHARS: usize = 128;
/// `target_info` is repeated at half of Prometheus' lookback over the time that a request spans, so that joins find it
/// everywhere; not further back than this many times.
const TARGET_INFO_STEP_MICROS: i64 = 150 * 1_000_000;
const TARGET_INFO_STEPS: usize = 100;

/// The batch under construction.
pub(super) struct Sink<'a> {
    pub(super) batch: &'a mut MetricBatch,
    pub(super) tally: Tally,
    options: &'a Options,
    bytes_left: usize,
}

impl<'a> Sink<'a> {
    pub(super) fn new(options: &'a Options, batch: &'a mut MetricBatch) -> Self {
        Self { batch, tally: Tally::default(), options, bytes_left: options.limits.batch_bytes }
    }

    pub(super) fn options(&self) -> &'a Options {
        self.options
    }

    /// Counts a point as taken or refused.
    pub(super) fn settle(&mut self, added: Result<(), Fault>) {
        match added {
            Ok(()) => self.tally.accept(),
            Err(fault) => self.tally.reject(1, fault),
        }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        let max = self.options.limits.batch_bytes;
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(Fault::BatchTooLarge { max })?;
        Ok(())
    }

    /// Adds the series `name` of `family` with `labels`.
    pub(super) fn series<'l>(
        &mut self,
        labels: &mut LabelBuilder<'l>,
        name: impl Into<Cow<'l, str>>,
        family: &Family,
    ) -> Result<SeriesIndex, Fault> {
        labels.set(NAME, name);
        self.charge(size_of::<BatchSeries>() + size_of::<BatchSample>() + labels.text_bytes())?;
        let invalid = |_| Fault::LabelName { name: String::new() };
        let series = labels.add_series(self.batch).map_err(invalid)?;
        self.batch.describe(series, family.metadata);
        Ok(series)
    }

    /// Adds a value, or the end of the series.
    pub(super) fn value(&mut self, series: SeriesIndex, point: Point, value: f64) {
        match point.temporality {
            _ if point.is_stale => self.batch.add_sample(series, point.ts, STALE_NAN),
            Temporality::Cumulative => self.batch.add_sample(series, point.ts, value),
            Temporality::Delta => {
                self.batch.deltas.push(DeltaSample { series, start: point.start, ts: point.ts, value });
            }
        }
    }

    pub(super) fn histogram(
        &mut self,
        series: SeriesIndex,
        point: Point,
        histogram: Histogram,
    ) -> Result<(), Fault> {
        self.charge(size_of::<SeriesHistogram>() + histogram.heap_bytes())?;
        let delta = point.temporality == Temporality::Delta && !point.is_stale;
        self.batch.histograms.push(SeriesHistogram { series, ts: point.ts, histogram, delta });
        Ok(())
    }

    pub(super) fn exemplar(&mut self, series: SeriesIndex, raw: &proto::Exemplar) -> Result<(), Fault> {
        let limits = &self.options.limits;
        check_count(&raw.filtered_attributes, limits)?;
        let value = exemplar_value(raw)?;
        let trace_id = hex_id::<16>(&raw.trace_id);
        let span_id = hex_id::<8>(&raw.span_id);
        let mut attributes = LabelBuilder::default();
        for entry in &raw.filtered_attributes {
            let value = text(entry.value.as_ref(), limits)?;
            if !entry.key.is_empty() {
                attributes.set_if_absent(entry.key.as_str(), value);
            }
        }
        let ids = trace_id.iter().map(|id| ("trace_id", id.as_str()));
        let ids = ids.chain(span_id.iter().map(|id| ("span_id", id.as_str())));
        let chars =
            attributes.iter().chain(ids).map(|(name, value)| name.chars().count() + value.chars().count());
        let labels = if chars.sum::<usize>() <= EXEMPLAR_CHARS {
            Labels::new(attributes.iter()).unwrap_or_default()
        } else {
            Labels::default()
        };
        self.charge(size_of::<SeriesExemplar>() + labels.as_ref().as_bytes().len())?;
        let ts = Timestamp::from_unix_nanos(raw.time_unix_nano);
        let exemplar = Exemplar { ts, value, trace_id, span_id, labels };
        self.batch.exemplars.push(SeriesExemplar { series, exemplar });
        Ok(())
    }

    /// Adds the exemplars of a point to its one series. A broken exemplar is no reason to lose the point.
    pub(super) fn exemplars(&mut self, series: SeriesIndex, list: &[proto::Exemplar]) {
        for raw in list {
            if let Err(fault) = self.exemplar(series, raw) {
                self.tally.note(1, fault);
            }
        }
    }
}

/// The value of an exemplar.
pub(super) fn exemplar_value(raw: &proto::Exemplar) -> Result<f64, Fault> {
    match raw.value {
        Some(exemplar::Value::AsDouble(value)) => Ok(value),
        Some(exemplar::Value::AsInt(value)) => Ok(value as f64),
        None => Err(Fault::NoValue),
    }
}

fn hex_id<const N: usize>(bytes: &[u8]) -> Option<String> {
    let valid = bytes.len() == N && bytes.iter().any(|byte| *byte != 0);
    valid.then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What all kinds of data points say beside their value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) start: Timestamp,
    pub(super) ts: Timestamp,
    pub(super) is_stale: bool,
    pub(super) temporality: Temporality,
}

impl Point {
    pub(super) fn new(start: u64, time: u64, flags: u32, temporality: Temporality) -> Result<Self, Fault> {
        if time == 0 {
            return Err(Fault::NoTime);
        }
        Ok(Self {
            start: Timestamp::from_unix_nanos(start),
            ts: Timestamp::from_unix_nanos(time),
            is_stale: flags & NO_RECORDED_VALUE != 0,
            temporality,
        })
    }

    /// Since when it counts, where known.
    pub(super) fn known_start(&self) -> Option<Timestamp> {
        (self.start != Timestamp::default()).then_some(self.start)
    }
}

/// A metric under its Prometheus name.
pub(super) struct Family {
    pub(super) name: String,
    /// Index of its metadata in the batch.
    metadata: u32,
}

impl Family {
    pub(super) fn new(metric: &proto::Metric, options: &Options, sink: &mut Sink<'_>) -> Result<Self, Fault> {
        let (kind, suffix) = match &metric.data {
            Some(Data::Gauge(_)) => (MetricKind::Gauge, KindSuffix::Ratio),
            Some(Data::Sum(sum)) if sum.is_monotonic => (MetricKind::Counter, KindSuffix::Total),
            Some(Data::Sum(_)) => (MetricKind::Gauge, KindSuffix::None),
            Some(Data::Histogram(_) | Data::ExponentialHistogram(_)) => {
                (MetricKind::Histogram, KindSuffix::None)
            }
            Some(Data::Summary(_)) => (MetricKind::Summary, KindSuffix::None),
            None => return Err(Fault::NoData { metric: metric.name.clone() }),
        };
        let name = metric_name(options.translation_strategy, &metric.name, &metric.unit, suffix)
            .ok_or_else(|| Fault::MetricName { metric: metric.name.clone() })?;
        let unit = unit_name(&metric.unit);
        sink.charge(size_of::<Metadata>() + name.len() + unit.len() + metric.description.len())?;
        let metadata = sink.batch.metadata.len() as u32;
        let help = metric.description.clone();
        sink.batch.metadata.push(Metadata { family: name.clone(), kind, unit, help });
        Ok(Self { name, metadata })
    }
}

/// What a resource adds to every series of it.
pub(super) struct ResourceLabels<'a> {
    promoted: LabelBuilder<'a>,
    job: Option<Cow<'a, str>>,
    instance: Option<Cow<'a, str>>,
}

impl<'a> ResourceLabels<'a> {
    pub(super) fn new(attributes: &'a [KeyValue], options: &Options) -> Result<Self, Fault> {
        let limits = &options.limits;
        check_count(attributes, limits)?;
        let find = |key: &str| {
            let entry = attributes.iter().find(|entry| entry.key == key);
            entry.map(|entry| text(entry.value.as_ref(), limits)).transpose()
        };
        let job = match (find("service.namespace")?, find("service.name")?) {
            (Some(namespace), Some(name)) => Some(Cow::Owned(format!("{namespace}/{name}"))),
            (_, name) => name,
        };
        let instance = find("service.instance.id")?;
        let mut promoted = LabelBuilder::default();
        let chosen =
            attributes.iter().filter(|entry| options.promote_resource_attributes.includes(&entry.key));
        for entry in chosen {
            promoted.set(label(&entry.key, options)?, text(entry.value.as_ref(), limits)?);
        }
        Ok(Self { promoted, job, instance })
    }

    /// The labels that every series of this resource and `scope` gets.
    pub(super) fn with_scope<'s>(
        &'s self,
        scope: Option<&'s InstrumentationScope>,
        schema_url: &'s str,
        options: &Options,
    ) -> Result<CommonLabels<'s>, Fault> {
        let mut scope_labels = LabelBuilder::default();
        if let Some(scope) = scope.filter(|scope| options.promote_scope_metadata && !scope.name.is_empty()) {
            check_count(&scope.attributes, &options.limits)?;
            for entry in &scope.attributes {
                let prefixed = format!("otel_scope_{}", entry.key);
                let name = label(&prefixed, options)?.into_owned();
                scope_labels.set(name, text(entry.value.as_ref(), &options.limits)?);
            }
            scope_labels.set("otel_scope_name", scope.name.as_str());
            scope_labels.set("otel_scope_version", scope.version.as_str());
            scope_labels.set("otel_scope_schema_url", schema_url);
        }
        Ok(CommonLabels { resource: self, scope: scope_labels })
    }

    fn identify<'s>(&'s self, labels: &mut LabelBuilder<'s>) {
        for (name, value) in [("job", &self.job), ("instance", &self.instance)] {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                labels.set(name, value);
            }
        }
    }
}

/// What resource and scope add to every series of them.
pub(super) struct CommonLabels<'a> {
    resource: &'a ResourceLabels<'a>,
    scope: LabelBuilder<'a>,
}

impl CommonLabels<'_> {
    /// The labels of a point's series, all but those that tell its parts apart.
    pub(super) fn of_point<'l>(
        &'l self,
        attributes: &'l [KeyValue],
        options: &Options,
    ) -> Result<LabelBuilder<'l>, Fault> {
        let mut labels = own_labels(attributes, &[], options)?;
        for (name, value) in self.resource.promoted.iter() {
            labels.set_if_absent(name, value);
        }
        self.resource.identify(&mut labels);
        for (name, value) in self.scope.iter() {
            labels.set(name, value);
        }
        Ok(labels)
    }
}

/// Attributes as labels. Names that collide once they are escaped join their values, in the order of the original names.
fn own_labels<'l>(
    attributes: &'l [KeyValue],
    without: &[&str],
    options: &Options,
) -> Result<LabelBuilder<'l>, Fault> {
    check_count(attributes, &options.limits)?;
    let kept = |entry: &&KeyValue| entry.key != NAME && !without.contains(&entry.key.as_str());
    let mut sorted: Vec<&KeyValue> = attributes.iter().filter(kept).collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    let mut labels = LabelBuilder::with_capacity(sorted.len() + USUAL_EXTRA_LABELS);
    for entry in sorted {
        let name = label(&entry.key, options)?;
        let value = text(entry.value.as_ref(), &options.limits)?;
        if options.translation_strategy.escapes() {
            labels.join(name, value);
        } else {
            labels.set_if_absent(name, value);
        }
    }
    Ok(labels)
}

fn label<'l>(key: &'l str, options: &Options) -> Result<Cow<'l, str>, Fault> {
    let rules = LabelRules {
        escape: options.translation_strategy.escapes(),
        prefix_underscore: options.label_name_underscore_sanitization,
        keep_underscores: options.label_name_preserve_multiple_underscores,
    };
    label_name(key, rules).ok_or_else(|| Fault::LabelName { name: key.to_owned() })
}

/// Adds `target_info`, which carries what of the resource stands in no other series, where there is something to carry and a
/// `job` or `instance` to join by.
pub(super) fn add_target_info(
    attributes: &[KeyValue],
    resource: &ResourceLabels<'_>,
    earliest: Timestamp,
    latest: Timestamp,
    sink: &mut Sink<'_>,
) {
    let informs = attributes.iter().any(|entry| !IDENTIFYING.contains(&entry.key.as_str()));
    let mut identity = LabelBuilder::default();
    resource.identify(&mut identity);
    if !informs || identity.is_empty() {
        return;
    }
    let without: &[&str] = if sink.options.keep_identifying_resource_attributes { &[] } else { &IDENTIFYING };
    let series = own_labels(attributes, without, sink.options).and_then(|mut labels| {
        resource.identify(&mut labels);
        let metadata = sink.batch.metadata.len() as u32;
        let (family, help) = ("target_info".to_owned(), "Target metadata".to_owned());
        let kind = MetricKind::Gauge;
        sink.batch.metadata.push(Metadata { family, kind, unit: String::new(), help });
        sink.series(&mut labels, "target_info", &Family { name: String::new(), metadata })
    });
    match series {
        Ok(series) => {
            let steps =
                std::iter::successors(Some(latest), |ts| Some(ts.plus_micros(-TARGET_INFO_STEP_MICROS)));
            let mut times: Vec<Timestamp> =
                steps.take(TARGET_INFO_STEPS).take_while(|ts| *ts >= earliest).collect();
            times.reverse();
            for ts in times {
                sink.batch.add_sample(series, ts, 1.0);
            }
        }
        Err(fault) => sink.tally.note(1, fault),
    }
}
