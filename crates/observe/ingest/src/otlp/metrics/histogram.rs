//! Histograms: explicit buckets and exponential ones.

use std::collections::BTreeMap;

use kandela_model::{BucketSpan, CUSTOM_BOUNDS_SCHEMA, Histogram, STALE_NAN};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, HistogramDataPoint};

use super::series::{CommonLabels, Family, Point, Sink, exemplar_value};
use super::{Fault, Temporality};

/// Native histograms are kept between these resolutions; finer ones are reduced.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;
/// The zero bucket of a point that does not state one, as Prometheus has it.
const ZERO_THRESHOLD: f64 = 1e-128;

/// Adds explicit buckets as classic series: `_sum`, `_count`, and `_bucket` with the label `le`.
pub(super) fn add_classic(
    raw: &HistogramDataPoint,
    temporality: i32,
    family: &Family,
    common: &CommonLabels<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    let temporality = Temporality::read(temporality)?;
    let point = Point::new(raw.start_time_unix_nano, raw.time_unix_nano, raw.flags, temporality)?;
    check_bounds(raw)?;
    let mut labels = common.of_point(&raw.attributes, sink.options())?;
    if let Some(value) = raw.sum {
        let sum = sink.series(&mut labels, format!("{}_sum", family.name), family)?;
        sink.value(sum, point, value);
    }
    let count = sink.series(&mut labels, format!("{}_count", family.name), family)?;
    sink.value(count, point, raw.count as f64);
    let mut exemplars: Vec<_> =
        raw.exemplars.iter().map(|raw| (exemplar_value(raw).unwrap_or(f64::INFINITY), raw)).collect();
    exemplars.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut exemplars = exemplars.into_iter().peekable();
    let bucket_name = format!("{}_bucket", family.name);
    let mut below = 0u64;
    let finite = raw.explicit_bounds.iter().zip(&raw.bucket_counts).map(|(bound, count)| (*bound, *count));
    for (bound, in_bucket) in finite {
        below = below.saturating_add(in_bucket);
        labels.set("le", bound.to_string());
        let bucket = sink.series(&mut labels, bucket_name.clone(), family)?;
        sink.value(bucket, point, below as f64);
        while let Some((_, exemplar)) = exemplars.next_if(|(value, _)| *value <= bound) {
            sink.exemplars(bucket, std::slice::from_ref(exemplar));
        }
    }
    labels.set("le", "+Inf");
    let all = sink.series(&mut labels, bucket_name, family)?;
    sink.value(all, point, raw.count as f64);
    for (_, exemplar) in exemplars {
        sink.exemplars(all, std::slice::from_ref(exemplar));
    }
    Ok(())
}

/// Adds explicit buckets as one histogram with custom buckets.
pub(super) fn add_custom(
    raw: &HistogramDataPoint,
    temporality: i32,
    family: &Family,
    common: &CommonLabels<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    let temporality = Temporality::read(temporality)?;
    let point = Point::new(raw.start_time_unix_nano, raw.time_unix_nano, raw.flags, temporality)?;
    check_bounds(raw)?;
    let histogram = if point.is_stale {
        stale(CUSTOM_BOUNDS_SCHEMA)
    } else {
        let (spans, buckets) = if raw.bucket_counts.is_empty() {
            // Only the count is known, and it lies below infinity.
            (vec![BucketSpan { offset: 0, length: 1 }], vec![raw.count as f64])
        } else {
            let length = u32::try_from(raw.bucket_counts.len()).unwrap_or(u32::MAX);
            let counts = raw.bucket_counts.iter().map(|count| *count as f64).collect();
            (vec![BucketSpan { offset: 0, length }], counts)
        };
        Histogram {
            schema: CUSTOM_BOUNDS_SCHEMA,
            count: raw.count as f64,
            sum: raw.sum.unwrap_or(0.0),
            positive_spans: spans,
            positive_buckets: buckets,
            custom_bounds: raw.explicit_bounds.clone(),
            start: point.known_start(),
            ..Histogram::default()
        }
    };
    histogram.validate().map_err(|error| Fault::Histogram(error.to_string()))?;
    let mut labels = common.of_point(&raw.attributes, sink.options())?;
    let series = sink.series(&mut labels, family.name.as_str(), family)?;
    sink.histogram(series, point, histogram)?;
    sink.exemplars(series, &raw.exemplars);
    Ok(())
}

/// Adds an exponential histogram as a native one.
pub(super) fn add_exponential(
    raw: &ExponentialHistogramDataPoint,
    temporality: i32,
    family: &Family,
    common: &CommonLabels<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    let temporality = Temporality::read(temporality)?;
    let point = Point::new(raw.start_time_unix_nano, raw.time_unix_nano, raw.flags, temporality)?;
    if raw.scale < *SCHEMAS.start() {
        return Err(Fault::Histogram(format!("scale {} is coarser than {}", raw.scale, SCHEMAS.start())));
    }
    let schema = raw.scale.min(*SCHEMAS.end());
    let halvings = raw.scale - schema;
    let histogram = if point.is_stale {
        stale(schema as i8)
    } else {
        let mut histogram = Histogram {
            schema: schema as i8,
            count: raw.count as f64,
            sum: raw.sum.unwrap_or(0.0),
            zero_threshold: if raw.zero_threshold > 0.0 { raw.zero_threshold } else { ZERO_THRESHOLD },
            zero_count: raw.zero_count as f64,
            start: point.known_start(),
            ..Histogram::default()
        };
        histogram.set_positive(&native_buckets(raw.positive.as_ref(), halvings));
        histogram.set_negative(&native_buckets(raw.negative.as_ref(), halvings));
        histogram
    };
    histogram.validate().map_err(|error| Fault::Histogram(error.to_string()))?;
    let mut labels = common.of_point(&raw.attributes, sink.options())?;
    let series = sink.series(&mut labels, family.name.as_str(), family)?;
    sink.histogram(series, point, histogram)?;
    sink.exemplars(series, &raw.exemplars);
    Ok(())
}

/// Buckets by native index, `2^halvings` of them made one. OpenTelemetry counts buckets by their lower bound, Prometheus by
/// their upper one, hence the one more.
fn native_buckets(buckets: Option<&Buckets>, halvings: i32) -> BTreeMap<i64, f64> {
    let mut native = BTreeMap::new();
    let Some(buckets) = buckets else { return native };
    for (index, count) in (i64::from(buckets.offset)..).zip(&buckets.bucket_counts) {
        if *count > 0 {
            *native.entry((index >> halvings.clamp(0, 62)) + 1).or_insert(0.0) += *count as f64;
        }
    }
    native
}

/// The end of a histogram series.
fn stale(schema: i8) -> Histogram {
    Histogram { schema, sum: STALE_NAN, ..Histogram::default() }
}

fn check_bounds(raw: &HistogramDataPoint) -> Result<(), Fault> {
    let (bounds, counts) = (&raw.explicit_bounds, &raw.bucket_counts);
    let nothing = bounds.is_empty() && counts.is_empty();
    if !nothing && counts.len() != bounds.len() + 1 {
        let error =
            format!("{} bounds need one more bucket than them, but {} came", bounds.len(), counts.len());
        return Err(Fault::Histogram(error));
    }
    let ascending = bounds.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    if !ascending || bounds.iter().any(|bound| !bound.is_finite()) {
        return Err(Fault::Histogram("its bounds must be finite and ascending".to_owned()));
    }
    Ok(())
}
