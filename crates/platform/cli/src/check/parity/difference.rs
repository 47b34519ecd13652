//! What differs between two answers, as data and as a sentence.

use std::fmt;

use serde::Serialize;

use crate::prometheus::Millis;
use crate::when::{rfc3339, time_text};

/// One of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    /// The server of `--server`.
    Here,
    /// The one of `--against`.
    There,
}

/// A time in milliseconds since the Unix epoch, written as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) i64);

/// Why a server gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failed {
    pub(super) status: u16,
    #[serde(rename = "errorType")]
    pub(super) kind: String,
    #[serde(rename = "error")]
    pub(super) message: String,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum Difference {
    /// One answers and the other errs, or they err in different ways.
    Failure { here: Option<Failed>, there: Option<Failed> },
    /// A server could not be asked.
    Unasked { side: Side, error: String },
    /// The answers are of different types.
    Kind { here: &'static str, there: &'static str },
    /// A series is missing as a whole, or points of it are, one after the other.
    Missing { side: Side, series: String, whole: bool, points: usize, from: Time, to: Time },
    /// Values differ, at `points` times of the `of` that both have; the first is shown.
    Values { series: String, points: usize, of: usize, at: Time, here: String, there: String },
    /// At this place, counted from 1, another series stands.
    Order { place: usize, here: String, there: String },
    /// A label set stands twice in one answer.
    Twice { side: Side, series: String },
}

impl From<Millis> for Time {
    fn from(Millis(at): Millis) -> Self {
        Self(at)
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.serialize_str(&rfc3339(self.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&time_text(self.0))
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here => "here",
            Self::There => "there",
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure { here, there } => {
                let told = |failed: &Option<Failed>| match failed {
                    Some(Failed { status, kind, message }) => format!("error {status} {kind}: {message}"),
                    None => "an answer".to_owned(),
                };
                write!(f, "here {}; there {}", told(here), told(there))
            }
            Self::Unasked { side, error } => write!(f, "could not be asked {side}: {error}"),
            Self::Kind { here, there } => write!(f, "a {here} here, a {there} there"),
            Self::Missing { side, series, whole, points, from, to } => {
                let what = match (whole, points) {
                    (true, 1) => "is missing".to_owned(),
                    (true, points) => format!("is missing with its {points} points"),
                    (false, 1) => "lacks a point".to_owned(),
                    (false, points) => format!("lacks {points} points"),
                };
                write!(f, "{series} {what} {side}, ")?;
                if from == to { write!(f, "at {from}") } else { write!(f, "from {from} to {to}") }
            }
            Self::Values { series, points, of, at, here, there } => {
                write!(f, "{series} is {here} here and {there} there, at {at}")?;
                if *of > 1 { write!(f, "; {points} of {of} points differ") } else { Ok(()) }
            }
            Self::Order { place, here, there } => {
                write!(f, "as number {place} comes {here} here and {there} there")
            }
            Self::Twice { side, series } => write!(f, "{series} stands twice {side}"),
        }
    }
}
