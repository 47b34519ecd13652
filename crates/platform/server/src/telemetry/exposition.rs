//! Own metrics in the two text formats, and as a batch for the lake.

use std::fmt::Write as _;

use kandela_algebra::histogram::{LogHistogram, SpanDeltas};
use kandela_model::{BucketSpan, Histogram, Metadata, MetricBatch, MetricKind, ResetHint, Timestamp};

use super::registry::{Family, Point, PointValue};

/// Text 0.0.4, the format every scraper knows.
pub(crate) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// OpenMetrics 1.0.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Powers of two from 61 µs to 64 s. They are bounds of every layout of the histogram down to scale 0, so the cumulative
/// counts are exact.
const BOUND_EXPONENTS: std::ops::RangeInclusive<i32> = -14..=6;

/// Which text format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFormat {
    /// Text 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl TextFormat {
    /// The format that an `Accept` header asks for.
    pub(crate) fn negotiate(accept: Option<&str>) -> Self {
        let wants_open_metrics = accept.is_some_and(|types| types.contains("application/openmetrics-text"));
        if wants_open_metrics { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => TEXT,
            Self::OpenMetrics => OPEN_METRICS,
        }
    }
}

/// Writes families as text. Help texts and label values are escaped as both formats ask.
pub(crate) fn text(families: &[Family], format: TextFormat) -> String {
    let mut out = String::with_capacity(16 * 1024);
    for family in families {
        let shown = match (format, family.kind) {
            (TextFormat::OpenMetrics, MetricKind::Counter) => {
                family.name.strip_suffix("_total").unwrap_or(family.name)
            }
            _ => family.name,
        };
        let _ = writeln!(out, "# HELP {shown} {}", escape(family.help));
        let _ = writeln!(out, "# TYPE {shown} {}", family.kind);
        for point in &family.points {
            write_point(&mut out, family.name, point);
        }
    }
    if format == TextFormat::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn write_point(out: &mut String, name: &str, point: &Point) {
    match &point.value {
        PointValue::Number(value) => {
            let _ = writeln!(out, "{name}{} {}", label_text(point, None), number(*value));
        }
        PointValue::Latency(histogram) => {
            for (bound, count) in cumulative(histogram) {
                let labels = label_text(point, Some(&number(bound)));
                let _ = writeln!(out, "{name}_bucket{labels} {count}");
            }
            let labels = label_text(point, None);
            let _ = writeln!(out, "{name}_count{labels} {}", histogram.count());
            let _ = writeln!(out, "{name}_sum{labels} {}", number(histogram.sum()));
        }
    }
}

/// Cumulative counts at the bounds, the last at infinity.
fn cumulative(histogram: &LogHistogram) -> Vec<(f64, u64)> {
    let bounds = BOUND_EXPONENTS.map(f64::from).map(f64::exp2).chain([f64::INFINITY]);
    let mut buckets = histogram.buckets().peekable();
    let mut total = 0;
    bounds
        .map(|bound| {
            while let Some(bucket) = buckets.next_if(|bucket| bucket.upper <= bound) {
                total += bucket.count;
            }
            (bound, total)
        })
        .collect()
}

fn label_text(point: &Point, bound: Option<&str>) -> String {
    let own = point.labels.iter().map(|(name, value)| (*name, value.as_ref()));
    let pairs: Vec<String> = own
        .chain(bound.map(|bound| ("le", bound)))
        .map(|(name, value)| format!("{name}=\"{}\"", escape_value(value)))
        .collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

fn escape_value(text: &str) -> String {
    escape(text).replace('"', "\\\"")
}

fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        format!("{value}")
    }
}

/// The families as a batch of series with `job` and `instance`; latencies as native histograms.
pub(crate) fn batch(families: &[Family], job: &str, instance: &str, now: Timestamp) -> MetricBatch {
    let mut batch = MetricBatch::default();
    for family in families {
        let metadata = batch.metadata.len() as u32;
        batch.metadata.push(Metadata {
            family: family.name.to_owned(),
            kind: family.kind,
            unit: if family.name.ends_with("_seconds") { "seconds".to_owned() } else { String::new() },
            help: family.help.to_owned(),
        });
        for point in &family.points {
            let own = point.labels.iter().map(|(name, value)| (*name, value.as_ref()));
            let target = [("__name__", family.name), ("job", job), ("instance", instance)];
            let Ok(series) = batch.add_series(target.into_iter().chain(own)) else { continue };
            batch.describe(series, metadata);
            match &point.value {
                PointValue::Number(value) => batch.add_sample(series, now, *value),
                PointValue::Latency(histogram) => {
                    if let Some(histogram) = native(histogram) {
                        let entry =
                            kandela_model::SeriesHistogram { series, ts: now, histogram, delta: false };
                        batch.histograms.push(entry);
                    }
                }
            }
        }
    }
    batch
}

/// Prometheus' native form; `None` where the range of values is too wide for any of its schemas.
fn native(histogram: &LogHistogram) -> Option<Histogram> {
    let buckets = histogram.to_native().ok()?;
    Some(Histogram {
        schema: i8::try_from(buckets.schema).ok()?,
        count: histogram.count() as f64,
        sum: buckets.sum,
        zero_threshold: buckets.zero_threshold,
        zero_count: buckets.zero_count as f64,
        positive_spans: spans(&buckets.positive),
        positive_buckets: counts(&buckets.positive),
        negative_spans: spans(&buckets.negative),
        negative_buckets: counts(&buckets.negative),
        custom_bounds: Vec::new(),
        is_float: false,
        reset_hint: ResetHint::Unknown,
        start: None,
    })
}

fn spans(side: &SpanDeltas) -> Vec<BucketSpan> {
    side.spans.iter().map(|span| BucketSpan { offset: span.offset, length: span.length }).collect()
}

fn counts(side: &SpanDeltas) -> Vec<f64> {
    let running = side.deltas.iter().scan(0_i64, |count, delta| {
        *count += delta;
        Some(*count as f64)
    });
    running.collect()
}

#[cfg(test)]
mod tests {
    use super::super::registry::{Counter, Latency};
    use super::*;

    #[test]
    fn counters_lose_their_suffix_in_open_metrics_headers_only() {
        let counter = Counter::new("kandela_things_total", "Things \"seen\".", ["kind"]);
        counter.add(["a\"b"], 3);
        let families = [counter.gather()];
        assert_eq!(
            text(&families, TextFormat::Prometheus),
            "# HELP kandela_things_total Things \"seen\".\n# TYPE kandela_things_total counter\n\
             kandela_things_total{kind=\"a\\\"b\"} 3\n"
        );
        assert_eq!(
            text(&families, TextFormat::OpenMetrics),
            "# HELP kandela_things Things \"seen\".\n# TYPE kandela_things counter\n\
             kandela_things_total{kind=\"a\\\"b\"} 3\n# EOF\n"
        );
    }

    #[test]
    fn bucket_counts_are_exact_at_powers_of_two() {
        let latency = Latency::new("kandela_wait_seconds", "Waiting.", [] as [&str; 0]);
        for seconds in [0.0, 0.25, 0.250_001, 0.5, 1000.0] {
            latency.record([] as [&str; 0], seconds);
        }
        let written = text(&[latency.gather()], TextFormat::Prometheus);
        assert!(written.contains("_bucket{le=\"0.25\"} 2\n"), "{written}");
        assert!(written.contains("_bucket{le=\"0.5\"} 4\n"), "{written}");
        assert!(written.contains("_bucket{le=\"64\"} 4\n"), "{written}");
        assert!(written.contains("_bucket{le=\"+Inf\"} 5\n"), "{written}");
        assert!(written.contains("_count 5\n"), "{written}");
    }

    #[test]
    fn the_batch_carries_latencies_as_native_histograms() {
        let latency = Latency::new("kandela_wait_seconds", "Waiting.", ["route"]);
        for _ in 0..3 {
            latency.record(["/x"], 0.1);
        }
        let batch = batch(&[latency.gather()], "kandela", "here:1", Timestamp::from_millis(5));
        let [only] = &batch.histograms[..] else { panic!("one histogram expected") };
        only.histogram.validate().unwrap();
        assert_eq!(only.histogram.count, 3.0);
        assert_eq!(batch.labels(only.series).get("route"), Some("/x"));
        assert_eq!(batch.labels(only.series).get("job"), Some("kandela"));
    }
}
