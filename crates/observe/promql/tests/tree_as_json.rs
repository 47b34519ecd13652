//! Queries' trees as Prometheus' `parse_query` shows them, of 3.14: an older one is compared with in `beside_prometheus.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use kandela_promql::{parse, tree_json};
use serde_json::{Value, json};

fn tree(query: &str) -> Value {
    tree_json(&parse(query).unwrap_or_else(|error| panic!("{query}: {error}")))
}

#[test]
fn a_selector_shows_all_that_may_modify_it() {
    let expected = json!({
        "type": "matrixSelector",
        "name": "foo",
        "range": 300_000,
        "rangeExpr": null,
        "offset": -60_000,
        "offsetExpr": null,
        "matchers": [
            {"name": "a", "type": "!~", "value": "b"},
            {"name": "__name__", "type": "=", "value": "foo"},
        ],
        "timestamp": 1_500,
        "startOrEnd": null,
        "anchored": true,
        "smoothed": false,
    });
    assert_eq!(tree(r#"foo{a!~"b"}[5m] anchored @ 1.5 offset -1m"#), expected);
}

#[test]
fn calculated_durations_are_shown_as_trees() {
    let number =
        |val: &str, duration: bool| json!({"type": "numberLiteral", "val": val, "duration": duration});
    let node = |op: &str, lhs: Value, rhs: Value, wrapped: bool| json!({"type": "durationExpr", "op": op, "lhs": lhs, "rhs": rhs, "wrapped": wrapped});
    let step = || node("step", Value::Null, Value::Null, false);
    let range_of = |query: &str| tree(query)["rangeExpr"].clone();
    let offset_of = |query: &str| tree(query)["offsetExpr"].clone();
    assert_eq!(range_of("foo[5m + 3]"), node("+", number("300", true), number("3", false), false));
    assert_eq!(range_of("foo[(5m)]"), node("+", Value::Null, number("300", true), true));
    assert_eq!(range_of("foo[+step()]"), step());
    assert_eq!(range_of("foo[min_of(-5, step())]"), node("min_of", number("-5", false), step(), false));
    assert_eq!(offset_of("foo offset +step()"), node("+", Value::Null, step(), false));
    let wrapped_step = node("step", Value::Null, Value::Null, true);
    assert_eq!(offset_of("foo offset -(step())"), node("-", Value::Null, wrapped_step, false));
    assert_eq!(tree("foo[5m]")["rangeExpr"], Value::Null);
    assert_eq!(tree("foo[1h:step()]")["stepExpr"], step());
    assert_eq!((&tree("foo[step()]")["range"], &tree("foo[1h:1m]")["step"]), (&json!(0), &json!(60_000)));
}

#[test]
fn matching_is_shown_between_vectors_only() {
    let expected = json!({
        "card": "many-to-one",
        "labels": ["x"],
        "on": true,
        "include": ["y"],
        "fillValues": {"lhs": 1.5, "rhs": -2},
    });
    assert_eq!(tree("a + on (x) group_left (y) fill_left (1.5) fill_right (-2) b")["matching"], expected);
    assert_eq!(tree("a and b")["matching"]["card"], "many-to-many");
    assert_eq!(tree("a + 1")["matching"], Value::Null);
}

#[test]
fn text_that_is_not_utf8_is_shown_with_replacements() {
    assert_eq!(tree(r#""a\xff\xe4\xb8""#)["val"], "a\u{fffd}\u{fffd}\u{fffd}");
}
