//! Values where engines differ: very large arguments, ranges of NaN, samples of series by hash. What is expected is what
//! Prometheus gives.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

use std::fmt::Write as _;

use futures::executor::block_on;
use kandela_promql::script::{Command, MemorySource, parse};
use kandela_promql::{Answer, Options, Point, When, evaluate};

fn asked(series: &str, query: &str) -> Answer {
    let mut source = MemorySource::new();
    for command in parse(&format!("load 10s\n{series}")).unwrap() {
        if let Command::Load(load) = command {
            source.load(&load).unwrap();
        }
    }
    block_on(evaluate(&source, query, When::Instant(40_000_000), Options::default())).unwrap().answer
}

fn value(series: &str, query: &str) -> f64 {
    match asked(series, query) {
        Answer::Vector(found) => match found.as_slice() {
            [(_, Point::Float(value))] => *value,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn inverse_hyperbolic_functions_take_the_largest_floats() {
    for (query, expected) in [
        ("asinh(vector(1e308))", 709.889_355_822_726),
        ("asinh(vector(-1e308))", -709.889_355_822_726),
        ("acosh(vector(1e308))", 709.889_355_822_726),
        ("asinh(vector(-Inf))", f64::NEG_INFINITY),
        ("acosh(vector(+Inf))", f64::INFINITY),
    ] {
        assert_eq!(value("", query), expected, "{query}");
    }
}

#[test]
fn the_extreme_of_nothing_but_nan_came_last() {
    for function in ["ts_of_max_over_time", "ts_of_min_over_time"] {
        assert_eq!(value("  x NaN NaN NaN", &format!("{function}(x[1m])")), 20.0, "{function}");
        assert_eq!(value("  x NaN 2 2 NaN", &format!("{function}(x[1m])")), 20.0, "{function}");
    }
}

/// Eleven series, one of them with a value of 300 bytes.
fn targets() -> String {
    let mut series = format!("  up{{job=\"{}\",instance=\"z\"}} 1x5\n", "x".repeat(300));
    for n in 0..10 {
        let _ = writeln!(series, "  up{{job=\"job{}\",instance=\"host{n}:9090\"}} 1x5", n % 3);
    }
    series
}

/// The instances that a query chooses, by their numbers; the long one is `z`.
fn chosen(query: &str) -> String {
    let Answer::Vector(found) = asked(&targets(), query) else { panic!("{query} gives no vector") };
    let instances = found.iter().map(|(labels, _)| labels.get("instance").unwrap().to_owned());
    instances.map(|name| name.trim_start_matches("host").trim_end_matches(":9090").to_owned()).collect()
}

#[test]
fn a_ratio_of_series_are_those_that_prometheus_3_5_chooses() {
    for (query, expected) in [
        ("limit_ratio(0.3, up)", ""),
        ("limit_ratio(0.5, up)", "057"),
        ("limit_ratio(-0.5, up)", "1234689z"),
        ("limit_ratio(0.8, up)", "05679"),
        ("limit_ratio(0.9, up)", "05679z"),
        ("limit_ratio(0.95, up)", "012456789z"),
        ("limit_ratio(0.5, up + 0)", "0126z"),
        ("limit_ratio(-0.5, up + 0)", "345789"),
    ] {
        assert_eq!(chosen(query), expected, "{query}");
    }
}
