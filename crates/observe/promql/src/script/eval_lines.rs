//! The lines of an `eval`: what is asked, then what must come.

use super::command::{Annotations, Conditions, Eval, Expected, Slot, Text};
use super::expect_lines::Expectations;
use super::literal::{duration, number};
use super::parse::{Line, Lines, ScriptError, split_word};
use super::query::QueryTime;
use super::series;
use kandela_model::Labels;

const USAGE: &str =
    "write eval instant at <time> <query> or eval range from <time> to <time> step <step> <query>";

pub(super) fn parse(command: Line<'_>, lines: &mut Lines<'_>) -> Result<Eval, ScriptError> {
    let (time, expr, verb) = parse_command(command.text).map_err(|reason| command.error(reason))?;
    let mut expectations = Expectations::of(verb);
    let mut series: Vec<(Labels, Vec<Slot>)> = Vec::new();
    let mut scalar = None;
    while let Some(line) = lines.next_in_block() {
        let error = |reason: String| line.error(reason);
        if expectations.take(line.text).map_err(error)? {
            if expectations.ends_block {
                break;
            }
            continue;
        }
        if let Some(value) = number(line.text) {
            scalar = Some(value);
            break;
        }
        let (labels, slots) = series::parse(line.text).map_err(error)?;
        let is_instant = matches!(time, QueryTime::Instant(_)) && expectations.range_vector.is_none();
        if is_instant && slots.len() != 1 {
            let count = slots.len();
            return Err(line.error(format!(
                "an instant has one value a series, not {count}; for a range vector write expect range vector \
                 from <time> to <time> step <step>"
            )));
        }
        series.retain(|(earlier, _)| *earlier != labels);
        series.push((labels, slots));
    }
    let conditions = expectations.conditions().map_err(|reason| command.error(reason))?;
    let expected = match (scalar, expectations.string, expectations.range_vector) {
        (Some(value), _, _) => Expected::Scalar(value),
        (None, Some(text), _) => Expected::String(text),
        (None, None, Some(steps)) => Expected::RangeVector(steps, series),
        (None, None, None) => Expected::Series(series),
    };
    // A range vector is asked for when it ends.
    let time = match &expected {
        Expected::RangeVector(QueryTime::Range { through, .. }, _) => QueryTime::Instant(*through),
        _ => time,
    };
    Ok(Eval { line: command.number, expr: expr.to_owned(), time, expected, conditions })
}

/// The time, the expression, and the first word of an `eval` line.
fn parse_command(text: &str) -> Result<(QueryTime, &str, Verb), String> {
    let (word, rest) = split_word(text).ok_or(USAGE)?;
    let (kind, rest) = split_word(rest).ok_or(USAGE)?;
    let verb = Verb::read(word).ok_or(USAGE)?;
    let (time, expr) = match kind {
        "instant" => {
            let (at, expr) = after("at", rest)?;
            (QueryTime::Instant(duration(at)?), expr)
        }
        "range" if !matches!(verb, Verb::Ordered) => parse_range(rest)?,
        "range" => return Err("a range has no order; write eval, or eval_ordered instant".to_owned()),
        _ => return Err(USAGE.to_owned()),
    };
    if expr.is_empty() { Err(USAGE.to_owned()) } else { Ok((time, expr, verb)) }
}

/// Reads `from <time> to <time> step <step>` and gives what follows.
pub(super) fn parse_range(text: &str) -> Result<(QueryTime, &str), String> {
    let (from, rest) = after("from", text)?;
    let (through, rest) = after("to", rest)?;
    let (step, rest) = after("step", rest)?;
    let (from, through, step) = (duration(from)?, duration(through)?, duration(step)?);
    if through < from {
        return Err("the range ends before it begins".to_owned());
    }
    Ok((QueryTime::Range { from, through, step }, rest))
}

/// The word after `keyword`, and the rest.
fn after<'a>(keyword: &str, text: &'a str) -> Result<(&'a str, &'a str), String> {
    match split_word(text) {
        Some((word, rest)) if word == keyword => split_word(rest).ok_or_else(|| USAGE.to_owned()),
        _ => Err(USAGE.to_owned()),
    }
}

/// The first word of an `eval` line; all but the plain one are of an older language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Plain,
    Fail,
    Warn,
    Info,
    Ordered,
}

impl Verb {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "eval" => Self::Plain,
            "eval_fail" => Self::Fail,
            "eval_warn" => Self::Warn,
            "eval_info" => Self::Info,
            "eval_ordered" => Self::Ordered,
            _ => return None,
        })
    }

    /// What the word alone asks for.
    pub(super) fn conditions(self) -> Conditions {
        let mut conditions = Conditions::default();
        match self {
            Self::Plain => {}
            Self::Fail => conditions.fail.push(Text::Any),
            Self::Warn => conditions.warnings = Annotations::Matching(vec![Text::Any]),
            Self::Info => conditions.infos = Annotations::Matching(vec![Text::Any]),
            Self::Ordered => conditions.ordered = true,
        }
        conditions
    }
}
