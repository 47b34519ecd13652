//! From a query's text to its tree.
//!
//! The language is Prometheus' 3.14, with what is experimental there: duration expressions, `anchored` and `smoothed`, `fill`
//! modifiers. Operators are read by precedence climbing. Errors carry Prometheus' words.

mod check;
mod duration;
mod expression;
mod lexer;
mod number;
mod selector;
mod string;
mod token;

use std::fmt;

use crate::ast::{Expr, Kind, Selector, Span};
use expression::Parser;
use kandela_config::matcher::Matcher;

/// What is wrong with a query, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The place in the query's text.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// Line and column of the place, in bytes, from 1; zeros where the query is empty and has no places.
    pub line_column: (usize, usize),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line_column: (line, column), message, .. } = self;
        match line {
            0 => write!(f, "unknown position: parse error: {message}"),
            _ => write!(f, "{line}:{column}: parse error: {message}"),
        }
    }
}

impl std::error::Error for ParseError {}

/// A place and what is wrong there.
type Told = (Span, String);

/// What is wrong, on its way out of the constructs that the place stands in.
#[derive(Debug)]
enum Fault {
    /// It is known what.
    Told(Told),
    /// The next word should not be there; the innermost construct that has words for that says so.
    Unexpected,
}

/// Parses an expression and checks its types.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(query);
    let parsed = parser.whole().and_then(|mut expr| check::check(&mut expr, query).map(|_| expr));
    parsed.map_err(|told| located(query, told))
}

/// Parses a selector without range, offset and `@`, such as `up{job="x"}`; gives its matchers.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse_selector(query: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(query);
    let parsed = parser.whole_selector().and_then(|mut expr| check::check(&mut expr, query).map(|_| expr));
    match parsed.map_err(|told| located(query, told))?.into_kind() {
        Kind::Vector(Selector { matchers, .. }) => Ok(matchers),
        _ => Ok(Vec::new()),
    }
}

fn located(query: &str, (span, message): Told) -> ParseError {
    if query.is_empty() {
        return ParseError { span, message, line_column: (0, 0) };
    }
    let before = query.as_bytes().get(..span.start).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    ParseError { span, message, line_column: (line, column) }
}
