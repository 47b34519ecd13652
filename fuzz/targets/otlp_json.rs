//! OTLP requests in JSON, as each of the three signals.
#![no_main]

use kandela_fuzz::check_otlp;
use kandela_ingest::otlp::{logs, metrics, traces};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check_otlp(traces::from_json(bytes), logs::from_json(bytes), metrics::from_json(bytes));
});
