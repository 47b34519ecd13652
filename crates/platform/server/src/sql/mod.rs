//! SQL in, rows out: running a query beside ingest without disturbing it, and writing its rows in the asker's format.

use http::HeaderName;

mod encode;
mod run;

pub use encode::{RowEncoder, RowFormat};
pub(crate) use run::{Answer, Queries};

/// The header that says what an answer lacks, in any format; one for each sentence.
pub const WARNING: HeaderName = HeaderName::from_static("kandela-warning");
