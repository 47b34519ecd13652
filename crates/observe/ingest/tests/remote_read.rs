//! Remote read as a client: the request that a server understands, and both kinds of answer.

mod prompb;

use kandela_ingest::remote_write::read::{
    Frames, MatchKind, Matcher, Query, ReadError, ResponseKind, decode_chunks, decode_samples, encode_request,
};
use kandela_ingest::remote_write::{Decoder, Limits};
use kandela_model::{MetricBatch, Timestamp};
use prompb::v1;
use prost::Message;

#[derive(Clone, PartialEq, prost::Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<WireQuery>,
    #[prost(int32, repeated, tag = "2")]
    accepted_response_types: Vec<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireQuery {
    #[prost(int64, tag = "1")]
    start: i64,
    #[prost(int64, tag = "2")]
    end: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<WireMatcher>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireMatcher {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<QueryResult>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct QueryResult {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<v1::TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ChunkedReadResponse {
    #[prost(message, repeated, tag = "1")]
    chunked_series: Vec<WireChunkedSeries>,
    #[prost(int64, tag = "2")]
    query_index: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireChunkedSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<v1::Label>,
    #[prost(message, repeated, tag = "2")]
    chunks: Vec<WireChunk>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireChunk {
    #[prost(int64, tag = "1")]
    min: i64,
    #[prost(int64, tag = "2")]
    max: i64,
    #[prost(int32, tag = "3")]
    encoding: i32,
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
}

fn name(value: &str) -> v1::Label {
    v1::Label { name: b"__name__".to_vec(), value: value.as_bytes().to_vec() }
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    prost::encoding::encode_varint(payload.len() as u64, &mut frame);
    frame.extend_from_slice(&crc32c::crc32c(payload).to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A frame's payload with an XOR chunk of two samples: 1.5 at 1,000 ms and again at 1,015 ms.
fn chunk_payload(series: &str) -> Vec<u8> {
    let two_samples_from_1000 = [0, 2, 0xd0, 0x0f];
    let same_value_15_later = [15, 0];
    let data = [&two_samples_from_1000[..], &1.5f64.to_be_bytes(), &same_value_15_later].concat();
    let chunk = WireChunk { min: 1_000, max: 1_015, encoding: 1, data };
    let series = WireChunkedSeries { labels: vec![name(series)], chunks: vec![chunk] };
    ChunkedReadResponse { chunked_series: vec![series], query_index: 0 }.encode_to_vec()
}

#[test]
fn a_server_understands_the_request() {
    let matcher = Matcher { kind: MatchKind::Regex, name: "job".into(), value: "a|b".into() };
    let query =
        Query { start: Timestamp::from_millis(-5), end: Timestamp::from_millis(7), matchers: vec![matcher] };
    let body = snap::raw::Decoder::new().decompress_vec(&encode_request(&[query])).unwrap();
    let request = ReadRequest::decode(body.as_slice()).unwrap();
    assert_eq!(request.accepted_response_types, [1, 0], "chunks are preferred to samples");
    assert_eq!((request.queries[0].start, request.queries[0].end), (-5, 7));
    let matcher = WireMatcher { kind: 2, name: "job".into(), value: "a|b".into() };
    assert_eq!(request.queries[0].matchers, [matcher]);
}

#[test]
fn samples_of_all_queries_come_as_one_batch() {
    let series = |metric, value| v1::TimeSeries {
        labels: vec![name(metric)],
        samples: vec![v1::Sample { value, timestamp: 3 }],
        ..Default::default()
    };
    let results = vec![
        QueryResult { timeseries: vec![series("a", 1.0)] },
        QueryResult { timeseries: vec![series("b", 2.0)] },
    ];
    let body = snap::raw::Encoder::new().compress_vec(&ReadResponse { results }.encode_to_vec()).unwrap();
    let mut batch = MetricBatch::default();
    let rejections = decode_samples(&mut Decoder::new(Limits::default()), &body, &mut batch).unwrap();
    assert!(rejections.is_empty());
    assert_eq!(batch.samples.iter().map(|sample| sample.value).collect::<Vec<_>>(), [1.0, 2.0]);
}

#[test]
fn frames_are_cut_however_their_bytes_arrive() {
    let stream = [frame(&chunk_payload("a")), frame(&chunk_payload("b"))].concat();
    for step in [1, 7, stream.len()] {
        let mut frames = Frames::default();
        let mut batch = MetricBatch::default();
        for bytes in stream.chunks(step) {
            frames.push(bytes);
            while let Some(payload) = frames.next_frame().unwrap() {
                decode_chunks(payload, |_| true, &mut batch).unwrap();
            }
        }
        let read = batch.samples.iter().map(|s| (batch.labels(s.series).to_string(), s.ts.millis(), s.value));
        let expected = [("a", 1_000), ("a", 1_015), ("b", 1_000), ("b", 1_015)];
        let expected = expected.map(|(series, millis)| (series.to_owned(), millis, 1.5));
        assert_eq!(read.collect::<Vec<_>>(), expected);
        assert_eq!(frames.finish(), Ok(()));
    }
}

#[test]
fn samples_outside_of_the_range_are_left_out() {
    let mut batch = MetricBatch::default();
    let until = Timestamp::from_millis(1_010);
    let points = decode_chunks(&chunk_payload("a"), |ts| ts <= until, &mut batch).unwrap();
    assert_eq!((points.taken, points.left_out, batch.samples.len()), (1, 1, 1));
}

#[test]
fn a_chunk_that_cannot_be_read_is_named_by_its_series() {
    let chunk = WireChunk { min: 0, max: 0, encoding: 77, data: vec![0, 1] };
    let series = WireChunkedSeries { labels: vec![name("a")], chunks: vec![chunk] };
    let payload = ChunkedReadResponse { chunked_series: vec![series], query_index: 0 }.encode_to_vec();
    let error = decode_chunks(&payload, |_| true, &mut MetricBatch::default()).unwrap_err();
    assert!(
        error.to_string().starts_with("a chunk of series a cannot be read: chunk encoding 77"),
        "{error}"
    );
}

#[test]
fn a_damaged_or_torn_frame_is_noticed() {
    let mut damaged = frame(&chunk_payload("a"));
    *damaged.last_mut().unwrap() ^= 1;
    let mut frames = Frames::default();
    frames.push(&damaged);
    assert!(matches!(frames.next_frame(), Err(ReadError::Checksum { .. })));

    let whole = frame(&chunk_payload("a"));
    let mut frames = Frames::default();
    frames.push(&whole[..whole.len() - 1]);
    assert_eq!(frames.next_frame(), Ok(None));
    assert_eq!(frames.finish(), Err(ReadError::Truncated));
}

#[test]
fn a_frame_that_claims_too_much_is_refused_at_once() {
    let mut frames = Frames::default();
    frames.push(&[0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert!(matches!(frames.next_frame(), Err(ReadError::FrameTooLarge { .. })));
}

#[test]
fn the_content_type_tells_the_kind_of_answer() {
    let kind = ResponseKind::from_content_type;
    assert_eq!(kind("application/x-protobuf"), Ok(ResponseKind::Samples));
    assert_eq!(
        kind("application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"),
        Ok(ResponseKind::Chunks)
    );
    assert!(kind("text/html").is_err());
}
