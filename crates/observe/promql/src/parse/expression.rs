//! Expressions: operators by precedence, and what stands between them.

use super::string::unquote;
use super::token::{Keyword, Punctuation, Token, TokenKind};
use super::{Fault, Told, duration, lexer};
use crate::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, Grouping, Kind, Matching, Number,
    Span, Unary,
};
use crate::functions::function;
use crate::quote::quoted;

/// How deep expressions may nest.
const MAX_LEVELS: usize = 1_000;
/// How deep the calculation of a duration may nest.
const MAX_LEVELS_OF_DURATION: usize = 100;
/// How many operators of a chain such as `a + b + c` count as one level: a chain is a deep tree too.
const LINKS_A_LEVEL: usize = 6;

/// Reads words one after the other.
pub(super) struct Parser<'a> {
    pub(super) query: &'a str,
    tokens: Vec<Token>,
    at: usize,
    /// How deep in the tree this place is, in links.
    depth: usize,
    /// How deep it may be, in levels.
    max_levels: usize,
    /// Bytes that the regular expressions read so far take.
    pub(super) compiled: usize,
}

pub(super) type Parsed<T> = Result<T, Fault>;

impl<'a> Parser<'a> {
    pub(super) fn new(query: &'a str) -> Self {
        Self { query, tokens: lexer::tokens(query), at: 0, depth: 0, max_levels: MAX_LEVELS, compiled: 0 }
    }

    /// An expression with nothing behind it.
    pub(super) fn whole(&mut self) -> Result<Expr, Told> {
        if self.peek() == &TokenKind::End {
            return Err((Span::default(), "no expression found in input".to_owned()));
        }
        self.whole_of(|parser| parser.expression(0))
    }

    /// A selector with nothing behind it.
    pub(super) fn whole_selector(&mut self) -> Result<Expr, Told> {
        self.whole_of(Self::selector)
    }

    fn whole_of(&mut self, read: impl FnOnce(&mut Self) -> Parsed<Expr>) -> Result<Expr, Told> {
        let parsed = read(self).and_then(|expr| match self.peek() {
            TokenKind::End => Ok(expr),
            _ => Err(Fault::Unexpected),
        });
        parsed.map_err(|fault| match fault {
            Fault::Told(told) => told,
            Fault::Unexpected => self.unexpected("", ""),
        })
    }

    pub(super) fn token(&self) -> &Token {
        static END: Token = Token { kind: TokenKind::End, span: Span { start: 0, end: 0 } };
        // The last word stays the next one.
        self.tokens.get(self.at).or_else(|| self.tokens.last()).unwrap_or(&END)
    }

    pub(super) fn peek(&self) -> &TokenKind {
        &self.token().kind
    }

    pub(super) fn span(&self) -> Span {
        self.token().span
    }

    /// The span of the word read last.
    pub(super) fn last_span(&self) -> Span {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map(|token| token.span).unwrap_or_default()
    }

    pub(super) fn text(&self) -> &'a str {
        let Span { start, end } = self.span();
        self.query.get(start..end).unwrap_or_default()
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    pub(super) fn take(&mut self, wanted: Punctuation) -> bool {
        let found = *self.peek() == TokenKind::Punctuation(wanted);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn take_keyword(&mut self, wanted: Keyword) -> bool {
        let found = *self.peek() == TokenKind::Keyword(wanted);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, wanted: Punctuation) -> Parsed<()> {
        if self.take(wanted) { Ok(()) } else { Err(Fault::Unexpected) }
    }

    /// Reads what `inner` reads. Where the next word should not be there and nothing deeper says of what, says so of
    /// `context` and `expected`.
    pub(super) fn within<T>(
        &mut self,
        context: &str,
        expected: &str,
        inner: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<T> {
        inner(self).map_err(|fault| match fault {
            Fault::Told(told) => Fault::Told(told),
            Fault::Unexpected => Fault::Told(self.unexpected(context, expected)),
        })
    }

    /// That the next word should not be here.
    pub(super) fn unexpected(&self, context: &str, expected: &str) -> Told {
        let token = self.token();
        if let TokenKind::Error(message) = &token.kind {
            return (token.span, message.clone());
        }
        let mut message = format!("unexpected {}", token.described(self.query));
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        (token.span, message)
    }

    /// A fault that shows only once the next word is read: if that cannot be read, this is what is said.
    pub(super) fn fault_before_next(&self, span: Span, message: impl Into<String>) -> Fault {
        match self.peek() {
            TokenKind::Error(message) => Fault::Told((self.span(), message.clone())),
            _ => Fault::Told((span, message.into())),
        }
    }

    /// Runs `inner` one level deeper.
    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let depth = self.depth;
        self.descend(LINKS_A_LEVEL)?;
        let parsed = crate::deeper(|| inner(self));
        self.depth = depth;
        parsed
    }

    /// Reads the calculation of a duration, which is a tree of its own.
    pub(super) fn duration<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let outer = (self.depth, self.max_levels);
        (self.depth, self.max_levels) = (0, MAX_LEVELS_OF_DURATION);
        let parsed = inner(self);
        (self.depth, self.max_levels) = outer;
        parsed
    }

    /// Makes what follows in this level one operator deeper.
    pub(super) fn link(&mut self) -> Parsed<()> {
        self.descend(1)
    }

    fn descend(&mut self, links: usize) -> Parsed<()> {
        let most = self.max_levels;
        if self.depth + links > most * LINKS_A_LEVEL {
            let message = format!(
                "expression nests deeper than {most} levels, or {} operators in a row",
                most * LINKS_A_LEVEL
            );
            return Err(Fault::Told((self.span(), message)));
        }
        self.depth += links;
        Ok(())
    }

    /// An expression of operators that bind at least as tightly as `weakest`.
    pub(super) fn expression(&mut self, weakest: u8) -> Parsed<Expr> {
        self.deeper(|parser| {
            let mut left = parser.operand()?;
            while let TokenKind::Operator(op) = *parser.peek()
                && op.precedence() >= weakest
            {
                parser.link()?;
                parser.advance();
                let (returns_bool, matching) = parser.modifiers()?;
                // Powers group to the right, all else to the left.
                let next = if op == BinaryOp::Pow { op.precedence() } else { op.precedence() + 1 };
                let right = parser.expression(next)?;
                let span = left.span.to(right.span);
                let binary = Binary { op, left, right, returns_bool, matching };
                left = Expr { kind: Kind::Binary(Box::new(binary)), span };
            }
            Ok(left)
        })
    }

    /// What stands between operators, with its sign.
    fn operand(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let negative = match self.peek() {
            TokenKind::Operator(BinaryOp::Add) => false,
            TokenKind::Operator(BinaryOp::Sub) => true,
            _ => return self.postfixed(),
        };
        self.advance();
        // Only powers bind more tightly than a sign.
        let expr = self.expression(BinaryOp::Pow.precedence())?;
        let span = start.to(expr.span);
        let inner_span = expr.span;
        let kind = match expr.into_kind() {
            Kind::Number(number) => {
                let value = if negative { -number.value } else { number.value };
                Kind::Number(Number { value, ..number })
            }
            kind => {
                let expr = Expr { kind, span: inner_span };
                Kind::Unary(Box::new(Unary { negative, expr }))
            }
        };
        Ok(Expr { kind, span })
    }

    /// An operand with ranges, offsets and times behind it.
    fn postfixed(&mut self) -> Parsed<Expr> {
        let mut expr = self.primary()?;
        loop {
            expr = match self.peek() {
                TokenKind::Punctuation(Punctuation::LeftBracket) => {
                    self.link()?;
                    self.range(expr)?
                }
                TokenKind::Punctuation(Punctuation::At) => self.at_modifier(expr)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(expr)?,
                TokenKind::Keyword(Keyword::Anchored | Keyword::Smoothed) => self.boundary(expr)?,
                _ => return Ok(expr),
            };
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let span = self.span();
        let text = self.text();
        let calls = self
            .tokens
            .get(self.at + 1)
            .is_some_and(|next| next.kind == TokenKind::Punctuation(Punctuation::LeftParen));
        match *self.peek() {
            TokenKind::Number | TokenKind::Duration => {
                let number = duration::number(self)?;
                Ok(Expr { kind: Kind::Number(number), span })
            }
            TokenKind::String => {
                let value = self.string()?;
                Ok(Expr { kind: Kind::String(value), span })
            }
            TokenKind::Punctuation(Punctuation::LeftParen) => {
                self.advance();
                let inner = self.expression(0)?;
                self.expect(Punctuation::RightParen)?;
                Ok(Expr { kind: Kind::Paren(Box::new(inner)), span: span.to(self.last_span()) })
            }
            TokenKind::Aggregate(op) if !self.is_name_of_metric() => {
                self.within("aggregation", "", |parser| parser.aggregate(op))
            }
            TokenKind::Identifier if calls => self.call(text),
            TokenKind::Keyword(
                Keyword::Start
                | Keyword::End
                | Keyword::Step
                | Keyword::Range
                | Keyword::MaxOf
                | Keyword::MinOf,
            ) if calls => self.call(text),
            _ => self.selector(),
        }
    }

    /// Whether the word of an aggregation stands for a metric: nothing follows that an aggregation has.
    fn is_name_of_metric(&self) -> bool {
        let next = self.tokens.get(self.at + 1).map(|token| &token.kind);
        !matches!(
            next,
            Some(
                TokenKind::Punctuation(Punctuation::LeftParen)
                    | TokenKind::Keyword(Keyword::By | Keyword::Without)
            )
        )
    }

    /// Whether the word behind the next one is a sign.
    pub(super) fn next_is_sign(&self) -> bool {
        let next = self.tokens.get(self.at + 1).map(|token| &token.kind);
        matches!(next, Some(TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub)))
    }

    /// Whether an expression may begin with the next word.
    fn starts_expression(&self) -> bool {
        match self.peek() {
            TokenKind::Number
            | TokenKind::Duration
            | TokenKind::String
            | TokenKind::Identifier
            | TokenKind::MetricIdentifier
            | TokenKind::Aggregate(_)
            | TokenKind::Punctuation(Punctuation::LeftParen | Punctuation::LeftBrace) => true,
            TokenKind::Operator(op) => matches!(op, BinaryOp::Add | BinaryOp::Sub) || op.is_set(),
            TokenKind::Keyword(keyword) => keyword.may_be_metric(),
            TokenKind::End | TokenKind::Error(_) | TokenKind::Punctuation(_) => false,
        }
    }

    pub(super) fn string(&mut self) -> Parsed<Vec<u8>> {
        let text = self.text();
        let value = unquote(text).map_err(|reason| {
            Fault::Told((self.span(), format!("error unquoting string {}: {reason}", quoted(text))))
        })?;
        self.advance();
        Ok(value)
    }

    fn call(&mut self, name: &str) -> Parsed<Expr> {
        let span = self.span();
        self.advance();
        let args = self.arguments()?;
        let function = function(name)
            .ok_or_else(|| Fault::Told((span, format!("unknown function with name {}", quoted(name)))))?;
        Ok(Expr { kind: Kind::Call(Call { function, args }), span: span.to(self.last_span()) })
    }

    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect(Punctuation::LeftParen)?;
        let mut args = Vec::new();
        if self.take(Punctuation::RightParen) {
            return Ok(args);
        }
        loop {
            args.push(self.expression(0)?);
            if self.take(Punctuation::RightParen) {
                return Ok(args);
            }
            self.expect(Punctuation::Comma)?;
            if !self.starts_expression() {
                let message = "trailing commas not allowed in function call args";
                return Err(self.fault_before_next(self.last_span(), message));
            }
        }
    }

    fn aggregate(&mut self, op: AggregateOp) -> Parsed<Expr> {
        let start = self.span();
        self.advance();
        let before = self.grouping()?;
        let mut args = self.arguments()?;
        let after = if before.is_none() { self.grouping()? } else { None };
        let span = start.to(self.last_span());
        // Without labels before or behind, what comes next had to be read to know it.
        let fault = |parser: &Self, message: String| match before.is_some() || after.is_some() {
            true => Err(Fault::Told((span, message))),
            false => Err(parser.fault_before_next(span, message)),
        };
        if args.is_empty() {
            return fault(self, "no arguments for aggregate expression provided".to_owned());
        }
        let wanted = if op.has_param() { 2 } else { 1 };
        let given = args.len();
        let (expr, param) = (args.pop(), args.pop());
        match expr {
            Some(expr) if given == wanted => {
                let grouping = before.or(after).unwrap_or_default();
                let aggregate = Aggregate { op, param, expr, grouping };
                Ok(Expr { kind: Kind::Aggregate(Box::new(aggregate)), span })
            }
            _ => fault(
                self,
                format!(
                    "wrong number of arguments for aggregate expression provided, expected {wanted}, got {given}"
                ),
            ),
        }
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = match self.peek() {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(Grouping { labels: self.labels()?, without }))
    }

    /// Labels in parentheses.
    fn labels(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        self.within(CONTEXT, "\"(\"", |parser| parser.expect(Punctuation::LeftParen))?;
        let mut labels = Vec::new();
        while !self.take(Punctuation::RightParen) {
            labels.push(self.within(CONTEXT, "label", Self::label)?);
            if !self.take(Punctuation::Comma)
                && *self.peek() != TokenKind::Punctuation(Punctuation::RightParen)
            {
                return Err(Fault::Told(self.unexpected(CONTEXT, "\",\" or \")\"")));
            }
        }
        Ok(labels)
    }

    fn label(&mut self) -> Parsed<String> {
        let text = self.text();
        match self.peek() {
            TokenKind::String => {
                let name = self.string()?;
                let shown = quoted(&name);
                let valid = String::from_utf8(name).ok().filter(|name| !name.is_empty());
                valid.ok_or_else(|| {
                    Fault::Told((self.last_span(), format!("invalid label name for grouping: {shown}")))
                })
            }
            TokenKind::Identifier
            | TokenKind::MetricIdentifier
            | TokenKind::Aggregate(_)
            | TokenKind::Operator(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::Atan2) => {
                self.advance();
                Ok(text.to_owned())
            }
            TokenKind::Keyword(keyword) if *keyword != Keyword::Without => {
                self.advance();
                Ok(text.to_owned())
            }
            _ => Err(Fault::Unexpected),
        }
    }

    /// What stands between an operator and its right side.
    fn modifiers(&mut self) -> Parsed<(bool, Matching)> {
        let returns_bool = self.take_keyword(Keyword::Bool);
        let mut matching = Matching::default();
        let on = *self.peek() == TokenKind::Keyword(Keyword::On);
        if on || *self.peek() == TokenKind::Keyword(Keyword::Ignoring) {
            self.advance();
            (matching.on, matching.labels) = (on, self.labels()?);
            let card = match self.peek() {
                TokenKind::Keyword(Keyword::GroupLeft) => Some(Cardinality::ManyToOne),
                TokenKind::Keyword(Keyword::GroupRight) => Some(Cardinality::OneToMany),
                _ => None,
            };
            if let Some(card) = card {
                matching.card = card;
                self.advance();
                if *self.peek() == TokenKind::Punctuation(Punctuation::LeftParen) {
                    matching.include = self.labels()?;
                } else if !self.starts_expression() {
                    return Err(Fault::Told(self.unexpected("grouping opts", "\"(\"")));
                }
            }
        }
        self.fill(&mut matching)?;
        Ok((returns_bool, matching))
    }

    fn fill(&mut self, matching: &mut Matching) -> Parsed<()> {
        if self.take_keyword(Keyword::Fill) {
            let value = self.fill_value()?;
            (matching.fill_left, matching.fill_right) = (Some(value), Some(value));
            return Ok(());
        }
        loop {
            let side = match self.peek() {
                TokenKind::Keyword(Keyword::FillLeft) if matching.fill_left.is_none() => {
                    &mut matching.fill_left
                }
                TokenKind::Keyword(Keyword::FillRight) if matching.fill_right.is_none() => {
                    &mut matching.fill_right
                }
                _ => return Ok(()),
            };
            self.advance();
            *side = Some(self.fill_value()?);
        }
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(Punctuation::LeftParen)?;
        let negative = match self.peek() {
            TokenKind::Operator(BinaryOp::Sub) => true,
            TokenKind::Operator(BinaryOp::Add) => false,
            _ => return self.fill_number(false),
        };
        self.advance();
        self.fill_number(negative)
    }

    fn fill_number(&mut self, negative: bool) -> Parsed<f64> {
        let (TokenKind::Number | TokenKind::Duration) = self.peek() else {
            return Err(Fault::Unexpected);
        };
        let Number { value, .. } = duration::number(self)?;
        self.expect(Punctuation::RightParen)?;
        Ok(if negative { -value } else { value })
    }
}
