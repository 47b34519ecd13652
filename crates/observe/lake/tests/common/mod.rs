//! What the scenarios share.
#![allow(dead_code, reason = "each scenario is a crate of its own and uses a part")]
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use futures::TryStreamExt;
use kandela_lake::{Lake, LakeConfig, QueryLimits, Retention};
use kandela_model::{MetricBatch, Timestamp};

/// 2026-11-22 12:00:00 UTC, in milliseconds.
pub(crate) const NOON: i64 = 1_795_348_800_000;

pub(crate) async fn open(folder: &std::path::Path) -> Lake {
    Lake::open(config(folder)).await.unwrap()
}

pub(crate) fn config(folder: &std::path::Path) -> LakeConfig {
    // The scenarios have times of their own, which no retention should find old one day.
    let retention = Retention { metrics: Duration::from_secs(86_400 * 36_500), ..Retention::default() };
    LakeConfig { memory_limit: 256 << 20, retention, ..LakeConfig::at(folder) }
}

/// One series' samples: (milliseconds after noon, value).
pub(crate) fn samples(labels: &[(&str, &str)], points: &[(i64, f64)]) -> MetricBatch {
    let mut batch = MetricBatch::default();
    let series = batch.add_series(labels.iter().copied()).unwrap();
    for (ms, value) in points {
        batch.add_sample(series, Timestamp::from_millis(NOON + ms), *value);
    }
    batch
}

pub(crate) async fn query(lake: &Lake, sql: &str) -> Vec<RecordBatch> {
    lake.sql(sql, &QueryLimits::default()).await.unwrap().rows.try_collect().await.unwrap()
}

pub(crate) async fn number(lake: &Lake, sql: &str) -> f64 {
    let batches = query(lake, sql).await;
    let column = batches.iter().find(|batch| batch.num_rows() > 0).unwrap().column(0).clone();
    match column.as_primitive_opt::<Int64Type>() {
        Some(longs) => longs.value(0) as f64,
        None => column.as_primitive::<Float64Type>().value(0),
    }
}

pub(crate) async fn numbers(lake: &Lake, sql: &str) -> Vec<f64> {
    let batches = query(lake, sql).await;
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Float64Type>().values().to_vec()).collect()
}

pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap())
}
