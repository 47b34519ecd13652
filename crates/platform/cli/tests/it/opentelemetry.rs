//! OpenTelemetry's own SDK for Python sends all three signals, over gRPC and over HTTP; and what an SDK may send else.

use super::kandela::Server;
use super::peer::python;

async fn three_signals(protocol: &str) {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let kandela = Server::start(folder.path(), "").await;
    let endpoint = if protocol == "grpc" { &kandela.otlp_grpc } else { &kandela.otlp_http };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/send_every_signal.py");
    let sent = python().args([script, protocol, endpoint]).output().unwrap();
    eprintln!("with {}", String::from_utf8_lossy(&sent.stdout).trim());
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));

    let instance = format!("labels['job'] = 'shop' AND labels['instance'] = '{protocol}'");
    let metric =
        |name: &str| format!("SELECT sum(value) FROM metrics WHERE metric = '{name}' AND {instance}");
    assert_eq!(kandela.number(&metric("orders_total")).await, 45.0);
    assert_eq!(kandela.number(&metric("latency_seconds_count")).await, 100.0);
    let exponential = "SELECT sum(count) FROM histograms \
                       WHERE series_id IN (SELECT series_id FROM series WHERE metric = 'wait_seconds')";
    assert_eq!(kandela.number(exponential).await, 100.0);

    let paid = "SELECT count(*) FROM spans AS pay JOIN spans AS ordered \
                ON pay.trace_id = ordered.trace_id AND pay.parent_span_id = ordered.span_id \
                WHERE pay.name = 'pay' AND ordered.name = 'order' AND ordered.service = 'shop'";
    assert_eq!(kandela.number(paid).await, 20.0);
    let told = "SELECT count(*) FROM logs JOIN spans USING (trace_id, span_id) \
                WHERE spans.name = 'pay' AND severity LIKE 'WARN%' AND body LIKE '%was paid%'";
    assert_eq!(kandela.number(told).await, 20.0);
}

#[tokio::test]
async fn all_three_signals_come_over_grpc() {
    three_signals("grpc").await;
}

#[tokio::test]
async fn all_three_signals_come_over_http() {
    three_signals("http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_sends_exponential_histograms_is_seen_live() {
    let folder = tempfile::tempdir().unwrap();
    let kandela = Server::start(folder.path(), "").await;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let point = |before: u128, count: u64| {
        serde_json::json!({
            "startTimeUnixNano": (now - 60_000_000_000).to_string(),
            "timeUnixNano": (now - before * 1_000_000_000).to_string(),
            "count": count.to_string(), "sum": 0.1 * count as f64, "scale": 0, "zeroCount": "0",
            // From 62.5 ms to 125 ms.
            "positive": {"offset": -4, "bucketCounts": [count.to_string()]},
            "attributes": [{"key": "http.response.status_code", "value": {"intValue": "200"}}]
        })
    };
    let points = [point(20, 100), point(10, 200), point(1, 300)];
    let metric = serde_json::json!({
        "name": "http.server.request.duration", "unit": "s",
        "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": points}
    });
    let resource = serde_json::json!([{"key": "service.name", "value": {"stringValue": "till"}}]);
    let sent = serde_json::json!({"resourceMetrics": [
        {"resource": {"attributes": resource}, "scopeMetrics": [{"metrics": [metric]}]}
    ]});
    let url = format!("{}/v1/metrics", kandela.otlp_http);
    let answer = reqwest::Client::new().post(url).json(&sent).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    let output = super::kandela::kandela(&["top", "--server", &kandela.http, "--format", "json"]);
    let picture: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let service = &picture["services"][0];
    assert_eq!((&service["name"], &service["state"]), (&"till".into(), &"ok".into()), "{picture}");
    let p99 = service["p99"].as_f64().unwrap();
    assert!(service["rate"].as_f64().unwrap() > 1.0 && (0.0625..=0.125).contains(&p99), "{picture}");
}
