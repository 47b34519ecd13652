//! Remote write, both versions: the first byte chooses.
#![no_main]

use kandela_fuzz::check_metrics;
use kandela_ingest::remote_write::{Decoder, Encoder, Limits, Message};
use kandela_model::MetricBatch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let message = if choice & 1 == 0 { Message::V1 } else { Message::V2 };
    let limits = Limits { decompressed_bytes: 1 << 20, batch_bytes: 8 << 20 };
    let mut decoder = Decoder::new(limits);
    let mut batch = MetricBatch::default();
    let _ = decoder.decode(message, bytes, &mut batch);

    let packed = snap::raw::Encoder::new().compress_vec(bytes).expect("it compresses");
    if decoder.decode(message, &packed, &mut batch).is_err() {
        assert!(batch.is_empty() && batch.series().is_empty(), "a refused body leaves something behind");
        return;
    }
    check_metrics(&batch);
    let mut again = MetricBatch::default();
    let body = Encoder::default().encode(Message::V2, &batch);
    let rejections = Decoder::new(Limits::default()).decode(Message::V2, &body, &mut again);
    let rejections = rejections.expect("what we write we read");
    assert!(rejections.is_empty(), "{rejections}");
    assert_eq!(again.points(), batch.points());
});
