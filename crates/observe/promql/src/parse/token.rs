//! The words of the language.

use crate::ast::{AggregateOp, BinaryOp, Span};
use crate::quote::quoted;

/// A word of a query and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    End,
    /// What cannot be read, and why; nothing follows.
    Error(String),
    Identifier,
    /// An identifier with a colon.
    MetricIdentifier,
    Number,
    Duration,
    String,
    Operator(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
    Punctuation(Punctuation),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Offset,
    Smoothed,
    Anchored,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Bool,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

impl Keyword {
    const ALL: [(&'static str, Self); 19] = [
        ("offset", Self::Offset),
        ("smoothed", Self::Smoothed),
        ("anchored", Self::Anchored),
        ("by", Self::By),
        ("without", Self::Without),
        ("on", Self::On),
        ("ignoring", Self::Ignoring),
        ("group_left", Self::GroupLeft),
        ("group_right", Self::GroupRight),
        ("fill", Self::Fill),
        ("fill_left", Self::FillLeft),
        ("fill_right", Self::FillRight),
        ("bool", Self::Bool),
        ("start", Self::Start),
        ("end", Self::End),
        ("step", Self::Step),
        ("range", Self::Range),
        ("max_of", Self::MaxOf),
        ("min_of", Self::MinOf),
    ];

    pub(super) fn of(lower: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == lower).map(|(_, keyword)| *keyword)
    }

    /// Whether it may also name a metric.
    pub(super) const fn may_be_metric(self) -> bool {
        !matches!(self, Self::On | Self::Ignoring | Self::GroupLeft | Self::GroupRight | Self::Bool)
    }

    /// Whether Prometheus shows it in brackets, not in quotes.
    const fn is_modifier(self) -> bool {
        !matches!(self, Self::Start | Self::End | Self::Step | Self::Range | Self::MaxOf | Self::MinOf)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Punctuation {
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    At,
    /// `=`
    Assign,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
}

/// What a word outside braces is.
pub(super) fn word(text: &str) -> TokenKind {
    let lower = text.to_ascii_lowercase();
    let operator = match lower.as_str() {
        "and" => Some(BinaryOp::And),
        "or" => Some(BinaryOp::Or),
        "unless" => Some(BinaryOp::Unless),
        "atan2" => Some(BinaryOp::Atan2),
        _ => None,
    };
    if let Some(operator) = operator {
        return TokenKind::Operator(operator);
    }
    if let Some(op) = AggregateOp::ALL.into_iter().find(|op| op.name() == lower) {
        return TokenKind::Aggregate(op);
    }
    if let Some(keyword) = Keyword::of(&lower) {
        return TokenKind::Keyword(keyword);
    }
    match lower.as_str() {
        "inf" | "nan" => TokenKind::Number,
        _ if text.contains(':') => TokenKind::MetricIdentifier,
        _ => TokenKind::Identifier,
    }
}

impl Token {
    /// As Prometheus' errors describe it.
    pub(super) fn described(&self, query: &str) -> String {
        let text = query.get(self.span.start..self.span.end).unwrap_or_default();
        let named = |kind: &str| format!("{kind} {}", quoted(text));
        match &self.kind {
            TokenKind::End => "end of input".to_owned(),
            TokenKind::Error(message) => message.clone(),
            TokenKind::Identifier => named("identifier"),
            TokenKind::MetricIdentifier => named("metric identifier"),
            TokenKind::Number => format!("number {}", shortened(text)),
            TokenKind::Duration => format!("duration {}", shortened(text)),
            TokenKind::String => format!("string {}", shortened(text)),
            TokenKind::Operator(_) => format!("<op:{text}>"),
            TokenKind::Aggregate(_) => format!("<aggr:{text}>"),
            TokenKind::Keyword(keyword) if keyword.is_modifier() => format!("<{text}>"),
            TokenKind::Punctuation(Punctuation::Matches | Punctuation::MatchesNot | Punctuation::At) => {
                format!("<op:{text}>")
            }
            TokenKind::Keyword(_) | TokenKind::Punctuation(_) => shortened(text),
        }
    }
}

/// Of long texts only the beginning.
fn shortened(text: &str) -> String {
    if text.len() <= 10 {
        return quoted(text);
    }
    let end = text.char_indices().nth(10).map_or(text.len(), |(at, _)| at);
    format!("{}...", quoted(text.get(..end).unwrap_or_default()))
}
