//! Spans, logs, histograms, exemplars, events and increments are kept, found and followed like samples.

mod common;

use std::sync::Arc;

use common::{NOON, number, open, query, samples};
use kandela_lake::{LakeError, Tailed};
use kandela_model::{
    DeltaSample, Event, EventKind, Exemplar, Histogram, Labels, MetricBatch, SeriesExemplar, SeriesHistogram,
    Span, SpanKind, SpanStatus, Timestamp,
};

fn span(n: u8) -> Span {
    Span {
        trace_id: [n; 16],
        span_id: [n; 8],
        parent_span_id: None,
        trace_state: String::new(),
        flags: 1,
        service: "cart".into(),
        name: "GET /cart".to_owned(),
        kind: SpanKind::Server,
        start_unix_nano: NOON * 1_000_000,
        end_unix_nano: NOON * 1_000_000 + 5_000_000,
        status: SpanStatus::default(),
        resource: Arc::default(),
        attributes: vec![("http.response.status_code".to_owned(), kandela_model::Value::Int(200))],
        scope: Arc::default(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_sent_twice_is_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append_spans(&[span(1), span(2)]).unwrap();
    lake.flush().await.unwrap();
    lake.append_spans(&[span(2)]).unwrap();
    assert_eq!(number(&lake, "SELECT count(*) FROM spans").await, 2.0);
    let status = "SELECT count(*) FROM spans WHERE attributes['http.response.status_code']['int'] = 200";
    assert_eq!(number(&lake, status).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn increments_add_up_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let delta = |ms: i64, value| {
        let mut batch = MetricBatch::default();
        let series = batch.add_series([("__name__", "requests_total")]).unwrap();
        let ts = Timestamp::from_millis(NOON + ms);
        batch.deltas.push(DeltaSample { series, start: ts, ts, value });
        batch
    };
    let lake = open(folder.path()).await;
    lake.append(&delta(0, 5.0)).unwrap();
    lake.flush().await.unwrap();
    lake.append(&delta(1_000, 2.0)).unwrap();
    drop(lake);
    let lake = open(folder.path()).await;
    lake.append(&delta(2_000, 1.0)).unwrap();
    assert_eq!(common::numbers(&lake, "SELECT value FROM samples ORDER BY ts").await, [5.0, 7.0, 8.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn histograms_and_exemplars_come_back_from_log_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let mut batch = MetricBatch::default();
    let series = batch.add_series([("__name__", "latency")]).unwrap();
    let ts = Timestamp::from_millis(NOON);
    let histogram = Histogram { schema: 3, count: 4.0, sum: 2.5, zero_count: 4.0, ..Histogram::default() };
    batch.histograms.push(SeriesHistogram { series, ts, histogram, delta: false });
    let exemplar = Exemplar {
        ts,
        value: 0.5,
        trace_id: Some("ab".repeat(16)),
        span_id: None,
        labels: Labels::default(),
    };
    batch.exemplars.push(SeriesExemplar { series, exemplar });
    lake.append(&batch).unwrap();
    lake.append(&batch).unwrap();
    drop(lake);
    let lake = open(folder.path()).await;
    for _ in 0..2 {
        assert_eq!(number(&lake, "SELECT sum(count) FROM histograms").await, 4.0);
        assert_eq!(number(&lake, "SELECT count(*) FROM exemplars").await, 1.0);
        lake.flush().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_takes_only_who_knows_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let event = Event {
        ts: Timestamp::from_millis(NOON),
        stream: String::new(),
        seq: 0,
        epoch: 1,
        kind: EventKind::Decision,
        subject: "pool.size".to_owned(),
        verdict: None,
        payload: "{}".to_owned(),
    };
    let lake = open(folder.path()).await;
    assert_eq!(lake.append_events("autopilot", 0, &[event.clone(), event.clone()]).await.unwrap(), 2);
    let late = lake.append_events("autopilot", 1, std::slice::from_ref(&event)).await;
    assert!(matches!(late, Err(LakeError::Conflict { actual: 2, .. })), "{late:?}");
    drop(lake);
    let lake = open(folder.path()).await;
    assert_eq!(lake.append_events("autopilot", 2, &[event]).await.unwrap(), 3);
    assert_eq!(number(&lake, "SELECT count(DISTINCT seq) FROM events").await, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_what_came_in_with_its_labels() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let up = &[("__name__", "up"), ("job", "shop")];
    lake.append(&samples(up, &[(0, 1.0)])).unwrap();
    let from = lake.stats().log_seq + 1;
    lake.append(&samples(up, &[(15_000, 2.0)])).unwrap();
    let mut tail = lake.tail(from);
    let Some(Tailed::Batch { batch, .. }) = tail.next().unwrap() else { panic!("nothing came") };
    let sample = batch.samples.first().unwrap();
    assert_eq!((batch.labels(sample.series).to_string().as_str(), sample.value), (r#"up{job="shop"}"#, 2.0));
    assert!(tail.next().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_series_leave_memory_and_are_still_found() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    for n in 0..100 {
        lake.append(&samples(&[("__name__", "old"), ("n", &n.to_string())], &[(0, 1.0)])).unwrap();
    }
    lake.append(&samples(&[("__name__", "new")], &[(3 * 3_600_000, 1.0)])).unwrap();
    lake.flush().await.unwrap();
    lake.append(&samples(&[("__name__", "new")], &[(3 * 3_600_000 + 15_000, 1.0)])).unwrap();
    lake.flush().await.unwrap();
    assert_eq!(lake.stats().series, 1);
    assert_eq!(number(&lake, "SELECT count(*) FROM metrics WHERE metric = 'old'").await, 100.0);
    lake.append(&samples(&[("__name__", "old"), ("n", "7")], &[(3 * 3_600_000, 2.0)])).unwrap();
    assert_eq!(number(&lake, "SELECT sum(value) FROM metrics WHERE labels['n'] = '7'").await, 3.0);
    assert!(
        query(&lake, "SELECT 1 FROM series WHERE labels['n'] = '7'").await.iter().any(|b| b.num_rows() == 1)
    );
}
