//! Histograms: classic ones as series of buckets, native ones as points of their own.

use std::collections::BTreeMap;

use kandela_model::{CUSTOM_BOUNDS_SCHEMA, Histogram, ResetHint, STALE_NAN};

use super::{LAST, Point, Series, named, part, random};

pub(super) fn series() -> Vec<Series> {
    classic().into_iter().chain(broken()).chain(native()).collect()
}

fn classic() -> Vec<Series> {
    const BOUNDS: [f64; 7] = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
    let mut all = Vec::new();
    for (number, (job, instance)) in
        [("api", "api-0"), ("api", "api-1"), ("web", "web-0")].into_iter().enumerate()
    {
        let seed = 6_000 + 10 * number as u64;
        let restart = [usize::MAX, 180, 390][number];
        let (mut counts, mut sum) = ([0.0; 8], 0.0);
        let mut of: BTreeMap<String, Vec<Point>> = BTreeMap::new();
        for step in 0..=LAST {
            if step == restart {
                (counts, sum) = ([0.0; 8], 0.0);
            }
            for observation in 0..random(seed, step) % 9 {
                let seconds = 0.002 * (9.0 * part(seed + 1 + observation, step)).exp();
                sum += seconds;
                let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
                counts[bucket..].iter_mut().for_each(|count| *count += 1.0);
            }
            let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
            for (bound, count) in bounds.zip(counts) {
                of.entry(bound).or_default().push(Point::Float(count));
            }
            of.entry("sum".to_owned()).or_default().push(Point::Float(sum));
            of.entry("count".to_owned()).or_default().push(Point::Float(counts[7]));
        }
        for (what, points) in of {
            let own = [("job", job), ("instance", instance), ("le", what.as_str())];
            let labels = match what.as_str() {
                "sum" | "count" => named(&format!("request_duration_seconds_{what}"), &own[..2]),
                _ => named("request_duration_seconds_bucket", &own),
            };
            all.push(Series { labels, late_ms: 0, points });
        }
    }
    all
}

fn broken() -> Vec<Series> {
    let of = |name: &str, le: &str, slope: f64| {
        let points = (0..=LAST).map(|step| Point::Float(slope * (step + 1) as f64)).collect();
        Series { labels: named(name, &[("le", le)]), late_ms: 0, points }
    };
    vec![
        // The counts of greater bounds are to be no smaller.
        of("unsorted_seconds_bucket", "0.1", 1.0),
        of("unsorted_seconds_bucket", "1", 3.0),
        of("unsorted_seconds_bucket", "5", 2.0),
        of("unsorted_seconds_bucket", "+Inf", 4.0),
        of("endless_seconds_bucket", "0.1", 1.0),
        of("endless_seconds_bucket", "1", 2.0),
        of("misnamed_seconds_bucket", "a lot", 1.0),
        of("misnamed_seconds_bucket", "+Inf", 2.0),
        of("single_seconds_bucket", "+Inf", 2.0),
        of("empty_seconds_bucket", "1", 0.0),
        of("empty_seconds_bucket", "+Inf", 0.0),
        of("negative_bound_bucket", "-2", 1.0),
        of("negative_bound_bucket", "-1", 2.0),
        of("negative_bound_bucket", "+Inf", 2.0),
        // The same bound twice, written in two ways.
        of("respelled_seconds_bucket", "1", 1.0),
        of("respelled_seconds_bucket", "1.0", 2.0),
        of("respelled_seconds_bucket", "+Inf", 4.0),
    ]
}

/// What a native histogram is made of, and how it grows.
#[derive(Clone, Copy)]
struct Kind {
    seed: u64,
    schema: i8,
    bounds: &'static [f64],
    /// Whether values below 0 and at 0 are observed as well.
    negative: bool,
    is_float: bool,
    /// A gauge holds the observations of one step only.
    gauge: bool,
    restart: usize,
}

const EXPONENTIAL: Kind = Kind {
    seed: 7_000,
    schema: 3,
    bounds: &[],
    negative: false,
    is_float: false,
    gauge: false,
    restart: usize::MAX,
};
const CUSTOM: Kind =
    Kind { seed: 7_100, schema: CUSTOM_BOUNDS_SCHEMA, bounds: &[0.01, 0.1, 1.0, 10.0], ..EXPONENTIAL };

fn native() -> Vec<Series> {
    let rpc = |seed, restart| histograms(Kind { seed, restart, ..EXPONENTIAL });
    let of = |name: &str, labels: &[(&str, &str)], points| Series {
        labels: named(name, labels),
        late_ms: 0,
        points,
    };
    let mixed = |first: Vec<Point>, second: Vec<Point>| -> Vec<Point> {
        first.into_iter().take(240).chain(second.into_iter().skip(240)).collect()
    };
    let floats = || (0..=LAST).map(|step| Point::Float(step as f64)).collect::<Vec<_>>();
    let coarse = Kind { seed: 7_010, schema: 0, ..EXPONENTIAL };
    vec![
        of("rpc_latency_seconds", &[("job", "api"), ("instance", "api-0")], rpc(7_001, usize::MAX)),
        of("rpc_latency_seconds", &[("job", "api"), ("instance", "api-1")], rpc(7_002, 150)),
        of("rpc_latency_seconds", &[("job", "api"), ("instance", "api-2")], rpc(7_003, 420)),
        of("rpc_latency_seconds", &[("job", "web"), ("instance", "web-0")], rpc(7_004, usize::MAX)),
        of("resolution_seconds", &[("schema", "0")], histograms(coarse)),
        of(
            "resolution_seconds",
            &[("schema", "2")],
            histograms(Kind { seed: 7_011, schema: 2, ..EXPONENTIAL }),
        ),
        of(
            "resolution_seconds",
            &[("schema", "-1")],
            histograms(Kind { seed: 7_012, schema: -1, ..EXPONENTIAL }),
        ),
        of(
            "resolution_seconds",
            &[("schema", "changes")],
            mixed(histograms(coarse), histograms(EXPONENTIAL)),
        ),
        of(
            "deviation_metres",
            &[("axis", "x")],
            histograms(Kind { seed: 7_020, negative: true, ..EXPONENTIAL }),
        ),
        of(
            "deviation_metres",
            &[("axis", "y")],
            histograms(Kind { seed: 7_021, negative: true, schema: 1, ..EXPONENTIAL }),
        ),
        of(
            "backlog_seconds",
            &[("queue", "mail")],
            histograms(Kind { seed: 7_030, gauge: true, ..EXPONENTIAL }),
        ),
        of(
            "backlog_seconds",
            &[("queue", "video")],
            histograms(Kind { seed: 7_031, gauge: true, is_float: true, ..EXPONENTIAL }),
        ),
        of(
            "weighted_seconds",
            &[("job", "api")],
            histograms(Kind { seed: 7_040, is_float: true, restart: 222, ..EXPONENTIAL }),
        ),
        of("custom_seconds", &[("job", "api"), ("instance", "api-0")], histograms(CUSTOM)),
        of(
            "custom_seconds",
            &[("job", "api"), ("instance", "api-1")],
            histograms(Kind { seed: 7_101, restart: 200, ..CUSTOM }),
        ),
        of(
            "custom_seconds",
            &[("job", "web"), ("instance", "web-0")],
            histograms(Kind { seed: 7_102, bounds: &[0.1, 0.5, 1.0], ..CUSTOM }),
        ),
        of("mixed_kinds", &[("first", "float")], mixed(floats(), histograms(EXPONENTIAL))),
        of("mixed_kinds", &[("first", "histogram")], mixed(histograms(EXPONENTIAL), floats())),
        of("mixed_kinds", &[("first", "exponential")], mixed(histograms(EXPONENTIAL), histograms(CUSTOM))),
        of("short_lived_seconds", &[("end", "stale")], ending(rpc(7_050, usize::MAX))),
        of("empty_native", &[], (0..=LAST).map(|_| Point::Histogram(Box::new(empty(EXPONENTIAL)))).collect()),
    ]
}

/// There from step 100 on, and stale from 350 on.
fn ending(points: Vec<Point>) -> Vec<Point> {
    let stale = Histogram { sum: STALE_NAN, ..Histogram::default() };
    let mut points = points;
    points[..100].fill(Point::Nothing);
    points[350..].fill(Point::Nothing);
    points[350] = Point::Histogram(Box::new(stale));
    points
}

fn empty(kind: Kind) -> Histogram {
    Histogram {
        schema: kind.schema,
        custom_bounds: kind.bounds.to_vec(),
        is_float: kind.is_float,
        zero_threshold: if kind.bounds.is_empty() { 1e-6 } else { 0.0 },
        reset_hint: if kind.gauge { ResetHint::Gauge } else { ResetHint::Unknown },
        ..Histogram::default()
    }
}

fn histograms(kind: Kind) -> Vec<Point> {
    let (mut histogram, mut positive, mut negative) = (empty(kind), BTreeMap::new(), BTreeMap::new());
    (0..=LAST)
        .map(|step| {
            if step == kind.restart || kind.gauge {
                (histogram, positive, negative) = (empty(kind), BTreeMap::new(), BTreeMap::new());
            }
            for observation in 1..=1 + random(kind.seed, step) % 7 {
                let magnitude = 0.002 * (9.0 * part(kind.seed + 1_000 * observation, step)).exp();
                let weight = if kind.is_float { 0.25 + magnitude.fract() } else { 1.0 };
                histogram.count += weight;
                match random(kind.seed, step + 7 * observation as usize) % 8 {
                    0 if kind.negative => histogram.zero_count += weight,
                    1..=3 if kind.negative => {
                        histogram.sum -= weight * magnitude;
                        *negative.entry(bucket_of(kind, magnitude)).or_insert(0.0) += weight;
                    }
                    _ => {
                        histogram.sum += weight * magnitude;
                        *positive.entry(bucket_of(kind, magnitude)).or_insert(0.0) += weight;
                    }
                }
            }
            if kind.is_float {
                // Added up in another order the last bits would differ.
                histogram.count =
                    histogram.zero_count + positive.values().chain(negative.values()).sum::<f64>();
            }
            histogram.set_positive(&positive);
            histogram.set_negative(&negative);
            Point::Histogram(Box::new(histogram.clone()))
        })
        .collect()
}

fn bucket_of(kind: Kind, magnitude: f64) -> i64 {
    if kind.bounds.is_empty() {
        // Bucket i ends at 2^(i / 2^schema).
        (magnitude.log2() * f64::from(kind.schema).exp2()).ceil() as i64
    } else {
        kind.bounds.iter().position(|bound| magnitude <= *bound).unwrap_or(kind.bounds.len()) as i64
    }
}
