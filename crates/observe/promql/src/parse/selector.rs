//! Selectors of series, and what may stand behind them.

use super::expression::{Parsed, Parser};
use super::token::{Keyword, Punctuation, TokenKind};
use super::{Fault, duration};
use crate::ast::{At, BinaryOp, Boundary, Duration, Expr, Kind, Matrix, Selector, Span, Subquery};
use crate::quote::quoted;
use kandela_config::matcher::{MatchOp, Matcher};

/// The most bytes that the regular expressions of one query may take together.
const MAX_COMPILED: usize = 64 << 20;

const NAME: &str = kandela_model::METRIC_NAME;

impl Parser<'_> {
    /// A metric's name, labels in braces, or both.
    pub(super) fn selector(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let name = match self.peek() {
            TokenKind::Identifier | TokenKind::MetricIdentifier | TokenKind::Aggregate(_) => true,
            TokenKind::Keyword(keyword) => keyword.may_be_metric(),
            TokenKind::Operator(op) => op.is_set(),
            _ => false,
        }
        .then(|| self.text().to_owned());
        if name.is_some() {
            self.advance();
        }
        let mut matchers = Vec::new();
        let in_braces = self.take(Punctuation::LeftBrace);
        if in_braces {
            self.matchers(&mut matchers)?;
        } else if name.is_none() {
            return Err(Fault::Unexpected);
        }
        if let Some(name) = &name {
            matchers.push(Matcher::equal(NAME, name.as_str()));
        }
        let span = start.to(self.last_span());
        Ok(Expr { kind: Kind::Vector(Selector { name, matchers, ..Selector::default() }), span })
    }

    /// Conditions up to the closing brace.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<()> {
        while !self.take(Punctuation::RightBrace) {
            matchers.push(self.matcher()?);
            if !self.take(Punctuation::Comma)
                && *self.peek() != TokenKind::Punctuation(Punctuation::RightBrace)
            {
                return Err(Fault::Told(self.unexpected("label matching", "\",\" or \"}\"")));
            }
        }
        Ok(())
    }

    fn matcher(&mut self) -> Parsed<Matcher> {
        const CONTEXT: &str = "label matching";
        let start = self.span();
        let quoted = *self.peek() == TokenKind::String;
        let name = match self.peek() {
            TokenKind::Identifier => {
                let name = self.text().to_owned();
                self.advance();
                name
            }
            TokenKind::String => utf8(self.string()?, start)?,
            _ => return Err(Fault::Told(self.unexpected(CONTEXT, "identifier or \"}\""))),
        };
        let op = match self.peek() {
            TokenKind::Punctuation(Punctuation::Assign) => MatchOp::Equal,
            TokenKind::Punctuation(Punctuation::Matches) => MatchOp::Regex,
            TokenKind::Punctuation(Punctuation::MatchesNot) => MatchOp::NotRegex,
            TokenKind::Operator(BinaryOp::NotEqual) => MatchOp::NotEqual,
            // A name in quotes alone is the metric's.
            _ if quoted => return Ok(Matcher::equal(NAME, name)),
            _ => return Err(Fault::Told(self.unexpected(CONTEXT, "label matching operator"))),
        };
        self.advance();
        if *self.peek() != TokenKind::String {
            return Err(Fault::Told(self.unexpected(CONTEXT, "string")));
        }
        let value_span = self.span();
        let value = utf8(self.string()?, value_span)?;
        let fault = |message| Fault::Told((start.to(value_span), message));
        let matcher = Matcher::new(name, op, value).map_err(fault)?;
        self.compiled += matcher.heap_bytes();
        if self.compiled > MAX_COMPILED {
            let most = MAX_COMPILED >> 20;
            let message =
                format!("the regular expressions up to here take more than {most} MiB when compiled");
            return Err(fault(message));
        }
        Ok(matcher)
    }

    /// `[5m]` or `[5m:1m]` behind an expression.
    pub(super) fn range(&mut self, expr: Expr) -> Parsed<Expr> {
        let open = self.span();
        self.advance();
        let range = self.within("subquery or range selector", duration::WANTED, duration::positive)?;
        if self.take(Punctuation::Colon) {
            let step = match self.peek() {
                TokenKind::Punctuation(Punctuation::RightBracket) => None,
                _ => Some(self.within("subquery selector", duration::WANTED_OR_END, duration::positive)?),
            };
            self.within("subquery selector", "\"]\"", |parser| parser.expect(Punctuation::RightBracket))?;
            let span = expr.span.to(self.last_span());
            let subquery = Subquery { expr, range, step, offset: None, at: None };
            return Ok(Expr { kind: Kind::Subquery(Box::new(subquery)), span });
        }
        self.within("subquery or range", "\":\" or \"]\"", |parser| {
            parser.expect(Punctuation::RightBracket)
        })?;
        let brackets = open.to(self.last_span());
        let span = expr.span.to(brackets);
        let fault = |message: &str| Err(Fault::Told((brackets, message.to_owned())));
        let selector_span = expr.span;
        match expr.into_kind() {
            Kind::Vector(Selector { offset: Some(_), .. }) => {
                fault("no offset modifiers allowed before range")
            }
            Kind::Vector(Selector { at: Some(_), .. }) => fault("no @ modifiers allowed before range"),
            Kind::Vector(selector) => {
                let matrix = Matrix { selector, selector_span, range };
                Ok(Expr { kind: Kind::Matrix(matrix), span })
            }
            _ => fault("ranges only allowed for vector selectors"),
        }
    }

    pub(super) fn offset(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let (offset, ends) = self.within("offset", duration::WANTED, duration::offset)?;
        let place: Option<&mut Option<Duration>> = match &mut expr.kind {
            Kind::Vector(selector) => Some(&mut selector.offset),
            Kind::Matrix(matrix) => Some(&mut matrix.selector.offset),
            Kind::Subquery(subquery) => Some(&mut subquery.offset),
            _ => None,
        };
        let message = match place {
            Some(place) if place.is_none() => {
                *place = Some(offset).filter(|offset| !duration::is_nothing(offset));
                None
            }
            Some(_) => Some("offset may not be set multiple times".to_owned()),
            None => Some(misplaced("offset")),
        };
        if let Some(message) = message {
            return Err(match ends {
                true => Fault::Told((expr.span, message)),
                false => self.fault_before_next(expr.span, message),
            });
        }
        expr.span = expr.span.to(self.last_span());
        Ok(expr)
    }

    pub(super) fn at_modifier(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let at = self.within("@", "timestamp", |parser| parser.time(expr.span))?;
        let place: &mut Option<At> = match &mut expr.kind {
            Kind::Vector(selector) => &mut selector.at,
            Kind::Matrix(matrix) => &mut matrix.selector.at,
            Kind::Subquery(subquery) => &mut subquery.at,
            _ => return Err(Fault::Told((expr.span, misplaced("@")))),
        };
        if place.is_some() {
            return Err(Fault::Told((expr.span, "@ <timestamp> may not be set multiple times".to_owned())));
        }
        *place = Some(at);
        expr.span = expr.span.to(self.last_span());
        Ok(expr)
    }

    /// The time behind an `@`.
    fn time(&mut self, of: Span) -> Parsed<At> {
        if let TokenKind::Keyword(keyword @ (Keyword::Start | Keyword::End)) = *self.peek() {
            self.advance();
            self.expect(Punctuation::LeftParen)?;
            self.expect(Punctuation::RightParen)?;
            return Ok(if keyword == Keyword::Start { At::Start } else { At::End });
        }
        let negative = match self.peek() {
            TokenKind::Operator(BinaryOp::Sub) => true,
            TokenKind::Operator(BinaryOp::Add) => false,
            _ => return self.seconds(of, false),
        };
        self.advance();
        self.seconds(of, negative)
    }

    fn seconds(&mut self, of: Span, negative: bool) -> Parsed<At> {
        let (TokenKind::Number | TokenKind::Duration) = self.peek() else {
            return Err(Fault::Unexpected);
        };
        let seconds = duration::number(self)?.value;
        let seconds = if negative { -seconds } else { seconds };
        // Whole milliseconds, as there.
        let millis = (seconds * 1_000.0).round();
        if !seconds.is_finite() || (millis * 1_000.0).abs() >= i64::MAX as f64 {
            let shown = match seconds {
                f64::INFINITY => "+Inf".to_owned(),
                f64::NEG_INFINITY => "-Inf".to_owned(),
                _ => format!("{seconds:.6}"),
            };
            return Err(Fault::Told((of, format!("timestamp out of bounds for @ modifier: {shown}"))));
        }
        Ok(At::Micros(millis as i64 * 1_000))
    }

    /// `anchored` or `smoothed` behind a selector.
    pub(super) fn boundary(&mut self, mut expr: Expr) -> Parsed<Expr> {
        let (wanted, word) = match self.peek() {
            TokenKind::Keyword(Keyword::Anchored) => (Boundary::Anchored, "anchored"),
            _ => (Boundary::Smoothed, "smoothed"),
        };
        self.advance();
        let fault = |message: String| Err(Fault::Told((expr.span, message)));
        let place = match &mut expr.kind {
            Kind::Vector(selector) => &mut selector.boundary,
            Kind::Matrix(matrix) => &mut matrix.selector.boundary,
            Kind::Subquery(_) => return fault(format!("{word} modifier is not supported for subqueries")),
            _ => return fault(format!("{word} modifier not implemented")),
        };
        if *place != Boundary::Plain && *place != wanted {
            return fault("anchored and smoothed modifiers cannot be used together".to_owned());
        }
        *place = wanted;
        Ok(expr)
    }
}

fn misplaced(what: &str) -> String {
    format!(
        "{what} modifier must be preceded by an instant vector selector or range vector selector or a subquery"
    )
}

fn utf8(bytes: Vec<u8>, span: Span) -> Parsed<String> {
    String::from_utf8(bytes)
        .map_err(|e| Fault::Told((span, format!("{} is not UTF-8, as labels must be", quoted(e.as_bytes())))))
}
