//! OpenMetrics as Prometheus takes it from a target.

use kandela_model::MetricKind;

use super::*;

fn scrape(page: &str) -> (MetricBatch, Notes) {
    match read(Format::OpenMetrics, page.as_bytes(), &scrape_options()) {
        Ok(read) => read,
        Err(error) => panic!("{page}: {error}"),
    }
}

#[test]
fn a_page_becomes_samples_metadata_and_exemplars() {
    let (batch, notes) = scrape(
        "# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n# HELP a_seconds So \\\"long\\\".\n\
         a_seconds_bucket{le=\"1\"} 1 12.5 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\",\
         span_id=\"b7ad6b7169203331\",user=\"x\"} 0.5 11.25\n\
         a_seconds_bucket{le=\"+Inf\"} 1 # {} 0.5\na_seconds_count 1\na_seconds_sum 0.5\na_seconds_created 3.5\n\
         plain 7\n# EOF\n",
    );
    assert_eq!(notes, Notes { format: Format::OpenMetrics, ..Notes::default() });
    assert_eq!(
        samples(&batch),
        [
            r#"a_seconds_bucket{le="1.0"} 1 12500"#,
            r#"a_seconds_bucket{le="+Inf"} 1 5000"#,
            "a_seconds_count 1 5000",
            "a_seconds_sum 0.5 5000",
            "a_seconds_created 3.5 5000",
            "plain 7 5000",
        ]
    );
    let described: Vec<_> = batch.series().iter().map(|series| series.metadata).collect();
    assert_eq!(described, [Some(0), Some(0), Some(0), Some(0), Some(0), None]);
    let [metadata] = batch.metadata.as_slice() else { panic!("{:?}", batch.metadata) };
    assert_eq!((metadata.family.as_str(), metadata.kind), ("a_seconds", MetricKind::Histogram));
    assert_eq!((metadata.unit.as_str(), metadata.help.as_str()), ("seconds", "So \"long\"."));

    let [traced, bare] = batch.exemplars.as_slice() else { panic!("{:?}", batch.exemplars) };
    assert_eq!(traced.exemplar.ts.millis(), 11_250);
    assert_eq!(traced.exemplar.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(traced.exemplar.span_id.as_deref(), Some("b7ad6b7169203331"));
    assert_eq!(traced.exemplar.labels.iter().collect::<Vec<_>>(), [("user", "x")]);
    assert_eq!(bare.exemplar.ts.millis(), SCRAPED_AT);
}

#[test]
fn what_the_specification_forbids_and_prometheus_takes_is_taken() {
    for page in [
        "# TYPE a counter\na 1\n# EOF",
        "# TYPE a counter\na_total -1\n# EOF",
        "# TYPE a histogram\na_sum 1\n# EOF",
        "# TYPE a gauge\n# TYPE a gauge\na 1\n# EOF",
        "a 1\nb 1\na 1 5\n# EOF",
        "a 1 2\na 1 1\n# EOF",
        "a 1 # {x=\"1\"} 1\n# EOF",
        "a{b=\"1\",} 1\n# EOF",
        "{\"my.metric\",\"a label\"=\"1\"} 1\n# EOF",
        "{\"my.metric\"} 1\n# EOF",
        "a{\"b\"=\"1\"} 1\n# EOF",
        "# HELP \"my.metric\" x\n# EOF",
        "_a{_b=\"1\"} 1\n# EOF",
        "# TYPE a stateset\na 5\n# EOF",
    ] {
        scrape(page);
    }
}

#[test]
fn what_prometheus_refuses_is_refused() {
    for page in [
        "\n",
        "a 1\n",
        "a 1",
        "# EOF\n\n",
        "a 1\n\n# EOF",
        "a  1\n# EOF",
        "a 1 \n# EOF",
        "a{b=\"1\"}1\n# EOF",
        "a{b='1'} 1\n# EOF",
        "a{,} 1\n# EOF",
        "a{b=\"1\"c=\"2\"} 1\n# EOF",
        "a{b=\"1\n2\"} 1\n# EOF",
        "a{b=\"1\",b=\"2\"} 1\n# EOF",
        "{\"a\",\"b\"} 1\n# EOF",
        "{} 1\n# EOF",
        "a 1 NaN\n# EOF",
        "a 1_000\n# EOF",
        "a 1 #{} 1\n# EOF",
        "a 1 # {\"x\"} 1\n# EOF",
        "# comment\n# EOF",
        "# TYPE a untyped\n# EOF",
        "# TYPE a\n# EOF",
        "# UNIT a seconds\n# EOF",
    ] {
        assert!(read(Format::OpenMetrics, page.as_bytes(), &scrape_options()).is_err(), "{page:?}");
    }
}

#[test]
fn an_answer_of_no_bytes_has_nothing_to_show() {
    assert!(scrape("").0.is_empty());
}

#[test]
fn exemplars_that_are_too_long_are_dropped_alone() {
    let page = format!("# TYPE a counter\na_total 1 # {{a=\"{}\"}} 1\n# EOF\n", "x".repeat(128));
    let (batch, notes) = scrape(&page);
    assert_eq!((batch.samples.len(), batch.exemplars.len(), notes.dropped_exemplars), (1, 0, 1));
}

#[test]
fn created_samples_are_left_out_on_request() {
    let options = ParseOptions { created_series: false, ..scrape_options() };
    let page = "# TYPE a counter\na_total 1\na_created 5\n# TYPE b_created gauge\nb_created 1\n# EOF\n";
    let (batch, _) = read(Format::OpenMetrics, page.as_bytes(), &options).unwrap();
    assert_eq!(samples(&batch), ["a_total 1 5000", "b_created 1 5000"]);
}

#[test]
fn a_converted_histogram_keeps_its_exemplars() {
    let options = ParseOptions { convert_to_nhcb: true, ..scrape_options() };
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 1 # {x=\"1\"} 0.5\nh_bucket{le=\"+Inf\"} 2\n\
        h_count 2\nh_sum 3\nh_created 5\n# EOF\n";
    let (batch, _) = read(Format::OpenMetrics, page.as_bytes(), &options).unwrap();
    let [histogram] = batch.histograms.as_slice() else { panic!("{:?}", batch.histograms) };
    assert_eq!(batch.labels(histogram.series).to_string(), "h");
    assert_eq!(batch.exemplars[0].series, histogram.series);
    assert_eq!(samples(&batch), ["h_created 5 5000"]);
}
