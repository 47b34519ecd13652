//! From text to commands.

use super::command::{Command, Load, LoadedSeries, Slot};
use super::cursor::Cursor;
use super::memory::Sample;
use super::{eval_lines, literal, series, starts};
use crate::answer::Point;

/// Why a script cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Reads a whole script. A blank line or a line that begins with `#` ends a block.
///
/// # Errors
/// The first line that is not of the language. Expressions are not looked at.
pub fn parse(text: &str) -> Result<Vec<Command>, ScriptError> {
    let mut lines = Lines::new(text);
    let mut commands = Vec::new();
    while let Some(line) = lines.next_command() {
        let word = line.text.split_whitespace().next().unwrap_or_default().to_lowercase();
        commands.push(match word.as_str() {
            "clear" => Command::Clear,
            _ if word.starts_with("load") => Command::Load(parse_load(line, &mut lines)?),
            _ if word.starts_with("eval") => Command::Eval(Box::new(eval_lines::parse(line, &mut lines)?)),
            _ => return Err(line.error(format!("{word:?} is no command; those are load, clear and eval"))),
        });
    }
    Ok(commands)
}

/// One line of a script, without blanks around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) text: &'a str,
}

impl Line<'_> {
    pub(super) fn error(&self, message: impl Into<String>) -> ScriptError {
        ScriptError { line: self.number, message: message.into() }
    }
}

/// The lines that are yet to be read; comments are blank.
pub(super) struct Lines<'a> {
    lines: std::iter::Peekable<Box<dyn Iterator<Item = Line<'a>> + 'a>>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let lines = text.split('\n').zip(1..).map(|(line, number)| {
            let line = line.trim();
            Line { number, text: if line.starts_with('#') { "" } else { line } }
        });
        let lines: Box<dyn Iterator<Item = Line<'a>> + 'a> = Box::new(lines);
        Self { lines: lines.peekable() }
    }

    fn next_command(&mut self) -> Option<Line<'a>> {
        self.lines.find(|line| !line.text.is_empty())
    }

    /// The next line of the block, if it goes on.
    pub(super) fn next_in_block(&mut self) -> Option<Line<'a>> {
        self.lines.next_if(|line| !line.text.is_empty())
    }
}

fn parse_load(command: Line<'_>, lines: &mut Lines<'_>) -> Result<Load, ScriptError> {
    let usage = || command.error("write load <step> or load_with_nhcb <step>, such as load 5m");
    let (word, step) = command.text.split_once(char::is_whitespace).ok_or_else(usage)?;
    let with_nhcb = match word {
        "load" => false,
        "load_with_nhcb" => true,
        _ => return Err(usage()),
    };
    let step = literal::duration(step.trim()).map_err(|reason| command.error(reason))?;
    let mut load = Load { line: command.number, step, with_nhcb, series: Vec::new() };
    let mut default_starts = Vec::new();
    let mut pending: Option<(Line<'_>, starts::StartLine)> = None;
    while let Some(line) = lines.next_in_block() {
        if let Some(start_line) = starts::parse(line.text) {
            let start_line = start_line.map_err(|reason| line.error(reason))?;
            if let Some((before, _)) = pending {
                return Err(before.error("a line with @st must stand right before the line of its series"));
            }
            match start_line.labels {
                None => default_starts = start_line.offsets,
                Some(_) => pending = Some((line, start_line)),
            }
            continue;
        }
        let (labels, slots) = series::parse(line.text).map_err(|reason| line.error(reason))?;
        let own_starts = match pending.take() {
            None => None,
            Some((start_line, starts)) => {
                check_starts(&starts, &labels, slots.len()).map_err(|reason| start_line.error(reason))?;
                Some(starts.offsets)
            }
        };
        let offsets = match &own_starts {
            Some(own) => own.as_slice(),
            None => default_starts.as_slice(),
        };
        let loaded = LoadedSeries { labels, samples: samples(slots, step, offsets) };
        load.series.retain(|earlier| earlier.labels != loaded.labels);
        load.series.push(loaded);
    }
    match pending {
        Some((line, _)) => Err(line.error("no line of the series follows this line with @st")),
        None => Ok(load),
    }
}

fn check_starts(
    starts: &starts::StartLine,
    labels: &kandela_model::Labels,
    values: usize,
) -> Result<(), String> {
    if starts.labels.as_ref() != Some(labels) {
        return Err("the line after a line with @st must be of the same series".to_owned());
    }
    if starts.offsets.len() != values {
        let count = starts.offsets.len();
        return Err(format!("this line has {count} start times but the series after it has {values} values"));
    }
    Ok(())
}

/// `starts` are offsets from the sample's own time, and begin again where there are fewer than samples.
fn samples(slots: Vec<Slot>, step: i64, starts: &[Option<i64>]) -> Vec<Sample> {
    let times = (0i64..).map(|index| index.saturating_mul(step));
    let starts = starts.iter().copied().cycle().chain(std::iter::repeat(None));
    let samples = slots.into_iter().zip(times).zip(starts).filter_map(|((slot, time), start)| {
        let point = match slot {
            Slot::Gap => return None,
            Slot::Float(value) => Point::Float(value),
            Slot::Histogram { histogram, .. } => Point::Histogram(histogram),
        };
        Some(Sample { time, start: start.map_or(0, |offset| time.saturating_add(offset)), point })
    });
    samples.collect()
}

/// The word up to the next blank, and what follows the blanks.
pub(super) fn split_word(text: &str) -> Option<(&str, &str)> {
    let mut cursor = Cursor::new(text);
    let word = cursor.take_while(|c| !c.is_whitespace());
    cursor.skip_blanks();
    (!word.is_empty()).then_some((word, cursor.rest()))
}
