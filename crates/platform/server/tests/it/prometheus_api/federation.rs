//! Federation: the newest values as a page.

use kandela_ingest::exposition::{ParseOptions, parse};
use kandela_model::{BucketSpan, Histogram, MetricBatch, STALE_NAN, SeriesHistogram};

use super::{get, now, requests, seconds, send, told};
use crate::support::{Running, start};

const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

pub(crate) async fn page(
    url: &str,
    accept: &str,
    tenant: Option<&str>,
    form: &[(&str, &str)],
) -> (String, Vec<u8>) {
    let url = reqwest::Url::parse_with_params(url, form).unwrap();
    let mut request = reqwest::Client::new().get(url).header("Accept", accept);
    if let Some(tenant) = tenant {
        request = request.header("X-Scope-OrgID", tenant);
    }
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success());
    let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (content_type, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn the_newest_value_of_each_series_is_on_the_page() {
    let running = start(|_| ()).await;
    let began = now() - 100;
    send(&running, &requests(began, 10)).await;
    let form = [("match[]", "requests_total"), ("match[]", "{instance=\"a\",job=\"shop\"}")];
    let at = (began + 90) * 1_000;
    let expected = format!(
        "# TYPE requests_total untyped\n\
         requests_total{{instance=\"a\",job=\"shop\"}} 90 {at}\n\
         requests_total{{instance=\"b\",job=\"shop\"}} 90 {at}\n"
    );
    assert_eq!(told(&running, "/federate", &form).await, expected);
    assert_eq!(told(&running, "/federate", &[]).await, "");
}

#[tokio::test]
async fn series_that_ended_or_are_old_are_not_on_the_page() {
    let running = start(|_| ()).await;
    let mut batch = MetricBatch::default();
    let ended = batch.add_series([("__name__", "ended")]).unwrap();
    batch.add_sample(ended, seconds(now() - 20), 1.0);
    batch.add_sample(ended, seconds(now() - 10), STALE_NAN);
    let old = batch.add_series([("__name__", "old")]).unwrap();
    batch.add_sample(old, seconds(now() - 400), 1.0);
    send(&running, &batch).await;
    let form = [("match[]", "{__name__=~\"ended|old\"}")];
    assert_eq!(told(&running, "/federate", &form).await, "");
}

#[tokio::test]
async fn labels_of_the_server_are_added() {
    let running = start(|options| {
        options.config.global.external_labels.insert("region".to_owned(), "eu".to_owned());
    })
    .await;
    let mut batch = MetricBatch::default();
    let series = batch.add_series([("__name__", "jobs:sum")]).unwrap();
    let at = now() - 10;
    batch.add_sample(series, seconds(at), 1.5);
    send(&running, &batch).await;
    let page = told(&running, "/federate", &[("match[]", "jobs:sum")]).await;
    let line = format!("jobs:sum{{instance=\"\",region=\"eu\"}} 1.5 {}\n", at * 1_000);
    assert_eq!(page, format!("# TYPE jobs:sum untyped\n{line}"));
}

async fn with_histogram(at: i64) -> (Running, MetricBatch) {
    let running = start(|_| ()).await;
    let mut batch = MetricBatch::default();
    let series = batch.add_series([("__name__", "latency"), ("instance", "a"), ("job", "shop")]).unwrap();
    let histogram = Histogram {
        schema: 3,
        count: 6.0,
        sum: 4.5,
        zero_threshold: 0.001,
        zero_count: 1.0,
        positive_spans: vec![BucketSpan { offset: -2, length: 2 }],
        positive_buckets: vec![2.0, 3.0],
        ..Histogram::default()
    };
    batch.histograms.push(SeriesHistogram { series, ts: seconds(at), histogram, delta: false });
    send(&running, &batch).await;
    (running, batch)
}

#[tokio::test]
async fn native_histograms_travel_in_protobuf_only() {
    let at = now() - 10;
    let (running, sent) = with_histogram(at).await;
    let form = [("match[]", "latency")];
    assert_eq!(told(&running, "/federate", &form).await, "");
    let (content_type, body) = page(&running.url("/federate"), PROTOBUF, None, &form).await;
    let mut read = MetricBatch::default();
    parse(Some(&content_type), &body, &ParseOptions::scrape(seconds(0)), &mut read).unwrap();
    let [one] = &read.histograms[..] else { panic!("{:?}", read.histograms) };
    assert_eq!(read.labels(one.series).to_string(), sent.labels(sent.histograms[0].series).to_string());
    assert_eq!(one.ts, seconds(at));
    // Counts of a page for federation may be fractions.
    let sent = Histogram { is_float: true, ..sent.histograms[0].histogram.clone() };
    assert_eq!(Histogram { reset_hint: sent.reset_hint, ..one.histogram.clone() }, sent);
}

#[tokio::test]
async fn a_bad_selector_is_refused_as_text() {
    let running = start(|_| ()).await;
    let (status, body) = get(&running, "/federate", &[("match[]", "up{")]).await;
    assert_eq!(status.as_u16(), 400);
    assert!(body.starts_with("1:4: parse error: "), "{body}");
}
