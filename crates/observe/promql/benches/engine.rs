//! What the evaluator costs apart from any storage, and how that grows with series, samples and steps.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up has failed")]

use std::sync::Arc;

use async_trait::async_trait;
use divan::Bencher;
use futures::executor::block_on;
use kandela_model::Labels;
use kandela_promql::{
    Options, Samples, Select, SeriesReader, SeriesSet, SeriesSource, SourceError, When, evaluate,
};

fn main() {
    divan::main();
}

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// Where the samples begin, with room for a range before the first step.
const BEGIN: i64 = 1_000_000 * HOUR;

/// Counters that were scraped together every 15 seconds.
#[derive(Clone)]
struct Counters(Arc<Data>);

struct Data {
    labels: Vec<Labels>,
    times: Vec<i64>,
    values: Vec<Vec<f64>>,
}

impl Counters {
    fn new(series: usize, samples: usize) -> Self {
        let labels = (0..series).map(|n| {
            let (pod, instance, x) =
                (format!("pod-{}", n / 10), format!("10.0.0.{n}:80"), format!("{}", n % 20));
            Labels::new([("__name__", "m_total"), ("pod", &pod), ("instance", &instance), ("x", &x)]).unwrap()
        });
        let values = (0..series).map(|n| {
            let mut value = 0.0;
            let next = |at: usize| {
                // Each counter begins again now and then.
                value = if (at + n).is_multiple_of(997) { 0.0 } else { value + ((at * 7 + n) % 13) as f64 };
                value
            };
            (0..samples).map(next).collect()
        });
        let times = (0..samples as i64).map(|n| BEGIN + n * 15 * SECOND).collect();
        Self(Arc::new(Data { labels: labels.collect(), times, values: values.collect() }))
    }
}

#[async_trait]
impl SeriesSource for Counters {
    async fn select(&self, _: &Select) -> Result<Arc<dyn SeriesSet>, SourceError> {
        Ok(Arc::new(self.clone()))
    }
}

impl SeriesSet for Counters {
    fn len(&self) -> usize {
        self.0.labels.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.0.labels[index]
    }

    fn reader(&self) -> Box<dyn SeriesReader + '_> {
        Box::new(self)
    }
}

impl SeriesReader for &Counters {
    fn read(&mut self, index: usize) -> Result<Samples<'_>, SourceError> {
        Ok(Samples { times: &self.0.times, values: &self.0.values[index], starts: &[], histograms: &[] })
    }
}

fn run(bencher: Bencher<'_, '_>, source: &Counters, query: &str, hours: i64, step: i64) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let when = When::Range { from: BEGIN + HOUR, through: BEGIN + hours * HOUR, step };
    let options = Options { threads, ..Options::default() };
    bencher.bench(|| block_on(evaluate(source, query, when, options)).unwrap());
}

const QUERIES: [&str; 8] = [
    "sum by (x) (rate(m_total[5m]))",
    "sum by (x) (rate(m_total[5m])) / sum by (x) (rate(m_total[1m]))",
    "topk(5, sum by (pod) (rate(m_total[5m])))",
    "topk by (x) (3, rate(m_total[5m]))",
    "max by (x) (max_over_time(m_total[1h]))",
    "avg by (x) (avg_over_time(m_total[1h]))",
    "quantile by (x) (0.9, rate(m_total[5m]))",
    "rate(m_total[5m]) / on (instance) group_left increase(m_total[5m]) > 0",
];

#[divan::bench(args = QUERIES, sample_count = 20)]
fn six_hours_of_2000_series(bencher: Bencher<'_, '_>, query: &str) {
    run(bencher, &Counters::new(2_000, 7 * 240), query, 7, 60 * SECOND);
}

#[divan::bench(args = [100, 1_000, 10_000], sample_count = 10)]
fn by_series(bencher: Bencher<'_, '_>, series: usize) {
    run(bencher, &Counters::new(series, 7 * 240), QUERIES[0], 7, 60 * SECOND);
}

#[divan::bench(args = [2, 6, 24, 72], sample_count = 10)]
fn by_hours_of_samples_at_361_steps(bencher: Bencher<'_, '_>, hours: i64) {
    let source = Counters::new(500, (hours as usize + 1) * 240);
    run(bencher, &source, QUERIES[0], hours + 1, hours * HOUR / 360);
}

#[divan::bench(args = [10, 100, 1_000, 10_000], sample_count = 10)]
fn by_steps_of_six_hours(bencher: Bencher<'_, '_>, steps: i64) {
    run(bencher, &Counters::new(500, 7 * 240), QUERIES[0], 7, 6 * HOUR / steps);
}
