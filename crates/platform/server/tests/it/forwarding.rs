//! `remote_write` out: from one server to another.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kandela_ingest::remote_write::{Encoder, Message};
use kandela_model::{MetricBatch, Timestamp};
use kandela_server::{Options, Server};
use serde_json::json;

use crate::support::{Running, now_nanos, quiet, start};

async fn write(running: &Running, name: &str, value: f64) {
    let mut batch = MetricBatch::default();
    for job in ["shop", "noise"] {
        let series = batch.add_series([("__name__", name), ("job", job)]).unwrap();
        batch.add_sample(series, Timestamp::from_unix_nanos(now_nanos()), value);
    }
    let body = Encoder::default().encode(Message::V1, &batch);
    let answer = reqwest::Client::new().post(running.url("/api/v1/write")).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 204);
}

/// A config that sends to `receiver`, in a hurry.
fn sending_to(receiver: SocketAddr, extra: &str) -> kandela_config::Config {
    let text = format!(
        "global: {{external_labels: {{cluster: eu}}}}\n\
         remote_write:\n\
         - url: http://{receiver}/api/v1/write\n\
         \x20 name: other\n\
         \x20 queue_config: {{batch_send_deadline: 100ms, max_backoff: 200ms}}\n\
         \x20 {extra}\n"
    );
    kandela_config::parse(&text, "kandela.yaml", &|_| None).unwrap().0
}

fn with(options: &mut Options, config: kandela_config::Config) {
    options.config.global = config.global;
    options.config.remote_write = config.remote_write;
}

/// Asks until the rows are these.
async fn until(running: &Running, query: &str, want: &[serde_json::Value]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let rows = running.rows(query).await;
        if rows == want {
            return;
        }
        assert!(Instant::now() < deadline, "{query} stayed at {rows:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until_told(running: &Running, line: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !running.own_metrics().await.contains(line) {
        assert!(Instant::now() < deadline, "{line} never came:\n{}", running.own_metrics().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const ORDERS: &str = "SELECT labels['job'] AS job, labels['cluster'] AS cluster, value FROM metrics \
                      WHERE metric = 'orders_total' ORDER BY 1, 3";

#[tokio::test]
async fn what_comes_in_goes_on_under_external_labels_and_rules() {
    for message in ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] {
        let receiver = start(|_| ()).await;
        let rules = "write_relabel_configs: [{source_labels: [job], regex: noise, action: drop}]";
        let extra = format!("protobuf_message: {message}\n  {rules}");
        let config = sending_to(receiver.server.addresses().http, &extra);
        let sender = start(|options| with(options, config)).await;
        write(&sender, "orders_total", 7.0).await;
        until(&receiver, ORDERS, &[json!({ "job": "shop", "cluster": "eu", "value": 7.0 })]).await;
        until_told(&sender, "kandela_forward_duration_seconds_count{receiver=\"other\"}").await;
    }
}

#[tokio::test]
async fn a_receiver_that_comes_back_gets_what_it_missed_also_after_a_restart() {
    let receiver = start(|_| ()).await;
    let address = receiver.server.addresses().http;
    let folder = receiver.folder;
    receiver.server.stop().await;

    let config = sending_to(address, "");
    let sender = start(|options| with(options, config.clone())).await;
    write(&sender, "orders_total", 1.0).await;
    until_told(&sender, "kandela_forward_retries_total{receiver=\"other\"}").await;
    // The stop writes everything to tables; the log is kept all the same.
    let Running { server, folder: sent } = sender;
    server.stop().await;
    let mut options = quiet(&sent);
    with(&mut options, config);
    let sender = Running { server: Server::start(options, None).await.unwrap(), folder: sent };
    write(&sender, "orders_total", 2.0).await;

    let mut options = quiet(&folder);
    options.config.kandela.listen.http = address;
    let receiver = Running { server: Server::start(options, None).await.unwrap(), folder };
    let row = |job: &str, value: f64| json!({ "job": job, "cluster": "eu", "value": value });
    let want = [row("noise", 1.0), row("noise", 2.0), row("shop", 1.0), row("shop", 2.0)];
    until(&receiver, ORDERS, &want).await;
    drop(sender);
}

#[tokio::test]
async fn what_the_receiver_refuses_for_good_is_dropped_and_counted() {
    let receiver = start(|options| options.config.kandela.limits.body_size = 10).await;
    let config = sending_to(receiver.server.addresses().http, "");
    let sender = start(|options| with(options, config)).await;
    write(&sender, "orders_total", 1.0).await;
    until_told(&sender, "kandela_forward_dropped_samples_total{receiver=\"other\",reason=\"refused\"}").await;
    assert!(!sender.own_metrics().await.contains("kandela_forward_retries_total{"), "a 413 was sent again");
}
