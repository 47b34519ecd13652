//! Finding series: who is who, and which series carry which label.

mod catalog;
mod matcher;
mod postings;

pub use catalog::IndexedSeries;
pub(crate) use catalog::SeriesIndex;
pub use matcher::{MatchOp, Matcher};
pub(crate) use postings::Postings;
