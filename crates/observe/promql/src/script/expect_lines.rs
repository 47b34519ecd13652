//! Lines that begin with `expect`, and what an older language had in their place.

use kandela_config::re2;

use super::command::{Annotations, Conditions, Text};
use super::cursor::Cursor;
use super::eval_lines::{Verb, parse_range};
use super::literal::take_string;
use super::parse::split_word;
use super::query::QueryTime;

/// What the lines of one `eval` have said so far beside the values.
pub(super) struct Expectations {
    verb: Verb,
    /// Whether the line taken last ends the block.
    pub(super) ends_block: bool,
    /// The steps of a range vector.
    pub(super) range_vector: Option<QueryTime>,
    /// The string that must come.
    pub(super) string: Option<String>,
    ordered: bool,
    older_fail: Vec<Text>,
    fail: Vec<Text>,
    warn: Vec<Text>,
    no_warn: bool,
    info: Vec<Text>,
    no_info: bool,
}

impl Expectations {
    pub(super) fn of(verb: Verb) -> Self {
        Self {
            verb,
            ends_block: false,
            range_vector: None,
            string: None,
            ordered: false,
            older_fail: Vec::new(),
            fail: Vec::new(),
            warn: Vec::new(),
            no_warn: false,
            info: Vec::new(),
            no_info: false,
        }
    }

    /// Takes a line; `false` where it is none of these, and so a value.
    pub(super) fn take(&mut self, line: &str) -> Result<bool, String> {
        let fails = self.verb == Verb::Fail;
        if let Some(message) = line.strip_prefix("expected_fail_message").filter(|_| fails) {
            self.older_fail.push(Text::Exactly(message.trim().to_owned()));
            self.ends_block = true;
        } else if let Some(pattern) = line.strip_prefix("expected_fail_regexp").filter(|_| fails) {
            self.older_fail.push(Text::Matching(re2::search(pattern.trim())?));
            self.ends_block = true;
        } else if let Some(range) = line.strip_prefix("expect range vector") {
            self.take_range_vector(range)?;
        } else if let Some(literal) = line.strip_prefix("expect string") {
            self.take_text(literal)?;
        } else if let Some(("expect", what)) = split_word(line) {
            self.take_condition(what)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn take_range_vector(&mut self, range: &str) -> Result<(), String> {
        let (steps, rest) = parse_range(range.trim())?;
        if !rest.is_empty() {
            return Err(format!("nothing may follow the step of a range vector, but {rest:?} does"));
        }
        self.range_vector = Some(steps);
        Ok(())
    }

    fn take_text(&mut self, literal: &str) -> Result<(), String> {
        let mut cursor = Cursor::new(literal.trim());
        let text = take_string(&mut cursor)?;
        if !cursor.is_done() {
            return Err(format!("nothing may follow the string, but {} does", cursor.here()));
        }
        self.string = Some(text);
        Ok(())
    }

    fn take_condition(&mut self, what: &str) -> Result<(), String> {
        let (kind, rest) = split_word(what).ok_or("expect what?")?;
        let text = read_text(rest)?;
        match kind {
            "ordered" => self.ordered = true,
            "fail" if self.fail.is_empty() => self.fail.push(text),
            "fail" => return Err("a query fails only once; write one expect fail".to_owned()),
            "warn" => self.warn.push(text),
            "no_warn" => self.no_warn = true,
            "info" => self.info.push(text),
            "no_info" => self.no_info = true,
            _ => {
                return Err(format!(
                    "{kind:?} cannot be expected; those are fail, warn, info, no_warn, no_info, ordered, string \
                     and range vector"
                ));
            }
        }
        Ok(())
    }

    /// All that was said, together with what the command's first word says.
    pub(super) fn conditions(&self) -> Result<Conditions, String> {
        let mut conditions = self.verb.conditions();
        conditions.ordered |= self.ordered;
        conditions.fail.extend(self.older_fail.iter().chain(&self.fail).cloned());
        conditions.warnings = annotations("warn", &self.warn, self.no_warn, conditions.warnings)?;
        conditions.infos = annotations("info", &self.info, self.no_info, conditions.infos)?;
        Ok(conditions)
    }
}

fn annotations(kind: &str, some: &[Text], none: bool, by_verb: Annotations) -> Result<Annotations, String> {
    match (some.is_empty(), none, by_verb) {
        (true, false, by_verb) => Ok(by_verb),
        (false, false, _) => Ok(Annotations::Matching(some.to_vec())),
        (true, true, Annotations::Ignored) => Ok(Annotations::Absent),
        (_, true, _) => Err(format!("{kind} and no_{kind} cannot be expected together")),
    }
}

/// Reads nothing, `msg: …` or `regex: …`.
fn read_text(text: &str) -> Result<Text, String> {
    if text.is_empty() {
        return Ok(Text::Any);
    }
    match text.split_once(':') {
        Some((_, "")) => Err(format!("something must follow {text:?}")),
        Some(("msg", message)) => Ok(Text::Exactly(message.trim().to_owned())),
        Some(("regex", pattern)) => Ok(Text::Matching(re2::search(pattern.trim())?)),
        _ => Err(format!("msg: or regex: was expected at {text:?}")),
    }
}
