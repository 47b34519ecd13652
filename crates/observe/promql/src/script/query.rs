//! What an engine is asked.

/// One query of a script. Every instant `eval` whose answer exists at every step is asked twice: as it stands, and as a
/// range query from a minute before to a minute after, whose middle step must answer the same. So it is again at other times
/// with `@` and its own time on its selectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The line of the script, counted from 1.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// For when.
    pub time: QueryTime,
}

/// The time of a query, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryTime {
    /// One point.
    Instant(i64),
    /// Every `step` from `from` to `through`, both ends inclusive.
    Range {
        /// The first step.
        from: i64,
        /// No step is later.
        through: i64,
        /// The distance of two steps.
        step: i64,
    },
}

impl QueryTime {
    /// The steps of a range, ascending; none for an instant. A step of 0 or less gives the first step alone.
    pub fn steps(self) -> Option<impl Iterator<Item = i64>> {
        let Self::Range { from, through, step } = self else { return None };
        let next = move |time: &i64| if step > 0 { time.checked_add(step) } else { None };
        Some(std::iter::successors(Some(from), next).take_while(move |time| *time <= through))
    }
}
