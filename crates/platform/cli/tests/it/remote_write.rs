//! A real Prometheus writes to Kandela, which passes everything on to another one: both must then hold the same.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::kandela::Server;
use super::peer::until;
use super::prometheus::Prometheus;

const V1: &str = "prometheus.WriteRequest";
const V2: &str = "io.prometheus.write.v2.Request";

/// Scrapes itself every second, native histograms included, and writes all of it to `to`.
fn sender(to: &str, message: &str) -> String {
    format!(
        "
global: {{scrape_interval: 1s, scrape_protocols: [PrometheusProto, OpenMetricsText1.0.0]}}
scrape_configs: [{{job_name: own, static_configs: [{{targets: ['127.0.0.1:OWN_PORT']}}]}}]
remote_write:
- url: {to}/api/v1/write
  protobuf_message: {message}
  send_native_histograms: true
  queue_config: {{batch_send_deadline: 200ms}}
"
    )
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

async fn in_and_back_out(message: &str) {
    let folder = tempfile::tempdir().unwrap();
    let Some(receiver) = Prometheus::start(folder.path(), "receiver", "").await else { return };
    let config = format!(
        "
remote_write:
- {{url: '{}/api/v1/write', protobuf_message: {message}, send_native_histograms: true}}
",
        receiver.url
    );
    let kandela = Server::start(folder.path(), &config).await;
    let sender = sender(&kandela.http, message);
    let sender = Prometheus::start(folder.path(), "sender", &sender).await.unwrap();
    until("waited for the first scrape", async || {
        (!sender.samples("up[10s]", seconds()).await.is_empty()).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(6)).await;

    let (from, to) = (seconds() - 5.0, seconds() - 2.0);
    let selector = format!("{{__name__=~\".+\"}}[{}ms]", ((to - from) * 1_000.0) as u64);
    let sent = sender.samples(&selector, to).await;
    assert!(sent.len() > 500, "{} series are few for a prometheus", sent.len());
    until("compared what was sent with what arrived", async || {
        let arrived = receiver.samples(&selector, to).await;
        (arrived == sent).then_some(())
    })
    .await;

    let between =
        format!("ts > to_timestamp_millis({}) AND ts <= to_timestamp_millis({})", from * 1e3, to * 1e3);
    let between = between.replace(".0)", ")");
    let points: usize = sent.values().map(Vec::len).sum();
    let samples = kandela.number(&format!("SELECT count(*) FROM samples WHERE {between}")).await;
    let histograms = kandela.number(&format!("SELECT count(*) FROM histograms WHERE {between}")).await;
    assert!(histograms > 0.0, "native histograms come along");
    eprintln!("{message}: {} series, {points} points, {histograms} of them histograms", sent.len());
    assert_eq!(samples + histograms, points as f64);
    assert!(kandela.number("SELECT count(*) FROM metrics WHERE metric = 'up' AND value = 1").await > 0.0);
}

#[tokio::test]
async fn version_1_goes_in_and_comes_back_out_unchanged() {
    in_and_back_out(V1).await;
}

#[tokio::test]
async fn version_2_goes_in_and_comes_back_out_unchanged() {
    in_and_back_out(V2).await;
}
