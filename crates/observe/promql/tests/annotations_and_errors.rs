//! What stands beside an answer, and why there is none, in Prometheus' words and with its places.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

use futures::executor::block_on;
use kandela_promql::script::{Command, MemorySource, parse};
use kandela_promql::{Answered, EvalError, Options, When, evaluate};

const SECOND: i64 = 1_000_000;

const SERIES: &str = "
load 10s
  up{job=\"a\"} 0+1x20
  up{job=\"b\"} 5x20
  native {{schema:0 count:4 sum:8 buckets:[4]}}x20
  custom {{schema:-53 count:4 sum:8 custom_values:[1] buckets:[4]}}x20
  mixed{kind=\"histogram\"} {{count:4 sum:8 buckets:[4]}}x20
  mixed{kind=\"float\"} 1x20
  turned 1x5 {{count:4 sum:8 buckets:[4]}}x20
  falling_bucket{job=\"a\",le=\"1\"} 5x20
  falling_bucket{job=\"a\",le=\"250\"} 3.875x20
  falling_bucket{job=\"a\",le=\"+Inf\"} 10x20
  falling_bucket{job=\"b\",le=\"1\"} 500x20
  falling_bucket{job=\"b\",le=\"2e7\"} 3x20
  falling_bucket{job=\"b\",le=\"+Inf\"} 1000x20
  odd{le=\"many\"} 1x20
";

fn asked(query: &str, when: When) -> Result<Answered, EvalError> {
    let mut source = MemorySource::new();
    for command in parse(SERIES).unwrap() {
        if let Command::Load(load) = command {
            source.load(&load).unwrap();
        }
    }
    block_on(evaluate(&source, query, when, Options::default()))
}

fn at_once(query: &str) -> Result<Answered, EvalError> {
    asked(query, When::Instant(100 * SECOND))
}

fn over_time(query: &str) -> Result<Answered, EvalError> {
    asked(query, When::Range { from: 100 * SECOND, through: 130 * SECOND, step: 10 * SECOND })
}

fn warnings(query: &str) -> Vec<String> {
    at_once(query).unwrap().warnings
}

fn infos(query: &str) -> Vec<String> {
    at_once(query).unwrap().infos
}

fn error(query: &str) -> String {
    at_once(query).unwrap_err().to_string()
}

#[test]
fn a_sum_of_floats_and_histograms_names_no_metric() {
    for query in ["sum(mixed)", "avg(mixed)"] {
        assert_eq!(
            warnings(query),
            ["PromQL warning: encountered a mix of histograms and floats for aggregation (1:5)"],
            "{query}"
        );
    }
}

#[test]
fn a_sum_of_both_kinds_of_buckets_names_the_metric_that_does_not_fit() {
    for query in [r#"sum({__name__=~"custom|native"})"#, r#"avg({__name__=~"custom|native"})"#] {
        let told = warnings(query);
        assert_eq!(told.len(), 1, "{query}");
        let words = "PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas for metric name ";
        let names = ["\"native\" (1:5)", "\"custom\" (1:5)"];
        assert!(names.iter().any(|name| told[0] == format!("{words}{name}")), "{told:?}");
    }
}

#[test]
fn what_ranks_values_places_its_note_where_it_begins_itself() {
    let words =
        |op: &str, place: &str| [format!("PromQL info: ignored histogram in {op} aggregation ({place})")];
    assert_eq!(infos("topk(1, native)"), words("topk", "1:1"));
    assert_eq!(infos("1 + bottomk(1, native)"), words("bottomk", "1:5"));
    assert_eq!(infos("max(native)"), words("max", "1:5"));
}

#[test]
fn ranking_no_series_ignores_no_histogram() {
    assert!(infos("topk(0, native)").is_empty());
}

#[test]
fn factors_of_smoothing_are_shown_with_six_decimals() {
    assert_eq!(
        error("double_exponential_smoothing(up[1m], 1.5, 0.5)"),
        "invalid smoothing factor. Expected: 0 < sf < 1, got: 1.500000"
    );
    assert_eq!(
        error("double_exponential_smoothing(up[1m], 0.5, -1)"),
        "invalid trend factor. Expected: 0 < tf < 1, got: -1.000000"
    );
}

#[test]
fn counts_beyond_an_integer_are_refused() {
    for (query, error_of_it) in [
        ("topk(1e30, up)", "Scalar value 1e+30 overflows int64"),
        ("limitk(9223372036854774784, up)", "Scalar value 9.223372036854775e+18 overflows int64"),
        ("topk(NaN, up)", "Parameter value is NaN"),
    ] {
        assert_eq!(error(query), error_of_it, "{query}");
    }
    let mut query = "topk(1 - 1e30 * (time() > bool 110), up)";
    assert_eq!(over_time(query).unwrap_err().to_string(), "Scalar value -1e+30 underflows int64");
    query = "topk(-1e30, up)";
    assert!(at_once(query).is_ok(), "none are wanted");
}

#[test]
fn floats_in_notes_have_an_exponent_as_go_writes_it() {
    assert_eq!(
        warnings("quantile(1234567, up)"),
        ["PromQL warning: quantile value should be between 0 and 1, got 1.234567e+06 (1:10)"]
    );
    assert_eq!(
        warnings("limit_ratio(-1e7, up)"),
        ["PromQL warning: ratio value should be between -1 and 1, got -1e+07, capping to -1 (1:13)"]
    );
}

#[test]
fn an_aggregation_tells_the_least_and_the_greatest_of_its_wrong_parameters() {
    let told = over_time("quantile((time() - 115) / 5, up)").unwrap().warnings;
    let of = |q: &str| format!("PromQL warning: quantile value should be between 0 and 1, got {q} (1:10)");
    assert_eq!(told, [of("-3"), of("3")]);
}

#[test]
fn sorting_a_range_warns_that_it_is_in_vain() {
    let told = [
        "PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:1)",
    ];
    assert_eq!(over_time("sort(up)").unwrap().warnings, told);
    assert!(warnings("sort(up)").is_empty());
    assert!(over_time("sort(up @ 100)").unwrap().warnings.is_empty());
}

#[test]
fn raised_bucket_counts_are_told_together() {
    let words = "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \"falling_bucket\", from buckets ";
    assert_eq!(
        infos(r#"histogram_quantile(0.5, falling_bucket{job="a"})"#),
        [format!(
            "{words}250 to 250, with a max diff of 1.1, over 1 samples from 1970-01-01T00:01:40Z to 1970-01-01T00:01:40Z (1:25)"
        )]
    );
    assert_eq!(
        over_time("histogram_quantile(0.5, falling_bucket)").unwrap().infos,
        [format!(
            "{words}250 to 2e+07, with a max diff of 5e+02, over 8 samples from 1970-01-01T00:01:40Z to 1970-01-01T00:02:10Z (1:25)"
        )]
    );
}

#[test]
fn a_metric_without_a_name_is_not_named() {
    let words = "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"many\"";
    assert_eq!(warnings("histogram_quantile(0.5, odd)"), [format!("{words} for metric name \"odd\" (1:25)")]);
    assert_eq!(warnings("histogram_quantile(0.5, sum by (le) (odd))"), [format!("{words} (1:25)")]);
}

#[test]
fn a_note_on_a_range_stands_at_the_first_argument() {
    let told = infos("quantile_over_time(0.5, turned[1m])");
    assert_eq!(
        told,
        [
            "PromQL info: ignored histograms in a range containing both floats and histograms for metric name \"turned\" (1:20)"
        ]
    );
}

#[test]
fn duplicates_of_a_match_are_listed_in_order() {
    assert!(error("up + on () up").contains("[{__name__=\"up\", job=\"a\"}, {__name__=\"up\", job=\"b\"}]"));
}

#[test]
fn labels_to_join_have_names() {
    assert_eq!(error(r#"label_join(up, "to", ",", "")"#), "invalid source label name in label_join(): ");
}
