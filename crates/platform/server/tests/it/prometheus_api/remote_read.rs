//! Remote read, both kinds of answer.

use std::sync::Arc;

use kandela_ingest::remote_write::read::{
    Frames, MatchKind, Matcher, Query, ResponseKind, decode_chunks, decode_samples, encode_request,
};
use kandela_ingest::remote_write::{Decoder, Limits};
use kandela_model::{BucketSpan, Histogram, MetricBatch, SeriesHistogram, SeriesIndex, Timestamp};
use reqwest::{Response, StatusCode};

use super::{now, requests, seconds, send};
use crate::support::{Running, start};

pub(crate) fn query(name: &str, from: i64, through: i64) -> Query {
    let matcher = Matcher { kind: MatchKind::Equal, name: "__name__".to_owned(), value: name.to_owned() };
    Query { start: seconds(from), end: seconds(through), matchers: vec![matcher] }
}

/// A request that takes samples only: one without the list of kinds at its end.
pub(crate) fn for_samples(queries: &[Query]) -> Vec<u8> {
    let message = snap::raw::Decoder::new().decompress_vec(&encode_request(queries)).unwrap();
    let (queries, kinds) = message.split_at(message.len() - 4);
    assert_eq!(kinds, [0x12, 2, 1, 0]);
    snap::raw::Encoder::new().compress_vec(queries).unwrap()
}

pub(crate) async fn ask(url: &str, tenant: Option<&str>, body: Vec<u8>) -> Response {
    let mut request = reqwest::Client::new()
        .post(url)
        .header("Content-Type", "application/x-protobuf")
        .header("Content-Encoding", "snappy")
        .header("X-Prometheus-Remote-Read-Version", "0.1.0");
    if let Some(tenant) = tenant {
        request = request.header("X-Scope-OrgID", tenant);
    }
    request.body(body).send().await.unwrap()
}

/// The points of an answer of either kind.
pub(crate) async fn points(answer: Response) -> MetricBatch {
    assert_eq!(answer.status(), StatusCode::OK);
    let kind = ResponseKind::from_content_type(answer.headers()["content-type"].to_str().unwrap()).unwrap();
    let body = answer.bytes().await.unwrap();
    let mut batch = MetricBatch::default();
    match kind {
        ResponseKind::Samples => {
            let rejections = decode_samples(&mut Decoder::new(Limits::default()), &body, &mut batch).unwrap();
            assert!(rejections.is_empty(), "{rejections}");
        }
        ResponseKind::Chunks => {
            let mut frames = Frames::default();
            frames.push(&body);
            while let Some(frame) = frames.next_frame().unwrap() {
                let points = decode_chunks(frame, |_| true, &mut batch).unwrap();
                assert_eq!(points.refused, 0);
            }
            frames.finish().unwrap();
        }
    }
    batch
}

/// Floats of a batch with their labels, in order.
pub(crate) fn floats(batch: &MetricBatch) -> Vec<(String, Timestamp, u64)> {
    let mut all: Vec<_> = batch
        .samples
        .iter()
        .map(|sample| (batch.labels(sample.series).to_string(), sample.ts, sample.value.to_bits()))
        .collect();
    all.sort();
    all
}

async fn both(running: &Running, queries: &[Query]) -> [MetricBatch; 2] {
    let url = running.url("/api/v1/read");
    let chunks = ask(&url, None, encode_request(queries)).await;
    assert!(chunks.headers()["content-type"].to_str().unwrap().contains("ChunkedReadResponse"));
    let samples = ask(&url, None, for_samples(queries)).await;
    assert_eq!(samples.headers()["content-encoding"], "snappy");
    [points(chunks).await, points(samples).await]
}

#[tokio::test]
async fn samples_come_back_as_they_were_sent() {
    let running = start(|_| ()).await;
    let began = now() - 3_000;
    let sent = requests(began, 300);
    send(&running, &sent).await;
    for read in both(&running, &[query("requests_total", began, began + 10_000)]).await {
        assert_eq!(floats(&read), floats(&sent));
    }
}

#[tokio::test]
async fn only_the_time_asked_for_is_read() {
    let running = start(|_| ()).await;
    let began = now() - 3_000;
    send(&running, &requests(began, 300)).await;
    for read in both(&running, &[query("requests_total", began + 10, began + 30)]).await {
        assert_eq!(read.samples.len(), 6);
    }
    for read in both(&running, &[query("nothing", began, began + 30)]).await {
        assert_eq!(read.samples.len(), 0);
    }
}

#[tokio::test]
async fn histograms_come_back_as_they_were_sent() {
    let running = start(|_| ()).await;
    let began = now() - 3_000;
    let mut sent = MetricBatch::default();
    let series = sent.add_series([("__name__", "latency"), ("job", "shop")]).unwrap();
    for place in 0..200 {
        let count = f64::from(place + 1);
        let histogram = Histogram {
            schema: 2,
            count: count * 3.0,
            sum: count * 1.5,
            zero_threshold: 0.001,
            zero_count: count,
            positive_spans: vec![BucketSpan { offset: -1, length: 2 }],
            positive_buckets: vec![count, count],
            ..Histogram::default()
        };
        let ts = seconds(began + i64::from(place) * 10);
        sent.histograms.push(SeriesHistogram { series, ts, histogram, delta: false });
    }
    send(&running, &sent).await;
    let told = |batch: &MetricBatch| -> Vec<(Timestamp, Histogram)> {
        let plain = |one: &SeriesHistogram| {
            (one.ts, Histogram { reset_hint: Default::default(), ..one.histogram.clone() })
        };
        batch.histograms.iter().map(plain).collect()
    };
    for read in both(&running, &[query("latency", began, began + 10_000)]).await {
        assert_eq!(told(&read), told(&sent));
    }
}

#[tokio::test]
async fn external_labels_are_added_and_may_be_asked_for() {
    let running = start(|options| {
        options.config.global.external_labels.insert("region".to_owned(), "eu".to_owned());
    })
    .await;
    let began = now() - 3_000;
    send(&running, &requests(began, 3)).await;
    let mut asked = query("requests_total", began, began + 100);
    let region =
        |value: &str| Matcher { kind: MatchKind::Equal, name: "region".to_owned(), value: value.to_owned() };
    asked.matchers.push(region("eu"));
    for read in both(&running, &[asked.clone()]).await {
        assert_eq!(read.labels(SeriesIndex(0)).get("region"), Some("eu"));
        assert_eq!(read.samples.len(), 6);
    }
    asked.matchers[1] = region("us");
    for read in both(&running, &[asked]).await {
        assert_eq!(read.samples.len(), 0);
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_as_text() {
    let running = start(|_| ()).await;
    let url = Arc::new(running.url("/api/v1/read"));
    for body in [b"plain".to_vec(), snap::raw::Encoder::new().compress_vec(b"\xff\xff").unwrap()] {
        let answer = ask(&url, None, body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    }
}
