//! The head: series that are alive, and their newest samples in memory.

mod admission;
mod append;
mod apply;
mod block;
mod memtable;
mod newest;
mod record;
mod registry;

pub(crate) use append::{Accumulators, Appender, Origin};
pub use append::{Appended, RejectReason, Rejected};
pub(crate) use apply::{Row, apply, apply_histogram};
pub(crate) use block::Block;
pub(crate) use memtable::{Memtable, SampleRows, Window};
pub(crate) use newest::{HeadSamples, samples_of};
pub(crate) use record::{RecordKind, decode_metadata, decode_samples, take, take_definitions, take_varint};
pub(crate) use registry::{Registry, Slot};
