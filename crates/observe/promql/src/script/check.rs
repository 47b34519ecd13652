//! Comparing what came with what must come.

mod almost;
mod values;

use std::fmt;

use super::command::{Annotations, Eval, Expected, Text};
use super::query::QueryTime;
use crate::answer::{Answer, Answered, Point};

/// How an answer differs from what a script expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The line of the `eval`, counted from 1.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// What differs, in words.
    pub what: String,
    /// What must come, in the script's notation.
    pub expected: String,
    /// What came, in the script's notation.
    pub got: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, expr, what, expected, got } = self;
        write!(f, "line {line}: {expr}: {what}\n  expected: {expected}\n  got:      {got}")
    }
}

impl std::error::Error for Mismatch {}

/// A [`Mismatch`] that does not know its query yet.
#[derive(Debug)]
pub(super) struct Difference {
    what: String,
    expected: String,
    got: String,
}

impl Difference {
    pub(super) fn new(what: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { what: what.into(), expected: expected.into(), got: got.into() }
    }

    fn of(self, eval: &Eval) -> Mismatch {
        let Self { what, expected, got } = self;
        Mismatch { line: eval.line, expr: eval.expr.clone(), what, expected, got }
    }
}

/// Compares the answer to [`Eval::query`], or its error, with what the script expects, by Prometheus' rules: numbers
/// are equal within 1e-6 of their sum, NaN equals NaN, empty buckets of histograms do not count, a reset hint matters
/// where the script gives one, and order matters only in an `eval_ordered` or after `expect ordered`, except that the
/// series of a matrix must ascend by labels. Annotations matter only where the script speaks of their kind.
///
/// # Errors
/// The first difference.
pub fn check(eval: &Eval, result: &Result<Answered, String>) -> Result<(), Mismatch> {
    compare(eval, result).map_err(|difference| difference.of(eval))
}

/// Compares the answer to [`Eval::query_in_range`] with what the script expects of the instant query: the value at
/// the middle step must be the same. Annotations do not matter here, nor does anything but an error where order
/// matters, since a range has none.
///
/// # Errors
/// The first difference.
pub fn check_in_range(eval: &Eval, result: &Result<Answered, String>) -> Result<(), Mismatch> {
    compare_in_range(eval, result).map_err(|difference| {
        let what = format!("as a step of a range query: {}", difference.what);
        Difference { what, ..difference }.of(eval)
    })
}

fn compare(eval: &Eval, result: &Result<Answered, String>) -> Result<(), Difference> {
    let conditions = &eval.conditions;
    match result {
        Err(error) if conditions.fail.is_empty() => {
            Err(Difference::new("the query failed", "an answer", error))
        }
        Err(error) => match conditions.fail.iter().find(|text| !text.matches(error)) {
            Some(text) => Err(Difference::new("the error is another", describe(text), error)),
            None => Ok(()),
        },
        Ok(answered) if !conditions.fail.is_empty() => {
            Err(Difference::new("the query did not fail", "an error", values::answer(&answered.answer)))
        }
        Ok(answered) => {
            compare_annotations("warning", &conditions.warnings, &answered.warnings)?;
            compare_annotations("info", &conditions.infos, &answered.infos)?;
            compare_answer(eval, &answered.answer)
        }
    }
}

fn describe(text: &Text) -> String {
    match text {
        Text::Any => "anything".to_owned(),
        Text::Exactly(exactly) => exactly.clone(),
        Text::Matching(regex) => format!("regex: {regex}"),
    }
}

fn compare_annotations(kind: &str, expected: &Annotations, got: &[String]) -> Result<(), Difference> {
    let (a, list) = (if kind == "info" { "an" } else { "a" }, || {
        if got.is_empty() { "none".to_owned() } else { got.join("; ") }
    });
    match expected {
        Annotations::Ignored => Ok(()),
        Annotations::Absent if got.is_empty() => Ok(()),
        Annotations::Absent => Err(Difference::new(format!("there is {a} {kind}"), "none", list())),
        Annotations::Matching(texts) => {
            let missing = texts.iter().find(|text| !got.iter().any(|got| text.matches(got)));
            if let Some(text) = missing {
                return Err(Difference::new(format!("{a} {kind} is missing"), describe(text), list()));
            }
            match got.iter().find(|got| !texts.iter().any(|text| text.matches(got))) {
                None => Ok(()),
                Some(other) => {
                    let expected = texts.iter().map(describe).collect::<Vec<_>>().join("; ");
                    Err(Difference::new(format!("there is another {kind}"), expected, other))
                }
            }
        }
    }
}

fn compare_answer(eval: &Eval, got: &Answer) -> Result<(), Difference> {
    let ordered = eval.conditions.ordered;
    match (&eval.expected, got) {
        (Expected::Scalar(expected), Answer::Scalar(got)) => values::compare_scalar(*expected, *got),
        (Expected::String(expected), Answer::String(got)) if expected == got => Ok(()),
        (Expected::String(expected), Answer::String(got)) => {
            Err(Difference::new("another string came", format!("{expected:?}"), format!("{got:?}")))
        }
        (Expected::Series(expected), Answer::Vector(got)) if matches!(eval.time, QueryTime::Instant(_)) => {
            values::compare_vector(expected, got, ordered)
        }
        (_, Answer::Matrix(_)) if ordered => {
            Err(Difference::new("a matrix has no order of its own", "a vector", values::answer(got)))
        }
        (Expected::Series(expected), Answer::Matrix(got)) => values::compare_matrix(expected, got, eval.time),
        (Expected::RangeVector(steps, expected), Answer::Matrix(got)) => {
            values::compare_matrix(expected, got, *steps)
        }
        (expected, got) => Err(Difference::new(
            "the answer is of another kind",
            values::kind_of(expected),
            values::answer(got),
        )),
    }
}

fn compare_in_range(eval: &Eval, result: &Result<Answered, String>) -> Result<(), Difference> {
    let answered =
        result.as_ref().map_err(|error| Difference::new("the query failed", "an answer", error))?;
    if eval.conditions.ordered {
        return Ok(());
    }
    let QueryTime::Instant(at) = eval.time else { return Ok(()) };
    let Answer::Matrix(matrix) = &answered.answer else {
        return Err(Difference::new(
            "the answer is of another kind",
            "a matrix",
            values::answer(&answered.answer),
        ));
    };
    values::check_sorted(matrix)?;
    let vector: Vec<_> = matrix
        .iter()
        .filter_map(|(labels, points)| {
            let point = points.iter().find(|(time, _)| *time == at).map(|(_, point)| point.clone())?;
            Some((labels.clone(), point))
        })
        .collect();
    match (&eval.expected, vector.as_slice()) {
        (Expected::Scalar(expected), [(_, Point::Float(got)), ..]) => values::compare_scalar(*expected, *got),
        _ => compare_answer(eval, &Answer::Vector(vector)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_annotations_have_their_article() {
        let any = Annotations::Matching(vec![Text::Any]);
        let one = ["PromQL: it is so".to_owned()];
        let what = |kind, expected: &Annotations, got: &[String]| {
            compare_annotations(kind, expected, got).unwrap_err().what
        };
        assert_eq!(what("warning", &any, &[]), "a warning is missing");
        assert_eq!(what("info", &any, &[]), "an info is missing");
        assert_eq!(what("warning", &Annotations::Absent, &one), "there is a warning");
        assert_eq!(what("info", &Annotations::Absent, &one), "there is an info");
    }
}
