//! A query's tree as JSON, as Prometheus' `/api/v1/parse_query` gives it (`web/api/v1/translate_ast.go`).

use serde_json::{Value, json};

use crate::ast::{
    Aggregate, At, Binary, Boundary, Call, Cardinality, Duration, DurationExpr, DurationOp, Expr, Kind,
    Matching, Selector, Subquery, Unary, ValueType,
};
use crate::depth::deeper;
use crate::floats::plain;
use crate::functions::{Function, Variadic};
use crate::print::duration::{bare, literal, symbol};
use kandela_config::matcher::Matcher;

/// How deep a tree is shown; a tree of JSON is walked on the stack.
const MAX_LEVELS: usize = 250;

/// A tree as Prometheus' `parse_query` shows it in `data`: every node has a `type`, durations are milliseconds, times
/// milliseconds since the Unix epoch, numbers text. Of what is more than 250 nodes deep the text is given, as a node of type
/// `text`, which Prometheus does not know.
pub fn tree_json(expr: &Expr) -> Value {
    node(expr, 0)
}

fn node(expr: &Expr, level: usize) -> Value {
    if level == MAX_LEVELS {
        return json!({"type": "text", "text": expr.to_string()});
    }
    let below = |inner: &Expr| deeper(|| node(inner, level + 1));
    match &expr.kind {
        Kind::Number(literal) => json!({"type": "numberLiteral", "val": plain(literal.value)}),
        Kind::String(value) => json!({"type": "stringLiteral", "val": text(value)}),
        Kind::Vector(selector) => selector_json("vectorSelector", selector),
        Kind::Matrix(matrix) => {
            let mut node = selector_json("matrixSelector", &matrix.selector);
            if let Value::Object(fields) = &mut node {
                fields.insert("range".to_owned(), millis(Some(&matrix.range)));
                fields.insert("rangeExpr".to_owned(), calculated(Some(&matrix.range)));
            }
            node
        }
        Kind::Subquery(subquery) => subquery_json(subquery, below),
        Kind::Call(call) => call_json(call, below),
        Kind::Aggregate(aggregate) => aggregate_json(aggregate, below),
        Kind::Binary(binary) => binary_json(binary, below),
        Kind::Unary(unary) => unary_json(unary, below),
        Kind::Paren(inner) => json!({"type": "parenExpr", "expr": below(inner)}),
    }
}

fn subquery_json(subquery: &Subquery, below: impl Fn(&Expr) -> Value) -> Value {
    json!({
        "type": "subquery",
        "expr": below(&subquery.expr),
        "range": millis(Some(&subquery.range)),
        "rangeExpr": calculated(Some(&subquery.range)),
        "offset": millis(subquery.offset.as_ref()),
        "offsetExpr": offset(subquery.offset.as_ref()),
        "step": millis(subquery.step.as_ref()),
        "stepExpr": calculated(subquery.step.as_ref()),
        "timestamp": timestamp(subquery.at),
        "startOrEnd": start_or_end(subquery.at),
    })
}

fn call_json(call: &Call, below: impl Fn(&Expr) -> Value) -> Value {
    json!({
        "type": "call",
        "func": function_json(call.function),
        "args": call.args.iter().map(below).collect::<Vec<_>>(),
    })
}

fn aggregate_json(aggregate: &Aggregate, below: impl Fn(&Expr) -> Value) -> Value {
    json!({
        "type": "aggregation",
        "op": aggregate.op.name(),
        "expr": below(&aggregate.expr),
        "param": aggregate.param.as_ref().map(below),
        "grouping": aggregate.grouping.labels,
        "without": aggregate.grouping.without,
    })
}

fn binary_json(binary: &Binary, below: impl Fn(&Expr) -> Value) -> Value {
    json!({
        "type": "binaryExpr",
        "op": binary.op.symbol(),
        "lhs": below(&binary.left),
        "rhs": below(&binary.right),
        "matching": matching_json(binary),
        "bool": binary.returns_bool,
    })
}

fn unary_json(unary: &Unary, below: impl Fn(&Expr) -> Value) -> Value {
    json!({
        "type": "unaryExpr",
        "op": if unary.negative { "-" } else { "+" },
        "expr": below(&unary.expr),
    })
}

fn selector_json(kind: &str, selector: &Selector) -> Value {
    let matchers = selector
        .matchers
        .iter()
        .map(|Matcher { name, op, value, .. }| json!({"name": name, "type": op.to_string(), "value": value}));
    json!({
        "type": kind,
        "name": selector.name.as_deref().unwrap_or_default(),
        "matchers": matchers.collect::<Vec<_>>(),
        "offset": millis(selector.offset.as_ref()),
        "offsetExpr": offset(selector.offset.as_ref()),
        "timestamp": timestamp(selector.at),
        "startOrEnd": start_or_end(selector.at),
        "anchored": selector.boundary == Boundary::Anchored,
        "smoothed": selector.boundary == Boundary::Smoothed,
    })
}

fn function_json(function: &Function) -> Value {
    let variadic = match function.variadic {
        Variadic::No => json!(0),
        Variadic::UpTo(more) => json!(more),
        Variadic::Any => json!(-1),
    };
    json!({
        "name": function.name,
        "argTypes": function.args.iter().map(|of| of.name()).collect::<Vec<_>>(),
        "variadic": variadic,
        "returnType": function.returns.name(),
    })
}

/// How series are matched; nothing where one side is a number.
fn matching_json(binary: &Binary) -> Value {
    let is_vector = |side: &Expr| side.value_type() == ValueType::Vector;
    if !is_vector(&binary.left) || !is_vector(&binary.right) {
        return Value::Null;
    }
    let Matching { labels, on, card, include, fill_left, fill_right } = &binary.matching;
    let card = match card {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "labels": labels,
        "on": on,
        "include": include,
        "fillValues": {"lhs": fill_left.map(float), "rhs": fill_right.map(float)},
    })
}

/// A number, without a fraction where it has none.
fn float(value: f64) -> Value {
    let whole = value as i64;
    if whole as f64 == value && value.abs() < 1e15 { json!(whole) } else { json!(value) }
}

/// A duration that is written out, in milliseconds; 0 where it is calculated.
fn millis(duration: Option<&Duration>) -> Value {
    let seconds = duration.and_then(literal).map_or(0.0, |literal| literal.value);
    json!((seconds * 1e9).round() as i64 / 1_000_000)
}

fn timestamp(at: Option<At>) -> Value {
    match at {
        Some(At::Micros(micros)) => json!(micros / 1_000),
        _ => Value::Null,
    }
}

fn start_or_end(at: Option<At>) -> Value {
    match at {
        Some(At::Start) => json!("start"),
        Some(At::End) => json!("end"),
        _ => Value::Null,
    }
}

/// A duration that is calculated; nothing where it is written out.
fn calculated(duration: Option<&Duration>) -> Value {
    duration.filter(|duration| literal(duration).is_none()).map_or(Value::Null, part)
}

/// The same behind `offset`, where a plus sign before a function is kept.
fn offset(duration: Option<&Duration>) -> Value {
    match duration.map(|duration| &duration.expr) {
        Some(DurationExpr::Signed(false, inner)) if is_function(inner) => {
            operation("+", Value::Null, part(inner))
        }
        _ => calculated(duration),
    }
}

const fn is_function(duration: &Duration) -> bool {
    matches!(
        duration.expr,
        DurationExpr::Step
            | DurationExpr::Range
            | DurationExpr::Binary(DurationOp::Min | DurationOp::Max, ..)
    )
}

fn part(duration: &Duration) -> Value {
    deeper(|| part_of_level(duration))
}

fn part_of_level(duration: &Duration) -> Value {
    if let Some(literal) = literal(duration) {
        return json!({
            "type": "numberLiteral",
            "val": plain(literal.value),
            "duration": literal.is_duration,
        });
    }
    match &duration.expr {
        DurationExpr::Literal(_) => Value::Null,
        DurationExpr::Step => operation("step", Value::Null, Value::Null),
        DurationExpr::Range => operation("range", Value::Null, Value::Null),
        DurationExpr::Signed(true, inner) => operation("-", Value::Null, part(inner)),
        DurationExpr::Signed(false, inner) => part(inner),
        DurationExpr::Binary(op, left, right) => operation(symbol(*op), part(left), part(right)),
        DurationExpr::Paren(inner) => {
            let inner = bare(inner);
            let mut node = match literal(inner) {
                Some(_) => operation("+", Value::Null, part(inner)),
                None => part(inner),
            };
            if let Value::Object(fields) = &mut node {
                fields.insert("wrapped".to_owned(), Value::Bool(true));
            }
            node
        }
    }
}

fn operation(op: &str, left: Value, right: Value) -> Value {
    let fields = [
        ("type", Value::from("durationExpr")),
        ("op", Value::from(op)),
        ("lhs", left),
        ("rhs", right),
        ("wrapped", Value::from(false)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Text in which each byte that is no UTF-8 is the replacement character.
fn text(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    out
}
