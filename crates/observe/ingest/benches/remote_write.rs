//! Cost of taking in a write request: bodies of 5,000 series with one sample each, as Prometheus sends them.
//!
//! `cargo bench -p kandela-ingest --bench remote_write`; nanoseconds a sample are the time divided by 5,000.

use divan::Bencher;
use divan::counter::ItemsCount;
use kandela_ingest::remote_write::{Decoder, Encoder, Limits, Message};
use kandela_model::{MetricBatch, Timestamp};

const SERIES: usize = 5_000;

fn main() {
    divan::main();
}

/// Series as a Kubernetes cluster has them: ten labels, 330 bytes of label text each.
fn batch() -> MetricBatch {
    let mut batch = MetricBatch::default();
    for i in 0..SERIES {
        let series = batch
            .add_series([
                ("__name__", format!("container_network_receive_bytes_total_{}", i % 40)),
                ("cluster", "eu-west-1-production".to_owned()),
                ("container", format!("checkout-{}", i % 7)),
                ("endpoint", "https-metrics".to_owned()),
                ("id", format!("/kubepods/burstable/pod{:08x}/{:016x}", i, i * 7_919)),
                ("instance", format!("10.0.{}.{}:9100", i / 250, i % 250)),
                ("interface", format!("eth{}", i % 3)),
                ("job", "kubelet".to_owned()),
                ("namespace", format!("shop-{}", i % 12)),
                ("pod", format!("checkout-{:x}-{:05x}", i % 97, i)),
            ])
            .expect("the labels of the benchmark are a label set");
        batch.add_sample(series, Timestamp::from_millis(1_700_000_000_000 + i as i64), i as f64 * 1.5);
    }
    batch
}

#[divan::bench(args = [Message::V1, Message::V2])]
fn decode(bencher: Bencher<'_, '_>, message: Message) {
    let body = Encoder::default().encode(message, &batch());
    let mut decoder = Decoder::new(Limits::default());
    let mut into = MetricBatch::default();
    bencher.counter(ItemsCount::new(SERIES)).bench_local(move || {
        let rejections = decoder.decode(message, &body, &mut into).expect("the body is well formed");
        assert!(rejections.is_empty() && into.samples.len() == SERIES);
    });
}

/// The share of [`decode`] that is snappy's.
#[divan::bench(args = [Message::V1, Message::V2])]
fn decompress_only(bencher: Bencher<'_, '_>, message: Message) {
    let body = Encoder::default().encode(message, &batch());
    let mut decoder = snap::raw::Decoder::new();
    let mut into = vec![0; snap::raw::decompress_len(&body).expect("the body is a snappy block")];
    bencher
        .counter(ItemsCount::new(SERIES))
        .bench_local(move || decoder.decompress(&body, &mut into).expect("the body is a snappy block"));
}

#[divan::bench(args = [Message::V1, Message::V2])]
fn encode(bencher: Bencher<'_, '_>, message: Message) {
    let batch = batch();
    let mut encoder = Encoder::default();
    bencher.counter(ItemsCount::new(SERIES)).bench_local(move || encoder.encode(message, &batch));
}
