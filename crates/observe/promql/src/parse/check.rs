//! Whether a tree makes sense: types, numbers of arguments, and what may not stand together.

use super::Told;
use crate::ast::{AggregateOp, Binary, Call, Cardinality, Expr, Kind, Matching, Selector, Span, ValueType};
use crate::depth::deeper;
use crate::functions::Variadic;
use crate::quote::quoted;

type Checked = Result<ValueType, Told>;

/// Checks the tree of `query` and gives its type. Set operations get their cardinality, and operations that match no series
/// lose how they would.
pub(super) fn check(expr: &mut Expr, query: &str) -> Checked {
    deeper(|| check_level(expr, query))
}

fn check_level(expr: &mut Expr, query: &str) -> Checked {
    let span = expr.span;
    match &mut expr.kind {
        Kind::Number(_) | Kind::String(_) => {}
        Kind::Vector(selector) => check_selector(selector, span)?,
        Kind::Matrix(matrix) => check_selector(&matrix.selector, matrix.selector_span)?,
        Kind::Paren(inner) => return check(inner, query),
        Kind::Subquery(subquery) => {
            let inner = check(&mut subquery.expr, query)?;
            if inner != ValueType::Vector {
                let message =
                    format!("subquery is only allowed on instant vector, got {} instead", inner.name());
                return Err((span, message));
            }
        }
        Kind::Unary(unary) => {
            let inner = check(&mut unary.expr, query)?;
            if !is_number(inner) {
                let message = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                    quoted(inner.documented())
                );
                return Err((span, message));
            }
            return Ok(inner);
        }
        Kind::Aggregate(aggregate) => {
            expect(&mut aggregate.expr, query, ValueType::Vector, "aggregation expression")?;
            let wanted = match aggregate.op {
                AggregateOp::CountValues => ValueType::String,
                _ => ValueType::Scalar,
            };
            if let Some(param) = &mut aggregate.param {
                expect(param, query, wanted, "aggregation parameter")?;
            }
        }
        Kind::Binary(binary) => return check_binary(binary, span, query),
        Kind::Call(call) => check_call(call, span, query)?,
    }
    Ok(expr.value_type())
}

const fn is_number(of: ValueType) -> bool {
    matches!(of, ValueType::Scalar | ValueType::Vector)
}

fn expect(expr: &mut Expr, query: &str, wanted: ValueType, context: &str) -> Result<(), Told> {
    let got = check(expr, query)?;
    if got == wanted {
        return Ok(());
    }
    let message = format!("expected type {} in {context}, got {}", wanted.documented(), got.documented());
    Err((expr.span, message))
}

fn check_selector(selector: &Selector, span: Span) -> Result<(), Told> {
    if let Some(name) = &selector.name {
        let others = selector.matchers.split_last().map_or(&[][..], |(_, others)| others);
        return match others.iter().find(|matcher| matcher.name == kandela_model::METRIC_NAME) {
            None => Ok(()),
            Some(again) => {
                let (one, other) = (quoted(name), quoted(&again.value));
                Err((span, format!("metric name must not be set twice: {one} or {other}")))
            }
        };
    }
    if selector.matchers.iter().all(|matcher| matcher.matches("")) {
        return Err((span, "vector selector must contain at least one non-empty matcher".to_owned()));
    }
    Ok(())
}

fn check_binary(binary: &mut Binary, span: Span, query: &str) -> Checked {
    let left = check(&mut binary.left, query)?;
    let right = check(&mut binary.right, query)?;
    let (op, matching) = (binary.op, &mut binary.matching);
    let between = trimmed(query, Span { start: binary.left.span.end, end: binary.right.span.start });
    let fault = |message: String| Err((span, message));
    if binary.returns_bool && !op.is_comparison() {
        return Err((between, "bool modifier can only be used on comparison operators".to_owned()));
    }
    let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
    if op.is_comparison() && !binary.returns_bool && scalars {
        return Err((between, "comparisons between scalars must use BOOL modifier".to_owned()));
    }
    if op.is_set() && matching.card == Cardinality::OneToOne {
        matching.card = Cardinality::ManyToMany;
    }
    if matching.on
        && let Some(label) = matching.labels.iter().find(|label| matching.include.contains(label))
    {
        let message = format!("label {} must not occur in ON and GROUP clause at once", quoted(label));
        return Err((between, message));
    }
    for (side, of) in [(&binary.left, left), (&binary.right, right)] {
        if !is_number(of) {
            let message = "binary expression must contain only scalar and instant vector types";
            return Err((side.span, message.to_owned()));
        }
    }
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    if left == ValueType::Vector && right == ValueType::Vector {
        if op.is_set() && matching.card != Cardinality::ManyToMany {
            return fault(format!("no grouping allowed for {} operation", quoted(op.symbol())));
        }
        if op.is_set() && fills {
            return fault("filling in missing series not allowed for set operators".to_owned());
        }
        return Ok(ValueType::Vector);
    }
    if !matching.labels.is_empty() {
        return fault("vector matching only allowed between instant vectors".to_owned());
    }
    if fills {
        return fault("filling in missing series only allowed between instant vectors".to_owned());
    }
    if op.is_set() {
        let message = format!("set operator {} not allowed in binary scalar expression", quoted(op.symbol()));
        return fault(message);
    }
    *matching = Matching::default();
    Ok(if scalars { ValueType::Scalar } else { ValueType::Vector })
}

/// Without the blanks at both ends.
fn trimmed(query: &str, span: Span) -> Span {
    let text = query.get(span.start..span.end).unwrap_or_default();
    let start = span.start + (text.len() - text.trim_ascii_start().len());
    Span { start, end: start + text.trim_ascii().len() }
}

fn check_call(call: &mut Call, span: Span, query: &str) -> Result<(), Told> {
    let function = call.function;
    let (listed, given) = (function.args.len(), call.args.len());
    let (least, most) = match function.variadic {
        Variadic::No => (listed, Some(listed)),
        Variadic::UpTo(more) => (listed - 1, Some(listed - 1 + more)),
        Variadic::Any => (listed - 1, None),
    };
    let name = quoted(function.name);
    let wrong_number = if function.variadic == Variadic::No && given != listed {
        Some(format!("expected {listed} argument(s) in call to {name}, got {given}"))
    } else if given < least {
        Some(format!("expected at least {least} argument(s) in call to {name}, got {given}"))
    } else {
        most.filter(|most| given > *most)
            .map(|most| format!("expected at most {most} argument(s) in call to {name}, got {given}"))
    };
    if let Some(message) = wrong_number {
        return Err((span, message));
    }
    if function.name == "info"
        && let Some(labels) = call.args.get(1)
    {
        check_info_labels(labels, span)?;
    }
    let labels_only = function.name == "info";
    for (at, arg) in call.args.iter_mut().enumerate() {
        let wanted = function.args.get(at).or_else(|| function.args.last()).copied();
        // The labels of `info` may match everything.
        let got = if labels_only && at == 1 { ValueType::Vector } else { check(arg, query)? };
        if let Some(wanted) = wanted.filter(|wanted| *wanted != got) {
            let message = format!(
                "expected type {} in call to function {name}, got {}",
                wanted.documented(),
                got.documented()
            );
            return Err((arg.span, message));
        }
    }
    Ok(())
}

/// The second argument of `info`: labels in braces.
fn check_info_labels(labels: &Expr, call: Span) -> Result<(), Told> {
    let returned = labels.value_type();
    if returned != ValueType::Vector {
        let message = format!(
            "expected type {} in call to function \"info\", got {}",
            ValueType::Vector.documented(),
            returned.documented()
        );
        return Err((call, message));
    }
    let message = match &labels.kind {
        Kind::Vector(selector) if selector.name.is_none() => return Ok(()),
        Kind::Vector(_) => "expected label selectors only, got vector selector instead",
        _ => "expected label selectors only",
    };
    Err((labels.span, message.to_owned()))
}
