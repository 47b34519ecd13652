//! PromQL queries: what is parsed is printed, and that gives the same tree again; errors name a place in the text.
#![no_main]

use kandela_promql::ast::Expr;
use kandela_promql::{format, parse, tree_json};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let expr = match parse(text) {
        Ok(expr) => expr,
        Err(error) => {
            assert!(error.span.start <= text.len() && !error.message.is_empty(), "{error:?}");
            drop(error.to_string());
            return;
        }
    };
    for printed in [expr.to_string(), format(&expr)] {
        let again = parse(&printed).unwrap_or_else(|error| panic!("{printed:?}: {error}"));
        assert_eq!(again.to_string(), expr.to_string());
        assert_eq!(tree(&again), tree(&expr), "{printed:?}");
    }
});

/// The tree without what printing does not keep, as Prometheus' does not: the order of conditions, plus signs before durations,
/// and the sign of a duration of nothing.
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
                matchers.sort_by_key(|matcher| matcher.to_string());
            }
            if fields.get("val").is_some_and(|value| value == "-0") {
                fields.insert("val".to_owned(), "0".into());
            }
            let is_plus = fields.get("op").is_some_and(|op| op == "+")
                && fields.get("lhs").is_some_and(Value::is_null)
                && fields.get("wrapped").is_some_and(|wrapped| wrapped == false);
            if is_plus && let Some(signed) = fields.remove("rhs") {
                *node = signed;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        _ => {}
    }
}
