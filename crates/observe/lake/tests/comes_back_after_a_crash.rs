//! A lake that was dropped without a word has everything that it acknowledged.

mod common;

use common::{NOON, number, numbers, open, samples};
use kandela_model::{Histogram, MetricBatch, SeriesHistogram, Timestamp};

const UP: &[(&str, &str)] = &[("__name__", "up"), ("job", "shop")];

#[tokio::test(flavor = "multi_thread")]
async fn samples_in_the_log_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&samples(UP, &[(0, 1.0), (15_000, 2.0)])).unwrap();
    drop(lake);
    let lake = open(folder.path()).await;
    assert_eq!(lake.recovery().points, 2);
    assert_eq!(
        numbers(&lake, "SELECT value FROM metrics WHERE labels['job'] = 'shop' ORDER BY ts").await,
        [1.0, 2.0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_table_has_is_not_taken_from_the_log_again() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&samples(UP, &[(0, 1.0)])).unwrap();
    lake.flush().await.unwrap();
    lake.append(&samples(UP, &[(15_000, 2.0)])).unwrap();
    drop(lake);
    let lake = open(folder.path()).await;
    assert_eq!(lake.recovery().points, 1);
    assert_eq!(numbers(&lake, "SELECT value FROM samples ORDER BY ts").await, [1.0, 2.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_retries_across_a_restart_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let batch = samples(UP, &[(0, 1.0), (15_000, 2.0)]);
    for _ in 0..3 {
        let lake = open(folder.path()).await;
        lake.append(&batch).unwrap();
        lake.flush().await.unwrap();
        assert_eq!(number(&lake, "SELECT count(*) FROM samples").await, 2.0);
        assert_eq!(number(&lake, "SELECT count(*) FROM series").await, 1.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_of_two_days_that_is_imported_again_after_a_restart_doubles_nothing() {
    const HOUR: i64 = 3_600_000;
    let folder = tempfile::tempdir().unwrap();
    let points: Vec<_> = (-15..3).map(|hour| (hour * HOUR, 1.0)).collect();
    let histogram = |ms: i64| {
        let mut batch = MetricBatch::default();
        let series = batch.add_series([("__name__", "latency")]).unwrap();
        let histogram = Histogram { count: 1.0, ..Histogram::default() };
        let ts = Timestamp::from_millis(NOON + ms);
        batch.histograms.push(SeriesHistogram { series, ts, histogram, delta: false });
        batch
    };
    for _ in 0..2 {
        let lake = open(folder.path()).await;
        lake.import(&samples(UP, &points)).unwrap();
        for (ms, _) in &points {
            lake.import(&histogram(*ms)).unwrap();
        }
        lake.flush().await.unwrap();
        for table in ["samples", "histograms"] {
            assert_eq!(number(&lake, &format!("SELECT count(*) FROM {table}")).await, 18.0, "{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_cannot_write_one_lake() {
    let folder = tempfile::tempdir().unwrap();
    let _lake = open(folder.path()).await;
    let second = kandela_lake::Lake::open(common::config(folder.path())).await;
    assert!(second.is_err());
}
