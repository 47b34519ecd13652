//! Prometheus' HTTP API, body by body, and beside a real Prometheus.

mod beside_prometheus;
mod door;
mod errors;
mod exemplars;
mod federation;
mod memory;
mod packing;
mod peer;
mod queries;
mod remote_read;
mod series;
mod status;
mod targets;

use kandela_ingest::remote_write::{Encoder, Message};
use kandela_model::{MetricBatch, Timestamp};
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::{Running, now_nanos};

/// Now, in whole seconds, so that times are written the same everywhere.
pub(crate) fn now() -> i64 {
    i64::try_from(now_nanos() / 1_000_000_000).unwrap()
}

pub(crate) fn seconds(at: i64) -> Timestamp {
    Timestamp::from_millis(at * 1_000)
}

/// Sends samples by remote write.
pub(crate) async fn send_to(url: &str, tenant: Option<&str>, batch: &MetricBatch) {
    let mut request = reqwest::Client::new()
        .post(url)
        .header("Content-Type", Message::V1.content_type())
        .header("Content-Encoding", "snappy")
        .header("X-Prometheus-Remote-Write-Version", Message::V1.version());
    if let Some(tenant) = tenant {
        request = request.header("X-Scope-OrgID", tenant);
    }
    let answer = request.body(Encoder::default().encode(Message::V1, batch)).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{status}: {text}");
}

pub(crate) async fn send(running: &Running, batch: &MetricBatch) {
    send_to(&running.url("/api/v1/write"), None, batch).await;
}

/// `requests_total` of two instances, a sample every ten seconds from `start` on: 0, 10, 20 and so on.
pub(crate) fn requests(start: i64, samples: i64) -> MetricBatch {
    let mut batch = MetricBatch::default();
    for instance in ["a", "b"] {
        let labels = [("__name__", "requests_total"), ("instance", instance), ("job", "shop")];
        let series = batch.add_series(labels).unwrap();
        for place in 0..samples {
            batch.add_sample(series, seconds(start + place * 10), (place * 10) as f64);
        }
    }
    batch
}

/// Asks with GET; gives status and body.
pub(crate) async fn get(running: &Running, path: &str, form: &[(&str, &str)]) -> (StatusCode, String) {
    let url = reqwest::Url::parse_with_params(&running.url(path), form).unwrap();
    let answer = reqwest::get(url).await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// The body of a success.
pub(crate) async fn told(running: &Running, path: &str, form: &[(&str, &str)]) -> String {
    let (status, body) = get(running, path, form).await;
    assert_eq!(status, StatusCode::OK, "{path} {form:?}: {body}");
    body
}

/// The `data` of a success.
pub(crate) async fn data(running: &Running, path: &str, form: &[(&str, &str)]) -> Value {
    let document: Value = serde_json::from_str(&told(running, path, form).await).unwrap();
    assert_eq!(document["status"], "success");
    document["data"].clone()
}
