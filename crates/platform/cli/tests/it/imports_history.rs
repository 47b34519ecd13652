//! History that a real Prometheus keeps, and OpenMetrics text, imported by the binary and asked for in SQL.

use std::path::Path;
use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};

use kandela_ingest::remote_write::{Encoder, Message};
use kandela_model::{BucketSpan, Histogram, MetricBatch, SeriesHistogram, Timestamp};
use serde_json::Value;

use super::kandela::kandela;
use super::prometheus::Prometheus;

fn json(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The rows of a query over a data folder.
fn rows(data: &Path, sql: &str) -> Value {
    let mut answer = json(&kandela(&["query", "sql", sql, "--data", path(data), "--format", "json"]));
    answer["rows"].take()
}

const SUMS: &str =
    "SELECT count(*) AS points, count(DISTINCT series_id) AS series, sum(value) AS total FROM samples";

async fn write(prometheus: &Prometheus, batch: &MetricBatch) {
    let request = reqwest::Client::new()
        .post(format!("{}/api/v1/write", prometheus.url))
        .header("Content-Type", Message::V2.content_type())
        .header("Content-Encoding", "snappy")
        .body(Encoder::default().encode(Message::V2, batch));
    assert!(request.send().await.unwrap().status().is_success());
}

/// Three hours of ten series and a histogram, ending now; gives when they begin, in seconds.
async fn fill(prometheus: &Prometheus) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let begin = now - 3 * 3_600;
    for minute in 0..180 {
        let mut batch = MetricBatch::default();
        let ts = Timestamp::from_millis((begin + minute * 60) * 1_000);
        for series in 0..10 {
            let instance = series.to_string();
            let labels = [("__name__", "requests_total"), ("instance", instance.as_str())];
            let index = batch.add_series(labels).unwrap();
            batch.add_sample(index, ts, (minute * series) as f64);
        }
        let index = batch.add_series([("__name__", "latency_seconds")]).unwrap();
        let histogram = Histogram {
            count: minute as f64,
            sum: minute as f64 * 0.5,
            positive_spans: vec![BucketSpan { offset: 0, length: 1 }],
            positive_buckets: vec![minute as f64],
            ..Histogram::default()
        };
        batch.histograms.push(SeriesHistogram { series: index, ts, histogram, delta: false });
        write(prometheus, &batch).await;
    }
    begin
}

fn assert_holds_everything(data: &Path) {
    let sums = rows(data, SUMS);
    // The sum of 0 to 179, times the sum of 0 to 9.
    let total = 16_110.0 * 45.0;
    assert_eq!(sums[0]["points"], 1_800, "{sums}");
    assert_eq!(sums[0]["series"], 10, "{sums}");
    assert_eq!(sums[0]["total"].as_f64(), Some(total), "{sums}");
    let histograms = rows(data, "SELECT count(*) AS points, sum(count) AS observed FROM histograms");
    assert_eq!(histograms[0]["points"], 180, "{histograms}");
    assert_eq!(histograms[0]["observed"].as_f64(), Some(16_110.0), "{histograms}");
}

#[tokio::test]
async fn a_prometheus_is_imported_by_remote_read_and_by_its_folder_with_the_same_sums() {
    let folder = tempfile::tempdir().unwrap();
    let Some(prometheus) = Prometheus::start(folder.path(), "prometheus", "").await else { return };
    let begin = fill(&prometheus).await;

    let remote = folder.path().join("remote");
    let from = begin.to_string();
    let read = [
        "import",
        "remote-read",
        &prometheus.url,
        "--from",
        &from,
        "--data",
        path(&remote),
        "--format",
        "json",
    ];
    let summary = json(&kandela(&read));
    assert_eq!((&summary["samples"], &summary["histograms"]), (&1_800.into(), &180.into()), "{summary}");
    assert_eq!((&summary["series"], &summary["skipped"]), (&11.into(), &0.into()), "{summary}");
    assert_holds_everything(&remote);

    let some = folder.path().join("some");
    let matching = ["--match", "requests_total{instance=~\"[12]\"}", "--match", "latency_seconds"];
    let read =
        [&["import", "remote-read", &prometheus.url, "--from", &from, "--data", path(&some)], &matching[..]];
    assert!(kandela(&read.concat()).status.success());
    assert_eq!(rows(&some, SUMS)[0]["series"], 2);

    prometheus.running.stop();
    let data = folder.path().join("folder");
    let source = folder.path().join("prometheus");
    let read = ["import", "tsdb", path(&source), "--data", path(&data), "--format", "json"];
    let summary = json(&kandela(&read));
    assert_eq!((&summary["series"], &summary["skipped"]), (&11.into(), &0.into()), "{summary}");
    assert_holds_everything(&data);

    // Again is harmless, and so is the same history from elsewhere.
    json(&kandela(&read));
    let text = kandela(&["import", "tsdb", path(&source), "--data", path(&remote)]);
    assert!(String::from_utf8_lossy(&text.stdout).starts_with("import of tsdb done\n"));
    assert_holds_everything(&data);
    assert_holds_everything(&remote);
}

#[test]
fn openmetrics_text_is_imported_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("history.om"));
    let lines: String =
        (0..1_000).map(|at| format!("a{{b=\"c\"}} {at} {}\n", 1_700_000_000 + at * 15)).collect();
    std::fs::write(&file, format!("# TYPE a gauge\n{lines}a{{b=\"c\" 1 2\n# EOF\n")).unwrap();
    let import = ["import", "openmetrics", path(&file), "--data", path(&data), "--format", "json"];
    let refused = kandela(&import);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("line 1002, column"), "{refused:?}");
    assert!(!data.exists(), "nothing was written");

    std::fs::write(&file, format!("# TYPE a gauge\n{lines}# EOF\n")).unwrap();
    let summary = json(&kandela(&import));
    assert_eq!((&summary["samples"], &summary["series"]), (&1_000.into(), &1.into()), "{summary}");
    assert_eq!(
        (&summary["past_retention"], &summary["oldest"]),
        (&1_000.into(), &"2023-11-14T22:13:20Z".into())
    );
    let sums = rows(&data, SUMS);
    assert_eq!((&sums[0]["points"], &sums[0]["total"].as_f64()), (&1_000.into(), &Some(499_500.0)));
}

#[test]
fn a_folder_that_is_no_tsdb_is_refused_before_a_lake_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let refused = kandela(&["import", "tsdb", path(folder.path()), "--data", path(&data)]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("holds no Prometheus TSDB"), "{refused:?}");
    assert!(!data.exists());
}
