//! From a tree to a query's text, as Prometheus' `String()` of expressions writes it.
//!
//! What the tree does not keep is gone: comments, blanks, how a number was written. Parsing the text gives the tree again; to
//! that end a few things are written otherwise than Prometheus does, which there give text that does not parse or says
//! something else: ranges with parts of a millisecond, labels named like words of the language, `{}` in `info`.

pub(crate) mod duration;
mod pretty;

use std::fmt::{self, Display, Formatter, Write as _};

use crate::ast::{
    Aggregate, At, Binary, Boundary, Call, Cardinality, Duration, Expr, Grouping, Kind, Matching, Number,
    Selector, Subquery,
};
use crate::depth::deeper;
use crate::floats::{plain, shortest};
use crate::quote::quoted;
use kandela_config::matcher::Matcher;

pub use pretty::format;

impl Display for Expr {
    /// In one line.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        deeper(|| write_expr(f, self))
    }
}

fn write_expr(f: &mut Formatter<'_>, expr: &Expr) -> fmt::Result {
    match &expr.kind {
        Kind::Number(number) => write_number(f, *number),
        Kind::String(value) => f.write_str(&quoted(value)),
        Kind::Vector(selector) => {
            write_series(f, selector)?;
            write_at(f, selector.at)?;
            write_boundary(f, selector.boundary)?;
            write_offset(f, selector.offset.as_ref())
        }
        Kind::Matrix(matrix) => {
            let selector = &matrix.selector;
            write_series(f, selector)?;
            f.write_char('[')?;
            duration::write(f, &matrix.range)?;
            f.write_char(']')?;
            write_boundary(f, selector.boundary)?;
            write_at(f, selector.at)?;
            write_offset(f, selector.offset.as_ref())
        }
        Kind::Subquery(subquery) => {
            Display::fmt(&subquery.expr, f)?;
            write_suffix(f, subquery)
        }
        Kind::Call(Call { function, args }) => {
            write!(f, "{}(", function.name)?;
            write_list(f, args, |f, arg| Display::fmt(arg, f))?;
            f.write_char(')')
        }
        Kind::Aggregate(aggregate) => {
            write_head(f, aggregate)?;
            f.write_char('(')?;
            if let Some(param) = &aggregate.param {
                write!(f, "{param}, ")?;
            }
            write!(f, "{})", aggregate.expr)
        }
        Kind::Binary(binary) => {
            write!(f, "{} ", binary.left)?;
            write_operator(f, binary)?;
            write!(f, " {}", binary.right)
        }
        Kind::Unary(unary) => write!(f, "{}{}", sign(unary.negative), unary.expr),
        Kind::Paren(inner) => write!(f, "({inner})"),
    }
}

const fn sign(negative: bool) -> char {
    if negative { '-' } else { '+' }
}

fn write_list<T>(
    f: &mut Formatter<'_>,
    items: &[T],
    write: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}

fn write_number(f: &mut Formatter<'_>, value: Number) -> fmt::Result {
    match value.is_duration {
        true => duration::write_units(f, value.value),
        false => f.write_str(&plain(value.value)),
    }
}

/// The metric's name and conditions, these in the order of their text.
fn write_series(f: &mut Formatter<'_>, selector: &Selector) -> fmt::Result {
    let name = selector.name.as_deref().unwrap_or_default();
    f.write_str(name)?;
    let is_name = |matcher: &&Matcher| {
        !name.is_empty() && **matcher == Matcher::equal(kandela_model::METRIC_NAME, name)
    };
    let mut conditions: Vec<String> =
        selector.matchers.iter().filter(|matcher| !is_name(matcher)).map(condition).collect();
    conditions.sort_unstable();
    match conditions.is_empty() && !name.is_empty() {
        true => Ok(()),
        false => write!(f, "{{{}}}", conditions.join(",")),
    }
}

fn condition(matcher: &Matcher) -> String {
    let Matcher { name, op, value, .. } = matcher;
    let name = if is_word(name) { name.clone() } else { quoted(name) };
    format!("{name}{op}{}", quoted(value))
}

/// Whether a label needs no quotes in braces.
fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

fn write_labels(f: &mut Formatter<'_>, labels: &[String]) -> fmt::Result {
    f.write_char('(')?;
    write_list(f, labels, |f, label| {
        // Numbers, and a word that stands behind the labels of an aggregation.
        let misread = ["inf", "nan", "without"].iter().any(|word| label.eq_ignore_ascii_case(word));
        if is_word(label) && !misread { f.write_str(label) } else { f.write_str(&quoted(label)) }
    })?;
    f.write_char(')')
}

/// What stands before an aggregation's arguments.
fn write_head(f: &mut Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    f.write_str(aggregate.op.name())?;
    let Grouping { labels, without } = &aggregate.grouping;
    if labels.is_empty() && !without {
        return Ok(());
    }
    f.write_str(if *without { " without " } else { " by " })?;
    write_labels(f, labels)?;
    f.write_char(' ')
}

/// An operator and what modifies it.
fn write_operator(f: &mut Formatter<'_>, binary: &Binary) -> fmt::Result {
    f.write_str(binary.op.symbol())?;
    if binary.returns_bool {
        f.write_str(" bool")?;
    }
    let Matching { labels, on, card, include, fill_left, fill_right } = &binary.matching;
    let side = match card {
        Cardinality::ManyToOne => Some("group_left"),
        Cardinality::OneToMany => Some("group_right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if !labels.is_empty() || *on || side.is_some() {
        f.write_str(if *on { " on " } else { " ignoring " })?;
        write_labels(f, labels)?;
    }
    if let Some(side) = side {
        write!(f, " {side} ")?;
        write_labels(f, include)?;
    }
    match (fill_left, fill_right) {
        (Some(left), Some(right)) if left == right => write!(f, " fill ({})", shortest(*left)),
        _ => {
            if let Some(left) = fill_left {
                write!(f, " fill_left ({})", shortest(*left))?;
            }
            if let Some(right) = fill_right {
                write!(f, " fill_right ({})", shortest(*right))?;
            }
            Ok(())
        }
    }
}

fn write_at(f: &mut Formatter<'_>, at: Option<At>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(At::Micros(micros)) => write!(f, " @ {:.3}", (micros / 1_000) as f64 / 1_000.0),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
    }
}

fn write_boundary(f: &mut Formatter<'_>, boundary: Boundary) -> fmt::Result {
    f.write_str(match boundary {
        Boundary::Plain => "",
        Boundary::Anchored => " anchored",
        Boundary::Smoothed => " smoothed",
    })
}

fn write_offset(f: &mut Formatter<'_>, offset: Option<&Duration>) -> fmt::Result {
    let Some(offset) = offset else { return Ok(()) };
    f.write_str(" offset ")?;
    duration::write(f, offset)
}

/// What stands behind the expression of a subquery.
fn write_suffix(f: &mut Formatter<'_>, subquery: &Subquery) -> fmt::Result {
    f.write_char('[')?;
    duration::write(f, &subquery.range)?;
    f.write_char(':')?;
    if let Some(step) = &subquery.step {
        duration::write(f, step)?;
    }
    f.write_char(']')?;
    write_at(f, subquery.at)?;
    write_offset(f, subquery.offset.as_ref())
}
