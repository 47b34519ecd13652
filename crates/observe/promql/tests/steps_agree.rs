//! What slides from step to step, and what several threads fold, answers as each step on its own does.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

use std::collections::BTreeMap;

use futures::executor::block_on;
use kandela_model::{Labels, STALE_NAN};
use kandela_promql::script::{MemorySource, Sample};
use kandela_promql::{Answer, Options, Point, When, evaluate};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;

const QUERIES: [&str; 26] = [
    "x",
    "rate(x[1m])",
    "increase(x[95s])",
    "delta(x[2m])",
    "irate(x[1m])",
    "changes(x[1m])",
    "resets(x[90s])",
    "min_over_time(x[70s])",
    "max_over_time(x[3m])",
    "sum_over_time(x[3m])",
    "sum_over_time(x[20s])",
    "avg_over_time(x[3m])",
    "count_over_time(x[1m])",
    "last_over_time(x[45s])",
    "first_over_time(x[45s])",
    "quantile_over_time(0.7, x[1m])",
    "max_over_time(rate(x[1m])[2m:20s])",
    "sum by (half) (x)",
    "avg by (half) (x)",
    "min(x)",
    "max(x)",
    "count by (half) (x > 3)",
    "stddev(x)",
    "quantile by (half) (0.4, x)",
    "topk by (half) (2, x)",
    "bottomk(3, x)",
];

/// Bits of values by label set and time; all NaN are one.
type Values = BTreeMap<(String, i64), f64>;

fn values(answer: Answer) -> Values {
    let float = |point: Point| match point {
        Point::Float(value) => value,
        Point::Histogram(histogram) => panic!("{histogram:?} of floats"),
    };
    let mut all = Values::new();
    let Answer::Matrix(matrix) = answer else { panic!("{answer:?} is no matrix") };
    for (labels, points) in matrix {
        all.extend(points.into_iter().map(|(at, point)| ((labels.to_string(), at), float(point))));
    }
    all
}

fn range(
    source: &MemorySource,
    query: &str,
    (from, through): (i64, i64),
    step: i64,
    threads: usize,
) -> Values {
    let when = When::Range { from, through, step };
    let options = Options { threads, lookback: 40 * SECOND, ..Options::default() };
    values(block_on(evaluate(source, query, when, options)).unwrap().answer)
}

fn agree(query: &str, one: &Values, other: &Values) {
    let keys = |values: &Values| values.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(one), keys(other), "{query}");
    for (place, value) in one {
        let other = other[place];
        let near = (value - other).abs() <= 1e-9 * value.abs().max(other.abs()).max(1e-9);
        let same = near || *value == other || value.is_nan() && other.is_nan();
        assert!(same, "{query} at {place:?}: {value} and {other}");
    }
}

fn source(series: &[Vec<(i64, f64)>]) -> MemorySource {
    let mut source = MemorySource::new();
    for (n, samples) in series.iter().enumerate() {
        let (name, half) = (n.to_string(), (n % 2).to_string());
        let labels = Labels::new([("__name__", "x"), ("n", &name), ("half", &half)]).unwrap();
        let mut time = 0;
        for (gap, value) in samples {
            time += gap * SECOND;
            source.append(&labels, Sample { time, start: 0, point: Point::Float(*value) }).unwrap();
        }
    }
    source
}

fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let value = prop_oneof![
        12 => (0..20i32).prop_map(f64::from),
        4 => -1e6..1e6f64,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(1.7e308),
        1 => Just(STALE_NAN),
    ];
    let gap = prop_oneof![8 => Just(15i64), 2 => 1..30i64, 1 => 30..200i64];
    proptest::collection::vec((gap, value), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_range_answers_as_each_of_its_steps_alone(
        series in proptest::collection::vec(samples(), 1..6),
        step in prop_oneof![Just(15i64), 1..90i64],
    ) {
        let source = source(&series);
        let step = step * SECOND;
        let through = step * 20;
        for query in QUERIES {
            let whole = range(&source, query, (0, through), step, 1);
            let mut alone = Values::new();
            for n in 0..=20 {
                alone.extend(range(&source, query, (n * step, n * step), step, 1));
            }
            agree(query, &whole, &alone);
        }
    }
}

#[test]
fn several_threads_answer_as_one() {
    let series: Vec<Vec<(i64, f64)>> = (0..300)
        .map(|n: i64| {
            (0..80).map(|at: i64| (15, ((at * 7 + n * 13) % 101) as f64 + n as f64 / 7.0)).collect()
        })
        .collect();
    let source = source(&series);
    for query in QUERIES {
        let span = (0, 1_200 * SECOND);
        agree(
            query,
            &range(&source, query, span, SECOND * 3, 1),
            &range(&source, query, span, SECOND * 3, 4),
        );
    }
}
