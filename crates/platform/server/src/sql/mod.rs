//! SQL in, rows out: running a query beside ingest without disturbing it, and writing its rows in the asker's format.

mod encode;
mod run;

pub use encode::{RowEncoder, RowFormat};
pub(crate) use run::Queries;
