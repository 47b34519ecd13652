//! Prometheus text 0.0.4 and 1.0.0.
#![no_main]

use kandela_fuzz::check_metrics;
use kandela_ingest::exposition::{Format, ParseOptions, parse_as};
use kandela_model::{MetricBatch, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let scrape = ParseOptions::scrape(Timestamp::from_millis(0));
    for options in [
        scrape,
        ParseOptions { convert_to_nhcb: true, ..scrape },
        ParseOptions { convert_to_nhcb: true, native_histograms: false, classic_histograms: true, ..scrape },
    ] {
        let mut batch = MetricBatch::default();
        if parse_as(Format::Text, body, &options, &mut batch).is_ok() {
            check_metrics(&batch);
        }
    }
});
