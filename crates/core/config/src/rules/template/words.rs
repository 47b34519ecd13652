//! The words of a template's actions.

use std::ops::Range;

use super::Fault;

/// A word and the bytes of the template that it stands in.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) kind: WordKind,
    pub(super) span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WordKind {
    End,
    /// `{{`
    Open,
    /// `}}`
    Close,
    Space,
    Identifier,
    Keyword,
    /// `.name`
    Field,
    /// `.`
    Dot,
    /// `$name`
    Variable,
    /// `true`, `false`
    Bool,
    /// `nil`
    Nil,
    Number,
    String,
    /// `'c'`
    Character,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    Pipe,
    LeftParen,
    RightParen,
    /// Any other character that may be typed.
    Other,
}

const KEYWORDS: [&str; 10] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

/// Reads words one after the other. Text outside of actions and comments give none.
#[derive(Clone)]
pub(super) struct Words<'t> {
    pub(super) text: &'t str,
    at: usize,
    inside: bool,
    parens: usize,
}

impl<'t> Words<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, at: 0, inside: false, parens: 0 }
    }

    /// The next word.
    ///
    /// # Errors
    /// When what stands there is no word, in the words of Go's templates.
    pub(super) fn next(&mut self) -> Result<Word, Fault> {
        if !self.inside {
            return self.open();
        }
        let start = self.at;
        let kind = self.within_action(start)?;
        Ok(Word { kind, span: start..self.at })
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take_if(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        if found {
            self.take();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.take_if(&wanted) {}
    }

    /// Goes on to the next action.
    fn open(&mut self) -> Result<Word, Fault> {
        loop {
            let Some(before) = self.rest().find("{{") else {
                self.at = self.text.len();
                return Ok(Word { kind: WordKind::End, span: self.at..self.at });
            };
            let start = self.at + before;
            self.at = start + 2;
            if self.rest().starts_with('-') && self.rest().chars().nth(1).is_some_and(is_space) {
                self.at += 2;
            }
            if !self.rest().starts_with("/*") {
                self.inside = true;
                return Ok(Word { kind: WordKind::Open, span: start..self.at });
            }
            let length = self.rest().find("*/").ok_or_else(|| Fault::new(start, "unclosed comment"))?;
            self.at += length + 2;
            let behind = self.closing();
            if behind == 0 {
                return Err(Fault::new(start, "comment ends before closing delimiter"));
            }
            self.at += behind;
        }
    }

    /// How many bytes the end of an action takes, with what trims text behind it; none where there is no end.
    fn closing(&self) -> usize {
        let rest = self.rest();
        let trimmed = || {
            let behind = rest.strip_prefix(is_space)?;
            behind.starts_with("-}}").then_some(4)
        };
        if rest.starts_with("}}") { 2 } else { trimmed().unwrap_or(0) }
    }

    fn within_action(&mut self, start: usize) -> Result<WordKind, Fault> {
        let closing = self.closing();
        if closing > 0 {
            if self.parens > 0 {
                return Err(Fault::new(start, "unclosed left paren"));
            }
            self.at += closing;
            self.inside = false;
            return Ok(WordKind::Close);
        }
        let c = self.take().ok_or_else(|| Fault::new(start, "unclosed action"))?;
        match c {
            c if is_space(c) => {
                while self.closing() == 0 && self.take_if(is_space) {}
                Ok(WordKind::Space)
            }
            '=' => Ok(WordKind::Assign),
            ':' if self.take_if(|c| c == '=') => Ok(WordKind::Declare),
            ':' => Err(Fault::new(start, "expected :=")),
            '|' => Ok(WordKind::Pipe),
            '"' => self.quoted(start, '"', "unterminated quoted string").map(|()| WordKind::String),
            '\'' => self.quoted(start, '\'', "unterminated character constant").map(|()| WordKind::Character),
            '`' => {
                let length = self.rest().find('`');
                self.at += length.ok_or_else(|| Fault::new(start, "unterminated raw quoted string"))? + 1;
                Ok(WordKind::String)
            }
            '$' => self.name(start).map(|_| WordKind::Variable),
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                self.name(start).map(|length| if length > 1 { WordKind::Field } else { WordKind::Dot })
            }
            '.' | '+' | '-' | '0'..='9' => self.number(start).map(|()| WordKind::Number),
            c if is_alphanumeric(c) => {
                self.name(start)?;
                let word = self.text.get(start..self.at).unwrap_or_default();
                Ok(match word {
                    "true" | "false" => WordKind::Bool,
                    "nil" => WordKind::Nil,
                    word if KEYWORDS.contains(&word) => WordKind::Keyword,
                    _ => WordKind::Identifier,
                })
            }
            '(' => {
                self.parens += 1;
                Ok(WordKind::LeftParen)
            }
            ')' => match self.parens.checked_sub(1) {
                Some(parens) => {
                    self.parens = parens;
                    Ok(WordKind::RightParen)
                }
                None => Err(Fault::new(start, "unexpected right paren")),
            },
            ' '..='~' => Ok(WordKind::Other),
            c => Err(Fault::new(start, format!("unrecognized character in action: {}", numbered(c)))),
        }
    }

    /// Reads a name to its end, which something that ends names must follow; gives the bytes since `start`.
    fn name(&mut self, start: usize) -> Result<usize, Fault> {
        self.take_while(is_alphanumeric);
        match self.peek() {
            Some(c) if !is_space(c) && !matches!(c, '.' | ',' | '|' | ':' | ')' | '(' | '}') => {
                Err(Fault::new(self.at, format!("bad character {}", numbered(c))))
            }
            _ => Ok(self.at - start),
        }
    }

    fn quoted(&mut self, start: usize, quote: char, unterminated: &str) -> Result<(), Fault> {
        loop {
            match self.take() {
                Some('\\') if !matches!(self.peek(), None | Some('\n')) => drop(self.take()),
                Some(c) if c == quote => return Ok(()),
                Some('\\' | '\n') | None => return Err(Fault::new(start, unterminated)),
                Some(_) => {}
            }
        }
    }

    fn number(&mut self, start: usize) -> Result<(), Fault> {
        self.take_while(|c| is_alphanumeric(c) || c == '.');
        while self.text.get(start..self.at).is_some_and(|read| read.ends_with(['e', 'E', '+', '-']))
            && self.take_if(|c| matches!(c, '+' | '-') || c.is_ascii_digit() || c == '.')
        {
            self.take_while(|c| is_alphanumeric(c) || c == '.');
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        match is_number(text) {
            true => Ok(()),
            false => Err(Fault::new(start, format!("bad number syntax: {text:?}"))),
        }
    }
}

/// Whether Go reads this as a number: whole, with a fraction, or in another base.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text).replace('_', "");
    let lower = unsigned.to_ascii_lowercase();
    let based = [("0x", 16), ("0o", 8), ("0b", 2)];
    match based.iter().find_map(|(prefix, radix)| Some((lower.strip_prefix(prefix)?, *radix))) {
        Some((digits, radix)) => u64::from_str_radix(digits, radix).is_ok(),
        None => {
            lower.starts_with(|c: char| c.is_ascii_digit() || c == '.')
                && lower.strip_suffix('i').unwrap_or(&lower).parse::<f64>().is_ok()
        }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// A character and its number.
fn numbered(c: char) -> String {
    format!("U+{:04X} {c:?}", u32::from(c))
}
