//! Errors of queries, with Prometheus' words and places. What an older Prometheus says too is compared with it in
//! `beside_prometheus.rs`; here is what only 3.14 says, and what is Kandela's own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use kandela_promql::{parse, parse_selector};

fn check(cases: &[(&str, &str)]) {
    for (query, error) in cases {
        assert_eq!(parse(query).expect_err(query).to_string(), *error, "{query}");
    }
}

#[test]
fn places_count_lines_and_bytes() {
    check(&[
        ("", "unknown position: parse error: no expression found in input"),
        ("  # nothing", "1:1: parse error: no expression found in input"),
        ("foo\n  + $", "2:5: parse error: unexpected character: '$'"),
        ("\"é\" $", "1:6: parse error: unexpected character: '$'"),
        ("foo +\n", "2:1: parse error: unexpected end of input"),
    ]);
}

#[test]
fn what_is_unexpected_is_told_with_the_construct_around_it() {
    check(&[
        ("sum(foo bar)", "1:9: parse error: unexpected identifier \"bar\" in aggregation"),
        ("abs(foo bar)", "1:9: parse error: unexpected identifier \"bar\""),
        (
            "foo[5m+]",
            "1:8: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        ("foo[5m, 3]", "1:7: parse error: unexpected \",\" in subquery or range, expected \":\" or \"]\""),
        (
            "foo[5m:,]",
            "1:8: parse error: unexpected \",\" in subquery selector, expected number, duration, step(), range(), or \"]\"",
        ),
        ("foo[5m:1m 2]", "1:11: parse error: unexpected number \"2\" in subquery selector, expected \"]\""),
        (
            "foo offset x",
            "1:12: parse error: unexpected identifier \"x\" in offset, expected number, duration, step(), or range()",
        ),
        ("@ 5", "1:1: parse error: unexpected <op:@>"),
        ("a + fill(x) b", "1:10: parse error: unexpected identifier \"x\""),
        ("start(", "1:7: parse error: unclosed left parenthesis"),
        ("step foo", "1:6: parse error: unexpected identifier \"foo\""),
        ("foo step", "1:5: parse error: unexpected \"step\""),
    ]);
}

#[test]
fn what_cannot_be_read_in_brackets_is_told_apart() {
    check(&[
        ("foo[5m x]", "1:8: parse error: unexpected character: 'x', expected ':'"),
        ("foo[x]", "1:5: parse error: unexpected character in duration expression: 'x'"),
        ("foo[:5m]", "1:6: parse error: unexpected colon before duration in duration expression"),
        ("foo[step()::]", "1:12: parse error: unexpected colon before duration in duration expression"),
        ("foo[5m::]", "1:8: parse error: unexpected colon ':'"),
        ("foo[", "1:5: parse error: unexpected end of input in duration expression"),
        ("foo[5m # 1m]", "1:13: parse error: unclosed left bracket"),
    ]);
}

#[test]
fn durations_that_cannot_be_are_refused() {
    check(&[
        ("foo[5m/0]", "1:7: parse error: division by zero"),
        ("foo[5m % 0]", "1:8: parse error: modulo by zero"),
        ("foo[-5m]", "1:5: parse error: duration must be greater than 0"),
        ("foo[5m:0]", "1:8: parse error: duration must be greater than 0"),
        ("foo[1e10]", "1:5: parse error: duration out of range"),
        ("foo offset -1e10", "1:12: parse error: duration out of range"),
        ("foo offset NaN", "1:12: parse error: duration out of range"),
        (
            "foo @ 1e19",
            "1:1: parse error: timestamp out of bounds for @ modifier: 10000000000000000000.000000",
        ),
        ("foo @ nan", "1:1: parse error: timestamp out of bounds for @ modifier: NaN"),
    ]);
}

#[test]
fn modifiers_that_exclude_each_other_are_refused() {
    check(&[
        (
            "foo anchored smoothed",
            "1:1: parse error: anchored and smoothed modifiers cannot be used together",
        ),
        ("foo[5m:] anchored", "1:1: parse error: anchored modifier is not supported for subqueries"),
        ("sum(foo) smoothed", "1:1: parse error: smoothed modifier not implemented"),
        ("foo offset step() offset 5m", "1:1: parse error: offset may not be set multiple times"),
        ("foo offset (5m)[5m]", "1:16: parse error: no offset modifiers allowed before range"),
        ("foo and fill(1) bar", "1:1: parse error: filling in missing series not allowed for set operators"),
        (
            "foo + fill(1) 2",
            "1:1: parse error: filling in missing series only allowed between instant vectors",
        ),
    ]);
}

#[test]
fn labels_of_info_are_checked() {
    check(&[
        ("info(foo, bar)", "1:11: parse error: expected label selectors only, got vector selector instead"),
        ("info(foo, abs(bar))", "1:11: parse error: expected label selectors only"),
        (
            "info(foo, 1)",
            "1:1: parse error: expected type instant vector in call to function \"info\", got scalar",
        ),
    ]);
}

#[test]
fn a_selector_has_nothing_behind_it() {
    assert_eq!(parse_selector(r#"up{job="x"}"#).unwrap().len(), 2);
    for (query, error) in [
        ("up[5m]", "1:3: parse error: unexpected \"[\""),
        ("up offset 5m", "1:4: parse error: unexpected <offset>"),
        ("5", "1:1: parse error: unexpected number \"5\""),
        ("sum(up)", "1:4: parse error: unexpected \"(\""),
        ("", "unknown position: parse error: unexpected end of input"),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
    ] {
        assert_eq!(parse_selector(query).expect_err(query).to_string(), error, "{query}");
    }
}

#[test]
fn labels_that_are_no_text_are_refused() {
    check(&[
        (r#"foo{a="\xff"}"#, r#"1:7: parse error: "\xff" is not UTF-8, as labels must be"#),
        (r#"sum by ("") (foo)"#, r#"1:9: parse error: invalid label name for grouping: """#),
        (r#"sum by ("\xff") (foo)"#, r#"1:9: parse error: invalid label name for grouping: "\xff""#),
    ]);
}

#[test]
fn a_bad_regular_expression_is_shown_at_its_label() {
    check(&[(
        r#"foo{b="c",a=~"("}"#,
        r#"1:11: parse error: regular expression "(" is not valid: unclosed group"#,
    )]);
}
