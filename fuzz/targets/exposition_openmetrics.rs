//! OpenMetrics text, in both readings: what the specification accepts, a scrape accepts.
#![no_main]

use kandela_fuzz::check_metrics;
use kandela_ingest::exposition::{Format, ParseOptions, parse_as};
use kandela_model::{MetricBatch, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let at = Timestamp::from_millis(0);
    let accepts = |options: &ParseOptions| {
        let mut batch = MetricBatch::default();
        let accepted = parse_as(Format::OpenMetrics, body, options, &mut batch).is_ok();
        if accepted {
            check_metrics(&batch);
        }
        accepted
    };
    let by_specification = accepts(&ParseOptions::spec(at));
    let by_scrape = accepts(&ParseOptions::scrape(at));
    assert!(by_scrape || !by_specification, "the scrape is stricter than the specification");
    accepts(&ParseOptions { convert_to_nhcb: true, created_series: false, ..ParseOptions::scrape(at) });
});
