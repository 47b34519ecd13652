//! Segments of the write-ahead log: what is no record is named, and every byte is one or the other.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The log alone: the lake around it brings a query engine along, which takes longer to build than to fuzz.
#[allow(dead_code, unreachable_pub, reason = "the lake uses the rest")]
#[path = "../../crates/observe/lake/src/wal/mod.rs"]
mod wal;

fuzz_target!(|bytes: &[u8]| {
    let (mut records, mut last) = (0, 0);
    let damaged = wal::scan_segment(7, bytes, 1 << 16, |record| {
        assert!(record.seq > last, "sequence {} after {last}", record.seq);
        last = record.seq;
        records += record.payload.len() as u64;
    });
    let mut end = 0;
    for stretch in &damaged {
        assert!(stretch.offset >= end && stretch.length > 0, "{damaged:?}");
        end = stretch.offset + stretch.length;
    }
    let lost: u64 = damaged.iter().map(|stretch| stretch.length).sum();
    assert!(end <= bytes.len() as u64 && records + lost <= bytes.len() as u64);
});
