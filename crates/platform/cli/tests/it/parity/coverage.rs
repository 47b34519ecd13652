//! Whether the list asks for all that there is.

use kandela_promql::functions::FUNCTIONS;

use super::list::{Expected, Query, queries};

/// Functions that Prometheus 3.5 does not know yet.
const NEWER: [&str; 10] = [
    "end",
    "first_over_time",
    "histogram_quantiles",
    "max_of",
    "min_of",
    "range",
    "start",
    "start_timestamp",
    "step",
    "ts_of_first_over_time",
];
const AGGREGATIONS: [&str; 14] = [
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "limit_ratio",
    "limitk",
    "max",
    "min",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
];
const OPERATORS: [&str; 16] =
    ["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless"];
const MODIFIERS: [&str; 15] = [
    "bool ",
    "on (",
    "ignoring (",
    "group_left",
    "group_right",
    "by (",
    "without (",
    "offset 5m",
    "offset -5m",
    "@ start()",
    "@ end()",
    "[10m:1m]",
    "[10m:]",
    "!~",
    "=~",
];

fn with_data() -> Vec<Query> {
    queries().into_iter().filter(|query| query.expected == Expected::Data).collect()
}

fn called(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let after = text[at + name.len()..].trim_start();
        !text[..at].ends_with(is_word) && ["(", "by", "without"].iter().any(|begin| after.starts_with(begin))
    })
}

#[test]
fn every_function_of_prometheus_3_5_is_asked_for() {
    let queries = with_data();
    let expected = FUNCTIONS.iter().map(|function| function.name).filter(|name| !NEWER.contains(name));
    let missing: Vec<_> =
        expected.filter(|name| !queries.iter().any(|query| called(query.text, name))).collect();
    assert!(missing.is_empty(), "no query that gives data calls {missing:?}");
}

#[test]
fn every_aggregation_operator_and_modifier_is_asked_for() {
    let queries = with_data();
    let uncalled = AGGREGATIONS.iter().filter(|name| !queries.iter().any(|query| called(query.text, name)));
    let absent = |word: &str| !queries.iter().any(|query| query.text.contains(word));
    let operators = OPERATORS.iter().filter(|operator| absent(&format!(" {operator} ")));
    let modifiers = MODIFIERS.iter().filter(|modifier| absent(modifier));
    let missing: Vec<_> = uncalled.chain(operators).chain(modifiers).collect();
    assert!(missing.is_empty(), "no query that gives data has {missing:?}");
}

#[test]
fn the_list_is_long_and_most_of_it_gives_data() {
    let (all, with_data) = (queries().len(), with_data().len());
    assert!(all >= 350, "{all} queries");
    assert!(with_data * 5 >= all * 4, "{with_data} of {all} give data");
}
