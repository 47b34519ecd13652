//! Points read by series are those that were acknowledged, wherever they lie.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

mod common;

use std::collections::BTreeMap;

use common::{NOON, config, open, samples};
use kandela_lake::{Lake, LakeConfig, Matcher};
use kandela_model::{Histogram, MetricBatch, STALE_NAN, SeriesHistogram, Timestamp};
use proptest::prelude::*;

/// What a series has: bits of values by time in milliseconds after noon.
type Points = BTreeMap<i64, u64>;

/// Every series named `m` with its points in `range`, by its label `n`; those without points are left out.
async fn read(lake: &Lake, (from, through): (i64, i64)) -> BTreeMap<String, Points> {
    let range = (NOON + from) * 1_000..=(NOON + through) * 1_000;
    let found = lake.points(&[Matcher::equal("__name__", "m")], range).await.unwrap();
    tokio::task::spawn_blocking(move || {
        let mut reader = found.reader();
        let mut all = BTreeMap::new();
        for index in 0..found.len() {
            let (times, values) = reader.samples(index).unwrap();
            assert!(times.is_sorted_by(|a, b| a < b), "ascending, none twice");
            let points: Points =
                times.iter().zip(values).map(|(ts, value)| (ts / 1_000 - NOON, value.to_bits())).collect();
            if !points.is_empty() {
                all.insert(found.labels(index).get("n").unwrap().to_owned(), points);
            }
        }
        all
    })
    .await
    .unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(u8, i64, f64)>),
    Flush,
    Compact,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = prop_oneof![9 => (0..100i32).prop_map(f64::from), 1 => Just(STALE_NAN)];
    // Days meet half-way, and many times come more than once.
    let time = (0..40i64).prop_map(|n| n * 2_160_000);
    let append = proptest::collection::vec((0..3u8, time, value), 1..30).prop_map(Step::Append);
    let step =
        prop_oneof![6 => append, 3 => Just(Step::Flush), 1 => Just(Step::Compact), 1 => Just(Step::Reopen)];
    proptest::collection::vec(step, 1..14)
}

fn batch_of(rows: &[(u8, i64, f64)]) -> MetricBatch {
    let mut batch = MetricBatch::default();
    for (n, ms, value) in rows {
        let series = batch.add_series([("__name__", "m"), ("n", &n.to_string())]).unwrap();
        batch.add_sample(series, Timestamp::from_millis(NOON + ms), *value);
    }
    batch
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn each_acknowledged_point_comes_once_from_memory_and_files(steps in steps(), range in (0..40i64, 0..40i64)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let config = LakeConfig { compact_at_files: 2, ..config(folder.path()) };
            let mut lake = Lake::open(config.clone()).await.unwrap();
            let mut expected: BTreeMap<String, Points> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Append(rows) => {
                        lake.import(&batch_of(&rows)).unwrap();
                        for (n, ms, value) in rows {
                            expected.entry(n.to_string()).or_default().entry(ms).or_insert(value.to_bits());
                        }
                    }
                    Step::Flush => drop(lake.flush().await.unwrap()),
                    Step::Compact => drop(lake.compact().await.unwrap()),
                    Step::Reopen => {
                        drop(lake);
                        lake = Lake::open(config.clone()).await.unwrap();
                    }
                }
                let (from, through) = (range.0 * 2_160_000, range.1 * 2_160_000);
                for (from, through) in [(i64::MIN / 4_000, i64::MAX / 4_000), (from, through)] {
                    let mut within = expected.clone();
                    within.values_mut().for_each(|points| points.retain(|ms, _| (from..=through).contains(ms)));
                    within.retain(|_, points| !points.is_empty());
                    let range = (from.max(-NOON), through.min(NOON));
                    assert_eq!(read(&lake, range).await, within, "from {from} through {through}");
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_blocks_leads_through_generations_that_wait_for_their_flush() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let labels = &[("__name__", "m"), ("n", "0")];
    for round in 0..3i64 {
        let points: Vec<(i64, f64)> = (0..20).map(|n| ((round * 20 + n) * 15_000, n as f64)).collect();
        lake.append(&samples(labels, &points)).unwrap();
        lake.flush().await.unwrap();
        lake.append(&samples(labels, &[((round * 20 + 20) * 15_000 - 1, 0.5)])).unwrap();
    }
    let all = read(&lake, (0, 3_600_000)).await;
    assert_eq!(all["0"].len(), 63);
    let some = read(&lake, (15_000, 45_000)).await;
    assert_eq!(some["0"].keys().copied().collect::<Vec<_>>(), [15_000, 30_000, 45_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn histograms_come_in_order_from_memory_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    for (ms, count) in [(0, 1.0), (30_000, 3.0), (15_000, 2.0), (15_000, 9.0), (45_000, 4.0)] {
        let mut batch = MetricBatch::default();
        let series = batch.add_series([("__name__", "h")]).unwrap();
        let histogram = Histogram { count, zero_count: count, ..Histogram::default() };
        let ts = Timestamp::from_millis(NOON + ms);
        batch.histograms.push(SeriesHistogram { series, ts, histogram, delta: false });
        lake.append(&batch).unwrap();
        if ms == 30_000 {
            lake.flush().await.unwrap();
        }
    }
    let range = NOON * 1_000..=(NOON + 30_000) * 1_000;
    let found = lake.points(&[Matcher::equal("__name__", "h")], range).await.unwrap();
    assert!(found.may_have_histograms());
    let mut points = Vec::new();
    found.reader().histograms(0, &mut points).unwrap();
    let counts: Vec<f64> = points.iter().map(|(_, histogram)| histogram.count).collect();
    assert_eq!(counts, [1.0, 2.0, 3.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_come_with_their_series_in_the_order_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&batch_of(&[(0, 0, 1.0), (1, 0, 1.0), (2, 0, 1.0)])).unwrap();
    let found = lake.points(&[Matcher::equal("__name__", "m")], 0..=i64::MAX).await.unwrap();
    let ids: Vec<i64> = (0..found.len()).map(|index| found.labels(index).as_ref().series_id(0)).collect();
    assert_eq!((ids.len(), ids.is_sorted()), (3, true));
}

/// The values of label `n` at noon's day, as the lake's series have them.
async fn known(lake: &Lake) -> Vec<String> {
    let day = NOON * 1_000..=(NOON + 3_600_000) * 1_000;
    let found = lake.series(&[Matcher::equal("__name__", "m")], day, usize::MAX).await.unwrap();
    let mut values: Vec<_> =
        found.iter().map(|series| series.labels.get("n").unwrap_or_default().to_owned()).collect();
    values.sort_unstable();
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn series_of_a_day_come_once_however_many_files_tell_of_them() {
    let folder = tempfile::tempdir().unwrap();
    for own in 1..4u8 {
        let lake = open(folder.path()).await;
        lake.import(&batch_of(&[(0, i64::from(own), 1.0), (own, 0, 1.0)])).unwrap();
        lake.flush().await.unwrap();
    }
    let lake = open(folder.path()).await;
    assert_eq!(known(&lake).await, ["0", "1", "2", "3"]);
    // Memory moves on to the next day, so that only files tell of this one; one comes to those that were read.
    lake.import(&batch_of(&[(0, 9, 1.0), (4, 0, 1.0)])).unwrap();
    lake.flush().await.unwrap();
    lake.import(&batch_of(&[(5, 86_400_000, 1.0)])).unwrap();
    assert_eq!(known(&lake).await, ["0", "1", "2", "3", "4"]);
    assert_eq!(known(&lake).await, ["0", "1", "2", "3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn series_of_a_day_are_those_of_its_files_after_these_were_joined() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(LakeConfig { compact_at_files: 2, ..config(folder.path()) }).await.unwrap();
    for own in 0..3 {
        lake.import(&batch_of(&[(own, 0, 1.0)])).unwrap();
        lake.flush().await.unwrap();
    }
    lake.import(&batch_of(&[(9, 86_400_000, 1.0)])).unwrap();
    assert_eq!(known(&lake).await, ["0", "1", "2"]);
    assert!(lake.compact().await.unwrap().files_before > 0);
    assert_eq!(known(&lake).await, ["0", "1", "2"]);
}
