//! Queries that want more memory at a time than there is.

use kandela_model::MetricBatch;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{get, now, seconds, send};
use crate::support::{Running, start};

const SERIES: usize = 400;
const STEPS: i64 = 700;

/// A server whose queries have 16 MiB, of which an answer to [`QUERY`] takes more than a third; and that query's times.
async fn small() -> (Running, [(&'static str, String); 4]) {
    let running = start(|options| options.config.kandela.memory_limit = 64 << 20).await;
    let began = now() - STEPS;
    let mut batch = MetricBatch::default();
    for n in 0..SERIES {
        let series = batch.add_series([("__name__", "x"), ("n", &format!("{n:03}"))]).unwrap();
        for place in 0..STEPS / 10 {
            batch.add_sample(series, seconds(began + place * 10), n as f64 + place as f64 / 3.0);
        }
    }
    send(&running, &batch).await;
    let (start, end) = (began.to_string(), (began + STEPS - 10).to_string());
    (running, [("query", "x * 2".to_owned()), ("start", start), ("end", end), ("step", "1".to_owned())])
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_do_not_fit_beside_each_other_wait_and_are_all_answered() {
    let (running, form) = small().await;
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answers =
        futures::future::join_all((0..8).map(|_| get(&running, "/api/v1/query_range", &form))).await;
    let (first_status, first) = &answers[0];
    assert_eq!((first_status.as_u16(), first.matches("\"metric\"").count()), (200, SERIES));
    for (status, answer) in &answers {
        assert!(status.is_success() && answer == first, "{status}: {} bytes", answer.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_their_answers_hold_nobody_up() {
    let (running, form) = small().await;
    let url = reqwest::Url::parse_with_params(&running.url("/api/v1/query_range"), &form).unwrap();
    let (host, query) = (url.authority().to_owned(), url.query().unwrap().to_owned());
    let mut idle = Vec::new();
    for _ in 0..6 {
        let mut client = TcpStream::connect(&host).await.unwrap();
        let request = format!("GET /api/v1/query_range?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        idle.push(client);
    }
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap().matches("\"metric\"").count(), SERIES);
    drop(idle);
}
