//! From text to words.
//!
//! What a character means depends on where it stands: inside braces words are labels, inside brackets they are parts of
//! durations. What cannot be read ends the words with an error.

use super::token::{Keyword, Punctuation, Token, TokenKind, word};
use super::{number, string};
use crate::ast::{BinaryOp, Span};
use crate::quote::{quoted, quoted_char};

/// The words of `query`; the last is [`TokenKind::End`] or [`TokenKind::Error`].
pub(super) fn tokens(query: &str) -> Vec<Token> {
    let mut lexer = Lexer::new(query);
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank();
        lexer.start = lexer.at;
        let kind = lexer.next().unwrap_or_else(TokenKind::Error);
        let span = Span { start: lexer.start, end: lexer.at };
        let last = matches!(kind, TokenKind::End | TokenKind::Error(_));
        tokens.push(Token { kind, span });
        if last {
            return tokens;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Open,
    Braces,
    /// Behind a bracket, until the first number: only what durations are made of is read there.
    Duration,
}

/// A place in a query's text, and what is open around it.
pub(super) struct Lexer<'a> {
    query: &'a str,
    at: usize,
    /// Where the word that is being read begins; an error is shown there.
    start: usize,
    place: Place,
    parens: usize,
    in_brackets: bool,
    /// Whether the brackets had their colon.
    colon: bool,
    /// Whether any brackets had a number.
    had_duration: bool,
}

type Read = Result<TokenKind, String>;

impl<'a> Lexer<'a> {
    pub(super) const fn new(query: &'a str) -> Self {
        Self {
            query,
            at: 0,
            start: 0,
            place: Place::Open,
            parens: 0,
            in_brackets: false,
            colon: false,
            had_duration: false,
        }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.query.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn take_if(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        if found {
            self.take();
        }
        found
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.take_if(&wanted) {}
    }

    /// What has been read of the word.
    pub(super) fn text(&self) -> &'a str {
        self.query.get(self.start..self.at).unwrap_or_default()
    }

    /// Skips blanks and comments; behind a bracket there are no comments.
    fn skip_blank(&mut self) {
        loop {
            self.take_while(is_space);
            if self.place == Place::Duration || self.peek() != Some('#') {
                return;
            }
            self.take_while(|c| c != '\n' && c != '\r');
        }
    }

    fn next(&mut self) -> Read {
        let Some(c) = self.take() else { return self.end() };
        match (self.place, c) {
            (Place::Open | Place::Braces, '"' | '\'') => string::quoted(self, c),
            (Place::Open | Place::Braces, '`') => string::raw(self),
            (Place::Braces, _) => self.in_braces(c),
            (_, '(') => {
                self.parens += 1;
                Ok(TokenKind::Punctuation(Punctuation::LeftParen))
            }
            (_, ')') => match self.parens.checked_sub(1) {
                Some(parens) => {
                    self.parens = parens;
                    Ok(TokenKind::Punctuation(Punctuation::RightParen))
                }
                None => self.behind("unexpected right parenthesis ')'"),
            },
            (_, ',') => Ok(TokenKind::Punctuation(Punctuation::Comma)),
            (_, '+') => Ok(TokenKind::Operator(BinaryOp::Add)),
            (_, '-') => Ok(TokenKind::Operator(BinaryOp::Sub)),
            (_, '*') => Ok(TokenKind::Operator(BinaryOp::Mul)),
            (_, '/') => Ok(TokenKind::Operator(BinaryOp::Div)),
            (_, '%') => Ok(TokenKind::Operator(BinaryOp::Mod)),
            (_, '^') => Ok(TokenKind::Operator(BinaryOp::Pow)),
            (_, c) if c.is_ascii_digit() || (c == '.' && self.peek().is_some_and(|c| c.is_ascii_digit())) => {
                self.at = self.start;
                self.had_duration |= self.place == Place::Duration;
                self.place = Place::Open;
                self.number_or_duration()
            }
            (Place::Duration, _) => self.in_duration(c),
            (Place::Open, _) => self.in_the_open(c),
        }
    }

    /// An error that is shown behind what it is about, as Prometheus shows a few.
    const fn shown_behind(&mut self) {
        self.start = self.at;
    }

    fn behind(&mut self, message: &str) -> Read {
        self.shown_behind();
        Err(message.to_owned())
    }

    fn end(&self) -> Read {
        match self.place {
            Place::Braces => Err("unexpected end of input inside braces".to_owned()),
            Place::Duration => Err("unexpected end of input in duration expression".to_owned()),
            Place::Open if self.parens > 0 => Err("unclosed left parenthesis".to_owned()),
            Place::Open if self.in_brackets => Err("unclosed left bracket".to_owned()),
            Place::Open => Ok(TokenKind::End),
        }
    }

    fn in_the_open(&mut self, c: char) -> Read {
        let followed_by = |lexer: &mut Self, c| lexer.take_if(|next| next == c);
        match c {
            '=' if followed_by(self, '=') => Ok(TokenKind::Operator(BinaryOp::Equal)),
            '=' if self.peek() == Some('~') => Err("unexpected character after '=': '~'".to_owned()),
            '=' => Ok(TokenKind::Punctuation(Punctuation::Assign)),
            '!' if followed_by(self, '=') => Ok(TokenKind::Operator(BinaryOp::NotEqual)),
            '!' => Err(format!("unexpected character after '!': {}", quoted_char(self.peek()))),
            '<' if followed_by(self, '=') => Ok(TokenKind::Operator(BinaryOp::LessOrEqual)),
            '<' if followed_by(self, '/') => Ok(TokenKind::Operator(BinaryOp::TrimUpper)),
            '<' => Ok(TokenKind::Operator(BinaryOp::Less)),
            '>' if followed_by(self, '=') => Ok(TokenKind::Operator(BinaryOp::GreaterOrEqual)),
            '>' if followed_by(self, '/') => Ok(TokenKind::Operator(BinaryOp::TrimLower)),
            '>' => Ok(TokenKind::Operator(BinaryOp::Greater)),
            '@' => Ok(TokenKind::Punctuation(Punctuation::At)),
            '{' => {
                self.place = Place::Braces;
                Ok(TokenKind::Punctuation(Punctuation::LeftBrace))
            }
            '[' if self.in_brackets => Err("unexpected left bracket '['".to_owned()),
            '[' => {
                (self.place, self.in_brackets, self.colon) = (Place::Duration, true, false);
                Ok(TokenKind::Punctuation(Punctuation::LeftBracket))
            }
            ']' if self.in_brackets => {
                self.in_brackets = false;
                Ok(TokenKind::Punctuation(Punctuation::RightBracket))
            }
            ']' => Err("unexpected right bracket ']'".to_owned()),
            c if self.in_brackets && (is_alpha(c) || c == ':') => self.behind_number(c),
            c if is_alpha(c) || c == ':' => {
                self.take_while(|c| is_alphanumeric(c) || c == ':');
                let kind = word(self.text());
                let fills = matches!(
                    kind,
                    TokenKind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight)
                );
                // They were metrics' names before they were words of the language.
                let is_call = self.rest().trim_start_matches(is_space).starts_with('(');
                Ok(if fills && !is_call { TokenKind::Identifier } else { kind })
            }
            c => Err(format!("unexpected character: {}", quoted_char(Some(c)))),
        }
    }

    fn in_braces(&mut self, c: char) -> Read {
        match c {
            ',' => Ok(TokenKind::Punctuation(Punctuation::Comma)),
            '=' if self.take_if(|c| c == '~') => Ok(TokenKind::Punctuation(Punctuation::Matches)),
            '=' => Ok(TokenKind::Punctuation(Punctuation::Assign)),
            '!' if self.take_if(|c| c == '~') => Ok(TokenKind::Punctuation(Punctuation::MatchesNot)),
            '!' if self.take_if(|c| c == '=') => Ok(TokenKind::Operator(BinaryOp::NotEqual)),
            '!' => Err(format!("unexpected character after '!' inside braces: {}", quoted_char(self.peek()))),
            '{' => Err("unexpected left brace '{'".to_owned()),
            '}' => {
                self.place = Place::Open;
                Ok(TokenKind::Punctuation(Punctuation::RightBrace))
            }
            c if is_alpha(c) => {
                self.take_while(is_alphanumeric);
                Ok(TokenKind::Identifier)
            }
            c => Err(format!("unexpected character inside braces: {}", quoted_char(Some(c)))),
        }
    }

    /// A letter or a colon in brackets, behind their first number.
    fn behind_number(&mut self, c: char) -> Read {
        match c {
            ':' if self.colon => Err("unexpected colon ':'".to_owned()),
            ':' => {
                self.colon = true;
                Ok(TokenKind::Punctuation(Punctuation::Colon))
            }
            c => self
                .duration_keyword()
                .ok_or_else(|| format!("unexpected character: {}, expected ':'", quoted_char(Some(c)))),
        }
    }

    fn in_duration(&mut self, c: char) -> Read {
        match c {
            ']' => {
                (self.place, self.in_brackets, self.colon) = (Place::Open, false, false);
                Ok(TokenKind::Punctuation(Punctuation::RightBracket))
            }
            ':' if !self.had_duration => {
                self.behind("unexpected colon before duration in duration expression")
            }
            ':' if self.colon => self.behind("unexpected repeated colon in duration expression"),
            ':' => {
                self.colon = true;
                Ok(TokenKind::Punctuation(Punctuation::Colon))
            }
            c => self.duration_keyword().ok_or_else(|| {
                format!("unexpected character in duration expression: {}", quoted_char(Some(c)))
            }),
        }
    }

    /// A word that gives a duration, of which the first letter is read.
    fn duration_keyword(&mut self) -> Option<TokenKind> {
        if !self.text().starts_with(is_alpha) {
            return None;
        }
        self.take_while(is_alpha);
        match Keyword::of(&self.text().to_ascii_lowercase()) {
            Some(keyword @ (Keyword::Step | Keyword::Range | Keyword::MinOf | Keyword::MaxOf)) => {
                Some(TokenKind::Keyword(keyword))
            }
            _ => None,
        }
    }

    fn number_or_duration(&mut self) -> Read {
        if number::scan(self) {
            return Ok(TokenKind::Number);
        }
        if number::scan_rest_of_duration(self) {
            return Ok(TokenKind::Duration);
        }
        Err(format!("bad number or duration syntax: {}", quoted(self.text())))
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

pub(super) fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}
