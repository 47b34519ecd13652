//! A real Prometheus 3.5 and Kandela with the same series.

pub(crate) mod data;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use kandela_ingest::remote_write::{Encoder, Message};
use reqwest::Client;

use super::kandela::Server;
use super::peer::until;
use super::prometheus::Prometheus;

/// When the data end, in seconds since 1970: at the beginning of this minute.
pub(crate) fn end() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 / 60 * 60
}

/// Writes all series to each of `servers`, and gives how many points there are. Prometheus does not forward what is older than
/// its own start, so both get the data from here.
pub(crate) async fn write(servers: &[&str], end: i64) -> usize {
    let (mut encoder, client, mut points) = (Encoder::default(), Client::new(), 0);
    for batch in data::batches(end * 1_000) {
        points += batch.points();
        let body = encoder.encode(Message::V2, &batch);
        for server in servers {
            let request = client
                .post(format!("{server}/api/v1/write"))
                .header("content-type", Message::V2.content_type())
                .header("content-encoding", "snappy")
                .header("x-prometheus-remote-write-version", Message::V2.version())
                .body(body.clone());
            let answer = request.send().await.unwrap();
            let status = answer.status();
            assert!(status.is_success(), "{server}: {status}: {}", answer.text().await.unwrap());
        }
    }
    points
}

/// Both servers with the same data, and when these end.
pub(crate) async fn both(folder: &Path) -> Option<(Prometheus, Server, i64)> {
    let prometheus = Prometheus::start(folder, "prometheus", "").await?;
    let kandela = Server::start(folder, "").await;
    let end = end();
    let points = write(&[&prometheus.url, &kandela.http], end).await;
    let until_end = format!("ts <= to_timestamp_millis({})", end * 1_000);
    until("waited for all points", async || {
        let samples = kandela.number(&format!("SELECT count(*) FROM samples WHERE {until_end}")).await;
        let histograms = kandela.number(&format!("SELECT count(*) FROM histograms WHERE {until_end}")).await;
        (samples + histograms == points as f64).then_some(())
    })
    .await;
    Some((prometheus, kandela, end))
}
