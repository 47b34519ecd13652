//! What a query is: its tree.

use crate::depth::deeper;
use crate::functions::Function;
use kandela_config::matcher::Matcher;

/// Bytes of the query's text, the end not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub start: usize,
    /// Where what follows begins.
    pub end: usize,
}

impl Span {
    /// From the start of this to the end of `other`.
    pub const fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }
}

/// An expression and where it stands. Trees may be thousands of levels deep: see [`crate::deeper`].
pub struct Expr {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A number; durations are seconds.
    Number(Number),
    /// A string; its escapes may name any bytes.
    String(Vec<u8>),
    /// The newest sample of each series that matches.
    Vector(Selector),
    /// The samples of each series that matches, over a range.
    Matrix(Matrix),
    /// The results of an expression, over a range.
    Subquery(Box<Subquery>),
    /// A call of a function.
    Call(Call),
    /// An aggregation over series.
    Aggregate(Box<Aggregate>),
    /// An operation on two expressions.
    Binary(Box<Binary>),
    /// A sign before an expression that is no number.
    Unary(Box<Unary>),
    /// An expression in parentheses.
    Paren(Box<Expr>),
}

/// A number as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// Its value.
    pub value: f64,
    /// Whether it was written as a duration, such as `5m`.
    pub is_duration: bool,
}

/// Which series, and as of when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    /// The name before the braces; it is among the matchers too.
    pub name: Option<String>,
    /// Conditions on labels.
    pub matchers: Vec<Matcher>,
    /// How long before.
    pub offset: Option<Duration>,
    /// As of when, instead of the evaluation's time.
    pub at: Option<At>,
    /// How samples at a range's ends are made up.
    pub boundary: Boundary,
}

/// How samples at a range's ends are made up, where a function does not extrapolate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    /// They are not: the samples in the range as they are.
    #[default]
    Plain,
    /// `anchored`: the newest sample before the range stands at its start.
    Anchored,
    /// `smoothed`: values at both ends are interpolated from the samples around them.
    Smoothed,
}

/// A time that `@` names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// Microseconds since the Unix epoch.
    Micros(i64),
    /// The start of the query's range.
    Start,
    /// The end of the query's range.
    End,
}

/// A selector with a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Which series.
    pub selector: Selector,
    /// Where the selector stands, without the range.
    pub selector_span: Span,
    /// How far back.
    pub range: Duration,
}

/// An expression evaluated over a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Expr,
    /// How far back.
    pub range: Duration,
    /// At which distances; the server's default where not given.
    pub step: Option<Duration>,
    /// How long before.
    pub offset: Option<Duration>,
    /// As of when, instead of the evaluation's time.
    pub at: Option<At>,
}

/// A duration, which may be calculated when the query's step and range are known.
#[derive(Clone, Debug, PartialEq)]
pub struct Duration {
    /// Its value.
    pub expr: DurationExpr,
    /// Where it stands.
    pub span: Span,
}

/// A calculation of seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// Seconds.
    Literal(Number),
    /// The query's step.
    Step,
    /// The query's end less its start.
    Range,
    /// A sign; true is minus.
    Signed(bool, Box<Duration>),
    /// A calculation with two durations.
    Binary(DurationOp, Box<Duration>, Box<Duration>),
    /// A duration in parentheses.
    Paren(Box<Duration>),
}

/// What can be calculated with two durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `min_of(a, b)`
    Min,
    /// `max_of(a, b)`
    Max,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which.
    pub function: &'static Function,
    /// With what.
    pub args: Vec<Expr>,
}

/// An aggregation over series.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Which.
    pub op: AggregateOp,
    /// The first argument, of those that take two.
    pub param: Option<Expr>,
    /// Over what.
    pub expr: Expr,
    /// Which labels make groups.
    pub grouping: Grouping,
}

/// Which labels make groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// The labels, as written.
    pub labels: Vec<String>,
    /// Whether all labels but those make groups.
    pub without: bool,
}

/// The aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the language's")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Sum,
        Self::Avg,
        Self::Count,
        Self::Min,
        Self::Max,
        Self::Group,
        Self::Stddev,
        Self::Stdvar,
        Self::Topk,
        Self::Bottomk,
        Self::CountValues,
        Self::Quantile,
        Self::Limitk,
        Self::LimitRatio,
    ];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// Whether it takes a parameter before what it aggregates.
    pub const fn has_param(self) -> bool {
        matches!(
            self,
            Self::Topk | Self::Bottomk | Self::CountValues | Self::Quantile | Self::Limitk | Self::LimitRatio
        )
    }
}

/// An operation on two expressions.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// Which.
    pub op: BinaryOp,
    /// The left side.
    pub left: Expr,
    /// The right side.
    pub right: Expr,
    /// Whether a comparison gives 0 or 1 instead of choosing.
    pub returns_bool: bool,
    /// How series of the two sides find each other.
    pub matching: Matching,
}

/// The operations on two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the language's")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Unless,
    /// `</`: the part of a histogram below a value.
    TrimUpper,
    /// `>/`: the part of a histogram above a value.
    TrimLower,
}

impl BinaryOp {
    /// As it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// Whether it compares.
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::LessOrEqual
                | Self::Greater
                | Self::GreaterOrEqual
        )
    }

    /// Whether it works on the presence of series alone.
    pub const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// How tightly it binds; more is tighter.
    pub const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::TrimUpper
            | Self::TrimLower => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 6,
        }
    }
}

/// How series of two sides find each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching {
    /// Labels that must agree, or with `on` false, that need not.
    pub labels: Vec<String>,
    /// Whether only the labels count.
    pub on: bool,
    /// Which side may have several series to one of the other.
    pub card: Cardinality,
    /// Labels that the many take from the one.
    pub include: Vec<String>,
    /// What stands for a missing partner on the left.
    pub fill_left: Option<f64>,
    /// What stands for a missing partner on the right.
    pub fill_right: Option<f64>,
}

/// Which side may have several series to one of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cardinality {
    /// None.
    #[default]
    OneToOne,
    /// The left: `group_left`.
    ManyToOne,
    /// The right: `group_right`.
    OneToMany,
    /// Both: set operations.
    ManyToMany,
}

/// A sign before an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// Whether it is minus.
    pub negative: bool,
    /// What is signed.
    pub expr: Expr,
}

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// A number a step.
    Scalar,
    /// A text.
    String,
    /// A sample a series and step.
    Vector,
    /// Samples of a range.
    Matrix,
}

impl ValueType {
    /// As Prometheus' API and errors name it.
    pub const fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }

    /// As Prometheus' API names it in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
        }
    }
}

impl Expr {
    /// What it gives.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            Kind::Number(_) => ValueType::Scalar,
            Kind::String(_) => ValueType::String,
            Kind::Vector(_) | Kind::Aggregate(_) => ValueType::Vector,
            Kind::Matrix(_) | Kind::Subquery(_) => ValueType::Matrix,
            Kind::Call(call) => call.function.returns,
            Kind::Binary(binary) => {
                // A chain of operators is deep on its left.
                let scalar = |side: &Self| deeper(|| side.value_type()) == ValueType::Scalar;
                if scalar(&binary.right) && scalar(&binary.left) {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
            Kind::Unary(unary) => deeper(|| unary.expr.value_type()),
            Kind::Paren(_) => deeper(|| self.unwrapped().value_type()),
        }
    }

    /// What is in the parentheses, however many.
    pub fn unwrapped(&self) -> &Self {
        let mut expr = self;
        while let Kind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }
}
