//! Queries as they are printed: Prometheus' canonical line, and its lines broken at 100 bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use kandela_promql::ast::Expr;
use kandela_promql::{format, parse, tree_json};
use proptest::prelude::*;
use serde_json::Value;

fn parsed(query: &str) -> Expr {
    parse(query).unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn check(cases: &[(&str, &str)]) {
    for (query, printed) in cases {
        assert_eq!(parsed(query).to_string(), *printed, "{query}");
    }
}

/// Queries that are printed as they are written.
fn check_same(queries: &[&str]) {
    for query in queries {
        assert_eq!(parsed(query).to_string(), *query);
    }
}

#[test]
fn blanks_and_case_and_comments_go() {
    check(&[
        ("SUM  by(a)(foo) # why", "sum by (a) (foo)"),
        ("a+b", "a + b"),
        ("sum(foo)by(a,b,)", "sum by (a, b) (foo)"),
        ("foo{b='c',a=`d`,}[ 5m ]", "foo{a=\"d\",b=\"c\"}[5m]"),
        ("sum by () (foo)", "sum(foo)"),
        ("sum without () (foo)", "sum without () (foo)"),
    ]);
}

#[test]
fn names_are_quoted_where_they_must_be() {
    check_same(&[
        r#"{"a.b"="c"}"#,
        r#"{""="0"}"#,
        r#"sum by ("foo.bar", job) (foo)"#,
        r#"foo / on ("äää", legacy) group_left ("ööö") bar"#,
        r#"foo / ignoring ("a b") bar"#,
        r#"{__name__="",a="x"}"#,
        r#"sum by ("without", "inf", "NaN") (foo)"#,
    ]);
    check(&[
        (r#"{"metric.name",a="b"}"#, r#"{__name__="metric.name",a="b"}"#),
        (r#"{"_0"="1"}"#, r#"{_0="1"}"#),
        (r#"sum by ("job") (foo)"#, "sum by (job) (foo)"),
        (r"'\xff\u00a0\n'", r#""\xff\u00a0\n""#),
    ]);
}

#[test]
fn matching_is_printed_where_it_says_something() {
    check_same(&[
        "a - ignoring () group_left (__metric__) c",
        "a - on () c",
        "a and on () c",
        "up > bool 0",
        "a + on (b) group_left () fill (-23) c",
        "a + fill_left (-23) fill_right (42) b",
        "a + fill_right (1e+21) b",
    ]);
    check(&[
        ("a - ignoring() c", "a - c"),
        ("a - on(b) group_left c", "a - on (b) group_left () c"),
        ("a + fill_left(5) fill_right(5) b", "a + fill (5) b"),
        ("a + fill(NaN) b", "a + fill_left (NaN) fill_right (NaN) b"),
        ("a + fill_left(0.00001) b", "a + fill_left (1e-05) b"),
        ("1 + on() 2", "1 + 2"),
    ]);
}

#[test]
fn modifiers_stand_in_one_order() {
    check_same(&[
        "a anchored",
        "a[5m] smoothed",
        r#"a{b="c"}[5m] anchored @ start() offset 1m"#,
        "a @ 10.000 smoothed offset -1m",
        "a[1h:5m] @ end() offset 1m",
        "a </ 5 >/ b",
    ]);
    check(&[
        ("a offset 1m @ 10", "a @ 10.000 offset 1m"),
        ("a anchored[5m]", "a[5m] anchored"),
        ("a offset 0s", "a"),
        ("a offset 90m", "a offset 1h30m"),
        ("a @ 1.0005", "a @ 1.001"),
    ]);
}

#[test]
fn calculated_durations_keep_their_parentheses() {
    check_same(&[
        "foo[step()]",
        "foo[-(step())]",
        "foo offset -step()",
        "foo offset (5)",
        "foo offset -(5)",
        "foo[(5m):(1m)]",
        "foo[200 - min_of(step() + 10s, -max_of(step() ^ 2, 3))]",
        "foo[max_of(range(), 5s)]",
        "foo offset (5m) + 3",
    ]);
    check(&[
        ("foo offset +(5)", "foo offset (5)"),
        ("foo offset +min_of(10s, 20s)", "foo offset min_of(10s, 20s)"),
        ("foo[((5))]", "foo[(5)]"),
        ("foo[(+(step()))]", "foo[(step())]"),
        ("foo[200-min_of(-step()^+step(),1)]", "foo[200 - min_of(-step() ^ step(), 1)]"),
        ("foo[STEP()]", "foo[step()]"),
        ("foo offset --5m", "foo offset 5m"),
    ]);
}

#[test]
fn durations_are_printed_in_units_as_far_as_milliseconds_go() {
    check(&[
        ("foo[300]", "foo[5m]"),
        ("foo[5.5]", "foo[5s500ms]"),
        ("foo[14d]", "foo[2w]"),
        ("foo[8d]", "foo[8d]"),
        ("5m", "5m"),
        ("-5m", "-5m"),
        // Prometheus prints `[0s]` and `[1s]`, which is no range and another.
        ("foo[0.0001]", "foo[0.0001]"),
        ("foo[1.0005]", "foo[1.0005]"),
    ]);
}

#[test]
fn numbers_are_printed_without_exponents() {
    check(&[
        ("1e3", "1000"),
        ("0x1F", "31"),
        ("-Inf", "-Inf"),
        ("+inf", "+Inf"),
        ("nan", "NaN"),
        ("-1 ^ 2", "-1 ^ 2"),
        ("1e-7", "0.0000001"),
    ]);
}

#[test]
fn empty_labels_of_info_stay() {
    // Prometheus prints `info(foo, )`, which cannot be parsed.
    check_same(&["info(foo, {})"]);
}

#[test]
fn what_fits_in_a_line_stays_in_it() {
    let query = r#"sum by (job) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (job) (rate(http_requests[5m]))"#;
    assert!(query.len() <= 100);
    assert_eq!(format(&parsed(query)), query);
}

#[test]
fn operators_functions_and_parentheses_are_broken() {
    let query = "-(histogram_quantile(0.9, sum by (le, job) (rate(http_request_duration_seconds_bucket[5m]))) > bool on (job) \
        group_left (version) topk(3, max without (instance, pod) (service_level_objective_seconds{team=\"shop\"} offset 1h)))";
    let broken = r#"-(
    histogram_quantile(0.9, sum by (le, job) (rate(http_request_duration_seconds_bucket[5m])))
  > bool on (job) group_left (version)
    topk(3, max without (instance, pod) (service_level_objective_seconds{team="shop"} offset 1h))
)"#;
    assert_eq!(format(&parsed(query)), broken);
    let query = "quantile by (job, instance) (0.99, max_over_time((sum by (job, instance, namespace) \
        (rate(demo_api_request_duration_seconds_count{job=\"demo\", code=\"5\"}[1m])))[1h:1m] @ start() offset 1m))";
    let broken = r#"quantile by (job, instance) (
  0.99,
  max_over_time(
    (
      sum by (job, instance, namespace) (
        rate(demo_api_request_duration_seconds_count{code="5",job="demo"}[1m])
      )
    )[1h:1m] @ start() offset 1m
  )
)"#;
    assert_eq!(format(&parsed(query)), broken);
}

/// The tree without what printing does not keep: the order of conditions, and plus signs before durations.
fn tree(expr: &Expr) -> Value {
    let mut tree = tree_json(expr);
    normalise(&mut tree);
    tree
}

fn normalise(node: &mut Value) {
    match node {
        Value::Object(fields) => {
            fields.values_mut().for_each(normalise);
            if let Some(Value::Array(matchers)) = fields.get_mut("matchers") {
                matchers.sort_by_key(ToString::to_string);
            }
            let is = |name: &str, value: Value| fields.get(name).is_some_and(|found| *found == value);
            let is_plus = is("op", "+".into()) && is("lhs", Value::Null) && is("wrapped", false.into());
            if is_plus && let Some(signed) = fields.remove("rhs") {
                *node = signed;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        _ => {}
    }
}

fn word() -> impl Strategy<Value = String> {
    let words = [
        "foo", "a", "sum", "by", "on", "fill", "offset", "start", "step", "and", "without", "inf", "bool",
        "x_1", "min_of", "anchored",
    ];
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

fn quoted() -> impl Strategy<Value = String> {
    let texts = [
        "\"\"",
        "\"a b\"",
        "'x\\'y'",
        "`r\\w`",
        "\"\\xff\\n\"",
        "\"é\\u0301\"",
        "\"\\U0001f600\"",
        "'a|b.*'",
    ];
    prop::sample::select(texts.to_vec()).prop_map(str::to_owned)
}

fn labels() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        word().prop_filter("a number or no label", |word| word != "inf" && word != "without"),
        Just("\"a.b\"".to_owned()),
        Just("\"without\"".to_owned())
    ];
    prop::collection::vec(label, 0..3).prop_map(|labels| format!("({})", labels.join(", ")))
}

fn duration() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("5m".to_owned()),
        Just("1h30m7ms".to_owned()),
        Just("0.00025".to_owned()),
        (1u32..100_000).prop_map(|seconds| seconds.to_string()),
        Just("step()".to_owned()),
        Just("range()".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        let op = prop::sample::select(vec!["+", "-", "*", "/", "%", "^"]);
        prop_oneof![
            inner.clone().prop_map(|inner| format!("({inner})")),
            (inner.clone(), op, inner.clone()).prop_map(|(left, op, right)| format!("{left} {op} {right}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("max_of({left}, {right})")),
            inner.prop_map(|inner| format!("+({inner})")),
        ]
    })
}

fn modifiers() -> impl Strategy<Value = String> {
    let at = prop_oneof![
        Just(String::new()),
        Just(" @ start()".to_owned()),
        Just(" @ end()".to_owned()),
        (-1e7..1e12f64).prop_map(|seconds| format!(" @ {seconds}")),
    ];
    let sign = prop::sample::select(vec!["", "-", "+", "--"]);
    let offset = prop_oneof![
        Just(String::new()),
        (sign, duration()).prop_map(|(sign, duration)| format!(" offset {sign}({duration})")),
        prop::sample::select(vec![
            " offset 5m",
            " offset -1w",
            " offset 0s",
            " offset -step()",
            " offset 0.0001"
        ])
        .prop_map(str::to_owned),
    ];
    (at, offset, any::<bool>())
        .prop_map(|(at, offset, first)| if first { format!("{at}{offset}") } else { format!("{offset}{at}") })
}

fn series() -> impl Strategy<Value = String> {
    let name = word().prop_filter("no metric", |word| word != "on" && word != "inf" && word != "bool");
    let condition = (
        prop_oneof![word(), quoted().prop_filter("not UTF-8", |text| !text.contains("xff"))],
        prop::sample::select(vec!["=", "!=", "=~", "!~"]),
        quoted().prop_filter("not UTF-8", |text| !text.contains("xff")),
    )
        .prop_map(|(name, op, value)| format!("{name}{op}{value}"));
    let braces =
        prop::collection::vec(condition, 0..3).prop_map(|conditions| format!("{{{}}}", conditions.join(",")));
    (name, braces, prop::sample::select(vec!["", " anchored", " smoothed"]))
        .prop_map(|(name, braces, boundary)| format!("{name}{braces}{boundary}"))
}

fn vector() -> impl Strategy<Value = String> {
    let leaf = (series(), modifiers()).prop_map(|(series, modifiers)| format!("{series}{modifiers}"));
    leaf.prop_recursive(4, 24, 3, |inner| {
        let op = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "^", "atan2", "==", "!= bool", "< bool", ">=", "</", ">/",
        ]);
        let set = prop::sample::select(vec!["and", "or", "unless"]);
        let side = prop_oneof![
            Just(String::new()),
            (prop::sample::select(vec!["group_left", "group_right"]), Just("(\"x.y\", z)"))
                .prop_map(|(side, labels)| format!("{side} {labels}")),
        ];
        let fill = prop::sample::select(vec![
            "",
            "fill (0)",
            "fill_left (-1.5e30)",
            "fill_right (NaN)",
            "fill_left (1) fill_right (1)",
        ]);
        let matching = (prop::sample::select(vec!["on", "ignoring"]), labels(), side, fill)
            .prop_map(|(word, labels, side, fill)| format!("{word} {labels} {side} {fill}"));
        let by = || {
            (prop::sample::select(vec!["by", "without"]), labels())
                .prop_map(|(word, labels)| format!("{word} {labels}"))
        };
        prop_oneof![
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.clone().prop_map(|inner| format!("-{inner}")),
            (inner.clone(), op, prop_oneof![Just(String::new()), matching], inner.clone())
                .prop_map(|(left, op, matching, right)| format!("({left}) {op} {matching} ({right})")),
            (inner.clone(), set, inner.clone()).prop_map(|(left, op, right)| format!("{left} {op} {right}")),
            (inner.clone(), by()).prop_map(|(inner, by)| format!("sum {by} ({inner})")),
            (inner.clone(), by()).prop_map(|(inner, by)| format!("topk(5, {inner}) {by}")),
            (inner.clone(), quoted())
                .prop_map(|(inner, text)| format!("label_replace({inner}, {text}, {text}, {text}, {text})")),
            (series(), duration(), modifiers())
                .prop_map(|(series, range, modifiers)| format!("rate({series}[{range}]{modifiers})")),
            (inner.clone(), duration(), duration(), modifiers()).prop_map(
                |(inner, range, step, modifiers)| format!("delta(({inner})[{range}:{step}]{modifiers})")
            ),
            (inner, prop::num::f64::ANY).prop_map(|(inner, number)| format!("clamp_max({inner}, {number})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_query_gives_the_same_tree(query in vector()) {
        // Not all that is put together makes sense, such as a label that is matched and taken over.
        let Ok(expr) = parse(&query) else { return Ok(()) };
        for printed in [expr.to_string(), format(&expr)] {
            let again = parse(&printed);
            prop_assert!(again.is_ok(), "{query}: {printed}: {again:?}");
            let again = again.unwrap();
            prop_assert_eq!(again.to_string(), expr.to_string(), "{}", query);
            prop_assert_eq!(tree(&again), tree(&expr), "{}", printed);
        }
    }
}

#[test]
fn most_queries_that_are_put_together_parse() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let queries = (0..300).map(|_| vector().new_tree(&mut runner).unwrap().current());
    let good = queries.filter(|query| parse(query).is_ok()).count();
    assert!(good > 150, "{good} of 300");
}
