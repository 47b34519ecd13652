//! What was acknowledged is visible at once, exactly once, wherever it lies.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

mod common;

use common::{NOON, now, number, numbers, open, samples};
use kandela_lake::{Lake, LakeConfig, RejectReason};
use kandela_model::{DeltaSample, MetricBatch, STALE_NAN, Timestamp};

const UP: &[(&str, &str)] = &[("__name__", "up"), ("job", "shop")];

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_visible_before_and_after_its_flush() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&samples(UP, &[(0, 1.0), (15_000, 2.0)])).unwrap();
    assert_eq!(number(&lake, "SELECT sum(value) FROM samples").await, 3.0);
    lake.flush().await.unwrap();
    assert_eq!(number(&lake, "SELECT sum(value) FROM samples").await, 3.0);
    lake.append(&samples(UP, &[(30_000, 4.0)])).unwrap();
    assert_eq!(number(&lake, "SELECT sum(value) FROM samples").await, 7.0, "file and memory as one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_has_the_series_that_had_samples_on_it() {
    const DAY: i64 = 86_400_000;
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.import(&samples(UP, &[(-3 * DAY, 1.0)])).unwrap();
    lake.flush().await.unwrap();
    lake.append(&samples(&[("__name__", "later"), ("job", "stock")], &[(0, 1.0)])).unwrap();
    let jobs_on = async |days: i64| {
        let at = (NOON + days * DAY) * 1_000;
        let series = lake.series(&[], at..=at, 10).await.unwrap();
        let values = lake.label_values("job", &[], at..=at, 10).await.unwrap();
        assert_eq!(series.len(), values.len());
        values.iter().map(|value| value.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(jobs_on(-3).await, ["shop"]);
    assert_eq!(jobs_on(-2).await, [""; 0]);
    assert_eq!(jobs_on(5).await, [""; 0]);
    assert!(jobs_on(0).await.contains(&"stock".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_acknowledged_value_stays() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&samples(UP, &[(0, 1.0), (15_000, 2.0)])).unwrap();
    let again = lake.append(&samples(UP, &[(15_000, 9.0)])).unwrap();
    assert_eq!((again.samples, again.duplicates), (0, 1));
    lake.flush().await.unwrap();
    lake.append(&samples(UP, &[(0, 9.0), (7_000, 5.0)])).unwrap();
    let sql = "SELECT value FROM samples ORDER BY ts";
    assert_eq!(numbers(&lake, sql).await, [1.0, 5.0, 2.0], "late, in memory");
    lake.flush().await.unwrap();
    assert_eq!(numbers(&lake, sql).await, [1.0, 5.0, 2.0], "late, in a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_past_the_out_of_order_window_is_rejected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&samples(UP, &[(7_200_000, 1.0)])).unwrap();
    let report = lake.append(&samples(UP, &[(0, 1.0)])).unwrap();
    assert_eq!(report.samples, 0);
    assert_eq!(report.rejected.first().map(|r| r.series.as_str()), Some(r#"up{job="shop"}"#));
    assert_eq!(lake.import(&samples(UP, &[(0, 1.0)])).unwrap().samples, 1, "an import may be older");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_without_a_date_is_rejected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    for ts in [i64::MIN, i64::MIN / 2, i64::MAX] {
        let mut batch = kandela_model::MetricBatch::default();
        let series = batch.add_series([("__name__", "up")]).unwrap();
        batch.add_sample(series, kandela_model::Timestamp::from_micros(ts), 1.0);
        for appended in [lake.append(&batch).unwrap(), lake.import(&batch).unwrap()] {
            assert_eq!((appended.samples, appended.rejected_points()), (0, 1), "{ts}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_would_remove_at_once_is_rejected_unless_it_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(LakeConfig::at(folder.path())).await.unwrap();
    let days_ago = |days: i64| now().plus_micros(-days * 86_400_000_000);
    let mut old = MetricBatch::default();
    let series = old.add_series([("__name__", "up")]).unwrap();
    old.add_sample(series, days_ago(17), 1.0);
    old.deltas.push(DeltaSample { series, start: days_ago(18), ts: days_ago(18), value: 1.0 });
    let appended = lake.append(&old).unwrap();
    assert_eq!(appended.rejections, [(RejectReason::PastRetention, 2)]);
    assert_eq!(lake.import(&old).unwrap().samples, 1);
    let mut kept = MetricBatch::default();
    let series = kept.add_series([("__name__", "kept")]).unwrap();
    kept.add_sample(series, days_ago(15), 1.0);
    assert_eq!(lake.append(&kept).unwrap().samples, 1);
    lake.flush().await.unwrap();
    lake.enforce_retention(now()).await.unwrap();
    assert_eq!(number(&lake, "SELECT count(*) FROM metrics WHERE metric = 'kept'").await, 1.0);
}

/// Increments of one counter: (seconds after noon, value).
fn increments(points: &[(i64, f64)]) -> MetricBatch {
    let mut batch = MetricBatch::default();
    let series = batch.add_series([("__name__", "requests_total")]).unwrap();
    for (second, value) in points {
        let ts = Timestamp::from_millis(NOON + second * 1_000);
        batch.deltas.push(DeltaSample { series, start: ts, ts, value: *value });
    }
    batch
}

#[tokio::test(flavor = "multi_thread")]
async fn increments_add_up_in_the_order_of_their_times_and_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let appended = lake.append(&increments(&[(20, 7.0), (10, 5.0), (30, 2.0), (10, 5.0)])).unwrap();
    assert_eq!((appended.samples, appended.duplicates), (3, 1));
    let sums = "SELECT value FROM samples ORDER BY ts";
    assert_eq!(numbers(&lake, sums).await, [5.0, 12.0, 14.0]);
    let again = lake.append(&increments(&[(30, 2.0)])).unwrap();
    assert_eq!((again.samples, again.duplicates), (0, 1), "a retry");
    assert_eq!(numbers(&lake, sums).await, [5.0, 12.0, 14.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_increment_that_comes_late_or_is_no_number_is_rejected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&increments(&[(30, 2.0)])).unwrap();
    let late = lake.append(&increments(&[(20, 7.0), (40, 1.0)])).unwrap();
    assert_eq!(late.rejections, [(RejectReason::LateDelta, 1)]);
    let not_a_number = lake.append(&increments(&[(50, f64::NAN), (60, f64::INFINITY), (70, 1.0)])).unwrap();
    assert_eq!(not_a_number.rejections, [(RejectReason::NotANumber, 2)]);
    assert_eq!(numbers(&lake, "SELECT value FROM samples ORDER BY ts").await, [2.0, 3.0, 4.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_increment_from_the_future_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let mut batch = MetricBatch::default();
    let series = batch.add_series([("__name__", "requests_total")]).unwrap();
    batch.deltas.push(DeltaSample { series, start: now(), ts: now().plus_micros(3_600_000_000), value: 1.0 });
    assert_eq!(lake.append(&batch).unwrap().rejections, [(RejectReason::TooFarAhead, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staleness_marker_is_null() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&samples(UP, &[(0, 1.0), (15_000, STALE_NAN), (30_000, f64::NAN)])).unwrap();
    for _ in 0..2 {
        assert_eq!(number(&lake, "SELECT count(*) FROM samples WHERE value IS NULL").await, 1.0);
        assert_eq!(number(&lake, "SELECT count(*) FROM samples WHERE isnan(value)").await, 1.0);
        lake.flush().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_view_knows_labels() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    for (job, value) in [("cart", 1.0), ("stock", 2.0), ("pay", 4.0)] {
        lake.append(&samples(&[("__name__", "up"), ("job", job)], &[(0, value)])).unwrap();
    }
    lake.append(&samples(&[("__name__", "errors"), ("job", "cart")], &[(0, 8.0)])).unwrap();
    for _ in 0..2 {
        let by_job = "SELECT sum(value) FROM metrics WHERE metric = 'up' AND labels['job'] = 'stock'";
        assert_eq!(number(&lake, by_job).await, 2.0);
        let not_job = "SELECT sum(value) FROM metrics WHERE metric = 'up' AND labels['job'] <> 'stock'";
        assert_eq!(number(&lake, not_job).await, 5.0);
        let grouped = "SELECT sum(value) FROM metrics GROUP BY labels['job'] ORDER BY labels['job']";
        assert_eq!(numbers(&lake, grouped).await, [9.0, 4.0, 2.0]);
        lake.flush().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn midnight_divides_a_flush_into_two_days() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&samples(UP, &[(43_199_000, 1.0), (43_200_000, 2.0)])).unwrap();
    lake.flush().await.unwrap();
    assert_eq!(number(&lake, "SELECT sum(value) FROM samples WHERE date = '2026-11-22'").await, 1.0);
    assert_eq!(number(&lake, "SELECT sum(value) FROM samples WHERE date = '2026-11-23'").await, 2.0);
    assert_eq!(number(&lake, "SELECT count(*) FROM series").await, 2.0, "one row a series a day");
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_keeps_every_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    for round in 0..10i64 {
        let mut batch = MetricBatch::default();
        for n in 0..50 {
            let series = batch.add_series([("__name__", "m".to_owned()), ("n", n.to_string())]).unwrap();
            batch.add_sample(series, Timestamp::from_millis(NOON + round * 15_000), 1.0);
        }
        lake.append(&batch).unwrap();
        lake.append(&samples(UP, &[(600_000 - round * 1_000, round as f64)])).unwrap();
        lake.flush().await.unwrap();
    }
    let before = numbers(&lake, "SELECT value FROM samples ORDER BY series_id, ts").await;
    assert_eq!(before.len(), 510);
    let report = lake.compact().await.unwrap();
    assert!(report.files_before > report.files_after, "{report:?}");
    assert_eq!(numbers(&lake, "SELECT value FROM samples ORDER BY series_id, ts").await, before);
    assert_eq!(lake.stats().tables.get("samples").unwrap().rows, 510);
}
