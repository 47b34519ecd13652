//! Finding series: who is who, and which series carry which label.

mod cardinality;
mod catalog;
mod postings;

pub use cardinality::{Cardinality, Counts};
pub use catalog::IndexedSeries;
pub(crate) use catalog::SeriesIndex;
pub(crate) use postings::Postings;
