//! Prometheus remote write, both versions.

use kandela_ingest::remote_write::{Encoder, Message};
use kandela_model::{MetricBatch, Timestamp};
use reqwest::{Response, StatusCode};

use crate::support::{Running, now_nanos, start};

fn now() -> Timestamp {
    Timestamp::from_millis(Timestamp::from_unix_nanos(now_nanos()).millis())
}

fn batch(value: f64, ts: Timestamp) -> MetricBatch {
    let mut batch = MetricBatch::default();
    for instance in ["a", "b"] {
        let labels = [("__name__", "requests_total"), ("instance", instance), ("job", "shop")];
        let series = batch.add_series(labels).unwrap();
        batch.add_sample(series, ts, value);
    }
    batch
}

async fn send(running: &Running, message: Message, body: Vec<u8>) -> Response {
    let request = reqwest::Client::new()
        .post(running.url("/api/v1/write"))
        .header("Content-Type", message.content_type())
        .header("Content-Encoding", "snappy")
        .header("X-Prometheus-Remote-Write-Version", message.version());
    request.body(body).send().await.unwrap()
}

const WRITTEN: &str = "X-Prometheus-Remote-Write-Samples-Written";

#[tokio::test]
async fn what_was_acknowledged_is_visible_at_once_and_after_a_restart() {
    let running = start(|_| ()).await;
    let ts = now();
    let answer = send(&running, Message::V1, Encoder::default().encode(Message::V1, &batch(7.0, ts))).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let query = "SELECT labels['instance'] AS instance, value FROM metrics WHERE metric = 'requests_total' ORDER BY 1";
    let seen = running.rows(query).await;
    assert_eq!(
        seen,
        [
            serde_json::json!({"instance": "a", "value": 7.0}),
            serde_json::json!({"instance": "b", "value": 7.0})
        ]
    );
    let running = running.restart().await;
    assert_eq!(running.rows(query).await, seen);
}

#[tokio::test]
async fn version_2_is_told_what_was_written() {
    let running = start(|_| ()).await;
    let ts = now();
    let body = Encoder::default().encode(Message::V2, &batch(7.0, ts));
    for round in ["first", "repeated"] {
        let answer = send(&running, Message::V2, body.clone()).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{round}");
        assert_eq!(answer.headers()[WRITTEN], "2", "{round}");
        assert_eq!(answer.headers()["X-Prometheus-Remote-Write-Histograms-Written"], "0");
        assert_eq!(answer.headers()["X-Prometheus-Remote-Write-Exemplars-Written"], "0");
    }
    let rows = running.rows("SELECT count(*) AS n FROM metrics WHERE metric = 'requests_total'").await;
    assert_eq!(rows[0]["n"], 2);
}

#[tokio::test]
async fn a_partial_write_is_never_a_success() {
    let running = start(|_| ()).await;
    let mut mixed = batch(1.0, now());
    let old = mixed.add_series([("__name__", "too_old"), ("job", "shop")]).unwrap();
    mixed.add_sample(old, now().plus_micros(-30 * 86_400_000_000), 1.0);
    // The window counts from the newest sample that is there already.
    assert_eq!(
        send(&running, Message::V2, Encoder::default().encode(Message::V2, &batch(0.0, now())))
            .await
            .status(),
        StatusCode::NO_CONTENT
    );
    let answer = send(&running, Message::V2, Encoder::default().encode(Message::V2, &mixed)).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers()[WRITTEN], "2");
    let text = answer.text().await.unwrap();
    assert!(text.contains("too_old") && text.contains("out-of-order window"), "{text}");
    let rows = running.rows("SELECT count(*) AS n FROM metrics WHERE metric = 'requests_total'").await;
    assert_eq!(rows[0]["n"], 4, "the rest of the request was kept");
    assert!(
        running
            .own_metrics()
            .await
            .contains("kandela_dropped_total{protocol=\"remote_write\",signal=\"samples\"} 1")
    );
}

#[tokio::test]
async fn what_is_no_remote_write_is_refused_with_the_status_that_the_protocol_says() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::new();
    let post = |content_type: &'static str, encoding: &'static str, body: Vec<u8>| {
        let request = client.post(running.url("/api/v1/write"));
        let request = request.header("Content-Type", content_type).header("Content-Encoding", encoding);
        async { request.body(body).send().await.unwrap().status().as_u16() }
    };
    let good = Encoder::default().encode(Message::V1, &batch(1.0, now()));
    assert_eq!(post("application/json", "snappy", good.clone()).await, 415);
    assert_eq!(
        post("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy", good.clone()).await,
        415
    );
    assert_eq!(post("application/x-protobuf", "gzip", good.clone()).await, 415);
    assert_eq!(post("application/x-protobuf", "snappy", b"not snappy".to_vec()).await, 400);
    let noise = snap::raw::Encoder::new().compress_vec(&[0xff; 64]).unwrap();
    assert_eq!(post("application/x-protobuf", "snappy", noise).await, 400);
    // A block that claims four gigabytes.
    assert_eq!(post("application/x-protobuf", "snappy", vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0]).await, 413);
    assert_eq!(post("application/x-protobuf", "snappy", good).await, 204);
    let metrics = running.own_metrics().await;
    assert!(
        metrics.contains("kandela_refused_payloads_total{protocol=\"remote_write\",code=\"415\"} 3"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused_whether_it_says_so_or_not() {
    let running = start(|options| options.config.kandela.limits.body_size = 10_000).await;
    let client = reqwest::Client::new();
    let declared = client.post(running.url("/api/v1/write")).body(vec![0; 20_000]).send().await.unwrap();
    assert_eq!(declared.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let pieces = futures::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![0_u8; 1_000])));
    let streamed = client.post(running.url("/api/v1/write")).body(reqwest::Body::wrap_stream(pieces));
    let answer = streamed.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.text().await.unwrap().contains("kandela.limits.body_size"));
}

#[tokio::test]
async fn tenants_see_only_their_own() {
    let team = kandela_model::TenantId::new("team-a").unwrap();
    let running = start(|options| options.config.kandela.tenants = vec![team]).await;
    let client = reqwest::Client::new();
    let write = |tenant: &'static str| {
        let request = client.post(running.url("/api/v1/write")).header("X-Scope-OrgID", tenant);
        let body = Encoder::default().encode(Message::V1, &batch(1.0, now()));
        async { request.body(body).send().await.unwrap().status().as_u16() }
    };
    assert_eq!(write("team-a").await, 204);
    assert_eq!(write("team-b").await, 404);
    assert_eq!(write("../escape").await, 400);
    let count = "SELECT count(*) AS n FROM metrics WHERE metric = 'requests_total'";
    assert_eq!(running.rows(count).await[0]["n"], 0);
    let own = client.post(running.url("/api/sql")).header("X-Scope-OrgID", "team-a").body(count);
    let document: serde_json::Value = own.send().await.unwrap().json().await.unwrap();
    assert_eq!(document["rows"][0]["n"], 2);
}
