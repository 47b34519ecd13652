//! Families that obey OpenMetrics 1.0, and a writer for them.

use std::fmt::Write as _;

use kandela_model::MetricKind;
use proptest::prelude::*;

/// A family of a few metrics. What a metric says is derived from its numbers, as its kind wants it.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) kind: MetricKind,
    pub(super) help: String,
    pub(super) metrics: Vec<Metric>,
}

#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) labels: Vec<(String, String)>,
    pub(super) numbers: Vec<u32>,
    /// In milliseconds.
    pub(super) ts: Option<i64>,
}

/// A sample that a page of these families holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expected {
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
    pub(super) ts: Option<i64>,
}

fn kinds() -> impl Strategy<Value = MetricKind> {
    prop::sample::select(vec![
        MetricKind::Counter,
        MetricKind::Gauge,
        MetricKind::Unknown,
        MetricKind::Info,
        MetricKind::Histogram,
        MetricKind::GaugeHistogram,
        MetricKind::Summary,
    ])
}

fn metric() -> impl Strategy<Value = Metric> {
    let labels = prop::collection::btree_map("[a-d][a-z0-9_]{0,4}", "\\PC{0,8}|[\"\\\\\n]{1,4}", 0..4);
    let numbers = prop::collection::vec(0u32..1_000, 1..5);
    (labels, numbers, prop::option::of(0i64..2_000_000_000_000)).prop_map(|(labels, numbers, ts)| Metric {
        labels: labels.into_iter().collect(),
        numbers,
        ts,
    })
}

fn family() -> impl Strategy<Value = (MetricKind, String, Vec<Metric>)> {
    (kinds(), "\\PC{0,12}|[\"\\\\\n]{1,4}", prop::collection::vec(metric(), 0..4))
}

/// Families whose names do not clash, each with metrics of different labels.
pub(super) fn families() -> impl Strategy<Value = Vec<Family>> {
    prop::collection::vec(family(), 0..6).prop_map(|drafts| {
        let number = |(index, (kind, help, mut metrics)): (usize, (MetricKind, String, Vec<Metric>))| {
            for (i, metric) in metrics.iter_mut().enumerate() {
                metric.labels.push(("metric".to_owned(), i.to_string()));
            }
            Family { name: format!("family{index}"), kind, help, metrics }
        };
        drafts.into_iter().enumerate().map(number).collect()
    })
}

/// A sample of a metric: its suffix, the label that only it has, its value.
type Part = (&'static str, Option<(&'static str, String)>, f64);

fn parts(kind: MetricKind, numbers: &[u32]) -> Vec<Part> {
    let value = numbers.first().copied().map(f64::from).unwrap_or_default();
    let cumulative = |(count, sum): (&'static str, &'static str)| {
        let mut total = 0.0;
        let mut parts = Vec::new();
        for (i, number) in numbers.iter().enumerate() {
            total += f64::from(*number);
            parts.push(("_bucket", Some(("le", format!("{}.5", i + 1))), total));
        }
        parts.push(("_bucket", Some(("le", "+Inf".to_owned())), total));
        parts.extend([(count, None, total), (sum, None, total * 1.5)]);
        parts
    };
    match kind {
        MetricKind::Counter => vec![("_total", None, value), ("_created", None, 1.25)],
        MetricKind::Info => vec![("_info", None, 1.0)],
        MetricKind::Histogram => cumulative(("_count", "_sum")),
        MetricKind::GaugeHistogram => cumulative(("_gcount", "_gsum")),
        MetricKind::Summary => {
            let quantile = |(i, number): (usize, &u32)| {
                ("", Some(("quantile", format!("0.{}", i + 1))), f64::from(*number))
            };
            let mut parts: Vec<_> = numbers.iter().enumerate().map(quantile).collect();
            parts.extend([("_count", None, value), ("_sum", None, value)]);
            parts
        }
        MetricKind::Gauge | MetricKind::StateSet | MetricKind::Unknown => vec![("", None, value - 0.5)],
    }
}

/// What a reader should find.
pub(super) fn expected(families: &[Family]) -> Vec<Expected> {
    let mut samples = Vec::new();
    for family in families {
        for metric in &family.metrics {
            for (suffix, point_label, value) in parts(family.kind, &metric.numbers) {
                let mut labels: Vec<(String, String)> =
                    metric.labels.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
                labels.push(("__name__".to_owned(), format!("{}{suffix}", family.name)));
                labels.extend(point_label.map(|(name, value)| (name.to_owned(), value)));
                labels.sort_unstable();
                samples.push(Expected { labels, value, ts: metric.ts });
            }
        }
    }
    samples
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

/// Writes families as OpenMetrics, or as text 0.0.4 under names that text can describe.
pub(super) fn write(families: &[Family], openmetrics: bool) -> String {
    let mut page = String::new();
    for family in families {
        let kind = match (openmetrics, family.kind) {
            (false, MetricKind::Unknown | MetricKind::Info | MetricKind::GaugeHistogram) => "untyped",
            (_, kind) => kind.as_str(),
        };
        let help =
            if openmetrics { escape(&family.help) } else { escape(&family.help).replace("\\\"", "\"") };
        write!(page, "# TYPE {0} {kind}\n# HELP {0} {help}\n", family.name).unwrap();
        for metric in &family.metrics {
            for (suffix, point_label, value) in parts(family.kind, &metric.numbers) {
                let mut labels: Vec<String> = metric
                    .labels
                    .iter()
                    .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
                    .collect();
                labels.extend(point_label.map(|(name, value)| format!("{name}=\"{value}\"")));
                write!(page, "{}{suffix}{{{}}} {value}", family.name, labels.join(",")).unwrap();
                match metric.ts {
                    Some(ms) if openmetrics => writeln!(page, " {}.{:03}", ms / 1_000, ms % 1_000).unwrap(),
                    Some(ms) => writeln!(page, " {ms}").unwrap(),
                    None => page.push('\n'),
                }
            }
        }
    }
    if openmetrics {
        page.push_str("# EOF\n");
    }
    page
}
