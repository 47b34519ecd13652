//! OpenMetrics 1.0, rule by rule, in the order of the specification.

use kandela_model::Timestamp;

use super::*;

fn check(page: &str) -> Result<(), String> {
    let options = ParseOptions::spec(Timestamp::from_millis(SCRAPED_AT));
    read(Format::OpenMetrics, page.as_bytes(), &options).map(|_| ()).map_err(|error| error.to_string())
}

/// Each page, completed by `# EOF`, is refused with these words.
fn refused(pages: &[(&str, &str)]) {
    for (page, words) in pages {
        match check(&format!("{page}\n# EOF\n")) {
            Ok(()) => panic!("accepted: {page}"),
            Err(error) => assert!(error.contains(words), "{page}\n  {error}"),
        }
    }
}

fn accepted(pages: &[&str]) {
    for page in pages {
        assert_eq!(check(&format!("{page}\n# EOF\n")), Ok(()), "{page}");
    }
}

#[test]
fn the_examples_of_the_specification_are_accepted() {
    accepted(&[
        "# TYPE acme_http_router_request_seconds summary\n\
         # UNIT acme_http_router_request_seconds seconds\n\
         # HELP acme_http_router_request_seconds Latency though all of ACME's HTTP request router.\n\
         acme_http_router_request_seconds_sum{path=\"/api/v1\",method=\"GET\"} 9036.32\n\
         acme_http_router_request_seconds_count{path=\"/api/v1\",method=\"GET\"} 807283.0\n\
         acme_http_router_request_seconds_created{path=\"/api/v1\",method=\"GET\"} 1605281325.0\n\
         acme_http_router_request_seconds_sum{path=\"/api/v2\",method=\"POST\"} 479.3\n\
         acme_http_router_request_seconds_count{path=\"/api/v2\",method=\"POST\"} 34.0\n\
         acme_http_router_request_seconds_created{path=\"/api/v2\",method=\"POST\"} 1605281325.0\n\
         # TYPE go_goroutines gauge\n\
         # HELP go_goroutines Number of goroutines that currently exist.\n\
         go_goroutines 69\n\
         # TYPE process_cpu_seconds counter\n\
         # UNIT process_cpu_seconds seconds\n\
         # HELP process_cpu_seconds Total user and system CPU time spent in seconds.\n\
         process_cpu_seconds_total 4.20072246e+06",
        "# TYPE foo_seconds counter\n# UNIT foo_seconds seconds\n\
         # HELP foo_seconds Some text and \\n some \\\" escaping",
        "bar_seconds_count{} 0",
        "bar_seconds_count{a=\"x\",b=\"escaping\\\" example \\n \"} 0",
        "# TYPE foo_seconds summary\n# UNIT foo_seconds seconds\n\
         foo_seconds_count{a=\"bb\"} 0 123\nfoo_seconds_sum{a=\"bb\"} 0 123\n\
         foo_seconds_count{a=\"bb\"} 0 456\nfoo_seconds_sum{a=\"bb\"} 0 456\n\
         foo_seconds_count{a=\"ccc\"} 0 123\nfoo_seconds_sum{a=\"ccc\"} 0 123\n\
         foo_seconds_count{a=\"ccc\"} 0 456\nfoo_seconds_sum{a=\"ccc\"} 0 456",
        "# TYPE foo gauge",
        "# TYPE foo gauge\nfoo{a=\"bb\"} 17.0\nfoo{a=\"ccc\"} 17.0",
        "# TYPE foo gauge\nfoo 17.0 123\nfoo 18.0 456",
        "# TYPE foo counter\nfoo_total 17.0 1520879607.789\nfoo_created 1520430000.123 1520879607.789",
        "# TYPE foo stateset\nfoo{entity=\"controller\",foo=\"a\"} 1.0\nfoo{entity=\"controller\",foo=\"bb\"} 0.0\n\
         foo{entity=\"controller\",foo=\"ccc\"} 0.0\nfoo{entity=\"replica\",foo=\"a\"} 1.0\n\
         foo{entity=\"replica\",foo=\"bb\"} 0.0\nfoo{entity=\"replica\",foo=\"ccc\"} 1.0",
        "# TYPE foo info\nfoo_info{entity=\"controller\",name=\"pretty name\",version=\"8.2.7\"} 1.0\n\
         foo_info{entity=\"replica\",name=\"prettier name\",version=\"8.1.9\"} 1.0",
        "# TYPE foo summary\nfoo{quantile=\"0.95\"} 123.7\nfoo{quantile=\"0.99\"} 150.0",
        "# TYPE foo histogram\nfoo_bucket{le=\"0.0\"} 0\nfoo_bucket{le=\"1e-05\"} 0\nfoo_bucket{le=\"0.0001\"} 5\n\
         foo_bucket{le=\"0.1\"} 8\nfoo_bucket{le=\"1.0\"} 10\nfoo_bucket{le=\"10.0\"} 11\n\
         foo_bucket{le=\"100000.0\"} 11\nfoo_bucket{le=\"1e+06\"} 15\nfoo_bucket{le=\"1e+23\"} 16\n\
         foo_bucket{le=\"1.1e+23\"} 17\nfoo_bucket{le=\"+Inf\"} 17\nfoo_count 17\nfoo_sum 324789.3\n\
         foo_created 1520430000.123",
        "# TYPE foo histogram\nfoo_bucket{le=\"0.01\"} 0\nfoo_bucket{le=\"0.1\"} 8 # {} 0.054\n\
         foo_bucket{le=\"1\"} 11 # {trace_id=\"KOO5S4vxi0o\"} 0.67\n\
         foo_bucket{le=\"10\"} 17 # {trace_id=\"oHg5SJYRHA0\"} 9.8 1520879607.789\n\
         foo_bucket{le=\"+Inf\"} 17\nfoo_count 17\nfoo_sum 324789.3\nfoo_created 1520430000.123",
        "# TYPE foo gaugehistogram\nfoo_bucket{le=\"0.01\"} 20.0\nfoo_bucket{le=\"0.1\"} 25.0\n\
         foo_bucket{le=\"1\"} 34.0\nfoo_bucket{le=\"10\"} 34.0\nfoo_bucket{le=\"+Inf\"} 42.0\n\
         foo_gcount 42.0\nfoo_gsum 3289.3",
        "# TYPE foo unknown\nfoo 42.23",
    ]);
}

#[test]
fn a_page_ends_with_eof_and_nothing_after_it() {
    assert_eq!(check("# EOF"), Ok(()));
    assert_eq!(check("# EOF\n"), Ok(()));
    for page in [
        "",
        "\n# EOF\n",
        "# EOF\n\n",
        "# EOF ",
        "# EOF\r\n",
        "# eof\n",
        "a 1\n",
        "a 1\n#EOF\n",
        "\u{feff}# EOF\n",
    ] {
        assert!(check(page).is_err(), "{page:?}");
    }
}

#[test]
fn lines_have_no_extra_blanks_and_none_is_empty() {
    refused(&[
        ("a 1\n\nb 1", "empty lines are not allowed"),
        (" a 1", "a line starts with"),
        ("a\t1", "a blank and the value belong"),
        ("a 1\r", "no number"),
        ("a 1 ", "timestamp belongs"),
        ("a 1  2", "timestamp belongs"),
        ("a 1 2 ", "follows the sample"),
        ("a{b=\"1\"}1", "a blank and the value belong"),
        ("a {b=\"1\"} 1", "no number"),
        ("a{ b=\"1\"} 1", "where a label belongs"),
        ("a{b =\"1\"} 1", "no quoted value"),
        ("a{b= \"1\"} 1", "no quoted value"),
        ("a{b=\"1\", c=\"2\"} 1", "where a label belongs"),
        ("a{,} 1", "where a label belongs"),
        ("#  TYPE a gauge", "neither metadata"),
        ("# TYPE  a gauge", "where a metric name belongs"),
        ("# TYPE a  gauge", "no metric type"),
        ("# TYPE a Gauge", "no metric type"),
        ("# type a gauge", "neither metadata"),
        ("# a comment", "OpenMetrics has no comments"),
        ("# HELP a carriage return\r", "carriage return"),
    ]);
}

#[test]
fn names_follow_the_grammar_and_reserved_ones_are_refused() {
    accepted(&["a:b_1 1", "A{Z9_=\"\"} 1", ":a 1"]);
    refused(&[
        ("é 1", "a line starts with"),
        ("{\"a\"} 1", "a line starts with"),
        ("a{\"b\"=\"1\"} 1", "where a label belongs"),
        ("# TYPE \"a\" gauge", "where a metric name belongs"),
        ("a{b:c=\"1\"} 1", "no quoted value"),
        ("_a 1", "reserved"),
        ("# TYPE _a gauge", "reserved"),
        ("a{_b=\"1\"} 1", "reserved"),
        ("a{__name__=\"b\"} 1", "stands twice"),
        ("# TYPE a counter\na_total 1 # {_b=\"1\"} 1", "reserved"),
    ]);
}

#[test]
fn strings_are_escaped() {
    accepted(&[
        "a{b=\"\\\\\\n\\\"\\x\"} 1",
        "a{b=\"\u{0}\r\u{7f}日本\"} 1",
        "# HELP a \\\\",
        "# HELP a a\"b",
    ]);
    refused(&[
        ("a{b=\"\\\"} 1", "unfinished string"),
        ("a{b=\"1\n\"} 1", "unfinished string"),
        ("a{b=\"1\\\n\"} 1", "unfinished string"),
        ("# HELP a b\\", "within an escape"),
        ("# HELP a b\\\\\\", "within an escape"),
    ]);
    let options = ParseOptions::spec(Timestamp::from_millis(0));
    assert!(read(Format::OpenMetrics, b"a{b=\"\xff\"} 1\n# EOF\n", &options).is_err());
}

#[test]
fn numbers_are_decimal_and_fit_a_double() {
    accepted(&["a +Inf", "a -inf", "a InFiNiTy", "a nan", "a 1.", "a .5", "a +007", "a 1E+5", "a 1 -0.5"]);
    refused(&[
        ("a +nan", "no number"),
        ("a 1e400", "no number"),
        ("a 1,5", "no number"),
        ("a ٣", "no number"),
        ("a 1 1e400", "no timestamp"),
        ("a 1 infinity", "no timestamp"),
    ]);
}

#[test]
fn a_family_is_one_run_under_its_metadata() {
    accepted(&[
        "# HELP a x\n# TYPE a gauge\n# UNIT a \na 1",
        "# TYPE a gauge\n# TYPE b gauge\nb 1",
        "# HELP a x\na 1",
        "# HELP a x\na_total 1",
    ]);
    refused(&[
        ("# TYPE a gauge\n# TYPE b gauge\n# HELP a x", "was there before"),
        ("# TYPE a gauge\na 1\nb 1\na{x=\"1\"} 1", "was there before"),
        ("a 1\n# TYPE a gauge", "follows its samples"),
        ("a 1\n# UNIT a ", "follows its samples"),
        ("# HELP a \n# HELP a x", "second HELP"),
        ("# UNIT a_s s\n# UNIT a_s ", "second UNIT"),
        ("# TYPE a gauge\n# HELP a x\n# TYPE a gauge", "second TYPE"),
    ]);
}

#[test]
fn families_do_not_clash_over_names_their_samples_could_have() {
    accepted(&[
        "# TYPE a counter\n# TYPE a_count gauge",
        "# TYPE a gauge\n# TYPE a_total gauge",
        "# TYPE a gaugehistogram\n# TYPE a_created gauge\n# TYPE a_count gauge",
        "# TYPE a summary\n# TYPE a_bucket gauge",
    ]);
    refused(&[
        ("# TYPE a counter\n# TYPE a_created gauge", "clash over \"a_created\""),
        ("# TYPE a_created gauge\n# TYPE a counter", "clash over \"a_created\""),
        ("# TYPE a counter\na_total 1\n# TYPE a_total counter", "clash over \"a_total\""),
        ("# TYPE a summary\n# TYPE a_count gauge", "clash over \"a_count\""),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\nb 1\na_sum 1", "clash over \"a_sum\""),
        ("# TYPE a gaugehistogram\n# TYPE a_gsum gauge", "clash over \"a_gsum\""),
        ("a_info 1\n# TYPE a info", "clash over \"a_info\""),
        ("# TYPE a_x histogram\n# TYPE a_x_bucket counter", "clash over \"a_x_bucket\""),
    ]);
}

#[test]
fn a_unit_is_the_end_of_the_name() {
    accepted(&["# UNIT a_b_c b_c", "# TYPE a info\n# UNIT a "]);
    refused(&[
        ("# UNIT a seconds", "no suffix"),
        ("# UNIT aseconds seconds", "no suffix"),
        ("# UNIT seconds seconds", "no suffix"),
        ("# UNIT a_seconds second", "no suffix"),
        ("# UNIT a_seconds _seconds", "no suffix"),
        ("# UNIT a_s s\n# TYPE a_s stateset", "leave out the UNIT"),
        ("# TYPE a_s info\n# UNIT a_s s", "leave out the UNIT"),
    ]);
}

#[test]
fn samples_carry_the_suffix_of_their_kind() {
    refused(&[
        ("# TYPE a counter\na 1", "its suffixes are _total, _created"),
        ("# TYPE a histogram\na 1", "its suffixes are _bucket"),
        ("# TYPE a info\na 1", "its suffixes are _info"),
        ("# TYPE a gaugehistogram\na{le=\"+Inf\"} 1", "its suffixes are _bucket, _gcount"),
        ("# TYPE a counter\na_created 1", "no _total"),
        ("# TYPE a counter\na_total 1 5\na_created 1 6", "no _total"),
    ]);
}

#[test]
fn metrics_and_points_are_one_run_each() {
    accepted(&[
        "a{x=\"1\"} 1\na{x=\"2\"} 1\na 1",
        "a 1 1\na 1 1.0000000000000001",
        "# TYPE a counter\na_created 1\na_total 1",
        "# TYPE a histogram\na_count{x=\"1\"} 1\na_bucket{x=\"1\",le=\"1\"} 1\na_sum{x=\"1\"} 1\na_bucket{le=\"+Inf\",x=\"1\"} 1",
    ]);
    refused(&[
        ("a{x=\"1\"} 1\na{x=\"2\"} 1\na{x=\"1\"} 2", "was there before"),
        ("a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 1", "stands twice in one point"),
        ("a{x=\"\"} 1\na 1", "stands twice in one point"),
        ("a 1\na 1", "stands twice in one point"),
        ("a 1 1\na 1 1.0", "stands twice in one point"),
        ("a 1 2\na 1 1", "goes back"),
        ("a 1 1\na 1", "with a timestamp and without"),
        ("# TYPE a counter\na_total 1 1\na_created 1", "with a timestamp and without"),
        ("# TYPE a summary\na_count 0 123\na_count 0 456\na_sum 0 123\na_sum 0 456", "goes back"),
        ("# TYPE a summary\na_count{x=\"1\"} 0\na_count{x=\"2\"} 0\na_sum{x=\"1\"} 0", "was there before"),
        ("# TYPE a counter\na_total 1\na_total 1", "stands twice in one point"),
        ("# TYPE a info\na_info{x=\"1\"} 1\na_info{x=\"1\"} 1", "stands twice in one point"),
    ]);
}

#[test]
fn counters_are_numbers_and_not_negative() {
    accepted(&["# TYPE a counter\na_total +Inf", "# TYPE a counter\na_total -0\na_created -5"]);
    refused(&[
        ("# TYPE a counter\na_total -0.1", "not negative"),
        ("# TYPE a counter\na_total nan", "not negative"),
        ("# TYPE a counter\na_total 1\na_created nan", "creation time"),
        ("# TYPE a summary\na_count 1.5", "whole number"),
        ("# TYPE a summary\na_count +Inf", "whole number"),
    ]);
}

#[test]
fn states_and_infos_are_what_they_can_be() {
    refused(&[
        ("# TYPE a stateset\na{a=\"x\"} 0.5", "0 or 1"),
        ("# TYPE a stateset\na{a=\"x\"} nan", "0 or 1"),
        ("# TYPE a stateset\na{b=\"x\"} 1", "lacks the label \"a\""),
        ("# TYPE a stateset\na{a=\"x\"} 1\na{a=\"x\"} 0", "stands twice"),
        ("# TYPE a info\na_info 0", "always 1"),
    ]);
}

#[test]
fn histograms_are_complete_cumulative_and_ascending() {
    accepted(&[
        "# TYPE a histogram\na_bucket{le=\"-Inf\"} 0\na_bucket{le=\"+Inf\"} 0",
        "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\na_created 1",
        "# TYPE a gaugehistogram\na_bucket{le=\"-1\"} 1\na_bucket{le=\"+Inf\"} 1\na_gcount 1\na_gsum -4",
        "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0 1\na_bucket{le=\"+Inf\"} 3 2",
    ]);
    refused(&[
        ("# TYPE a histogram\na_bucket{le=\"1\"} 0", "no bucket le=\"+Inf\""),
        ("# TYPE a histogram\na_created 1", "no buckets"),
        (
            "# TYPE a histogram\na_bucket{le=\"2\"} 0\na_bucket{le=\"1\"} 0\na_bucket{le=\"+Inf\"} 0",
            "follows the one",
        ),
        (
            "# TYPE a histogram\na_bucket{le=\"1\"} 0\na_bucket{le=\"1.0\"} 0\na_bucket{le=\"+Inf\"} 0",
            "follows the one",
        ),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_bucket{le=\"1\"} 3", "follows the one"),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 4\na_bucket{le=\"+Inf\"} 3", "and the one before"),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_count 2\na_sum 1", "differs from"),
        (
            "# TYPE a histogram\na_bucket{le=\"-1\"} 0\na_bucket{le=\"+Inf\"} 3\na_count 3\na_sum 1",
            "negative bounds",
        ),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 0.5", "whole number"),
        ("# TYPE a histogram\na_bucket{le=\"NaN\"} 1\na_bucket{le=\"+Inf\"} 1", "no bound"),
        ("# TYPE a histogram\na_bucket{le=\"Inf\"} 1", "no bound"),
        ("# TYPE a histogram\na_bucket{le=\"\"} 1", "no bound"),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count{le=\"1\"} 1", "has the label \"le\""),
        ("# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 1\na_gsum 1", "only one of _gsum and _gcount"),
        ("# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 1\na_gcount 2\na_gsum 1", "differs from"),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 0 1\na_bucket{le=\"1\"} 3 2", "no bucket le=\"+Inf\""),
    ]);
}

#[test]
fn quantiles_lie_between_nought_and_one() {
    accepted(&[
        "# TYPE a summary\na{quantile=\"1\"} 1\na{quantile=\"0\"} nan\na_sum 1",
        "# TYPE a summary\na_count 1",
    ]);
    refused(&[
        ("# TYPE a summary\na 1", "lacks the label \"quantile\""),
        ("# TYPE a summary\na{quantile=\"1.1\"} 1", "no quantile"),
        ("# TYPE a summary\na{quantile=\"0x1p-1\"} 1", "no quantile"),
        ("# TYPE a summary\na{quantile=\"0.5\"} -1", "not negative"),
        ("# TYPE a summary\na{quantile=\"0.5\"} 1\na{quantile=\"0.50\"} 2", "stands twice"),
        ("# TYPE a summary\na{quantile=\"0\"} 1\na{quantile=\"-0\"} 2", "stands twice"),
        ("# TYPE a summary\na_sum{quantile=\"0.5\"} 1", "has the label \"quantile\""),
    ]);
}

#[test]
fn exemplars_are_short_and_lie_where_they_may() {
    let label =
        |chars: usize| format!("# TYPE a counter\na_total 1 # {{a=\"{}\"}} 1\n# EOF\n", "é".repeat(chars));
    assert_eq!(check(&label(127)), Ok(()));
    assert!(check(&label(128)).is_err());
    accepted(&[
        "# TYPE a counter\na_total 1 5 # {} NaN -1",
        "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 1 # {a=\" # {\"} 9 1.5",
    ]);
    refused(&[
        ("a 1 # {} 1", "has an exemplar"),
        ("# TYPE a info\na_info 1 # {} 1", "has an exemplar"),
        ("# TYPE a summary\na_count 1 # {} 1", "has an exemplar"),
        ("# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 1\na_gcount 1 # {} 1", "has an exemplar"),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 1 # {} 1.5\na_bucket{le=\"+Inf\"} 1", "outside its bucket"),
        ("# TYPE a counter\na_total 1 # {a=\"1\",a=\"2\"} 1", "stands twice"),
        ("# TYPE a counter\na_total 1 # {a=\"1\",} 1", "where a label belongs"),
        ("# TYPE a counter\na_total 1 # {}", "a blank and the value of the exemplar"),
        ("# TYPE a counter\na_total 1 # {} 1 1 1", "follows the sample"),
        ("# TYPE a counter\na_total 1 # {} 1 # {} 1", "no timestamp"),
        ("# TYPE a counter\na_total 1 #{} 1", "no timestamp"),
        ("# TYPE a counter\na_total 1  # {} 1", "timestamp belongs"),
    ]);
}
