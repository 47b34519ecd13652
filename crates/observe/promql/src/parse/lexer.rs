//! From text to words.
//!
//! What a character means depends on where it stands: inside braces words are labels, inside brackets they are parts of
//! durations. What cannot be read ends the words with an error.

use super::token::{Keyword, Punctuation, Token, TokenKind, quoted, word};
use crate::ast::{BinaryOp, Span};

/// The words of `query`; the last is [`TokenKind::End`] or [`TokenKind::Error`].
pub(super) fn tokens(query: &str) -> Vec<Token> {
    let mut lexer = Lexer { query, at: 0, start: 0, place: Place::Open, parens: 0, colon: false };
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
    Brackets,
}

struct Lexer<'a> {
    query: &'a str,
    at: usize,
    start: usize,
    place: Place,
    parens: usize,
    /// Whether the brackets had their colon.
    colon: bool,
}

type Read = Result<TokenKind, String>;

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.query.get(self.at..).unwrap_or_default()
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

    fn text(&self) -> &str {
        self.query.get(self.start..self.at).unwrap_or_default()
    }

    /// Skips blanks and comments.
    fn skip_blank(&mut self) {
        loop {
            self.take_while(is_space);
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|c| c != '\n' && c != '\r');
        }
    }

    fn next(&mut self) -> Read {
        let Some(c) = self.take() else { return self.end() };
        match (self.place, c) {
            (_, '"' | '\'') => self.string(c),
            (_, '`') => self.raw_string(),
            (Place::Braces, _) => self.in_braces(c),
            (_, '(') => {
                self.parens += 1;
                Ok(TokenKind::Punctuation(Punctuation::LeftParen))
            }
            (_, ')') => {
                self.parens = self.parens.checked_sub(1).ok_or("unexpected right parenthesis ')'")?;
                Ok(TokenKind::Punctuation(Punctuation::RightParen))
            }
            (_, ',') => Ok(TokenKind::Punctuation(Punctuation::Comma)),
            (_, '+') => Ok(TokenKind::Operator(BinaryOp::Add)),
            (_, '-') => Ok(TokenKind::Operator(BinaryOp::Sub)),
            (_, '*') => Ok(TokenKind::Operator(BinaryOp::Mul)),
            (_, '/') => Ok(TokenKind::Operator(BinaryOp::Div)),
            (_, '%') => Ok(TokenKind::Operator(BinaryOp::Mod)),
            (_, '^') => Ok(TokenKind::Operator(BinaryOp::Pow)),
            (_, c) if c.is_ascii_digit() || (c == '.' && self.peek().is_some_and(|c| c.is_ascii_digit())) => {
                self.at = self.start;
                self.number_or_duration()
            }
            (Place::Brackets, _) => self.in_brackets(c),
            (Place::Open, _) => self.in_the_open(c),
        }
    }

    fn end(&self) -> Read {
        match self.place {
            Place::Braces => Err("unexpected end of input inside braces".to_owned()),
            _ if self.parens > 0 => Err("unclosed left parenthesis".to_owned()),
            Place::Brackets => Err("unclosed left bracket".to_owned()),
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
            '!' => Err(format!("unexpected character after '!': {}", shown(self.peek()))),
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
            '[' => {
                (self.place, self.colon) = (Place::Brackets, false);
                Ok(TokenKind::Punctuation(Punctuation::LeftBracket))
            }
            ']' => Err("unexpected right bracket ']'".to_owned()),
            c if is_alpha(c) || c == ':' => {
                self.take_while(|c| is_alpha(c) || c.is_ascii_digit() || c == ':');
                let kind = word(self.text());
                let fills = matches!(
                    kind,
                    TokenKind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight)
                );
                // They were metrics' names before they were words of the language.
                let is_call = self.rest().trim_start_matches(is_space).starts_with('(');
                Ok(if fills && !is_call { TokenKind::Identifier } else { kind })
            }
            c => Err(format!("unexpected character: {}", shown(Some(c)))),
        }
    }

    fn in_braces(&mut self, c: char) -> Read {
        match c {
            ',' => Ok(TokenKind::Punctuation(Punctuation::Comma)),
            '=' if self.take_if(|c| c == '~') => Ok(TokenKind::Punctuation(Punctuation::Matches)),
            '=' => Ok(TokenKind::Punctuation(Punctuation::Assign)),
            '!' if self.take_if(|c| c == '~') => Ok(TokenKind::Punctuation(Punctuation::MatchesNot)),
            '!' if self.take_if(|c| c == '=') => Ok(TokenKind::Operator(BinaryOp::NotEqual)),
            '!' => Err(format!("unexpected character after '!' inside braces: {}", shown(self.peek()))),
            '{' => Err("unexpected left brace '{'".to_owned()),
            '}' => {
                self.place = Place::Open;
                Ok(TokenKind::Punctuation(Punctuation::RightBrace))
            }
            c if is_alpha(c) => {
                self.take_while(|c| is_alpha(c) || c.is_ascii_digit());
                Ok(TokenKind::Identifier)
            }
            c => Err(format!("unexpected character inside braces: {}", shown(Some(c)))),
        }
    }

    fn in_brackets(&mut self, c: char) -> Read {
        match c {
            ']' => {
                self.place = Place::Open;
                Ok(TokenKind::Punctuation(Punctuation::RightBracket))
            }
            '[' => Err("unexpected left bracket '['".to_owned()),
            ':' if self.colon => Err("unexpected colon ':'".to_owned()),
            ':' => {
                self.colon = true;
                Ok(TokenKind::Punctuation(Punctuation::Colon))
            }
            c if is_alpha(c) => {
                self.take_while(is_alpha);
                match Keyword::of(&self.text().to_ascii_lowercase()) {
                    Some(keyword @ (Keyword::Step | Keyword::Range | Keyword::MinOf | Keyword::MaxOf)) => {
                        Ok(TokenKind::Keyword(keyword))
                    }
                    _ => Err(format!("unexpected character in duration expression: {}", shown(Some(c)))),
                }
            }
            c => Err(format!("unexpected character in duration expression: {}", shown(Some(c)))),
        }
    }

    fn number_or_duration(&mut self) -> Read {
        if self.number() {
            return Ok(TokenKind::Number);
        }
        if self.rest_of_duration() {
            return Ok(TokenKind::Duration);
        }
        Err(format!("bad number or duration syntax: {}", quoted(self.text())))
    }

    /// Reads a number; false where what stands there is none, and then stands behind the part that could be one.
    fn number(&mut self) -> bool {
        let hexadecimal = {
            let rest = self.rest().as_bytes();
            matches!(rest, [b'0', b'x' | b'X', ..])
        };
        if hexadecimal {
            self.at += 2;
            self.take_if(|c| c == '_');
        }
        let is_digit = |c: char| if hexadecimal { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        self.take_if(|c| c == '.');
        self.take_if(is_digit);
        let (mut dot, mut exponent) = (false, false);
        while let Some(c) = self.peek() {
            match c {
                '.' if dot || hexadecimal => {
                    self.take();
                    return false;
                }
                '.' => {
                    self.take();
                    dot = true;
                    if self.take_if(|c| c == '_' || c == '.') {
                        return false;
                    }
                }
                'e' | 'E' if !hexadecimal => {
                    self.take();
                    if exponent {
                        return false;
                    }
                    exponent = true;
                    self.take_if(|c| c == '+' || c == '-');
                    if self.take_if(|c| matches!(c, '.' | '_' | 'e' | 'E')) || self.peek().is_none() {
                        return false;
                    }
                }
                '_' => {
                    self.take();
                    if self.take_if(|c| matches!(c, '.' | '_' | 'e' | 'E')) || self.peek().is_none() {
                        return false;
                    }
                }
                c if is_digit(c) => self.take_while(is_digit),
                _ => break,
            }
        }
        !self.peek().is_some_and(|c| is_alpha(c) || c.is_ascii_digit())
    }

    /// Reads on from a number to a duration such as `1h30m`.
    fn rest_of_duration(&mut self) -> bool {
        if !self.take_if(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w' | 'y')) {
            return false;
        }
        // `ms`; what has no sense, such as `hs`, is found when the duration is read.
        self.take_if(|c| c == 's');
        while self.take_if(|c| c.is_ascii_digit()) {
            self.take_while(|c| c.is_ascii_digit());
            if !self.take_if(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w')) {
                return false;
            }
            self.take_if(|c| c == 's');
        }
        !self.peek().is_some_and(|c| is_alpha(c) || c.is_ascii_digit())
    }

    fn string(&mut self, quote: char) -> Read {
        loop {
            match self.take() {
                Some('\\') => {
                    self.take();
                }
                Some('\n') | None => return Err("unterminated quoted string".to_owned()),
                Some(c) if c == quote => return Ok(TokenKind::String),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Read {
        loop {
            match self.take() {
                Some('`') => return Ok(TokenKind::String),
                Some(_) => {}
                None => return Err("unterminated raw string".to_owned()),
            }
        }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

/// A character in single quotes.
fn shown(c: Option<char>) -> String {
    c.map_or_else(|| "end of input".to_owned(), |c| format!("{c:?}"))
}
