//! What a script says, line by line.

use std::sync::Arc;

use kandela_model::{Histogram, Labels};
use regex::Regex;

use super::memory::Sample;
use super::query::{Query, QueryTime};

/// How far around an instant the range query reaches that must agree with it; also its step.
const AROUND: i64 = 60_000_000;

/// Calls whose value depends on the bounds of the query, so that a range query need not agree.
const CONTEXT_CALLS: [&str; 4] = ["start()", "end()", "range()", "step()"];

/// One command of a script.
#[derive(Clone, Debug)]
pub enum Command {
    /// `load` or `load_with_nhcb`: adds samples.
    Load(Load),
    /// `clear`: forgets every sample.
    Clear,
    /// `eval`: asks and compares.
    Eval(Box<Eval>),
}

/// Samples to add.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// The line of the command, counted from 1.
    pub line: usize,
    /// Microseconds from one value of a series to the next; the first is at the epoch.
    pub step: i64,
    /// Whether classic histograms are also added as native ones with custom bounds.
    pub with_nhcb: bool,
    /// The series; where a series stands twice, the last counts.
    pub series: Vec<LoadedSeries>,
}

/// The samples of one series in a `load`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its samples, ascending by time.
    pub samples: Vec<Sample>,
}

/// What a sequence of values says about one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    /// `_`: there is no value.
    Gap,
    /// A number; `stale` is the staleness marker.
    Float(f64),
    /// A native histogram.
    Histogram {
        /// The histogram.
        histogram: Arc<Histogram>,
        /// Whether it was written with `counter_reset_hint`; only then does its hint matter for a comparison.
        hint_given: bool,
    },
}

/// A query with what must come.
#[derive(Clone, Debug)]
pub struct Eval {
    /// The line of the command, counted from 1.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// For when it is asked.
    pub time: QueryTime,
    /// The value that must come, unless the query must fail.
    pub expected: Expected,
    /// What else must hold.
    pub conditions: Conditions,
}

/// The value that must come.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// These series and no others; a value a step for a range, one value for an instant.
    Series(Vec<(Labels, Vec<Slot>)>),
    /// A range vector of an instant query, whose values lie at the steps of this [`QueryTime::Range`].
    RangeVector(QueryTime, Vec<(Labels, Vec<Slot>)>),
    /// A scalar.
    Scalar(f64),
    /// A string.
    String(String),
}

/// What must hold beside the value.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// Whether series must come in the order in which they are listed.
    pub ordered: bool,
    /// Where there are any, the query must fail, and the error must satisfy all of them.
    pub fail: Vec<Text>,
    /// What warnings must come.
    pub warnings: Annotations,
    /// What infos must come.
    pub infos: Annotations,
}

/// What annotations of one kind must come.
#[derive(Clone, Debug, Default)]
pub enum Annotations {
    /// Any or none. So it is where a script says nothing.
    #[default]
    Ignored,
    /// None.
    Absent,
    /// At least one for each of these, and none that satisfies none of them.
    Matching(Vec<Text>),
}

/// A condition on an error or an annotation.
#[derive(Clone, Debug)]
pub enum Text {
    /// There is one.
    Any,
    /// It is this text.
    Exactly(String),
    /// The expression matches somewhere in it.
    Matching(Regex),
}

impl Text {
    /// Whether `text` satisfies the condition.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(exactly) => exactly == text,
            Self::Matching(regex) => regex.is_match(text),
        }
    }
}

impl Eval {
    /// The query as the script states it.
    pub fn query(&self) -> Query {
        Query { line: self.line, expr: self.expr.clone(), time: self.time }
    }

    /// The range query around an instant query, whose middle step must answer the same; [`super::check_in_range`]
    /// compares. `None` for range queries, failures, strings, range vectors, and where the expression asks for the
    /// query's bounds.
    pub fn query_in_range(&self) -> Option<Query> {
        let QueryTime::Instant(at) = self.time else { return None };
        let value_at_each_step = matches!(self.expected, Expected::Series(_) | Expected::Scalar(_));
        let asks_for_bounds = CONTEXT_CALLS.iter().any(|call| self.expr.contains(call));
        if !self.conditions.fail.is_empty() || !value_at_each_step || asks_for_bounds {
            return None;
        }
        let time = QueryTime::Range { from: at - AROUND, through: at.saturating_add(AROUND), step: AROUND };
        Some(Query { time, ..self.query() })
    }
}
