//! Answers to remote read: one message of samples, or a stream of frames with chunks.
#![no_main]

use kandela_fuzz::check_metrics;
use kandela_ingest::remote_write::{Decoder, Limits, read};
use kandela_model::MetricBatch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { decompressed_bytes: 1 << 20, batch_bytes: 8 << 20 };
    let packed = snap::raw::Encoder::new().compress_vec(bytes).expect("it compresses");
    let mut batch = MetricBatch::default();
    if read::decode_samples(&mut Decoder::new(limits), &packed, &mut batch).is_ok() {
        check_metrics(&batch);
    }
    let mut chunks = MetricBatch::default();
    if read::decode_chunks(bytes, |_| true, &mut chunks).is_ok() {
        check_metrics(&chunks);
    }
    let mut whole = read::Frames::default();
    whole.push(bytes);
    let mut bit_by_bit = read::Frames::default();
    let mut pieces = bytes.chunks(3);
    while let Ok(Some(frame)) = whole.next_frame() {
        let cut = loop {
            match bit_by_bit.next_frame().expect("frames do not depend on how they arrive") {
                Some(frame) => break frame.to_vec(),
                None => bit_by_bit.push(pieces.next().expect("all of it is there")),
            }
        };
        assert_eq!(cut, frame);
    }
});
