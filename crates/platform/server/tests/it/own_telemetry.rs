//! What the server tells about itself, in its own lake.

use std::time::{Duration, Instant};

use crate::support::{Running, now_nanos, start};

/// Asks until the answer is there.
async fn until(running: &Running, query: &str, want: impl Fn(&serde_json::Value) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let rows = running.rows(query).await;
        if rows.first().is_some_and(&want) {
            return;
        }
        assert!(Instant::now() < deadline, "{query} stayed at {rows:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn own_metrics_and_spans_are_queryable_like_any_other() {
    let running = start(|_| ()).await;
    until(
        &running,
        "SELECT count(*) AS n FROM metrics WHERE metric = 'kandela_uptime_seconds' AND labels['job'] = 'kandela'",
        |row| row["n"].as_i64() >= Some(1),
    )
    .await;
    let running = running.restart().await;
    until(
        &running,
        "SELECT count(*) AS n FROM spans WHERE service = 'kandela' AND name = 'POST /api/sql'",
        |row| row["n"].as_i64() >= Some(1),
    )
    .await;
}

#[tokio::test]
async fn a_bare_machine_shows_its_own_metrics_at_once() {
    let running = start(|options| options.config.kandela.host_metrics.enabled = true).await;
    until(
        &running,
        "SELECT count(*) AS n FROM metrics WHERE metric = 'node_cpu_seconds_total' AND labels['job'] = 'node'",
        |row| row["n"].as_i64() >= Some(1),
    )
    .await;
    let status: serde_json::Value =
        reqwest::get(running.url("/api/kandela/v1/status")).await.unwrap().json().await.unwrap();
    let sources = status["sources"].as_array().unwrap();
    let host = sources.iter().find(|source| source["protocol"] == "host").expect("the host is a source");
    assert!(host["samples"].as_u64() >= Some(100), "{host}");
    assert!(status["lake"]["active_series"].as_u64() >= Some(100), "{status}");
}

#[tokio::test]
async fn what_is_queried_is_only_what_was_sent_where_own_telemetry_is_off() {
    let running = start(|options| options.config.kandela.own_telemetry = false).await;
    let page = reqwest::get(running.url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(page.contains("kandela_uptime_seconds"), "{page}");
    // A stop is what else writes it; the server after it has its own to tell, all of it younger.
    let before = i64::try_from(now_nanos() / 1_000).unwrap();
    let running = running.restart().await;
    let old = format!("ts < to_timestamp_micros({before})");
    let rows = running.rows(&format!("SELECT count(*) AS n FROM samples WHERE {old}")).await;
    assert_eq!(rows[0]["n"], 0, "{rows:?}");
    let rows = running
        .rows(&format!(
            "SELECT count(*) AS n FROM spans WHERE name = 'GET /metrics' AND start_unix_nano < {before}000"
        ))
        .await;
    assert_eq!(rows[0]["n"], 0, "{rows:?}");
}
