//! OTLP over HTTP and gRPC.

use std::io::Write as _;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tonic::codec::CompressionEncoding;

use crate::support::{now_nanos, start};

fn resource() -> Value {
    json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }] })
}

fn metrics() -> Value {
    let now = now_nanos().to_string();
    json!({ "resourceMetrics": [{ "resource": resource(), "scopeMetrics": [{ "metrics": [{
        "name": "orders", "sum": { "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
            { "startTimeUnixNano": now, "timeUnixNano": now, "asInt": "3" }
        ] }
    }] }] }] })
}

fn traces(span_id: &str) -> Value {
    let now = now_nanos();
    json!({ "resourceSpans": [{ "resource": resource(), "scopeSpans": [{ "spans": [{
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": span_id, "name": "checkout", "kind": 2,
        "startTimeUnixNano": now.to_string(), "endTimeUnixNano": (now + 1000).to_string()
    }] }] }] })
}

fn logs() -> Value {
    json!({ "resourceLogs": [{ "resource": resource(), "scopeLogs": [{ "logRecords": [
        { "timeUnixNano": now_nanos().to_string(), "severityNumber": 17, "body": { "stringValue": "out of stock" } }
    ] }] }] })
}

const ORDERS: &str = "SELECT value FROM metrics WHERE metric = 'orders_total' AND labels['job'] = 'shop'";
const CHECKOUTS: &str = "SELECT count(*) AS n FROM spans WHERE service = 'shop' AND name = 'checkout'";
const STOCK: &str = "SELECT count(*) AS n FROM logs WHERE service = 'shop' AND severity_number = 17";

#[tokio::test]
async fn three_signals_in_json_are_kept_and_queryable() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::new();
    for (path, body) in
        [("/v1/metrics", metrics()), ("/v1/traces", traces("b7ad6b7169203331")), ("/v1/logs", logs())]
    {
        let answer = client.post(running.otlp(path)).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        let told: Value = answer.json().await.unwrap();
        assert!(told.get("partialSuccess").is_none_or(Value::is_null), "{path}: {told}");
    }
    assert_eq!(running.rows(ORDERS).await, [json!({ "value": 3.0 })]);
    assert_eq!(running.rows(CHECKOUTS).await[0]["n"], 1);
    assert_eq!(running.rows(STOCK).await[0]["n"], 1);
}

#[tokio::test]
async fn protobuf_comes_in_plain_in_gzip_and_in_zstd() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::new();
    for (at, encoding) in ["", "gzip", "zstd"].into_iter().enumerate() {
        let request: ExportTraceServiceRequest =
            serde_json::from_value(traces(&format!("b7ad6b716920333{at}"))).unwrap();
        let plain = request.encode_to_vec();
        let body = match encoding {
            "gzip" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&plain).unwrap();
                encoder.finish().unwrap()
            }
            "zstd" => zstd::encode_all(plain.as_slice(), 1).unwrap(),
            _ => plain,
        };
        let request =
            client.post(running.otlp("/v1/traces")).header("Content-Type", "application/x-protobuf");
        let request =
            if encoding.is_empty() { request } else { request.header("Content-Encoding", encoding) };
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{encoding}");
        let told = ExportTraceServiceResponse::decode(answer.bytes().await.unwrap()).unwrap();
        assert_eq!(told, ExportTraceServiceResponse::default());
    }
    assert_eq!(running.rows(CHECKOUTS).await[0]["n"], 3);
}

#[tokio::test]
async fn metrics_also_come_in_at_prometheus_own_path() {
    let running = start(|_| ()).await;
    let request: ExportMetricsServiceRequest = serde_json::from_value(metrics()).unwrap();
    let answer = reqwest::Client::new()
        .post(running.url("/api/v1/otlp/v1/metrics"))
        .header("Content-Type", "application/x-protobuf")
        .body(request.encode_to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(running.rows(ORDERS).await.len(), 1);
}

#[tokio::test]
async fn part_of_a_request_that_cannot_be_kept_is_a_partial_success() {
    let running = start(|_| ()).await;
    let mut body = traces("b7ad6b7169203331");
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array_mut().unwrap();
    let mut nameless = spans[0].clone();
    nameless["spanId"] = json!("0000000000000000");
    spans.push(nameless);
    let answer = reqwest::Client::new().post(running.otlp("/v1/traces")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told["partialSuccess"]["rejectedSpans"].to_string().trim_matches('"'), "1", "{told}");
    assert!(!told["partialSuccess"]["errorMessage"].as_str().unwrap().is_empty(), "{told}");
    assert_eq!(running.rows(CHECKOUTS).await[0]["n"], 1);
}

#[tokio::test]
async fn spans_and_records_that_no_retention_would_keep_are_told_as_rejected() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::new();
    let day = 86_400_000_000_000;
    for time in [now_nanos() - 9 * day, now_nanos() + 2 * day] {
        let (time, after) = (time.to_string(), (time + 1_000).to_string());
        let (mut spans, mut records) = (traces("b7ad6b7169203331"), logs());
        let span = &mut spans["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        span["startTimeUnixNano"] = json!(time);
        span["endTimeUnixNano"] = json!(after);
        records["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["timeUnixNano"] = json!(time);
        for (path, body, field) in
            [("/v1/traces", &spans, "rejectedSpans"), ("/v1/logs", &records, "rejectedLogRecords")]
        {
            let answer = client.post(running.otlp(path)).json(body).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            let told: Value = answer.json().await.unwrap();
            assert_eq!(told["partialSuccess"][field], 1, "{time}: {told}");
            assert!(
                told["partialSuccess"]["errorMessage"].as_str().unwrap().contains("the time is"),
                "{told}"
            );
        }
    }
    assert_eq!(running.rows(CHECKOUTS).await[0]["n"], 0);
    assert_eq!(running.rows(STOCK).await[0]["n"], 0);
}

#[tokio::test]
async fn what_is_not_otlp_is_refused_in_the_senders_encoding() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::new();
    let post = |content_type: &'static str| {
        client.post(running.otlp("/v1/traces")).header("Content-Type", content_type)
    };
    let json = post("application/json").body("{").send().await.unwrap();
    assert_eq!(json.status(), StatusCode::BAD_REQUEST);
    let status: Value = json.json().await.unwrap();
    assert_eq!(status["code"], 3, "{status}");
    let protobuf = post("application/x-protobuf").body("nonsense").send().await.unwrap();
    assert_eq!(protobuf.status(), StatusCode::BAD_REQUEST);
    assert_eq!(protobuf.headers()["content-type"], "application/x-protobuf");
    assert_eq!(
        post("text/plain").body("x").send().await.unwrap().status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let packed = post("application/json").header("Content-Encoding", "br").body("x").send().await.unwrap();
    assert_eq!(packed.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_decompression_bomb_costs_its_sender_an_error() {
    let running = start(|options| options.config.kandela.limits.body_size = 1 << 20).await;
    let bomb = zstd::encode_all(vec![0_u8; 64 << 20].as_slice(), 19).unwrap();
    assert!(bomb.len() < 64 << 10);
    let answer = reqwest::Client::new()
        .post(running.otlp("/v1/logs"))
        .header("Content-Type", "application/x-protobuf")
        .header("Content-Encoding", "zstd")
        .body(bomb)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn three_signals_come_in_over_grpc_with_either_compression() {
    let running = start(|_| ()).await;
    let metrics: ExportMetricsServiceRequest = serde_json::from_value(metrics()).unwrap();
    let traces: ExportTraceServiceRequest = serde_json::from_value(traces("b7ad6b7169203331")).unwrap();
    let logs: ExportLogsServiceRequest = serde_json::from_value(logs()).unwrap();
    let mut client = MetricsServiceClient::connect(running.grpc()).await.unwrap();
    let told = client.export(metrics).await.unwrap().into_inner();
    assert_eq!(told, ExportMetricsServiceResponse::default());
    let client = TraceServiceClient::connect(running.grpc()).await.unwrap();
    client.send_compressed(CompressionEncoding::Gzip).export(traces).await.unwrap();
    let client = LogsServiceClient::connect(running.grpc()).await.unwrap();
    client.send_compressed(CompressionEncoding::Zstd).export(logs).await.unwrap();
    assert_eq!(running.rows(ORDERS).await.len(), 1);
    assert_eq!(running.rows(CHECKOUTS).await[0]["n"], 1);
    assert_eq!(running.rows(STOCK).await[0]["n"], 1);
    let own = running.own_metrics().await;
    assert!(own.contains("route=\"/opentelemetry.proto.collector.trace.v1.TraceService/Export\""), "{own}");
}

#[tokio::test]
async fn a_grpc_message_that_is_too_large_is_not_sent_again() {
    let running = start(|options| options.config.kandela.limits.body_size = 1 << 16).await;
    let mut body = logs();
    body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"]["stringValue"] =
        json!("x".repeat(1 << 20));
    let request: ExportLogsServiceRequest = serde_json::from_value(body).unwrap();
    for compression in [None, Some(CompressionEncoding::Zstd)] {
        let client = LogsServiceClient::connect(running.grpc()).await.unwrap();
        let mut client = match compression {
            Some(encoding) => client.send_compressed(encoding),
            None => client,
        };
        let status = client.export(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
        assert!(status.details().is_empty(), "RetryInfo would have it sent again");
    }
}

#[tokio::test]
async fn grpc_without_credentials_is_unauthenticated() {
    use kandela_config::Secret;
    use kandela_config::kandela::{Credential, Role, User};
    let agent = |name: &str, role| User {
        name: name.to_owned(),
        role,
        credential: Credential::BearerToken(Secret::new(format!("{name}-token"))),
    };
    let users = vec![agent("viewer", Role::Viewer), agent("writer", Role::Writer)];
    let running = start(|options| options.config.kandela.users = users).await;
    let mut client = LogsServiceClient::connect(running.grpc()).await.unwrap();
    let mut send = async |token: Option<&str>| {
        let mut request =
            tonic::Request::new(serde_json::from_value::<ExportLogsServiceRequest>(logs()).unwrap());
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        client.export(request).await.map(|_| ()).map_err(|status| status.code())
    };
    assert_eq!(send(None).await, Err(tonic::Code::Unauthenticated));
    assert_eq!(send(Some("viewer-token")).await, Err(tonic::Code::PermissionDenied));
    assert_eq!(send(Some("writer-token")).await, Ok(()));
}
