//! OpenTelemetry's own SDK for Python sends all three signals, over gRPC and over HTTP.

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
