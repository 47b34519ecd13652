//! Two hours of samples that leave no corner of PromQL empty: the same every time but for when they end.
//!
//! Counters with restarts; gauges with NaN, infinities, gaps, beginnings and ends; classic histograms, good and broken; native
//! histograms of every kind; info series; names in UTF-8. Sampled every 15 s, all on the same beat but for `irregular`.

mod histograms;
mod plain;

use kandela_model::{Histogram, MetricBatch, SeriesHistogram, Timestamp};

/// Milliseconds between two samples.
pub(crate) const STEP_MS: i64 = 15_000;
/// The last step; the first is 0.
pub(crate) const LAST: usize = 480;

/// What a series has at one step.
#[derive(Clone, Debug)]
pub(crate) enum Point {
    Nothing,
    Float(f64),
    Histogram(Box<Histogram>),
}

/// A series, with its name among its labels and a point at each step.
pub(crate) struct Series {
    pub(crate) labels: Vec<(String, String)>,
    /// How long after the beat it is sampled; before it where negative.
    pub(crate) late_ms: i64,
    pub(crate) points: Vec<Point>,
}

/// All series.
pub(crate) fn series() -> Vec<Series> {
    plain::series().into_iter().chain(histograms::series()).collect()
}

/// The samples in bodies of five minutes, in the order of time; the last beat is at `end_ms`.
pub(crate) fn batches(end_ms: i64) -> Vec<MetricBatch> {
    const STEPS_OF_A_BATCH: usize = 20;
    let series = series();
    let steps: Vec<usize> = (0..=LAST).collect();
    steps.chunks(STEPS_OF_A_BATCH).map(|steps| batch(&series, steps, end_ms)).collect()
}

fn batch(series: &[Series], steps: &[usize], end_ms: i64) -> MetricBatch {
    let mut batch = MetricBatch::default();
    for one in series {
        let index = batch.add_series(one.labels.clone()).unwrap();
        for &step in steps {
            let ts = end_ms - STEP_MS * (LAST - step) as i64 + one.late_ms;
            let ts = Timestamp::from_millis(ts);
            match &one.points[step] {
                Point::Nothing => {}
                Point::Float(value) => batch.add_sample(index, ts, *value),
                Point::Histogram(histogram) => {
                    let histogram = Histogram::clone(histogram);
                    batch.histograms.push(SeriesHistogram { series: index, ts, histogram, delta: false });
                }
            }
        }
    }
    batch
}

/// A name and labels as a series has them.
fn named(name: &str, labels: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    std::iter::once(("__name__", name)).chain(labels.iter().copied()).map(own).collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014) over two numbers.
fn random(seed: u64, step: usize) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add((step as u64).wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Between 0 and 1.
fn part(seed: u64, step: usize) -> f64 {
    (random(seed, step) >> 11) as f64 / (1_u64 << 53) as f64
}
