//! Whole answers of each format, and laws over generated ones.

mod generate;
mod openmetrics_scrape;
mod openmetrics_spec;
mod properties;
mod protobuf;

use kandela_model::{MetricBatch, Timestamp};

use super::{ExpositionError, Format, Notes, ParseOptions, parse_as};

/// When the answers of these tests were asked for, in milliseconds.
const SCRAPED_AT: i64 = 5_000;

fn scrape_options() -> ParseOptions {
    ParseOptions::scrape(Timestamp::from_millis(SCRAPED_AT))
}

fn read(
    format: Format,
    body: &[u8],
    options: &ParseOptions,
) -> Result<(MetricBatch, Notes), ExpositionError> {
    let mut batch = MetricBatch::default();
    let notes = parse_as(format, body, options, &mut batch)?;
    Ok((batch, notes))
}

/// The samples of a batch as `labels value milliseconds`.
fn samples(batch: &MetricBatch) -> Vec<String> {
    let line = |sample: &kandela_model::BatchSample| {
        format!("{} {} {}", batch.labels(sample.series), sample.value, sample.ts.millis())
    };
    batch.samples.iter().map(line).collect()
}

#[test]
fn the_fallback_is_taken_where_the_content_type_says_nothing_known() {
    use kandela_config::ScrapeProtocol;

    let mut batch = MetricBatch::default();
    let refusal = super::parse(Some("text/html"), b"a 1\n", &scrape_options(), &mut batch).unwrap_err();
    assert!(refusal.to_string().contains("set fallback_scrape_protocol"), "{refusal}");
    assert!(super::parse(None, b"a 1\n", &scrape_options(), &mut batch).is_err());

    let options = ParseOptions { fallback: Some(ScrapeProtocol::PrometheusText0_0_4), ..scrape_options() };
    let notes = super::parse(None, b"a 1\n", &options, &mut batch).unwrap();
    assert_eq!((notes.format, notes.fell_back), (Format::Text, true));
    let stated = Some("application/openmetrics-text");
    let notes = super::parse(stated, b"a 1\n# EOF", &options, &mut batch).unwrap();
    assert_eq!((notes.format, notes.fell_back), (Format::OpenMetrics, false));
}
