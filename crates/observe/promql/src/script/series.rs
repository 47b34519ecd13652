//! A series as scripts write it: its labels, then its values.

use std::sync::Arc;

use kandela_model::{Labels, METRIC_NAME, STALE_NAN};

use super::command::Slot;
use super::cursor::Cursor;
use super::histogram::{self, Literal};
use super::literal::{take_count, take_number, take_signed, take_string, take_word};

/// Reads `name{label="value"} 1+2x5 _ stale {{count:1}}x3`.
pub(super) fn parse(text: &str) -> Result<(Labels, Vec<Slot>), String> {
    let mut cursor = Cursor::new(text);
    let labels = take_labels(&mut cursor)?;
    let slots = take_slots(&mut cursor)?;
    Ok((labels, slots))
}

/// The labels at the front: `name`, `name{label="value"}`, `{"a name", "a label"="value"}` or `{}`.
pub(super) fn take_labels(cursor: &mut Cursor<'_>) -> Result<Labels, String> {
    let start = *cursor;
    let mut pairs: Vec<(String, String)> = Vec::new();
    if cursor.peek().is_some_and(|c| is_letter(c) || c == ':') {
        let name = cursor.take_while(|c| is_letter(c) || c == ':' || c.is_ascii_digit());
        pairs.push((METRIC_NAME.to_owned(), name.to_owned()));
    } else if cursor.peek() != Some('{') {
        return Err(format!("a series was expected at {}", start.here()));
    }
    if cursor.eat("{") {
        take_braced(cursor, &mut pairs)?;
    }
    Labels::new(pairs).map_err(|error| error.to_string())
}

fn take_braced(cursor: &mut Cursor<'_>, pairs: &mut Vec<(String, String)>) -> Result<(), String> {
    loop {
        cursor.skip_blanks();
        if cursor.eat("}") {
            return Ok(());
        }
        let quoted = cursor.peek().is_some_and(|c| matches!(c, '"' | '\'' | '`'));
        let name = match quoted {
            true => take_string(cursor)?,
            false => cursor.take_while(|c| is_letter(c) || c.is_ascii_digit()).to_owned(),
        };
        if name.is_empty() {
            return Err(format!("a label was expected at {}", cursor.here()));
        }
        cursor.skip_blanks();
        if cursor.eat("=") {
            cursor.skip_blanks();
            pairs.push((name, take_string(cursor)?));
        } else if quoted {
            pairs.push((METRIC_NAME.to_owned(), name));
        } else {
            return Err(format!("= was expected after label {name} at {}", cursor.here()));
        }
        cursor.skip_blanks();
        if !cursor.eat(",") && cursor.peek() != Some('}') {
            return Err(format!(", or }} was expected at {}", cursor.here()));
        }
    }
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn take_slots(cursor: &mut Cursor<'_>) -> Result<Vec<Slot>, String> {
    let mut slots = Vec::new();
    while !cursor.is_done() {
        if !cursor.skip_blanks() {
            return Err(format!("a blank was expected before {}", cursor.here()));
        }
        if !cursor.is_done() {
            take_item(cursor, &mut slots)?;
        }
    }
    Ok(slots)
}

fn take_item(cursor: &mut Cursor<'_>, slots: &mut Vec<Slot>) -> Result<(), String> {
    if cursor.eat("_") {
        let count = if cursor.eat("x") { take_count(cursor)? } else { 1 };
        slots.extend(std::iter::repeat_n(Slot::Gap, count));
        return Ok(());
    }
    if cursor.rest().starts_with("{{") {
        return take_histograms(cursor, slots);
    }
    take_floats(cursor, slots)
}

fn take_floats(cursor: &mut Cursor<'_>, slots: &mut Vec<Slot>) -> Result<(), String> {
    let start = take_value(cursor)?;
    let step = match cursor.peek() {
        Some('+') | Some('-') => Some(take_signed(cursor)?),
        _ => None,
    };
    if !cursor.eat("x") {
        slots.push(Slot::Float(start));
        return match step {
            Some(_) => Err(format!("x and a count were expected at {}", cursor.here())),
            None => Ok(()),
        };
    }
    let count = take_count(cursor)?;
    // Adding again and again rounds as Prometheus does, which multiplying would not.
    let values = std::iter::successors(Some(start), |value| Some(step.map_or(*value, |step| value + step)));
    slots.extend(values.take(count + 1).map(Slot::Float));
    Ok(())
}

fn take_value(cursor: &mut Cursor<'_>) -> Result<f64, String> {
    let start = *cursor;
    if take_word(cursor) == "stale" {
        return Ok(STALE_NAN);
    }
    *cursor = start;
    if cursor.eat("-") {
        return Ok(-take_number(cursor)?);
    }
    cursor.eat("+");
    take_number(cursor)
}

fn take_histograms(cursor: &mut Cursor<'_>, slots: &mut Vec<Slot>) -> Result<(), String> {
    let first = histogram::take(cursor)?;
    let subtract = cursor.peek() == Some('-');
    let step = match cursor.peek() {
        Some('+') | Some('-') => {
            cursor.next();
            Some(histogram::take(cursor)?)
        }
        _ => None,
    };
    if !cursor.eat("x") {
        slots.push(slot(&first));
        return match step {
            Some(_) => Err(format!("x and a count were expected at {}", cursor.here())),
            None => Ok(()),
        };
    }
    let count = take_count(cursor)?;
    let Some(step) = step else {
        slots.extend(std::iter::repeat_n(slot(&first), count + 1));
        return Ok(());
    };
    let mut current = Literal { hint_given: step.hint_given, ..first };
    for index in 0..=count {
        if index > 0 {
            current.histogram = histogram::combine(&current.histogram, &step.histogram, subtract)?;
        }
        slots.push(slot(&current));
    }
    Ok(())
}

fn slot(literal: &Literal) -> Slot {
    Slot::Histogram { histogram: Arc::new(literal.histogram.clone()), hint_given: literal.hint_given }
}
