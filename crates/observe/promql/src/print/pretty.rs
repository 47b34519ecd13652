//! Long queries over several lines, as Prometheus' prettifier breaks them.

use std::fmt::{self, Display, Formatter, Write};

use super::{sign, write_head, write_operator, write_suffix};
use crate::ast::{Aggregate, Binary, Expr, Kind, Subquery};
use crate::depth::deeper;

/// What is longer than this many bytes in one line is broken.
const LINE: usize = 100;

/// The text of a query, broken and indented where an expression is longer than 100 bytes: what Prometheus' `format_query`
/// gives.
///
/// ```
/// let expr = kandela_promql::parse(r#"sum by(job)(rate(http_requests_total{code=~"5.."}[5m]))"#)?;
/// assert_eq!(
///     kandela_promql::format(&expr),
///     r#"sum by (job) (rate(http_requests_total{code=~"5.."}[5m]))"#
/// );
/// # Ok::<(), kandela_promql::ParseError>(())
/// ```
pub fn format(expr: &Expr) -> String {
    let mut out = String::new();
    write(&mut out, expr, 0);
    out
}

/// Shows what a function writes.
struct Shown<F>(F);

impl<F: Fn(&mut Formatter<'_>) -> fmt::Result> Display for Shown<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0(f)
    }
}

fn write(out: &mut String, expr: &Expr, level: usize) {
    deeper(|| write_level(out, expr, level));
}

fn write_level(out: &mut String, expr: &Expr, level: usize) {
    match &expr.kind {
        Kind::Unary(unary) => {
            let mut inner = String::new();
            write(&mut inner, &unary.expr, level);
            indent(out, level);
            out.push(sign(unary.negative));
            out.push_str(inner.trim_start());
        }
        // In one line it is not indented, there neither.
        Kind::Subquery(subquery) => match is_long(expr) {
            true => write_subquery(out, subquery, level),
            false => push(out, expr),
        },
        Kind::Aggregate(aggregate) if is_long(expr) => write_aggregate(out, aggregate, level),
        Kind::Binary(binary) if is_long(expr) => write_binary(out, binary, level),
        Kind::Call(call) if is_long(expr) => {
            indent(out, level);
            out.push_str(call.function.name);
            out.push_str("(\n");
            for (at, arg) in call.args.iter().enumerate() {
                if at > 0 {
                    out.push_str(",\n");
                }
                write(out, arg, level + 1);
            }
            close(out, level);
        }
        Kind::Paren(inner) if is_long(expr) => {
            indent(out, level);
            out.push_str("(\n");
            write(out, inner, level + 1);
            close(out, level);
        }
        _ => {
            indent(out, level);
            push(out, expr);
        }
    }
}

fn write_aggregate(out: &mut String, aggregate: &Aggregate, level: usize) {
    indent(out, level);
    push(out, Shown(|f: &mut Formatter<'_>| write_head(f, aggregate)));
    out.push_str("(\n");
    if let Some(param) = &aggregate.param {
        write(out, param, level + 1);
        out.push_str(",\n");
    }
    write(out, &aggregate.expr, level + 1);
    close(out, level);
}

fn write_binary(out: &mut String, binary: &Binary, level: usize) {
    write(out, &binary.left, level + 1);
    out.push('\n');
    indent(out, level);
    push(out, Shown(|f: &mut Formatter<'_>| write_operator(f, binary)));
    out.push('\n');
    write(out, &binary.right, level + 1);
}

fn write_subquery(out: &mut String, subquery: &Subquery, level: usize) {
    write(out, &subquery.expr, level);
    push(out, Shown(|f: &mut Formatter<'_>| write_suffix(f, subquery)));
}

fn close(out: &mut String, level: usize) {
    out.push('\n');
    indent(out, level);
    out.push(')');
}

fn indent(out: &mut String, level: usize) {
    for _ in 0..level {
        out.push_str("  ");
    }
}

fn push(out: &mut String, text: impl Display) {
    // A string takes all that is written.
    let _ = write!(out, "{text}");
}

/// Whether an expression takes more than a line; looks at no more of it than that takes.
fn is_long(expr: &Expr) -> bool {
    struct Room(usize);

    impl Write for Room {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
            Ok(())
        }
    }

    write!(Room(LINE), "{expr}").is_err()
}
