//! Finding series: who is who, and which series carry which label.

mod catalog;
mod postings;

pub use catalog::IndexedSeries;
pub(crate) use catalog::SeriesIndex;
pub(crate) use postings::Postings;
