//! Start times of samples: `series@st _ _ -30s-1mx2`. Each is an offset from its sample's own time.

use kandela_model::Labels;

use super::cursor::Cursor;
use super::literal::{duration, take_count};
use super::series::take_labels;

/// A line of start times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StartLine {
    /// The series; `None` for `@st …`, which is for every series after it that has no line of its own.
    pub(super) labels: Option<Labels>,
    /// Microseconds from each sample's time to its start; `None` where the start is not known.
    pub(super) offsets: Vec<Option<i64>>,
}

/// Reads a line of start times; `None` where it is no such line.
pub(super) fn parse(text: &str) -> Option<Result<StartLine, String>> {
    let mut cursor = Cursor::new(text);
    let labels = if text.starts_with('@') { None } else { Some(take_labels(&mut cursor).ok()?) };
    let is_start_line = cursor.eat("@st") && cursor.peek().is_none_or(char::is_whitespace);
    is_start_line.then(|| {
        Ok(StartLine {
            labels: labels.filter(|l| !l.as_ref().is_empty()),
            offsets: take_offsets(&mut cursor)?,
        })
    })
}

fn take_offsets(cursor: &mut Cursor<'_>) -> Result<Vec<Option<i64>>, String> {
    let mut offsets = Vec::new();
    loop {
        cursor.skip_blanks();
        if cursor.is_done() {
            return Ok(offsets);
        }
        take_item(cursor, &mut offsets)?;
        if cursor.peek().is_some_and(|c| !c.is_whitespace()) {
            return Err(format!("a blank was expected at {}", cursor.here()));
        }
    }
}

fn take_item(cursor: &mut Cursor<'_>, offsets: &mut Vec<Option<i64>>) -> Result<(), String> {
    if cursor.eat("_") {
        let count = if cursor.eat("x") { take_count(cursor)? } else { 1 };
        offsets.extend(std::iter::repeat_n(None, count));
        return Ok(());
    }
    let first = match cursor.eat("*") {
        true => offsets.iter().rev().find_map(|offset| *offset).unwrap_or_default(),
        false => take_offset(cursor)?,
    };
    let step = match cursor.peek() {
        Some('+') | Some('-') => Some(take_offset(cursor)?),
        _ => None,
    };
    let count = match cursor.eat("x") {
        true => take_count(cursor)?,
        false if step.is_some() => return Err(format!("x and a count were expected at {}", cursor.here())),
        false => 0,
    };
    let step = step.unwrap_or_default();
    let each = std::iter::successors(Some(first), |offset| Some(offset.saturating_add(step)));
    offsets.extend(each.take(count + 1).map(Some));
    Ok(())
}

fn take_offset(cursor: &mut Cursor<'_>) -> Result<i64, String> {
    let sign = if cursor.eat("-") { -1 } else { 1 };
    if sign == 1 {
        cursor.eat("+");
    }
    let text = cursor.take_while(|c| c.is_ascii_digit() || (c.is_ascii_lowercase() && c != 'x'));
    Ok(sign * duration(text)?)
}
