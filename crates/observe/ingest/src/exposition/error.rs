//! What is wrong with an exposition, and where.

use std::fmt::{self, Display};

/// Why an exposition was refused. An exposition is good or refused as a whole: what a refused one has put into the batch
/// is to be thrown away.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpositionError {
    /// The page breaks the grammar or a rule of its format.
    #[error("line {line}, column {column}: {what}; {advice}")]
    Page {
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What was found there.
        what: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// The bytes are no delimited `io.prometheus.client.MetricFamily` messages, or say something impossible.
    #[error("byte {offset}, metric family {family:?}: {what}; {advice}")]
    Protobuf {
        /// Where the message starts that is at fault.
        offset: usize,
        /// The family's name, empty where it is not known yet.
        family: String,
        /// What was found.
        what: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// The target names no format that is known here, and no fallback is configured.
    #[error(
        "content type {found:?} is no exposition format; have the target send text/plain, \
         application/openmetrics-text or application/vnd.google.protobuf, or set fallback_scrape_protocol"
    )]
    ContentType {
        /// The header's value, empty where the target sent none.
        found: String,
    },
    /// The label sets would take more memory than they may.
    #[error(
        "the label sets of this exposition take more than {limit} bytes; expose fewer series, or shorter labels"
    )]
    TooLarge {
        /// The limit in bytes.
        limit: u32,
    },
}

/// A fault at a byte of a page, before anybody has counted lines.
#[derive(Debug)]
pub(super) enum Fault {
    At { at: usize, what: String, advice: &'static str },
    TooLarge { limit: u32 },
}

impl Fault {
    pub(super) fn new(at: usize, what: impl Display, advice: &'static str) -> Self {
        Self::At { at, what: what.to_string(), advice }
    }

    /// Turns the byte offset into a line and a column of `page`.
    pub(super) fn locate(self, page: &[u8]) -> ExpositionError {
        match self {
            Self::TooLarge { limit } => ExpositionError::TooLarge { limit },
            Self::At { at, what, advice } => {
                let before = page.get(..at).unwrap_or(page);
                let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
                let line = memchr::memchr_iter(b'\n', before).count() + 1;
                let column =
                    String::from_utf8_lossy(before.get(line_start..).unwrap_or_default()).chars().count() + 1;
                ExpositionError::Page { line, column, what, advice }
            }
        }
    }
}

/// Text of a page as an error quotes it: one line, cut where it is long.
pub(super) struct Quote<'a>(pub(super) &'a str);

impl Display for Quote<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 60;
        match self.0.char_indices().nth(LONGEST) {
            Some((cut, _)) => write!(f, "{:?}…", self.0.get(..cut).unwrap_or_default()),
            None => write!(f, "{:?}", self.0),
        }
    }
}
