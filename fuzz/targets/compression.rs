//! Packed bodies.
#![no_main]

use kandela_ingest::compression::decompress;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for encoding in ["gzip", "zstd"] {
        if let Ok(out) = decompress(encoding, bytes, 1 << 16) {
            assert!(out.len() <= 1 << 16);
        }
    }
});
